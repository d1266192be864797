package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestServe_drainsInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, public := startInMemory(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				time.Sleep(2500 * time.Millisecond)
			}
			io.WriteString(w, "well")
		})
		require.Equal(t, 3*time.Second, g.drainDelay)
		assert.Equal(t, []int{200, 200, 200}, []int{ask(t, public, "/health/live"), ask(t, public, "/health/ready"), ask(t, public, "/")})

		start := time.Now()
		g.stop()
		time.Sleep(2 * time.Second) // it is not ready, and serves
		assert.Equal(t, []int{200, 503, 200}, []int{ask(t, public, "/health/live"), ask(t, public, "/health/ready"), ask(t, public, "/")})
		slow := make(chan int, 1)
		go func() { slow <- ask(t, public, "/slow") }()

		time.Sleep(2 * time.Second) // it does not listen
		assert.Zero(t, ask(t, public, "/health/live"))
		assert.Equal(t, 4*time.Second, time.Since(start))
		assert.Equal(t, 200, <-slow, "it was under way")
		assert.Equal(t, 4500*time.Millisecond, time.Since(start))
		require.NoError(t, <-g.served)
		assert.Less(t, time.Since(start), 6*time.Second)
	})
}

// Whatever takes its time, the gateway has ended before it is killed.
func TestServe_endsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, public := startInMemory(t, hanging)
		conn, err := public.dial(t.Context(), "", "")
		require.NoError(t, err)
		defer conn.Close()
		g.stop()
		time.Sleep(g.drainDelay - 1)
		go ask(t, public, "/")
		go io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n") // and no more
		start := time.Now()
		go io.Copy(io.Discard, conn)
		require.NoError(t, <-g.served)
		assert.Greater(t, time.Since(start), 9*time.Second)
		assert.Less(t, g.drainDelay+time.Since(start), 30*time.Second)
		assert.Less(t, g.drainDelay+g.longest(), 30*time.Second)
	})
}

func TestDrain_cutsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := startInMemory(t, hanging)
		stuck := newMemory()
		release := make(chan struct{})
		server := g.newServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
		go server.Serve(stuck)
		status := make(chan int, 1)
		go func() { status <- ask(t, stuck, "/") }()
		synctest.Wait()

		start := time.Now()
		err := g.drain(t.Context(), server)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "requests cut off")
		assert.Equal(t, g.drainDelay+g.longest(), time.Since(start))
		assert.Zero(t, <-status)
		close(release)
		g.stop()
		require.NoError(t, <-g.served)
	})
}

// A client that is slow to send its body is told so, and the upstream is not asked.
func TestServe_slowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, public := startInMemory(t, func(http.ResponseWriter, *http.Request) { assert.Fail(t, "asked") })
		conn, err := public.dial(t.Context(), "", "")
		require.NoError(t, err)
		start := time.Now()
		_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
		require.NoError(t, err)
		synctest.Wait()
		assert.Zero(t, g.bulkhead.InUse(), "it takes no place meanwhile")
		line := make([]byte, len("HTTP/1.1 408"))
		_, err = io.ReadFull(conn, line)
		require.NoError(t, err)
		assert.Equal(t, "HTTP/1.1 408", string(line))
		assert.Equal(t, bodyTime, time.Since(start))
		conn.Close()
		g.stop()
		require.NoError(t, <-g.served)
	})
}

func TestServe_requestsEndFirst(t *testing.T) {
	handler, asked, release := gate()
	u := startTestUpstream(t, handler)
	g := startGateway(t, u.url, nil)
	first := clientAt(t, "127.0.0.2").getLater(g.url)
	second := clientAt(t, "127.0.0.3").getLater(g.url)
	<-asked
	<-asked
	g.stop()
	waitRefused(g.address)
	assert.Contains(t, clientAt(t, "127.0.0.4").get(g.admin+"/debug/vars").body, `"bulkhead_in_use": 2`)

	close(release)
	assert.Equal(t, answer{status: 200, body: "well"}, (<-first).plain())
	assert.Equal(t, answer{status: 200, body: "well"}, (<-second).plain())
	require.NoError(t, <-g.served)
}

// brokenListener accepts nothing.
type brokenListener struct{ *memory }

func (brokenListener) Accept() (net.Conn, error) { return nil, errors.New("out of order") }

func TestServe_listenerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := defaultConfig()
		c.upstream = &url.URL{Scheme: "http", Host: "upstream"}
		g := newGateway(c, slog.New(slog.DiscardHandler))
		require.EqualError(t, g.serve(t.Context(), newMemory(), brokenListener{newMemory()}), "out of order")
	})
}
