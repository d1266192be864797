package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/ratelimit"
)

// count returns how many lines are of the kind.
func count(lines []string, kind string) int {
	n := 0
	for _, line := range lines {
		if strings.HasPrefix(line, kind+" ") {
			n++
		}
	}
	return n
}

// All clients hear the same in the same order. Those who come in the middle of it
// hear first what was before: nothing is missing where that meets the rest, and
// nothing is there twice.
func TestRoom_aHundredClients(t *testing.T) {
	const clients, late, each, history = 100, 20, 4, 50
	before := runtime.NumGoroutine()
	r := startRoom(t, func(c *config) { c.history, c.queue = history, 10_000 })
	first := r.visit(t, "first")

	records := make([][]string, clients+late)
	var begin, talking, listening sync.WaitGroup
	listen := func(i int, v *visitor) {
		listening.Go(func() {
			defer v.conn.CloseNow()
			all, err := v.until("the end")
			assert.NoError(t, err)
			records[i] = plain(all)
		})
	}
	begin.Add(1)
	for i := range clients {
		v := r.visit(t, "client "+strconv.Itoa(i))
		listen(i, v)
		talking.Go(func() {
			begin.Wait()
			for n := range each {
				assert.NoError(t, v.say(fmt.Sprintf("%d.%d", i, n)))
			}
		})
	}
	for i := range late {
		talking.Go(func() {
			begin.Wait()
			conn, _, err := r.try(t, "late", "")
			for n := 0; err != nil && n < 10; n++ { // on a busy machine, it may look like a client that is slow to ask
				conn, _, err = r.try(t, "late", "")
			}
			if !assert.NoError(t, err) {
				first.conn.CloseNow() // or we would wait for ever
				return
			}
			listen(clients+i, &visitor{t: t, name: "late", conn: conn})
		})
	}
	begin.Done()
	talking.Wait()

	// What is sent, the server may not have read yet.
	var all []string
	for count(all, kindMessage) < clients*each || count(all, kindJoined) < 1+clients+late {
		h, err := first.next()
		require.NoError(t, err)
		all = append(all, plain([]heard{h})...)
	}
	first.mustSay("the end")
	all = append(all, plain(first.mustUntil("the end"))...)
	listening.Wait()

	assert.Len(t, all, 1+clients+late+clients*each+1)
	for i := range clients {
		for n, at := 0, -1; n < each; n++ {
			next := slices.Index(all, fmt.Sprintf("message client %d %d.%d", i, i, n))
			require.Greater(t, next, at, "those of one client are in order")
			at = next
		}
	}
	for i, record := range records {
		require.LessOrEqual(t, len(record), len(all))
		assert.Equal(t, all[len(all)-len(record):], record, "client %d", i)
	}
	eventually(t, func() bool { return r.places.InUse() == 1 }, "the others are gone")

	first.conn.CloseNow()
	eventually(t, func() bool { return r.places.InUse() == 0 }, "nobody is there")
	r.stop()
	require.NoError(t, <-r.served)
	goroutinesAre(t, before)
}

func TestRoom_history(t *testing.T) {
	r := startRoom(t, func(c *config) { c.history, c.queue = 3, 10 })
	ann := r.visit(t, "Ann")
	for i := range 5 {
		ann.mustSay(strconv.Itoa(i))
	}
	ann.mustUntil("4")
	bob := r.visit(t, "Bob")
	ann.sees(kindJoined, "Bob")
	ann.mustSay("hello, Bob")
	assert.Equal(t, []string{
		"message Ann 2", "message Ann 3", "message Ann 4", "joined Bob ", "message Ann hello, Bob",
	}, plain(bob.mustUntil("hello, Bob")))

	require.NoError(t, ann.conn.Close(websocket.StatusNormalClosure, ""))
	h, err := bob.next()
	require.NoError(t, err)
	assert.Equal(t, []string{"left Ann "}, plain([]heard{h}))
	assert.False(t, h.Time.IsZero())
}

// narrow is a listener for connections that hold little of what is not read.
type narrow struct{ net.Listener }

func (l narrow) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		err = conn.(*net.TCPConn).SetWriteBuffer(4 << 10)
	}
	return conn, err
}

