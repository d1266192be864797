package concert_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/breaker"
	"github.com/seed4886185c/concert/breaker/httpbreaker"
	"github.com/seed4886185c/concert/gather"
	"github.com/seed4886185c/concert/pipeline"
	"github.com/seed4886185c/concert/pubsub"
	"github.com/seed4886185c/concert/ratelimit"
	"github.com/seed4886185c/concert/ratelimit/httplimit"
	"github.com/seed4886185c/concert/retry"
	"github.com/seed4886185c/concert/retry/httpretry"
)

// No package imports another, so what they are together is tested here.

// A retry waits until the breaker is half-open, and then goes on.
func TestRetryAroundBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		b := breaker.New(breaker.Settings{OpenFor: 10 * time.Second})
		b.Open()
		err := retry.Run(t.Context(), retry.Policy{MaxAttempts: 2}, func(ctx context.Context) error {
			return breaker.Run(ctx, b, func(context.Context) error { return nil })
		})
		require.NoError(t, err)
		assert.Equal(t, 10*time.Second, time.Since(start))

		b.Open()
		err = retry.Run(t.Context(), retry.Policy{MaxDelay: time.Second}, func(ctx context.Context) error {
			return breaker.Run(ctx, b, func(context.Context) error { return nil })
		})
		require.ErrorIs(t, err, retry.ErrElapsed)
		require.ErrorIs(t, err, breaker.ErrOpen)
	})
}

// An isolated breaker does not know when it will be closed: the retry waits as
// its own Backoff says, and does not spin.
func TestRetryAroundBreaker_isolated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(breaker.Settings{})
		b.Force(breaker.Isolated)
		policy := retry.Policy{MaxAttempts: -1, MaxElapsed: time.Minute, Backoff: retry.Constant(time.Second)}
		err := retry.Run(t.Context(), policy, func(ctx context.Context) error {
			return breaker.Run(ctx, b, func(context.Context) error { return nil })
		})
		require.ErrorIs(t, err, retry.ErrElapsed)
		assert.Equal(t, 61, b.Counts().Rejected)
	})
}

// Callers that are rejected while a probe is under way do not wait for all the
// time that it may take.
func TestRetryAroundBreaker_halfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		b := breaker.New(breaker.Settings{OpenFor: 30 * time.Second})
		b.Open()
		done := make(chan time.Duration, 100)
		policy := retry.Policy{MaxAttempts: -1, Backoff: retry.Constant(time.Second)}
		for range cap(done) {
			go func() {
				err := retry.Run(t.Context(), policy, func(ctx context.Context) error {
					return breaker.Run(ctx, b, func(context.Context) error {
						time.Sleep(5 * time.Millisecond)
						return nil
					})
				})
				assert.NoError(t, err)
				done <- time.Since(start)
			}()
		}
		last := time.Duration(0)
		for range cap(done) {
			last = max(last, <-done)
		}
		assert.Less(t, last, 32*time.Second)
	})
}

// silent is a base transport that never answers.
type silent struct{}

func (silent) RoundTrip(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, req.Context().Err()
}

// A host that hangs opens its breaker, by the AttemptTimeout of the retries
// around it; a request that its caller cancels does not.
func TestHTTPRetryAroundHTTPBreaker(t *testing.T) {
	for _, tt := range []struct {
		timeout time.Duration
		state   breaker.State
	}{{time.Second, breaker.Open}, {0, breaker.Closed}} {
		synctest.Test(t, func(t *testing.T) {
			hosts := breaker.NewGroup(10, func(string) breaker.Settings {
				return breaker.Settings{Trip: breaker.Consecutive(2), OpenFor: time.Minute}
			})
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(10*time.Second, cancel)
			client := &http.Client{Transport: httpretry.Transport(
				retry.Policy{AttemptTimeout: tt.timeout, Backoff: retry.Constant(0)},
				httpbreaker.Transport(hosts, silent{}),
			)}
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://hung.test/", http.NoBody)
			require.NoError(t, err)
			_, err = client.Do(req)
			require.Error(t, err)
			assert.Equal(t, tt.timeout > 0, errors.Is(err, context.DeadlineExceeded))
			assert.Equal(t, tt.state, hosts.Get("hung.test").State())
		})
	}
}

// A retry waits for as long as a limit says, and makes an attempt when there is a
// token.
func TestRetryAroundLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		users := ratelimit.NewKeyed[string](ratelimit.Every(time.Minute), 1, 100)
		require.True(t, users.Allow("ann"))
		err := retry.Run(t.Context(), retry.Policy{MaxAttempts: 2, MaxDelay: time.Hour}, func(context.Context) error {
			if r := users.Take("ann", 1); !r.OK {
				return &ratelimit.LimitError{After: r.RetryAfter}
			}
			return nil
		})
		require.NoError(t, err)
		assert.Equal(t, time.Minute, time.Since(start))
	})
}

// What never comes is not waited for as if it came at once.
func TestRetryAroundLimit_never(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		policy := retry.Policy{MaxAttempts: 3, Backoff: retry.Constant(time.Second)}
		err := retry.Run(t.Context(), policy, func(context.Context) error {
			return &ratelimit.LimitError{After: -1}
		})
		require.ErrorIs(t, err, retry.ErrExhausted)
		require.ErrorIs(t, err, ratelimit.ErrLimited)
		assert.Equal(t, 2*time.Second, time.Since(start))
	})
}

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// Each attempt of a request waits for its turn, also one that a breaker lets
// through.
func TestHTTPRetryAroundLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var sent []time.Duration
		base := transportFunc(func(*http.Request) (*http.Response, error) {
			sent = append(sent, time.Since(start))
			status := http.StatusServiceUnavailable
			if len(sent) == 3 {
				status = http.StatusOK
			}
			return &http.Response{StatusCode: status, Body: http.NoBody}, nil
		})
		limiter := ratelimit.New(ratelimit.Every(time.Second), 1)
		hosts := breaker.NewGroup(10, func(string) breaker.Settings { return breaker.Settings{} })
		policy := retry.Policy{Backoff: retry.Constant(time.Nanosecond)}
		rt := httpretry.Transport(policy, httplimit.Transport(limiter, httpbreaker.Transport(hosts, base)))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://a.test/", http.NoBody)
		require.NoError(t, err)
		resp, err := rt.RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.Equal(t, []time.Duration{0, time.Second, 2 * time.Second}, sent)
	})
}

// A panic is the same kind of error in all packages, so that one look finds it.
func TestPanicErrorIsOne(t *testing.T) {
	boom := func(context.Context) (int, error) { panic("boom") }
	var e pubsub.Emitter[int]
	e.On(func(ctx context.Context, _ int) error {
		_, err := boom(ctx)
		return err
	})
	for name, err := range map[string]error{
		"gather": gather.All(t.Context(), []gather.Task[int]{boom})[0].Err,
		"pubsub": e.Emit(t.Context(), 1),
		"pipeline": func() (err error) {
			defer func() { err, _ = recover().(error) }()
			return pipeline.Run(t.Context(), pipeline.Buffer(pipeline.Tap(pipeline.Of(1), func(int) { panic("boom") }), 1))
		}(),
	} {
		p, ok := errors.AsType[*gather.PanicError](err)
		require.True(t, ok, name)
		assert.Equal(t, "boom", p.Value, name)
	}
}
