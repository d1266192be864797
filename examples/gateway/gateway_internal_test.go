package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// well answers at once.
func well(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "well") }

// gate returns a handler that answers when release is closed, and tells of each
// request before.
func gate() (handler http.HandlerFunc, asked <-chan struct{}, release chan struct{}) {
	arrived, release := make(chan struct{}, 10), make(chan struct{})
	return func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-release:
			io.WriteString(w, "well")
		case <-r.Context().Done():
		}
	}, arrived, release
}

func TestGateway_limitsEachClient(t *testing.T) {
	u := startTestUpstream(t, well)
	g := startGateway(t, u.url, func(c *config) { c.rate, c.burst = 0.001, 2 })
	greedy, modest := clientAt(t, "127.0.0.2"), clientAt(t, "127.0.0.3")

	for _, want := range []int{200, 200, 429, 429} {
		got := greedy.get(g.url + "/")
		assert.Equal(t, want, got.status)
		assert.Equal(t, `"client";q=2;w=2000`, got.header.Get("RateLimit-Policy"))
		if want == 429 {
			seconds, err := strconv.Atoi(got.header.Get("Retry-After"))
			require.NoError(t, err)
			assert.Positive(t, seconds)
		}
	}
	assert.Equal(t, 200, modest.get(g.url+"/").status, "it has a limit of its own")
	assert.Equal(t, 200, greedy.get(g.url+"/health/live").status, "this has none")

	assert.EqualValues(t, 3, u.hits.Load())
	assert.Equal(t, map[string]int{good: 3, limited: 2}, g.outcomes(t))
	assert.EqualValues(t, 2, g.variables(t)["clients"])
}

// A client that asks too often is told so, even while there is no place for anyone.
func TestGateway_limitComesFirst(t *testing.T) {
	handler, asked, release := gate()
	u := startTestUpstream(t, handler)
	g := startGateway(t, u.url, func(c *config) { c.rate, c.burst, c.atOnce, c.queue = 0.001, 1, 1, 0 })
	greedy := clientAt(t, "127.0.0.2")
	first := greedy.getLater(g.url)
	<-asked
	assert.Equal(t, 429, greedy.get(g.url).status)
	assert.Equal(t, 503, clientAt(t, "127.0.0.3").get(g.url).status)
	close(release)
	assert.Equal(t, 200, (<-first).status)
}

func TestGateway_trustedProxies(t *testing.T) {
	u := startTestUpstream(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get("X-Forwarded-For")) })
	g := startGateway(t, u.url, func(c *config) {
		c.rate, c.burst = 0.001, 1
		c.trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}
	})
	proxy, other := clientAt(t, "127.0.0.2"), clientAt(t, "127.0.0.3")

	got := proxy.get(g.url, "X-Forwarded-For: 192.0.2.1")
	assert.Equal(t, answer{status: 200, body: "192.0.2.1, 127.0.0.2"}, got.plain())
	assert.Equal(t, 200, proxy.get(g.url, "X-Forwarded-For: 192.0.2.2").status, "another client")
	assert.Equal(t, 429, proxy.get(g.url, "X-Forwarded-For: 192.0.2.1").status)
	assert.Equal(t, 200, other.get(g.url, "X-Forwarded-For: 192.0.2.3").status)
	assert.Equal(t, 429, other.get(g.url, "X-Forwarded-For: 192.0.2.4").status, "the same client, whatever it says")

	wary := startGateway(t, u.url, nil)
	assert.Equal(t, "127.0.0.3", other.get(wary.url, "X-Forwarded-For: 192.0.2.3").body, "nothing made up")
}

// A client that cannot be told from others gets no answer of the upstream.
func TestGateway_clientWithoutAddress(t *testing.T) {
	u := startTestUpstream(t, well)
	g := startGateway(t, u.url, nil)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	r.RemoteAddr = "@"
	recorder := httptest.NewRecorder()
	g.handler().ServeHTTP(recorder, r)
	assert.Equal(t, 500, recorder.Code)
	assert.Equal(t, map[string]int{unknown: 1}, g.outcomes(t))
	assert.Zero(t, u.hits.Load())
}