// A client that does not read misses events and is told how many. Meanwhile, the
// others get all of them.
func TestRoom_slowClient(t *testing.T) {
	const fast, messages = 3, 150
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			err = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		}
		return conn, err
	}
	r := serveRoom(t, narrow{listener}, dial, func(c *config) {
		c.history, c.queue, c.patience = 1, 16, generous
	})
	var others []*visitor
	for i := range fast {
		others = append(others, r.visit(t, strconv.Itoa(i)))
		others[i].sees(kindJoined, strconv.Itoa(i))
	}
	slow := r.visit(t, "slow")
	for _, v := range others {
		v.sees(kindJoined, "slow")
	}

	// The next message comes when all others have got the last one: so none of them
	// is behind, however fast this is.
	filler := strings.Repeat("ä", maxText-10)
	for i := range messages {
		text := fmt.Sprintf("%d %s", i, filler)
		others[i%fast].mustSay(text)
		for _, v := range others {
			require.Equal(t, []string{fmt.Sprintf("message %d %s", i%fast, text)}, plain(v.mustUntil(text)))
		}
	}
	others[0].mustSay("the end")
	got := slow.mustUntil("the end")

	last, gaps := -1, 0
	for i, h := range got {
		switch h.Kind {
		case kindMissed:
			last += int(h.Missed)
			gaps++
		case kindMessage:
			last++
			if h.Text != "the end" {
				require.True(t, strings.HasPrefix(h.Text, strconv.Itoa(last)+" "), "event %d is %q", i, h.Text[:10])
			}
		}
	}
	assert.Equal(t, messages, last, "what it has heard and what it has missed are all")
	assert.Positive(t, gaps, "it was stuck")
}

func TestRoom_refuses(t *testing.T) {
	r := startRoom(t, func(c *config) { c.origins = []string{"*.example.com"} })
	host := strings.TrimSuffix(strings.TrimPrefix(r.url, "http://"), "/")
	for origin, status := range map[string]int{
		"":                         http.StatusSwitchingProtocols, // no browser
		"http://" + host:           http.StatusSwitchingProtocols,
		"https://chat.example.com": http.StatusSwitchingProtocols,
		"https://example.com":      http.StatusForbidden,
		"https://evil.example":     http.StatusForbidden,
		"http://" + host + "0":     http.StatusForbidden,
		"null":                     http.StatusForbidden,
	} {
		conn, resp, err := r.try(t, "Ann", origin)
		require.NotNil(t, resp, "%v", err)
		assert.Equal(t, status, resp.StatusCode, origin)
		if err == nil {
			conn.CloseNow()
		}
	}
	eventually(t, func() bool { return r.places.InUse() == 0 }, "all places are free")
}

func TestRoom_full(t *testing.T) {
	r := startRoom(t, func(c *config) { c.maxClients = 2 })
	ann := r.visit(t, "Ann")
	r.visit(t, "Bob")
	_, resp, err := r.try(t, "Cid", "")
	require.Error(t, err)
	assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)

	ann.conn.CloseNow()
	eventually(t, func() bool { return r.places.InUse() == 1 }, "Ann has left")
	cid := r.visit(t, "Cid")
	cid.mustSay("at last")
	cid.mustUntil("at last")
}

func TestRoom_names(t *testing.T) {
	r := startRoom(t, nil)
	for _, name := range []string{
		"", " ", " Ann", "Ann ", "A\nn", "A\u200bnn", "\u202eAnn", "\xff", strings.Repeat("x", maxName+1),
	} {
		conn, _, err := r.try(t, name, "")
		require.NoError(t, err)
		_, err = (&visitor{t: t, conn: conn}).read()
		var closed websocket.CloseError
		require.ErrorAs(t, err, &closed, "%q", name)
		assert.Equal(t, websocket.StatusPolicyViolation, closed.Code)
		assert.Equal(t, "want a name of 1 to 32 visible characters", closed.Reason)
	}
	eventually(t, func() bool { return r.places.InUse() == 0 }, "all places are free")
	for _, name := range []string{"Ann", "Zoë von der Tann", "名前", "🙂", strings.Repeat("ä", maxName)} {
		h, err := r.visit(t, name).until("")
		require.NoError(t, err)
		assert.NotEmpty(t, h)
	}
}

