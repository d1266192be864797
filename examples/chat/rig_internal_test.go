package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/ratelimit"
)

// generous is how long a test waits for what should come at once.
const generous = time.Minute

// running is a room that is served.
type running struct {
	*room

	url    string // of the page
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	stop   context.CancelFunc
	served <-chan error // gets what serve returns
}

// startRoom serves a room on the loopback interface. It is patient: a machine that
// has much else to do makes all clients look slow.
func startRoom(t *testing.T, change func(*config)) *running {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return serveRoom(t, listener, new(net.Dialer).DialContext, func(c *config) {
		c.patience = generous
		if change != nil {
			change(c)
		}
	})
}

// serveRoom serves a room with a config that is as usual but for what the test does
// to it: clients may say as much as they like.
func serveRoom(
	t *testing.T, listener net.Listener, dial func(context.Context, string, string) (net.Conn, error), change func(*config),
) *running {
	t.Helper()
	c := defaultConfig()
	c.rate = ratelimit.Inf
	if change != nil {
		change(&c)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // only stop ends it
	served, ended := make(chan error, 1), make(chan struct{})
	r := newRoom(c, slog.New(slog.DiscardHandler))
	go func() {
		defer close(ended)
		served <- r.serve(ctx, listener)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return &running{room: r, url: "http://" + listener.Addr().String() + "/", dial: dial, stop: cancel, served: served}
}

// address returns where a client of that name connects.
func (r *running) address(name string) string {
	return strings.Replace(r.url, "http", "ws", 1) + "room?name=" + url.QueryEscape(name)
}

// try connects a client.
func (r *running) try(t *testing.T, name, origin string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	header := make(http.Header)
	if origin != "" {
		header.Set("Origin", origin)
	}
	network := &http.Transport{DialContext: r.dial}
	defer network.CloseIdleConnections()
	return websocket.Dial(ctx, r.address(name), &websocket.DialOptions{HTTPClient: &http.Client{Transport: network}, HTTPHeader: header})
}

// visit connects a client that is let in.
func (r *running) visit(t *testing.T, name string) *visitor {
	t.Helper()
	conn, _, err := r.try(t, name, "")
	require.NoError(t, err)
	conn.SetReadLimit(1 << 20)
	t.Cleanup(func() { conn.CloseNow() })
	return &visitor{t: t, name: name, conn: conn}
}

// visitor is a client.
type visitor struct {
	t    *testing.T
	name string
	conn *websocket.Conn
}

// heard is what a visitor may get.
type heard struct {
	Kind, Name, Text    string
	Time                time.Time
	Missed              uint64
	Clients, Goroutines int
	PerSecond           float64
}

// read returns what comes next, or the error of the connection.
func (v *visitor) read() (heard, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.t.Context()), generous)
	defer cancel()
	_, data, err := v.conn.Read(ctx)
	if err != nil {
		return heard{}, err
	}
	var h heard
	return h, json.Unmarshal(data, &h)
}

// next returns the next event that is not the server's numbers.
func (v *visitor) next() (heard, error) {
	for {
		h, err := v.read()
		if err != nil || h.Kind != kindNumbers {
			return h, err
		}
	}
}

// until returns all events up to that with the text.
func (v *visitor) until(text string) ([]heard, error) {
	var all []heard
	for {
		h, err := v.next()
		if err != nil {
			return all, err
		}
		all = append(all, h)
		if h.Text == text {
			return all, nil
		}
	}
}

// sees waits until somebody has joined, or left.
func (v *visitor) sees(kind, name string) {
	v.t.Helper()
	for h := (heard{}); h.Kind != kind || h.Name != name; {
		var err error
		h, err = v.next()
		require.NoError(v.t, err, "%s waits until %s has %s", v.name, name, kind)
	}
}

// mustUntil is until, without an error.
func (v *visitor) mustUntil(text string) []heard {
	v.t.Helper()
	all, err := v.until(text)
	require.NoError(v.t, err, "%s waits for %q", v.name, text)
	return all
}

// end returns the status with which the connection is closed.
func (v *visitor) end() websocket.StatusCode {
	for {
		if _, err := v.read(); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

// send sends what may not be a message.
func (v *visitor) send(data string) error {
	ctx, cancel := context.WithTimeout(v.t.Context(), generous)
	defer cancel()
	return v.conn.Write(ctx, websocket.MessageText, []byte(data))
}

// say sends a message.
func (v *visitor) say(text string) error {
	data, err := json.Marshal(map[string]string{"text": text})
	require.NoError(v.t, err)
	return v.send(string(data))
}

// mustSay is say, without an error.
func (v *visitor) mustSay(text string) {
	v.t.Helper()
	require.NoError(v.t, v.say(text))
}

// eventually waits until something is so.
func eventually(t *testing.T, so func() bool, what string) {
	t.Helper()
	require.Eventually(t, so, generous, time.Millisecond, what)
}

// goroutinesAre waits until there are no more goroutines than before.
func goroutinesAre(t *testing.T, before int) {
	t.Helper()
	for deadline := time.Now().Add(generous); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			require.Fail(t, "goroutines are left", string(stacks[:runtime.Stack(stacks, true)]))
		}
	}
}

// plain returns events as text, without their times.
func plain(all []heard) []string {
	lines := make([]string, 0, len(all))
	for _, h := range all {
		lines = append(lines, h.Kind+" "+h.Name+" "+h.Text)
	}
	return lines
}
