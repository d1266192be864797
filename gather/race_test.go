package gather_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/gather"
)

// after returns a task that takes d, unless its context ends before.
func after(d time.Duration, v int, err error) gather.Task[int] {
	return func(ctx context.Context) (int, error) {
		select {
		case <-time.After(d):
			return v, err
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// stubborn returns a task that takes d whatever becomes of its context.
func stubborn(d time.Duration, v int, err error) gather.Task[int] {
	return func(context.Context) (int, error) {
		time.Sleep(d)
		return v, err
	}
}

func TestFirstTakesTheFirstSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		v, err := gather.First(t.Context(), []gather.Task[int]{
			after(0, 0, errBoom), // an early failure does not win
			after(5*time.Second, 1, nil),
			after(2*time.Second, 2, nil),
			after(time.Second, 3, errBoom),
			func(context.Context) (int, error) { panic("x") },
			func(context.Context) (int, error) { runtime.Goexit(); return 0, nil },
		})
		require.NoError(t, err)
		assert.Equal(t, 2, v)
		assert.Equal(t, 2*time.Second, time.Since(start))
	})
}

func TestFirstOfFailuresOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, err := gather.First(t.Context(), []gather.Task[int]{
			after(3*time.Second, 7, fmt.Errorf("%w 0", errBoom)),
			after(time.Second, 7, fmt.Errorf("%w 1", errBoom)),
			func(context.Context) (int, error) { time.Sleep(2 * time.Second); panic("x") },
		})
		assert.Zero(t, v)
		var all *gather.Error
		require.ErrorAs(t, err, &all)
		require.Len(t, all.Failed, 3)
		require.EqualError(t, all.First(), "boom 1")
	})
}

func TestFirstOfNone(t *testing.T) {
	_, err := gather.First[int](t.Context(), nil)
	require.ErrorIs(t, err, gather.ErrNotRun)
	require.EqualError(t, err, "gather: task not run: First needs 1 of 0 tasks")
}

func TestFirstDoesNotWaitForStubbornLosers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		discarded := make(chan int, 9)
		var cause atomic.Value
		v, err := gather.First(t.Context(), []gather.Task[int]{
			stubborn(time.Hour, 0, nil),
			stubborn(time.Hour, 1, errBoom),
			after(time.Second, 2, nil),
			func(ctx context.Context) (int, error) {
				<-ctx.Done()
				cause.Store(context.Cause(ctx).Error())
				return 3, nil
			},
			func(context.Context) (int, error) { time.Sleep(time.Hour); panic("late") },
			func(context.Context) (int, error) { time.Sleep(time.Hour); runtime.Goexit(); return 0, nil },
		}, gather.OnDiscard(func(v int) { discarded <- v }))
		require.NoError(t, err)
		assert.Equal(t, 2, v)
		assert.Equal(t, time.Second, time.Since(start))
		synctest.Wait()
		assert.Equal(t, 3, <-discarded)
		assert.Equal(t, "gather: enough tasks have succeeded, or too few can", cause.Load())
		time.Sleep(2 * time.Hour)
		assert.Equal(t, 0, <-discarded)
		assert.Empty(t, discarded)
	})
}

func TestFirstReturnsAtTheEndOfCtx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer time.Sleep(2 * time.Hour) // for the stubborn one
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := gather.First(ctx, []gather.Task[int]{
			after(time.Second, 0, errBoom),
			stubborn(time.Hour, 1, nil),
			after(0, 2, nil),
		}, gather.Limit(1))
		assert.Equal(t, time.Minute, time.Since(start))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, errBoom, "the last real error is there too")
		require.ErrorIs(t, err, gather.ErrAbandoned)
		require.ErrorIs(t, err, gather.ErrNotRun)
		var all *gather.Error
		require.ErrorAs(t, err, &all)
		assert.Equal(t, errBoom, all.First())

		_, err = gather.First(ctx, []gather.Task[int]{func(context.Context) (int, error) {
			t.Error("run under an ended context")
			return 0, nil
		}})
		require.ErrorIs(t, err, gather.ErrNotRun)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestTheWinnersContextLivesOn(t *testing.T) {
	for name, opts := range map[string][]gather.Option{"": nil, "TaskTimeout": {gather.TaskTimeout(time.Minute)}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				take := func(d time.Duration) gather.Task[context.Context] {
					return func(ctx context.Context) (context.Context, error) {
						time.Sleep(d)
						return ctx, nil
					}
				}
				losers := make(chan context.Context, 1)
				winner, err := gather.First(ctx, []gather.Task[context.Context]{take(time.Second), take(2 * time.Second)},
					append(opts, gather.OnDiscard(func(ctx context.Context) { losers <- ctx }))...)
				require.NoError(t, err)
				require.Error(t, (<-losers).Err())
				time.Sleep(time.Hour)
				require.NoError(t, winner.Err())
				cancel(errBoom)
				<-winner.Done()
				assert.Equal(t, errBoom, context.Cause(winner))

				results, err := gather.Quorum(t.Context(), 2, []gather.Task[context.Context]{take(0), take(time.Second), take(time.Hour)}, opts...)
				require.NoError(t, err)
				time.Sleep(2 * time.Hour)
				require.NoError(t, results[0].Value.Err())
				require.NoError(t, results[1].Value.Err())
			})
		})
	}
}

func TestRaceWithTaskTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		discarded := make(chan int, 2)
		_, err := gather.First(t.Context(), []gather.Task[int]{
			func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() },
			stubborn(time.Hour, 1, nil), // does not hold up the call, nor the tasks after it
			stubborn(time.Hour, 2, errBoom),
			fail(3, errBoom),
			func(context.Context) (int, error) { runtime.Goexit(); return 4, nil },
		}, gather.TaskTimeout(time.Second), gather.Limit(1), gather.OnDiscard(func(v int) { discarded <- v }))
		assert.Equal(t, 3*time.Second, time.Since(start))
		var all *gather.Error
		require.ErrorAs(t, err, &all)
		for _, f := range all.Failed[:3] {
			require.ErrorIs(t, f, gather.ErrAbandoned)
			require.ErrorIs(t, f, context.DeadlineExceeded)
			require.NotErrorIs(t, f, context.Canceled)
			require.EqualError(t, f.Err, "gather: task abandoned: context deadline exceeded")
		}
		assert.Equal(t, errBoom, all.Failed[3].Err)
		assert.Equal(t, gather.ErrGoexit, all.Failed[4].Err)
		time.Sleep(2 * time.Hour)
		assert.Equal(t, 1, <-discarded)
		assert.Empty(t, discarded)
	})
}

func TestTaskTimeoutOfARaceCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		causes := make(chan error, 1)
		_, err := gather.First(t.Context(), []gather.Task[int]{func(ctx context.Context) (int, error) {
			_, ok := ctx.Deadline()
			assert.False(t, ok)
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return 0, ctx.Err()
		}}, gather.TaskTimeout(time.Second))
		require.ErrorIs(t, err, gather.ErrAbandoned)
		assert.Equal(t, context.DeadlineExceeded, <-causes)
	})
}

func TestStagger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			tasks  []gather.Task[int]
			opts   []gather.Option
			want   int
			after  time.Duration
			starts []time.Duration
		}{
			"no hedge before the delay": {
				tasks:  []gather.Task[int]{after(time.Second, 0, nil), after(0, 1, nil)},
				want:   0,
				after:  time.Second,
				starts: []time.Duration{0},
			},
			"a hedge wins": {
				tasks:  []gather.Task[int]{after(time.Hour, 0, nil), after(time.Second, 1, nil), after(0, 2, nil)},
				want:   1,
				after:  3 * time.Second,
				starts: []time.Duration{0, 2 * time.Second},
			},
			"all hedges are used": {
				tasks:  []gather.Task[int]{after(time.Hour, 0, nil), after(time.Hour, 1, nil), after(time.Second, 2, nil)},
				want:   2,
				after:  5 * time.Second,
				starts: []time.Duration{0, 2 * time.Second, 4 * time.Second},
			},
			"a failure starts the next at once, and the delay anew": {
				tasks:  []gather.Task[int]{after(time.Second, 0, errBoom), after(time.Hour, 1, nil), after(time.Second, 2, nil)},
				want:   2,
				after:  4 * time.Second,
				starts: []time.Duration{0, time.Second, 3 * time.Second},
			},
			"at the limit the delay waits": {
				tasks:  []gather.Task[int]{after(5*time.Second, 0, errBoom), after(time.Second, 1, errBoom), after(time.Second, 2, nil)},
				opts:   []gather.Option{gather.Limit(1)},
				want:   2,
				after:  7 * time.Second,
				starts: []time.Duration{0, 5 * time.Second, 6 * time.Second},
			},
			"zero": {
				tasks:  []gather.Task[int]{after(time.Second, 0, nil), after(time.Minute, 1, nil)},
				opts:   []gather.Option{gather.Stagger(0)},
				want:   0,
				after:  time.Second,
				starts: []time.Duration{0, 0},
			},
		} {
			start := time.Now()
			starts := make(chan time.Duration, len(test.tasks))
			tasks := make([]gather.Task[int], len(test.tasks))
			for i, task := range test.tasks {
				tasks[i] = func(ctx context.Context) (int, error) {
					starts <- time.Since(start)
					return task(ctx)
				}
			}
			v, err := gather.First(t.Context(), tasks, append([]gather.Option{gather.Stagger(2 * time.Second)}, test.opts...)...)
			require.NoError(t, err, name)
			assert.Equal(t, test.want, v, name)
			assert.Equal(t, test.after, time.Since(start), name)
			close(starts)
			var got []time.Duration
			for d := range starts {
				got = append(got, d)
			}
			assert.Equal(t, test.starts, got, name)
		}
	})
}

func TestQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		results, err := gather.Quorum(t.Context(), 2, []gather.Task[int]{
			after(time.Hour, 0, nil),
			after(2*time.Second, 1, nil),
			after(0, 2, errBoom),
			after(time.Second, 3, nil),
			after(time.Second, 4, nil),
		}, gather.Limit(4))
		require.NoError(t, err)
		assert.Equal(t, time.Second, time.Since(start), "two that are there at the same time")
		require.Len(t, results, 5)
		require.ErrorIs(t, results[0].Err, gather.ErrAbandoned)
		require.ErrorIs(t, results[1].Err, gather.ErrAbandoned)
		assert.Equal(t, errBoom, results[2].Err)
		assert.Equal(t, 3, results[3].Value)
		assert.Equal(t, []int{3, 4}, results.Values())

		var all *gather.Error
		require.ErrorAs(t, results.Err(), &all)
		assert.Equal(t, errBoom, all.First(), "a real failure comes before what was not awaited")
	})
}

func TestQuorumOutOfReachReturnsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		results, err := gather.Quorum(t.Context(), 3, []gather.Task[int]{
			after(0, 0, nil),
			after(time.Second, 1, errBoom),
			after(2*time.Second, 2, errBoom),
			after(time.Hour, 3, nil),
		})
		assert.Equal(t, 2*time.Second, time.Since(start))
		require.ErrorIs(t, err, errBoom)
		assert.Equal(t, []int{0}, results.Values(), "what succeeded is there all the same")
		require.ErrorIs(t, results[3].Err, gather.ErrAbandoned)

		results, err = gather.Quorum(t.Context(), 2, []gather.Task[int]{stubborn(0, 1, nil)})
		require.ErrorIs(t, err, gather.ErrNotRun)
		require.Len(t, results, 1)
		require.ErrorIs(t, results[0].Err, gather.ErrNotRun)
	})
}

func TestQuorumStartsWhatItNeedsUnderStagger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var started atomic.Int64
		task := func(ctx context.Context) (int, error) {
			started.Add(1)
			return after(time.Second, 1, nil)(ctx)
		}
		results, err := gather.Quorum(t.Context(), 2, []gather.Task[int]{task, task, task, task}, gather.Stagger(time.Minute))
		require.NoError(t, err)
		assert.EqualValues(t, 2, started.Load())
		require.ErrorIs(t, results[2].Err, gather.ErrNotRun)
		require.ErrorIs(t, results[3].Err, gather.ErrNotRun)
	})
}

func TestRacePanicsAgainAfterAllHaveEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		discarded := make(chan int, 3)
		p := requirePanic(t, func() {
			_, _ = gather.First(t.Context(), []gather.Task[int]{
				func(context.Context) (int, error) { panic(errBoom) },
				after(time.Second, 1, nil),
				stubborn(time.Minute, 2, nil),
			}, gather.Repanic(), gather.OnDiscard(func(v int) { discarded <- v }))
		})
		require.ErrorIs(t, p, errBoom)
		assert.Equal(t, time.Minute, time.Since(start))
		assert.Equal(t, 2, <-discarded)
		assert.Equal(t, 1, <-discarded, "the winner's value, which nobody got")

		results, err := gather.Quorum(t.Context(), 1, []gather.Task[int]{give(1)}, gather.Repanic())
		require.NoError(t, err)
		assert.Equal(t, []int{1}, results.Values())
	})
}

func TestRaceUnderLoad(t *testing.T) {
	for range 1000 {
		tasks := make([]gather.Task[int], 16)
		for i := range tasks {
			tasks[i] = func(context.Context) (int, error) {
				if i%3 == 0 {
					return 0, errBoom
				}
				runtime.Gosched()
				return i, nil
			}
		}
		var discarded atomic.Int64
		results, err := gather.Quorum(t.Context(), 5, tasks, gather.Limit(6), gather.OnDiscard(func(int) { discarded.Add(1) }))
		require.NoError(t, err)
		require.Len(t, results.Values(), 5)
		for i, r := range results {
			if r.Err == nil {
				require.Equal(t, i, r.Value)
			} else if !errors.Is(r.Err, errBoom) {
				require.True(t, errors.Is(r.Err, gather.ErrNotRun) || errors.Is(r.Err, gather.ErrAbandoned))
			}
		}
	}
}

func TestStaggerStopsTicking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// With a timer that goes on for ever this would take as long.
		_, err := gather.First(t.Context(), []gather.Task[int]{after(1000*time.Hour, 1, nil), after(1000*time.Hour, 2, nil)}, gather.Stagger(1))
		require.NoError(t, err)
	})
}
