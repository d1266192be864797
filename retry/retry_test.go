package retry_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/retry"
)

func TestDo_value(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, p := range []retry.Policy{{}, {MaxElapsed: time.Hour}} {
			calls := 0
			v, err := retry.Do(t.Context(), p, func(context.Context) (int, error) {
				calls++
				if calls < 3 {
					return calls, errBoom
				}
				return calls, nil
			})
			require.NoError(t, err)
			assert.Equal(t, 3, v)
		}
	})
}

// Whatever ends the call, the value is that of the last attempt.
func TestDo_valueBesideError(t *testing.T) {
	refuse := func(error) bool { return false }
	for name, p := range map[string]retry.Policy{
		"exhausted":         {MaxAttempts: 2},
		"exhausted, timed":  {MaxAttempts: 2, MaxElapsed: time.Hour},
		"refused":           {RetryIf: refuse},
		"refused, with cap": {RetryIf: refuse, AttemptTimeout: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				v, err := retry.Do(t.Context(), p, func(context.Context) (int, error) {
					calls++
					return calls * 10, errBoom
				})
				require.ErrorIs(t, err, errBoom)
				assert.Equal(t, calls*10, v)
			})
		})
	}
}

func TestDo_valueIsZeroWithoutAttempt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	v, err := retry.Do(ctx, retry.Policy{}, func(context.Context) (int, error) { return 1, nil })
	require.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, v)
}

func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		count := func(context.Context) (int, error) {
			n++
			if n == 2 {
				return n, errBoom
			}
			return n, nil
		}
		enough := func(n int) bool { return n >= 4 }
		var seen []error
		v, err := retry.Do(t.Context(), retry.Policy{
			MaxAttempts: 9,
			OnRetry:     func(_ context.Context, a retry.Attempt) { seen = append(seen, a.Err) },
		}, retry.Until(enough, count))
		require.NoError(t, err)
		assert.Equal(t, 4, v)
		assert.Equal(t, []error{retry.ErrRejected, errBoom, retry.ErrRejected}, seen)

		n = -10
		v, err = retry.Do(t.Context(), retry.Policy{}, retry.Until(enough, count))
		require.ErrorIs(t, err, retry.ErrRejected)
		require.ErrorIs(t, err, retry.ErrExhausted)
		assert.Equal(t, -7, v, "the last value, though rejected")
	})
}

// It is a failure under RetryIf, too.
func TestUntil_retryIf(t *testing.T) {
	v, err := retry.Do(t.Context(),
		retry.Policy{RetryIf: func(err error) bool { return !errors.Is(err, retry.ErrRejected) }},
		retry.Until(func(int) bool { return false }, func(context.Context) (int, error) { return 5, nil }))
	assert.Equal(t, retry.ErrRejected, err)
	assert.Equal(t, 5, v)
}

func TestUntil_failure(t *testing.T) {
	_, err := retry.Until(func(int) bool { panic("asked") }, func(context.Context) (int, error) { return 0, errBoom })(t.Context())
	assert.Equal(t, errBoom, err)
}

func TestUntil_panic(t *testing.T) {
	assert.PanicsWithValue(t, "accept", func() {
		_, _ = retry.Do(t.Context(), retry.Policy{},
			retry.Until(func(int) bool { panic("accept") }, func(context.Context) (int, error) { return 1, nil }))
	})
}

// One policy, one wrapped function and one budget for many calls at once: each
// call counts and waits for itself.
func TestPolicy_shared(t *testing.T) {
	const callers = 64
	for _, b := range []retry.Backoff{
		retry.Constant(time.Second), retry.Linear(1, 1, 9), retry.Exponential(1, 9), retry.Fibonacci(1, 9),
		retry.Decorrelated(1, 9), retry.Exponential(1, 9).FullJitter(),
		{},
	} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			counts := map[*retry.Attempt]int{}
			type key struct{}
			p := retry.Policy{
				MaxAttempts: 4,
				Backoff:     b,
				Budget:      retry.NewBudget(3, 0),
				RetryIf:     func(error) bool { return true },
				OnRetry: func(ctx context.Context, a retry.Attempt) {
					mu.Lock()
					defer mu.Unlock()
					who := ctx.Value(key{}).(*retry.Attempt)
					counts[who]++
					assert.Equal(t, counts[who], a.N)
				},
			}
			// All calls begin before any fails, so that the budget has counted
			// them all.
			begun := make(chan struct{})
			wrapped := retry.Wrap(p, func(ctx context.Context) (int, error) {
				if retry.AttemptFrom(ctx) == 1 {
					<-begun
				}
				if retry.AttemptFrom(ctx) < 4 {
					return 0, errBoom
				}
				return retry.AttemptFrom(ctx), nil
			})
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					v, err := wrapped(context.WithValue(t.Context(), key{}, new(retry.Attempt)))
					assert.NoError(t, err)
					assert.Equal(t, 4, v)
				})
			}
			synctest.Wait()
			close(begun)
			wg.Wait()
			assert.Len(t, counts, callers)
			for _, n := range counts {
				assert.Equal(t, 3, n)
			}
		})
	}
}

// A shared policy begins anew for every call.
func TestPolicy_startsFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var delays []time.Duration
		p := retry.Policy{
			Backoff: retry.Exponential(time.Second, 0),
			OnRetry: func(_ context.Context, a retry.Attempt) { delays = append(delays, a.Delay) },
		}
		for range 3 {
			fn, _ := failing(repeat(errBoom, 9)...)
			_ = retry.Run(t.Context(), p, fn)
		}
		assert.Equal(t, seconds(1, 2, 1, 2, 1, 2), delays)
	})
}

func TestFirstTry_doesNotAllocate(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := retry.Policy{MaxAttempts: 5, Backoff: retry.Constant(0), Budget: retry.NewBudget(0.1, 1)}
	n := 0
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		_, _ = retry.Do(ctx, retry.Policy{}, func(context.Context) (int, error) { n++; return n, nil })
	}), "Do")
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		_, _ = retry.Do(ctx, p, func(context.Context) (int, error) { n++; return n, nil })
	}), "Do with a budget")
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		_ = retry.Run(ctx, p, func(context.Context) error { n++; return nil })
	}), "Run")
}
