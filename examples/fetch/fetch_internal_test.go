package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/gather"
	"github.com/seed4886185c/concert/retry"
)

// roundTripper stands in for the network.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answer returns a response with a body of ten bytes.
func answer(status int, retryAfter string) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	if retryAfter != "" {
		recorder.Header().Set("Retry-After", retryAfter)
	}
	recorder.WriteHeader(status)
	recorder.WriteString("0123456789")
	return recorder.Result(), nil
}

// retries records what onRetry is told.
type retries struct {
	mu    sync.Mutex
	named map[string][]retry.Attempt
}

func (r *retries) add(t target, a retry.Attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.named == nil {
		r.named = make(map[string][]retry.Attempt)
	}
	r.named[t.name] = append(r.named[t.name], a)
}

// newFetcher returns a fetcher of three attempts, a second apart.
func newFetcher(network roundTripper) (*fetcher, *retries) {
	var seen retries
	p := retry.Policy{AttemptTimeout: time.Minute, Backoff: retry.Constant(time.Second)}
	return &fetcher{policy: p, total: time.Hour, base: network, onRetry: seen.add}, &seen
}

// named returns targets at http://name/.
func named(names ...string) []target {
	var targets []target
	for _, name := range names {
		targets = append(targets, target{name: name, url: &url.URL{Scheme: "http", Host: name}})
	}
	return targets
}

func TestFetchAll_targetsDoNotDisturbEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		noRoute := errors.New("no route")
		f, seen := newFetcher(func(r *http.Request) (*http.Response, error) {
			switch r.URL.Host {
			case "panics":
				panic("out of luck")
			case "fails":
				return nil, noRoute
			case "down":
				return answer(http.StatusServiceUnavailable, "")
			case "late":
				if retry.AttemptFrom(r.Context()) < 3 {
					return answer(http.StatusServiceUnavailable, "")
				}
			}
			return answer(http.StatusOK, "")
		})

		start := time.Now()
		got := f.fetchAll(t.Context(), named("panics", "fails", "down", "late"))

		assert.Equal(t, 2*time.Second, time.Since(start), "all wait at once")
		_, panicked := errors.AsType[*gather.PanicError](got[0].Err)
		assert.True(t, panicked)
		require.ErrorIs(t, got[1].Err, retry.ErrExhausted)
		require.ErrorIs(t, got[1].Err, noRoute)
		assert.Equal(t, outcome{attempts: 3}, got[1].Value)
		require.ErrorIs(t, got[2].Err, statusError(http.StatusServiceUnavailable))
		assert.Equal(t, outcome{status: http.StatusServiceUnavailable, attempts: 3}, got[2].Value)
		require.NoError(t, got[3].Err)
		assert.Equal(t, outcome{status: http.StatusOK, bytes: 10, attempts: 3}, got[3].Value)

		assert.NotContains(t, seen.named, "panics")
		for _, name := range []string{"fails", "down", "late"} {
			require.Len(t, seen.named[name], 2)
			for i, a := range seen.named[name] {
				assert.Equal(t, i+1, a.N)
				assert.Equal(t, time.Second, a.Delay)
			}
		}
	})
}

func TestFetchAll_bounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := newFetcher(func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return answer(http.StatusOK, "")
		})
		start := time.Now()
		got := f.fetchAll(t.Context(), named(strings.Split(strings.Repeat("x", 2*maxAtOnce+1), "")...))

		require.NoError(t, got.Err())
		assert.Equal(t, 3*time.Second, time.Since(start))
	})
}

func TestFetchAll_waitsAsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, seen := newFetcher(func(r *http.Request) (*http.Response, error) {
			if retry.AttemptFrom(r.Context()) == 1 {
				return answer(http.StatusTooManyRequests, "7")
			}
			return answer(http.StatusOK, "")
		})
		start := time.Now()
		got := f.fetchAll(t.Context(), named("busy"))

		require.NoError(t, got.Err())
		assert.Equal(t, 7*time.Second, time.Since(start))
		require.Len(t, seen.named["busy"], 1)
		assert.Equal(t, 7*time.Second, seen.named["busy"][0].Delay)
	})
}

