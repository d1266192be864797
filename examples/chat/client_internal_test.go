package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// handshake makes a WebSocket of conn, as a client.
func handshake(t *testing.T, conn net.Conn) *bufio.Reader {
	t.Helper()
	const request = "GET /room?name=Bob HTTP/1.1\r\nHost: chat\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	_, err := io.WriteString(conn, request)
	require.NoError(t, err)
	buffered := bufio.NewReader(conn)
	resp, err := http.ReadResponse(buffered, nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	return buffered
}

// A client that is gone without a word is found out, and the others are told. That it
// leaves no goroutine behind is what the bubble checks.
func TestClient_dead(t *testing.T) {
	for name, test := range map[string]struct {
		die   func(net.Conn, *bufio.Reader)
		after time.Duration
	}{
		"it reads nothing":      {func(net.Conn, *bufio.Reader) {}, defaultConfig().patience},
		"it answers no ping":    {func(_ net.Conn, r *bufio.Reader) { go io.Copy(io.Discard, r) }, defaultConfig().patience},
		"its connection breaks": {func(c net.Conn, _ *bufio.Reader) { c.Close() }, 0},
		"it breaks a frame off": {func(c net.Conn, _ *bufio.Reader) { io.WriteString(c, "\x81"); c.Close() }, 0},
		"it does not know how to say": {func(c net.Conn, r *bufio.Reader) {
			go io.Copy(io.Discard, r)
			io.WriteString(c, "\xff\x80\x00\x00\x00\x00")
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := newMemory()
				r := serveRoom(t, network, network.dial, nil)
				ann := r.visit(t, "Ann")
				var left time.Time
				done := make(chan struct{})
				go func() {
					defer close(done)
					for {
						h, err := ann.read()
						if err != nil {
							return
						}
						if h.Kind == kindLeft {
							left = time.Now()
						}
					}
				}()
				synctest.Wait()

				conn, err := network.dial(t.Context(), "", "")
				require.NoError(t, err)
				defer conn.Close()
				buffered := handshake(t, conn)
				start := time.Now()
				test.die(conn, buffered)
				if test.after > 0 {
					synctest.Wait()
					assert.Equal(t, 2, r.places.InUse())
				}
				time.Sleep(test.after)
				synctest.Wait()
				assert.Equal(t, 1, r.places.InUse())
				assert.Equal(t, test.after, left.Sub(start))

				time.Sleep(10 * time.Minute) // an idle client that answers stays
				assert.Equal(t, 1, r.places.InUse())
				r.stop()
				require.NoError(t, <-r.served)
				<-done
			})
		})
	}
}

// The same over a real network, for what breaks at once.
func TestClient_connectionBreaks(t *testing.T) {
	before := runtime.NumGoroutine()
	r := startRoom(t, nil)
	ann := r.visit(t, "Ann")
	var broken []net.Conn
	for range 10 {
		conn, err := r.dial(t.Context(), "tcp", r.url[len("http://"):len(r.url)-1])
		require.NoError(t, err)
		handshake(t, conn)
		broken = append(broken, conn)
	}
	eventually(t, func() bool { return r.places.InUse() == 11 }, "they are there")
	for i, conn := range broken {
		if i%2 == 0 {
			require.NoError(t, conn.(*net.TCPConn).SetLinger(0)) // a reset
		}
		conn.Close()
	}
	for range broken {
		ann.sees(kindLeft, "Bob")
	}
	eventually(t, func() bool { return r.places.InUse() == 1 }, "they are gone")
	ann.conn.CloseNow()
	eventually(t, func() bool { return r.places.InUse() == 0 }, "she is gone")
	r.stop()
	require.NoError(t, <-r.served)
	goroutinesAre(t, before)
}

// When the room is closed, clients get what was said before, and then a close frame.
func TestServe_closes(t *testing.T) {
	before := runtime.NumGoroutine()
	r := startRoom(t, nil)
	var visitors []*visitor
	for i, name := range []string{"Ann", "Bob", "Cid"} {
		visitors = append(visitors, r.visit(t, name))
		visitors[i].sees(kindJoined, name)
	}
	visitors[0].mustSay("the last word")
	visitors[0].mustUntil("the last word")
	r.stop()
	for _, v := range visitors {
		if v != visitors[0] {
			v.mustUntil("the last word")
		}
		_, err := v.until("?")
		var closed websocket.CloseError
		require.ErrorAs(t, err, &closed)
		assert.Equal(t, websocket.CloseError{Code: websocket.StatusGoingAway, Reason: "the room is closed"}, closed)
	}
	require.NoError(t, <-r.served)
	_, err := net.Dial("tcp", r.url[len("http://"):len(r.url)-1])
	require.Error(t, err)
	goroutinesAre(t, before)
}

// Who does not agree to the end is cut off.
func TestServe_cutsOff(t *testing.T) {
	for name, deaf := range map[string]bool{"it reads nothing": true, "it does not say goodbye": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := newMemory()
				r := serveRoom(t, network, network.dial, nil)
				conn, err := network.dial(t.Context(), "", "")
				require.NoError(t, err)
				defer conn.Close()
				buffered := handshake(t, conn)
				if !deaf {
					go io.Copy(io.Discard, buffered)
				}
				ann := r.visit(t, "Ann")
				ended := make(chan websocket.StatusCode, 1)
				go func() { ended <- ann.end() }()
				synctest.Wait()

				start := time.Now()
				r.stop()
				assert.Equal(t, websocket.StatusGoingAway, <-ended)
				assert.Zero(t, time.Since(start), "the others do not wait")
				require.ErrorContains(t, <-r.served, "clients were cut off")
				assert.Equal(t, grace, time.Since(start))
			})
		})
	}
}

// Who comes when the room is closed already is sent away in the same way.
func TestServe_tooLate(t *testing.T) {
	r := startRoom(t, nil)
	require.NoError(t, r.events.Close(t.Context()))
	assert.Equal(t, websocket.StatusGoingAway, r.visit(t, "Ann").end())
}

// brokenListener accepts nothing.
type brokenListener struct{ *memory }

func (brokenListener) Accept() (net.Conn, error) { return nil, errors.New("out of order") }

func TestServe_listenerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := serveRoom(t, brokenListener{newMemory()}, nil, nil)
		require.EqualError(t, <-r.served, "out of order")
	})
}

func TestRoom_tellsAlthoughTheClientIsGone(t *testing.T) {
	r := newRoom(defaultConfig(), nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.tell(ctx, kindLeft, "Ann", "")
	for data, err := range r.events.Subscribe(t.Context()).All() {
		require.NoError(t, err)
		assert.Contains(t, string(data), `"kind":"left"`)
		break
	}
}
