package retry_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/retry"
)

var (
	errBoom  = errors.New("boom")
	errCause = errors.New("caller went home")
)

// An entry is one of the ways to make a call, with one signature.
type entry struct {
	name string
	call func(context.Context, retry.Policy, func(context.Context) error) error
}

var entries = []entry{
	{"Run", retry.Run},
	{"Do", func(ctx context.Context, p retry.Policy, fn func(context.Context) error) error {
		_, err := retry.Do(ctx, p, valued(fn))
		return err
	}},
	{"Wrap", func(ctx context.Context, p retry.Policy, fn func(context.Context) error) error {
		_, err := retry.Wrap(p, valued(fn))(ctx)
		return err
	}},
	{"Tries", func(ctx context.Context, p retry.Policy, fn func(context.Context) error) error {
		var err error
		for ctx := range p.Tries(ctx, &err) {
			err = fn(ctx)
		}
		return err
	}},
}

func valued(fn func(context.Context) error) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) { return 0, fn(ctx) }
}

// each runs test for every entry point, each time in a bubble.
func each(t *testing.T, test func(t *testing.T, e entry)) {
	for _, e := range entries {
		t.Run(e.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, e) })
		})
	}
}

// failing returns a function that fails with the errors, one after the other,
// and then succeeds, and the number of its calls.
func failing(errs ...error) (fn func(context.Context) error, calls *int) {
	calls = new(int)
	return func(context.Context) error {
		*calls++
		if *calls <= len(errs) {
			return errs[*calls-1]
		}
		return nil
	}, calls
}

// failed returns the *retry.Error that err is.
func failed(t *testing.T, err error) *retry.Error {
	t.Helper()
	e, ok := err.(*retry.Error) //nolint:errorlint // not one that is wrapped
	require.True(t, ok, "%T: %v", err, err)
	return e
}

func TestSuccess_first(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		start := time.Now()
		fn, calls := failing()
		require.NoError(t, e.call(t.Context(), retry.Policy{}, fn))
		assert.Equal(t, 1, *calls)
		assert.Zero(t, time.Since(start))
	})
}

func TestSuccess_third(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		start := time.Now()
		fn, calls := failing(errBoom, errBoom)
		require.NoError(t, e.call(t.Context(), retry.Policy{Backoff: retry.Constant(time.Second)}, fn))
		assert.Equal(t, 3, *calls)
		assert.Equal(t, 2*time.Second, time.Since(start))
	})
}

func TestMaxAttempts(t *testing.T) {
	for _, tt := range []struct{ max, calls int }{{0, 3}, {1, 1}, {2, 2}, {7, 7}} {
		each(t, func(t *testing.T, e entry) {
			fn, calls := failing(repeat(errBoom, 100)...)
			err := e.call(t.Context(), retry.Policy{MaxAttempts: tt.max}, fn)
			assert.Equal(t, tt.calls, *calls)
			require.ErrorIs(t, err, retry.ErrExhausted)
			require.ErrorIs(t, err, errBoom)
			re := failed(t, err)
			assert.Equal(t, tt.calls, re.Attempts)
			assert.Equal(t, retry.ErrExhausted, re.Reason)
			assert.Equal(t, repeat(errBoom, tt.calls), re.Errs)
		})
	}
}

func TestMaxAttempts_negative(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		fn, calls := failing(repeat(errBoom, 5000)...)
		require.NoError(t, e.call(t.Context(), retry.Policy{MaxAttempts: -1, Backoff: retry.Constant(time.Hour)}, fn))
		assert.Equal(t, 5001, *calls)
	})
}

func repeat(err error, n int) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// The zero Policy waits up to 100 ms and then up to 200 ms.
func TestPolicy_zero(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		var first, second time.Duration
		for range 500 {
			var at []time.Time
			err := e.call(t.Context(), retry.Policy{}, func(context.Context) error {
				at = append(at, time.Now())
				return errBoom
			})
			require.ErrorIs(t, err, retry.ErrExhausted)
			require.Len(t, at, 3)
			first = max(first, at[1].Sub(at[0]))
			second = max(second, at[2].Sub(at[1]))
		}
		assert.Greater(t, first, 80*time.Millisecond)
		assert.LessOrEqual(t, first, 100*time.Millisecond)
		assert.Greater(t, second, 160*time.Millisecond)
		assert.LessOrEqual(t, second, 200*time.Millisecond)
	})
}