func TestFetchAll_toldToWaitTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, seen := newFetcher(func(*http.Request) (*http.Response, error) {
			return answer(http.StatusTooManyRequests, "3600")
		})
		start := time.Now()
		got := f.fetchAll(t.Context(), named("busy"))

		require.ErrorIs(t, got[0].Err, statusError(http.StatusTooManyRequests))
		assert.Equal(t, outcome{status: http.StatusTooManyRequests, attempts: 1}, got[0].Value)
		assert.Zero(t, time.Since(start), "a wait until the end is not begun")
		assert.Empty(t, seen.named)
	})
}

func TestFetchAll_sharedBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests atomic.Int64
		f, _ := newFetcher(func(*http.Request) (*http.Response, error) {
			requests.Add(1)
			return answer(http.StatusServiceUnavailable, "")
		})
		f.policy.Budget = retry.NewBudget(0.5, 0)
		got := f.fetchAll(t.Context(), named("a", "b"))

		assert.EqualValues(t, 3, requests.Load(), "one retry for two targets")
		assert.Equal(t, 3, got[0].Value.attempts+got[1].Value.attempts)
		for _, r := range got {
			require.ErrorIs(t, r.Err, statusError(http.StatusServiceUnavailable))
		}
	})
}

func TestFetchAll_slowAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, seen := newFetcher(func(r *http.Request) (*http.Response, error) {
			if retry.AttemptFrom(r.Context()) == 3 {
				return answer(http.StatusOK, "")
			}
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		start := time.Now()
		got := f.fetchAll(t.Context(), named("slow"))

		require.NoError(t, got.Err())
		assert.Equal(t, 2*(time.Minute+time.Second), time.Since(start))
		require.Len(t, seen.named["slow"], 2)
		assert.Equal(t, "took too long", explain(seen.named["slow"][0].Err))
	})
}

// stuck is a body that never comes to its end.
type stuck struct {
	ctx    context.Context
	closed bool
}

func (s *stuck) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

func (s *stuck) Close() error {
	s.closed = true
	return nil
}

func TestFetchAll_slowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var body *stuck
		f, seen := newFetcher(func(r *http.Request) (*http.Response, error) {
			body = &stuck{ctx: r.Context()}
			resp, err := answer(http.StatusOK, "")
			resp.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(resp.Body, body), body}
			return resp, err
		})
		start := time.Now()
		got := f.fetchAll(t.Context(), named("slow"))

		require.ErrorIs(t, got[0].Err, context.DeadlineExceeded)
		assert.Equal(t, "took too long", explain(got[0].Err))
		assert.Equal(t, outcome{status: http.StatusOK, bytes: 10, attempts: 1}, got[0].Value)
		assert.Equal(t, time.Hour, time.Since(start))
		assert.True(t, body.closed)
		assert.Empty(t, seen.named)
	})
}

func TestFetchAll_cancelledDuringTheWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests atomic.Int64
		f, _ := newFetcher(func(*http.Request) (*http.Response, error) {
			if requests.Add(1) == 1 {
				return answer(http.StatusOK, "")
			}
			return answer(http.StatusServiceUnavailable, "600")
		})
		ctx, cancel := context.WithCancelCause(t.Context())
		enough := errors.New("the user has had enough")
		go func() {
			synctest.Wait() // until there is nothing but waiting
			cancel(enough)
		}()
		start := time.Now()
		got := f.fetchAll(ctx, named(strings.Split(strings.Repeat("x", maxAtOnce+2), "")...))

		assert.Zero(t, time.Since(start))
		assert.EqualValues(t, maxAtOnce+1, requests.Load())
		outcomes := make(map[string]int)
		for _, r := range got {
			if r.Err == nil {
				assert.Equal(t, outcome{status: http.StatusOK, bytes: 10, attempts: 1}, r.Value)
				outcomes["well"]++
				continue
			}
			require.ErrorIs(t, r.Err, context.Canceled)
			require.ErrorIs(t, r.Err, enough)
			assert.Zero(t, r.Value.status)
			outcomes[explain(r.Err)]++
		}
		assert.Equal(t, map[string]int{
			"well": 1,
			"the user has had enough, after: HTTP 503 Service Unavailable": maxAtOnce,
			"not begun": 1,
		}, outcomes)
	})
}