func TestRoom_badMessages(t *testing.T) {
	r := startRoom(t, nil)
	ann, bob := r.visit(t, "Ann"), r.visit(t, "Bob")
	ann.sees(kindJoined, "Bob")
	for data, want := range map[string]string{
		"hello":         `want JSON such as {"text": "Hello!"}`,
		`{"text": 1}`:   `want JSON such as {"text": "Hello!"}`,
		`{}`:            "want a text of 1 to 1000 characters",
		`{"text": " "}`: "want a text of 1 to 1000 characters",
		`{"text": "` + strings.Repeat("x", maxText+1) + `"}`: "want a text of 1 to 1000 characters",
	} {
		require.NoError(t, ann.send(data))
		h, err := ann.next()
		require.NoError(t, err)
		assert.Equal(t, []string{"error  " + want}, plain([]heard{h}), data)
	}
	longest := strings.Repeat("🙂", maxText)
	ann.mustSay(longest)
	assert.Len(t, ann.mustUntil(longest), 1)
	assert.Zero(t, count(plain(bob.mustUntil(longest)), kindError), "it is not for others")

	require.NoError(t, ann.send(strings.Repeat("x", maxRead)))
	h, err := ann.next()
	require.NoError(t, err)
	assert.Equal(t, kindError, h.Kind)
	require.NoError(t, ann.send(strings.Repeat("x", maxRead+1)))
	assert.Equal(t, websocket.StatusMessageTooBig, ann.end())
	bob.mustSay("is she gone?")
	bob.mustUntil("is she gone?")
}

func TestRoom_rateLimit(t *testing.T) {
	r := startRoom(t, func(c *config) { c.rate, c.burst = 0, 3 })
	ann, bob := r.visit(t, "Ann"), r.visit(t, "Bob")
	for i := range 4 {
		ann.mustSay(strconv.Itoa(i))
	}
	ann.mustUntil("that was too fast: wait for a moment") // which may come before what she could say
	bob.mustSay("I may")
	var messages []string
	for _, line := range plain(bob.mustUntil("I may")) {
		if strings.HasPrefix(line, kindMessage) {
			messages = append(messages, line)
		}
	}
	assert.Equal(t, []string{"message Ann 0", "message Ann 1", "message Ann 2", "message Bob I may"}, messages)
}

func TestRoom_numbers(t *testing.T) {
	r := startRoom(t, func(c *config) { c.beat = 10 * time.Millisecond })
	ann, bob := r.visit(t, "Ann"), r.visit(t, "Bob")
	heardOf := func(v *visitor, so func(heard) bool) {
		for {
			h, err := v.read()
			require.NoError(t, err)
			if h.Kind == kindNumbers && so(h) {
				return
			}
		}
	}
	heardOf(ann, func(h heard) bool { return h.Clients == 2 && h.Goroutines > 6 })
	heardOf(bob, func(h heard) bool {
		ann.mustSay("hello") // again and again: who is slow misses numbers
		return h.PerSecond > 0
	})
	bob.conn.CloseNow()
	heardOf(ann, func(h heard) bool { return h.Clients == 1 })
}

func TestPage(t *testing.T) {
	r := startRoom(t, nil)
	client := &http.Client{Transport: new(http.Transport)}
	defer client.CloseIdleConnections()
	for path, want := range map[string]int{"": 200, "other": 404, "room": http.StatusUpgradeRequired} {
		resp, err := client.Get(r.url + path)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		resp.Body.Close()
		assert.Equal(t, want, resp.StatusCode)
		if path == "" {
			assert.Equal(t, pageHTML, string(body))
			assert.Equal(t, "text/html; charset=utf-8", resp.Header.Get("Content-Type"))
			policy := resp.Header.Get("Content-Security-Policy")
			assert.Contains(t, policy, "default-src 'none'")
			assert.NotContains(t, policy, "unsafe")
		}
	}
	assert.Equal(t, "'sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0='", hashOf("<p></p><b>abc</b>", "b"))
	assert.Equal(t, 1, strings.Count(pageHTML, "<script"))
	assert.Equal(t, 1, strings.Count(pageHTML, "<style"))
	assert.Contains(t, pageHTML, `maxlength="`+strconv.Itoa(maxName)+`"`)
	assert.Contains(t, pageHTML, `maxlength="`+strconv.Itoa(maxText)+`"`)
}

func TestDefaultConfig(t *testing.T) {
	c := defaultConfig()
	assert.Greater(t, c.queue, c.history, "who comes must not be behind at once")
	assert.Less(t, c.rate, ratelimit.Inf)
}