func TestContext_doneBefore(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errCause)
		fn, calls := failing()
		err := e.call(ctx, retry.Policy{Budget: retry.NewBudget(1, 1)}, fn)
		assert.Zero(t, *calls)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, errCause)
		re := failed(t, err)
		assert.Equal(t, errCause, re.Reason)
		assert.Zero(t, re.Attempts)
		assert.Empty(t, re.Errs)
		assert.EqualError(t, err, "retry: caller went home before the first attempt")
	})
}

func TestContext_endsDuringWait(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		start := time.Now()
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(1500*time.Millisecond, func() { cancel(errCause) })
		fn, calls := failing(repeat(errBoom, 9)...)
		err := e.call(ctx, retry.Policy{MaxAttempts: -1, Backoff: retry.Constant(time.Second)}, fn)
		assert.Equal(t, 1500*time.Millisecond, time.Since(start))
		assert.Equal(t, 2, *calls)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, errCause)
		require.ErrorIs(t, err, errBoom)
		assert.Equal(t, errCause, failed(t, err).Reason)
		assert.EqualError(t, err, "retry: caller went home (attempt 2): boom")
	})
}

func TestContext_endsDuringAttempt(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		ctx, cancel := context.WithCancelCause(t.Context())
		calls := 0
		err := e.call(ctx, retry.Policy{}, func(ctx context.Context) error {
			calls++
			cancel(errCause)
			return ctx.Err()
		})
		assert.Equal(t, 1, calls)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, errCause)
		assert.Equal(t, errCause, failed(t, err).Reason)
	})
}

// A call that succeeds although its context has ended has succeeded.
func TestContext_endsDuringSuccess(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		ctx, cancel := context.WithCancel(t.Context())
		require.NoError(t, e.call(ctx, retry.Policy{}, func(context.Context) error {
			cancel()
			return nil
		}))
	})
}

// The context ends in OnRetry, before a wait that is over at once: backoff's
// own select could go either way.
func TestContext_endsInOnRetry(t *testing.T) {
	for _, wait := range []time.Duration{0, time.Second} {
		each(t, func(t *testing.T, e entry) {
			for range 50 {
				ctx, cancel := context.WithCancelCause(t.Context())
				fn, calls := failing(errBoom)
				err := e.call(ctx, retry.Policy{
					Backoff: retry.Constant(wait),
					OnRetry: func(context.Context, retry.Attempt) { cancel(errCause) },
				}, fn)
				assert.Equal(t, 1, *calls)
				require.ErrorIs(t, err, errCause)
				require.ErrorIs(t, err, context.Canceled)
				require.ErrorIs(t, err, errBoom)
			}
		})
	}
}

// The wait and the context end at the same moment, though not by a deadline
// that could have been foreseen.
func TestContext_endsWithTheWait(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		for range 50 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			fn, calls := failing(errBoom)
			err := e.call(ctx, retry.Policy{Backoff: retry.Constant(time.Second)}, fn)
			if *calls == 1 {
				require.ErrorIs(t, err, context.Canceled)
			} else {
				require.NoError(t, err, "the wait was over first")
			}
		}
	})
}

func TestDeadline_notWaitedFor(t *testing.T) {
	for _, tt := range []struct {
		name  string
		wait  time.Duration
		calls int
	}{
		{"shorter", 10*time.Second - 1, 2},
		{"as long", 10 * time.Second, 1},
		{"longer", time.Minute, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(t *testing.T, e entry) {
				start := time.Now()
				ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Second, errCause)
				defer cancel()
				fn, calls := failing(errBoom)
				err := e.call(ctx, retry.Policy{Backoff: retry.Constant(tt.wait)}, fn)
				assert.Equal(t, tt.calls, *calls)
				if tt.calls == 2 {
					require.NoError(t, err)
					return
				}
				assert.Zero(t, time.Since(start))
				require.ErrorIs(t, err, retry.ErrElapsed)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorIs(t, err, errBoom)
				assert.Equal(t, retry.ErrElapsed, failed(t, err).Reason)
				assert.True(t, failed(t, err).Timeout())
			})
		})
	}
}

