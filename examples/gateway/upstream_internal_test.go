package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/breaker"
	"github.com/seed4886185c/concert/retry"
)

// failingOnce answers 503 to the first request, and then what it was sent.
func failingOnce() http.HandlerFunc {
	var requests atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		io.Copy(w, r.Body)
	}
}

// failing always answers the same.
func failing(status int, retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(status)
	}
}

// hanging does not answer before the gateway gives up.
func hanging(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func TestForward_triesAgainWhatMayBeRepeated(t *testing.T) {
	for name, test := range map[string]struct {
		method, body string
		fields       []string
		want         answer
		hits         int64
	}{
		"GET":           {http.MethodGet, "", nil, answer{status: 200}, 2},
		"PUT":           {http.MethodPut, "data", nil, answer{status: 200, body: "data"}, 2},
		"POST":          {http.MethodPost, "data", nil, answer{status: 503}, 1},
		"POST with key": {http.MethodPost, "data", []string{"Idempotency-Key: 1"}, answer{status: 200, body: "data"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			u := startTestUpstream(t, failingOnce())
			g := startGateway(t, u.url, nil)
			got := clientAt(t, "127.0.0.2").send(test.method, g.url, test.body, test.fields...)
			assert.Equal(t, test.want, got.plain())
			assert.Equal(t, test.hits, u.hits.Load())
			assert.EqualValues(t, test.hits-1, g.variables(t)["retries"])
		})
	}
}

func TestForward_passesTheLastAnswerOn(t *testing.T) {
	for name, test := range map[string]struct {
		status     int
		retryAfter string
		hits       int64
		outcome    string
	}{
		"not found":        {404, "", 1, good},
		"wrong":            {500, "", 1, bad},
		"down":             {503, "", 3, bad},
		"down for a while": {503, "1", 1, bad}, // which is more than the gateway waits
	} {
		t.Run(name, func(t *testing.T) {
			u := startTestUpstream(t, failing(test.status, test.retryAfter))
			g := startGateway(t, u.url, nil)
			got := clientAt(t, "127.0.0.2").get(g.url)
			assert.Equal(t, test.status, got.status)
			assert.Equal(t, test.retryAfter, got.header.Get("Retry-After"))
			assert.Equal(t, test.hits, u.hits.Load())
			assert.Equal(t, map[string]int{test.outcome: 1}, g.outcomes(t))
		})
	}
}

func TestForward_breakerOpens(t *testing.T) {
	u := startTestUpstream(t, failing(500, ""))
	g := startGateway(t, u.url, func(c *config) {
		c.breaker.Trip, c.breaker.OpenFor, c.breaker.MaxOpenFor = breaker.Consecutive(3), time.Hour, 0
	})
	c, other := clientAt(t, "127.0.0.2"), clientAt(t, "127.0.0.3")
	assert.Equal(t, "closed", g.variables(t)["breaker_state"])
	for range 3 {
		assert.Equal(t, 500, c.get(g.url).status)
	}

	for _, client := range []*testClient{c, other} {
		got := client.get(g.url)
		assert.Equal(t, 503, got.status)
		seconds, err := strconv.Atoi(got.header.Get("Retry-After"))
		require.NoError(t, err)
		assert.Positive(t, seconds)
	}
	assert.EqualValues(t, 3, u.hits.Load(), "it is left alone")
	assert.Equal(t, map[string]int{bad: 3, open: 2}, g.outcomes(t))
	vars := g.variables(t)
	assert.Equal(t, "open", vars["breaker_state"])
	assert.EqualValues(t, 1, vars["breaker_opened"])
	assert.EqualValues(t, 0, vars["retries"], "nobody waits for so long")
	assert.Equal(t, 200, c.get(g.url+"/health/ready").status, "the gateway is as ready as any other")

	g.circuit.Force(breaker.Isolated)
	got := c.get(g.url)
	assert.Equal(t, 503, got.status)
	assert.Empty(t, got.header.Get("Retry-After"), "nobody knows")
}

func TestForward_noAnswer(t *testing.T) {
	u := startTestUpstream(t, hanging)
	refusing := httptest.NewServer(nil)
	refusing.Close()
	for name, test := range map[string]struct {
		url    string
		change func(*config)
		want   int
	}{
		"refused":           {refusing.URL, nil, 502},
		"late":              {u.url, func(c *config) { c.retry.AttemptTimeout = time.Millisecond }, 504},
		"late on the whole": {u.url, func(c *config) { c.timeout, c.retry.AttemptTimeout = time.Millisecond, time.Hour }, 504},
	} {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, test.url, test.change)
			got := clientAt(t, "127.0.0.2").get(g.url)
			assert.Equal(t, test.want, got.status)
			assert.Equal(t, "application/problem+json", got.header.Get("Content-Type"))
			assert.Equal(t, map[string]int{map[int]string{502: unreachable, 504: late}[test.want]: 1}, g.outcomes(t))
		})
	}
}