func TestGateway_bulkheadIsForAll(t *testing.T) {
	handler, asked, release := gate()
	u := startTestUpstream(t, handler)
	g := startGateway(t, u.url, func(c *config) { c.atOnce, c.queue, c.patience = 1, 1, time.Hour })

	first := clientAt(t, "127.0.0.2").getLater(g.url)
	<-asked
	second := clientAt(t, "127.0.0.3").getLater(g.url)
	for g.bulkhead.Waiting() != 1 {
		runtime.Gosched()
	}
	third := clientAt(t, "127.0.0.4")
	assert.Equal(t, answer{503, "{\"title\":\"Service Unavailable\",\"status\":503}\n", nil}, third.get(g.url).plain())
	assert.Equal(t, 200, third.get(g.url+"/health/ready").status)
	vars := g.variables(t)
	assert.EqualValues(t, 1, vars["bulkhead_in_use"])
	assert.EqualValues(t, 1, vars["bulkhead_waiting"])
	assert.EqualValues(t, 1, u.hits.Load())

	close(release)
	assert.Equal(t, 200, (<-first).status)
	assert.Equal(t, 200, (<-second).status)
	assert.Equal(t, 200, third.get(g.url).status)
	assert.Equal(t, map[string]int{good: 3, full: 1}, g.outcomes(t))
}

func TestGateway_bulkheadHasLittlePatience(t *testing.T) {
	handler, asked, release := gate()
	u := startTestUpstream(t, handler)
	g := startGateway(t, u.url, func(c *config) { c.atOnce, c.patience = 1, time.Millisecond })

	first := clientAt(t, "127.0.0.2").getLater(g.url)
	<-asked
	assert.Equal(t, 503, clientAt(t, "127.0.0.3").get(g.url).status)
	close(release)
	assert.Equal(t, 200, (<-first).status)
	assert.Equal(t, map[string]int{good: 1, full: 1}, g.outcomes(t))
}

func TestGateway_clientLeavesTheQueue(t *testing.T) {
	handler, asked, release := gate()
	u := startTestUpstream(t, handler)
	g := startGateway(t, u.url, func(c *config) { c.atOnce, c.patience = 1, time.Hour })

	first := clientAt(t, "127.0.0.2").getLater(g.url)
	<-asked
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		for g.bulkhead.Waiting() != 1 {
			runtime.Gosched()
		}
		leave()
	}()
	_, err := clientAt(t, "127.0.0.3").try(ctx, http.MethodGet, g.url, "")
	require.ErrorIs(t, err, context.Canceled)
	for g.bulkhead.Waiting() != 0 {
		runtime.Gosched()
	}
	close(release)
	assert.Equal(t, 200, (<-first).status)
	g.stop()
	require.NoError(t, <-g.served)
	assert.Equal(t, "1", g.requests.Get(gone).String())
}

// An answer that breaks off is not made whole, and leaves no place taken.
func TestGateway_answerBreaksOff(t *testing.T) {
	u := startTestUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "0123456789")
	})
	g := startGateway(t, u.url, func(c *config) { c.atOnce, c.queue = 1, 0 })
	for range 3 {
		_, err := clientAt(t, "127.0.0.2").try(t.Context(), http.MethodGet, g.url, "")
		require.ErrorContains(t, err, "EOF")
		for g.bulkhead.InUse() != 0 { // the client may be quicker
			runtime.Gosched()
		}
	}
}

func TestGateway_passesPathsOnAsTheyAre(t *testing.T) {
	u := startTestUpstream(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RequestURI) })
	g := startGateway(t, u.url, nil)
	c := clientAt(t, "127.0.0.2")
	for _, path := range []string{"/", "/a//b?x=1&y=%2F", "/a%2Fb", "/a/../b", "/health"} {
		assert.Equal(t, answer{status: 200, body: path}, c.get(g.url+path).plain())
	}
	assert.Equal(t, 404, c.get(g.url+"/health/other").status)
}