func TestMaxElapsed(t *testing.T) {
	for _, tt := range []struct {
		max   time.Duration
		calls int
	}{{10*time.Second - 1, 10}, {10 * time.Second, 11}, {1, 1}} {
		each(t, func(t *testing.T, e entry) {
			start := time.Now()
			fn, calls := failing(repeat(errBoom, 100)...)
			err := e.call(t.Context(), retry.Policy{
				MaxAttempts: -1, MaxElapsed: tt.max, Backoff: retry.Constant(time.Second),
			}, fn)
			assert.Equal(t, tt.calls, *calls)
			elapsed := time.Duration(tt.calls-1) * time.Second
			assert.Equal(t, elapsed, time.Since(start), "the last wait is not begun")
			require.ErrorIs(t, err, retry.ErrElapsed)
			require.ErrorIs(t, err, errBoom)
			require.NotErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, elapsed, failed(t, err).Elapsed)
		})
	}
}

// It counts from the beginning of the call, and does not interrupt.
func TestMaxElapsed_longFirstAttempt(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		calls := 0
		err := e.call(t.Context(), retry.Policy{MaxElapsed: time.Second, Backoff: retry.Constant(0)}, func(context.Context) error {
			calls++
			time.Sleep(time.Minute)
			return errBoom
		})
		assert.Equal(t, 1, calls)
		require.ErrorIs(t, err, retry.ErrElapsed)
		assert.Equal(t, time.Minute, failed(t, err).Elapsed)
		assert.EqualError(t, err, "retry: no time left (attempt 1): boom")
	})
}

func TestMaxElapsed_slowOnRetry(t *testing.T) {
	for _, wait := range []time.Duration{0, time.Millisecond} {
		each(t, func(t *testing.T, e entry) {
			fn, calls := failing(errBoom)
			budget := retry.NewBudget(1, 0)
			err := e.call(t.Context(), retry.Policy{
				MaxElapsed: time.Second,
				Backoff:    retry.Constant(wait),
				Budget:     budget,
				OnRetry:    func(context.Context, retry.Attempt) { time.Sleep(2 * time.Second) },
			}, fn)
			assert.Equal(t, 1, *calls)
			require.ErrorIs(t, err, retry.ErrElapsed)

			fn, _ = failing(errBoom)
			require.NoError(t, e.call(t.Context(), retry.Policy{Budget: budget}, fn), "the grant was not used")
		})
	}
}

func TestMaxElapsed_extremes(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		const forever = time.Duration(1<<63 - 1)
		for _, limit := range []time.Duration{time.Second, forever} {
			calls := 0
			err := e.call(t.Context(), retry.Policy{MaxElapsed: limit, Backoff: retry.Constant(forever)}, func(context.Context) error {
				calls++
				time.Sleep(time.Nanosecond)
				return errBoom
			})
			require.ErrorIs(t, err, retry.ErrElapsed)
			assert.Equal(t, 1, calls)
		}

		fn, _ := failing(errBoom)
		require.NoError(t, e.call(t.Context(), retry.Policy{MaxElapsed: forever, AttemptTimeout: forever, MaxDelay: forever}, fn))
	})
}

func TestAttemptTimeout(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		start := time.Now()
		var attempts []context.Context
		err := e.call(t.Context(), retry.Policy{AttemptTimeout: time.Second, Backoff: retry.Constant(time.Minute)}, func(ctx context.Context) error {
			attempts = append(attempts, ctx)
			for _, before := range attempts[:len(attempts)-1] {
				require.Error(t, before.Err(), "ended with its attempt")
			}
			require.NoError(t, ctx.Err())
			if len(attempts) == 3 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		})
		require.NoError(t, err)
		assert.Equal(t, 2*time.Minute+2*time.Second, time.Since(start))
	})
}