func TestForward_clientGoesAway(t *testing.T) {
	handler, asked, _ := gate()
	u := startTestUpstream(t, handler)
	g := startGateway(t, u.url, func(c *config) { c.timeout, c.retry.AttemptTimeout = time.Hour, time.Hour })
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-asked
		leave()
	}()
	_, err := clientAt(t, "127.0.0.2").try(ctx, http.MethodGet, g.url, "")
	require.ErrorIs(t, err, context.Canceled)
	for g.bulkhead.InUse() != 0 { // the request to the upstream has ended, else this would take an hour
		runtime.Gosched()
	}
	assert.Equal(t, map[string]int{gone: 1}, g.outcomes(t))
	assert.Zero(t, g.circuit.Counts().Failures, "it is not the upstream's fault")
}

func TestForward_noOtherProtocols(t *testing.T) {
	u := startTestUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Header.Get("Connection")+r.Header.Get("Upgrade"))
	})
	g := startGateway(t, u.url, nil)
	got := clientAt(t, "127.0.0.2").get(g.url, "Connection: Upgrade", "Upgrade: websocket")
	assert.Equal(t, answer{status: 200}, got.plain())
}

func TestForward_breakerJudgesEachAttempt(t *testing.T) {
	u := startTestUpstream(t, failing(503, ""))
	g := startGateway(t, u.url, func(c *config) { c.breaker.Trip = breaker.Consecutive(3) })
	assert.Equal(t, 503, clientAt(t, "127.0.0.2").get(g.url).status)
	assert.EqualValues(t, 3, u.hits.Load())
	assert.EqualValues(t, 1, g.variables(t)["breaker_opened"])
}

// A gateway that is asked finds out that the upstream is well again.
func TestForward_recovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := true
		g, public := startInMemory(t, func(w http.ResponseWriter, _ *http.Request) {
			if broken {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		g.circuit.Open()
		assert.Equal(t, 503, ask(t, public, "/"))
		time.Sleep(2 * g.breaker.OpenFor)
		assert.Equal(t, 500, ask(t, public, "/"))
		assert.Equal(t, 503, ask(t, public, "/"))
		broken = false
		time.Sleep(g.breaker.MaxOpenFor)
		assert.Equal(t, 200, ask(t, public, "/"))
		assert.Equal(t, 200, ask(t, public, "/"))
		assert.Equal(t, "1", g.opened.String(), "it was not closed meanwhile")
		g.stop()
		require.NoError(t, <-g.served)
	})
}

// What the last attempt met counts, not what one before did.
func TestFailed_lastAttempt(t *testing.T) {
	refused := errors.New("connection refused")
	errs := []error{&breaker.OpenError{}, refused}
	policy := retry.Policy{MaxAttempts: 2, Backoff: retry.Constant(0)}
	err := retry.Run(t.Context(), policy, func(ctx context.Context) error {
		return errs[retry.AttemptFrom(ctx)-1]
	})
	require.ErrorIs(t, err, breaker.ErrOpen)

	c := defaultConfig()
	c.upstream = new(url.URL)
	g := newGateway(c, slog.New(slog.DiscardHandler))
	recorder := httptest.NewRecorder()
	g.failed(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody), err)
	assert.Equal(t, http.StatusBadGateway, recorder.Code)
}