func TestAttemptTimeout_exhausted(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		err := e.call(t.Context(), retry.Policy{AttemptTimeout: time.Second, Backoff: retry.Constant(0)}, func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		require.ErrorIs(t, err, retry.ErrExhausted)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.True(t, failed(t, err).Timeout())
		assert.Equal(t, 3*time.Second, failed(t, err).Elapsed)
	})
}

func TestMaxDelay(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		var delays []time.Duration
		fn, _ := failing(repeat(errBoom, 4)...)
		require.NoError(t, e.call(t.Context(), retry.Policy{
			MaxAttempts: 5,
			Backoff:     retry.Exponential(time.Second, 0),
			MaxDelay:    3 * time.Second,
			OnRetry:     func(_ context.Context, a retry.Attempt) { delays = append(delays, a.Delay) },
		}, fn))
		assert.Equal(t, seconds(1, 2, 3, 3), delays)
	})
}

// The jitter has room below the cap, so that callers do not all wait for it.
func TestMaxDelay_jitter(t *testing.T) {
	for _, b := range []retry.Backoff{
		retry.Constant(time.Hour).FullJitter(), retry.Constant(time.Hour).EqualJitter(), retry.Constant(time.Hour).Jitter(0.5),
		retry.Decorrelated(time.Millisecond, 0),
		{},
	} {
		synctest.Test(t, func(t *testing.T) {
			var delays []time.Duration
			fn, _ := failing(repeat(errBoom, 1000)...)
			require.NoError(t, retry.Run(t.Context(), retry.Policy{
				MaxAttempts: -1, Backoff: b, MaxDelay: time.Second,
				OnRetry: func(_ context.Context, a retry.Attempt) { delays = append(delays, a.Delay) },
			}, fn))
			below := 0
			for _, d := range delays {
				require.LessOrEqual(t, d, time.Second)
				require.GreaterOrEqual(t, d, time.Duration(0))
				if d < time.Second {
					below++
				}
			}
			assert.Greater(t, below, 100)
		})
	}
}

// It does not raise the max of a shape.
func TestMaxDelay_longerThanMax(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []time.Duration
		fn, _ := failing(repeat(errBoom, 4)...)
		require.NoError(t, retry.Run(t.Context(), retry.Policy{
			MaxAttempts: 5, MaxDelay: time.Hour, Backoff: retry.Exponential(time.Second, 2*time.Second),
			OnRetry: func(_ context.Context, a retry.Attempt) { got = append(got, a.Delay) },
		}, fn))
		assert.Equal(t, seconds(1, 2, 2, 2), got)
	})
}

// Decorrelated delays grow from one to the next within a call.
func TestDecorrelated_grows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		longest := time.Duration(0)
		for range 100 {
			before := time.Second
			fn, _ := failing(repeat(errBoom, 9)...)
			require.NoError(t, retry.Run(t.Context(), retry.Policy{
				MaxAttempts: 10, Backoff: retry.Decorrelated(time.Second, 0),
				OnRetry: func(_ context.Context, a retry.Attempt) {
					assert.GreaterOrEqual(t, a.Delay, time.Second)
					assert.LessOrEqual(t, a.Delay, 3*before)
					before = a.Delay
					longest = max(longest, a.Delay)
				},
			}, fn))
		}
		assert.Greater(t, longest, 20*time.Second)
	})
}

func seconds(ns ...int) []time.Duration {
	ds := make([]time.Duration, len(ns))
	for i, n := range ns {
		ds[i] = time.Duration(n) * time.Second
	}
	return ds
}

func TestRetryIf(t *testing.T) {
	errOther := errors.New("other")
	onlyBoom := func(err error) bool { return errors.Is(err, errBoom) }
	each(t, func(t *testing.T, e entry) {
		fn, calls := failing(errBoom)
		require.NoError(t, e.call(t.Context(), retry.Policy{RetryIf: onlyBoom}, fn))
		assert.Equal(t, 2, *calls)

		fn, calls = failing(errOther)
		err := e.call(t.Context(), retry.Policy{RetryIf: onlyBoom}, fn)
		assert.Equal(t, 1, *calls)
		assert.Equal(t, errOther, err, "as it was returned")

		fn, calls = failing(errBoom, errOther)
		err = e.call(t.Context(), retry.Policy{RetryIf: onlyBoom, Backoff: retry.Constant(time.Second)}, fn)
		assert.Equal(t, 2, *calls)
		require.ErrorIs(t, err, errOther)
		require.ErrorIs(t, err, errBoom)
		re := failed(t, err)
		assert.NoError(t, re.Reason)
		assert.Equal(t, []error{errBoom, errOther}, re.Errs)
		assert.EqualError(t, err, "retry: not retried (attempt 2): other")
	})
}

// It is asked about the last attempt, too.
func TestRetryIf_lastAttempt(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		fn, _ := failing(errBoom)
		assert.Equal(t, errBoom, e.call(t.Context(), retry.Policy{MaxAttempts: 1, RetryIf: func(error) bool { return false }}, fn))
	})
}

// A context that ends in RetryIf or Backoff ends the call before OnRetry.
func TestContext_endsInDecision(t *testing.T) {
	for _, where := range []string{"RetryIf", "Func"} {
		each(t, func(t *testing.T, e entry) {
			ctx, cancel := context.WithCancelCause(t.Context())
			at := func(here string) {
				if where == here {
					cancel(errCause)
				}
			}
			fn, calls := failing(errBoom)
			err := e.call(ctx, retry.Policy{
				RetryIf: func(error) bool { at("RetryIf"); return true },
				Backoff: retry.Func(func(int) time.Duration { at("Func"); return 0 }),
				OnRetry: func(context.Context, retry.Attempt) { panic("called") },
			}, fn)
			assert.Equal(t, 1, *calls)
			require.ErrorIs(t, err, errCause)
			require.ErrorIs(t, err, context.Canceled)
		})
	}
}

// The deadline of an attempt is that of the call: which of them ends first is
// not told by the error.
func TestDeadline_asThatOfTheAttempt(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		for range 100 {
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
			err := e.call(ctx, retry.Policy{AttemptTimeout: time.Second, Backoff: retry.Constant(0)}, func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			})
			cancel()
			require.ErrorIs(t, err, errCause)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
	})
}

// dishonest is a context that does not keep its deadline.
type dishonest struct{ context.Context }

func (dishonest) Deadline() (time.Time, bool) { return time.Now().Add(-time.Second), true }

func TestDeadline_notKept(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		fn, calls := failing(errBoom)
		err := e.call(dishonest{t.Context()}, retry.Policy{Backoff: retry.Constant(0)}, fn)
		assert.Equal(t, 1, *calls)
		require.ErrorIs(t, err, retry.ErrElapsed)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// broken is a context that has ended without an error.
type broken struct{ context.Context }

func (broken) Done() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

func TestContext_broken(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		fn, _ := failing(errBoom)
		err := e.call(broken{t.Context()}, retry.Policy{Backoff: retry.Constant(time.Second)}, fn)
		require.ErrorIs(t, err, errBoom, "it has failed after all")
	})
}

// Without a limit of time the clock is not read before the first failure.
func TestElapsed(t *testing.T) {
	for want, p := range map[time.Duration]retry.Policy{
		3 * time.Second: {}, // a wait and the second attempt, and another wait
		4 * time.Second: {MaxElapsed: time.Hour},
	} {
		each(t, func(t *testing.T, e entry) {
			p.MaxAttempts, p.Backoff = 2, retry.Constant(2*time.Second)
			err := e.call(t.Context(), p, func(context.Context) error {
				time.Sleep(time.Second)
				return errBoom
			})
			assert.Equal(t, want, failed(t, err).Elapsed)
		})
	}
}

func TestRetryIf_notAskedWhenContextEnded(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		ctx, cancel := context.WithCancel(t.Context())
		err := e.call(ctx, retry.Policy{RetryIf: func(error) bool { panic("asked") }}, func(context.Context) error {
			cancel()
			return errBoom
		})
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, errBoom)
	})
}

// Cancellation that is not the caller's own is a failure like others.
func TestCancellationOfOthers(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		fn, calls := failing(context.Canceled, context.DeadlineExceeded)
		require.NoError(t, e.call(t.Context(), retry.Policy{}, fn))
		assert.Equal(t, 3, *calls)
	})
}

func TestOnRetry(t *testing.T) {
	type key struct{}
	each(t, func(t *testing.T, e entry) {
		start := time.Now()
		ctx := context.WithValue(t.Context(), key{}, "mine")
		var seen []retry.Attempt
		errs := []error{errors.New("one"), errors.New("two"), errors.New("three")}
		fn, calls := failing(errs...)
		err := e.call(ctx, retry.Policy{
			Backoff: retry.Linear(0, time.Second, 0),
			OnRetry: func(ctx context.Context, a retry.Attempt) {
				assert.Equal(t, "mine", ctx.Value(key{}))
				assert.Equal(t, t.Context().Done(), ctx.Done())
				assert.Equal(t, a.N, *calls, "before the next attempt")
				assert.Zero(t, time.Since(start), "before the wait")
				seen = append(seen, a)
			},
		}, fn)
		require.ErrorIs(t, err, retry.ErrExhausted)
		assert.Equal(t, []retry.Attempt{{N: 1, Err: errs[0], Delay: 0}, {N: 2, Err: errs[1], Delay: time.Second}}, seen)
	})
}

func TestOnRetry_onlyBeforeWaits(t *testing.T) {
	never := func(context.Context, retry.Attempt) { panic("called") }
	each(t, func(t *testing.T, e entry) {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		empty := retry.NewBudget(0.001, 0)
		for _, tt := range []struct {
			ctx    context.Context
			policy retry.Policy
			err    error
		}{
			{t.Context(), retry.Policy{}, nil},
			{t.Context(), retry.Policy{MaxAttempts: 1}, errBoom},
			{t.Context(), retry.Policy{}, retry.Permanent(errBoom)},
			{t.Context(), retry.Policy{RetryIf: func(error) bool { return false }}, errBoom},
			{t.Context(), retry.Policy{MaxElapsed: 1, Backoff: retry.Constant(time.Second)}, errBoom},
			{t.Context(), retry.Policy{MaxDelay: 1}, retry.After(time.Second, errBoom)},
			{t.Context(), retry.Policy{Budget: empty}, errBoom},
			{short, retry.Policy{Backoff: retry.Constant(time.Second)}, errBoom},
			{ended, retry.Policy{}, errBoom},
		} {
			tt.policy.OnRetry = never
			fn, _ := failing(tt.err)
			err := e.call(tt.ctx, tt.policy, fn)
			assert.Equal(t, tt.err == nil, err == nil)
		}
	})
}

func TestAttemptFrom(t *testing.T) {
	assert.Equal(t, 1, retry.AttemptFrom(t.Context()))
	each(t, func(t *testing.T, e entry) {
		type key struct{}
		ctx := context.WithValue(t.Context(), key{}, "mine")
		var got []int
		p := retry.Policy{MaxAttempts: 4, AttemptTimeout: time.Hour}
		_ = e.call(ctx, p, func(ctx context.Context) error {
			got = append(got, retry.AttemptFrom(ctx))
			assert.Equal(t, "mine", ctx.Value(key{}))
			return errBoom
		})
		assert.Equal(t, []int{1, 2, 3, 4}, got)
	})
}

func TestAttemptFrom_nested(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		for _, timeout := range []time.Duration{0, time.Hour} {
			p := retry.Policy{MaxAttempts: 2, AttemptTimeout: timeout}
			var got [][2]int
			_ = e.call(t.Context(), p, func(outer context.Context) error {
				err := e.call(outer, p, func(inner context.Context) error {
					got = append(got, [2]int{retry.AttemptFrom(outer), retry.AttemptFrom(inner)})
					return errBoom
				})
				return err
			})
			assert.Equal(t, [][2]int{{1, 1}, {1, 2}, {2, 1}, {2, 2}}, got)
		}
	})
}

// Panics and Goexit pass through from each of the caller's functions, from the
// first attempt and from later ones, and take nothing from the budget.
func TestPanicAndGoexit(t *testing.T) {
	for _, where := range []string{"first attempt", "second attempt", "RetryIf", "OnRetry", "OnRetry without wait", "Func"} {
		for _, goexit := range []bool{false, true} {
			name := where + "/panic"
			if goexit {
				name = where + "/Goexit"
			}
			t.Run(name, func(t *testing.T) {
				each(t, func(t *testing.T, e entry) {
					value := &struct{ int }{1}
					at := func(here string) {
						switch {
						case where != here:
						case goexit:
							runtime.Goexit()
						default:
							panic(value)
						}
					}
					calls := 0
					budget := retry.NewBudget(1, 0)
					p := retry.Policy{
						AttemptTimeout: time.Hour,
						Budget:         budget,
						RetryIf:        func(error) bool { at("RetryIf"); return true },
						Backoff: retry.Func(func(int) time.Duration {
							at("Func")
							if where == "OnRetry without wait" {
								return 0
							}
							return time.Second
						}),
						OnRetry: func(context.Context, retry.Attempt) { at("OnRetry"); at("OnRetry without wait") },
					}
					var attempt context.Context
					returned := false
					var recovered any
					done := make(chan struct{})
					ctx := t.Context()
					go func() {
						defer close(done)
						defer func() { recovered = recover() }()
						_ = e.call(ctx, p, func(ctx context.Context) error {
							attempt = ctx
							calls++
							at([]string{"", "first attempt", "second attempt"}[calls])
							return errBoom
						})
						returned = true
					}()
					<-done
					assert.False(t, returned)
					if goexit {
						assert.Nil(t, recovered)
					} else {
						assert.Same(t, value, recovered)
					}
					assert.Error(t, attempt.Err(), "the attempt's context has ended")
					if where == "second attempt" {
						assert.Equal(t, 2, calls)
						return
					}
					assert.Equal(t, 1, calls)
					fn, _ := failing(errBoom)
					require.NoError(t, retry.Run(t.Context(), retry.Policy{Budget: budget}, fn), "no retry was made")
				})
			})
		}
	}
}

func TestNilFunction(t *testing.T) {
	assert.PanicsWithValue(t, "retry: Do of a nil function", func() {
		_, _ = retry.Do[int](t.Context(), retry.Policy{}, nil)
	})
	assert.PanicsWithValue(t, "retry: Run of a nil function", func() { _ = retry.Run(t.Context(), retry.Policy{}, nil) })
	assert.PanicsWithValue(t, "retry: Wrap of a nil function", func() { retry.Wrap[int](retry.Policy{}, nil) })
	assert.PanicsWithValue(t, "retry: Tries without a place for the error", func() { retry.Policy{}.Tries(t.Context(), nil) })
	accept := func(int) bool { return true }
	fn := func(context.Context) (int, error) { return 0, nil }
	assert.PanicsWithValue(t, "retry: Until of a nil function", func() { retry.Until(nil, fn) })
	assert.PanicsWithValue(t, "retry: Until of a nil function", func() { retry.Until(accept, nil) })
}

func TestPolicy_negative(t *testing.T) {
	for message, p := range map[string]retry.Policy{
		"retry: Policy with a negative MaxElapsed":     {MaxElapsed: -1},
		"retry: Policy with a negative AttemptTimeout": {AttemptTimeout: -1},
		"retry: Policy with a negative MaxDelay":       {MaxDelay: -1},
	} {
		each(t, func(t *testing.T, e entry) {
			assert.PanicsWithValue(t, message, func() {
				_ = e.call(t.Context(), p, func(context.Context) error { panic("called") })
			})
		})
		assert.PanicsWithValue(t, message, func() {
			retry.Wrap(p, func(context.Context) (int, error) { return 0, nil })
		})
		var err error
		assert.PanicsWithValue(t, message, func() { p.Tries(t.Context(), &err) })
	}
}
