package gather_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/gather"
)

func TestEveryTaskRunsOnceWithinTheLimit(t *testing.T) {
	for _, limit := range []int{0, 1, 2, 8, 1000} {
		for _, n := range []int{0, 1, 2, 7, 100} {
			t.Run(fmt.Sprintf("limit=%d/n=%d", limit, n), func(t *testing.T) {
				forEngines(t, func(t *testing.T, run engine) {
					var opts []gather.Option
					if limit > 0 {
						opts = append(opts, gather.Limit(limit))
					}
					var g gauge
					calls := make([]atomic.Int64, n)
					results := run(t.Context(), n, func(_ context.Context, i int) (int, error) {
						defer g.enter()()
						calls[i].Add(1)
						time.Sleep(time.Duration(1+rand.IntN(5)) * time.Second)
						return i * i, nil
					}, opts...)
					require.Len(t, results, n)
					require.NoError(t, results.Err())
					for i, r := range results {
						assert.Equal(t, i*i, r.Value)
						assert.EqualValues(t, 1, calls[i].Load())
					}
					if limit > 0 {
						assert.LessOrEqual(t, g.peak.Load(), int64(limit))
					}
					if limit > 1 && n > limit {
						assert.EqualValues(t, limit, g.peak.Load(), "the limit is made use of")
					}
				})
			})
		}
	}
}

func TestEveryOutcomeIsKept(t *testing.T) {
	forEngines(t, func(t *testing.T, run engine) {
		results := run(t.Context(), 5, func(_ context.Context, i int) (int, error) {
			time.Sleep(time.Duration(5-i) * time.Second) // the last one first
			if i%2 == 1 {
				return i, fmt.Errorf("task %d: %w", i, errBoom)
			}
			return i, nil
		})
		assert.Equal(t, []int{0, 2, 4}, results.Values())
		assert.Equal(t, 1, results[1].Value, "a value beside an error is kept")
		_, err := results[3].Get()
		require.EqualError(t, err, "task 3: boom", "a task's error is kept as it is")

		var all *gather.Error
		require.ErrorAs(t, results.Err(), &all)
		require.Len(t, all.Failed, 2)
		assert.Equal(t, 1, all.Failed[0].Index)
		assert.Equal(t, 3, all.Failed[1].Index)
		require.EqualError(t, all.First(), "task 3: boom", "the first in time")
		require.ErrorIs(t, all, errBoom)

		values, err := results.Join()
		assert.Nil(t, values)
		require.Error(t, err)
	})
}

func TestPanicAndGoexitStayWithTheirTask(t *testing.T) {
	for _, limit := range []int{1, 2, 100} {
		t.Run(fmt.Sprintf("limit=%d", limit), func(t *testing.T) {
			forEngines(t, func(t *testing.T, run engine) {
				const n = 20
				kinds := make([]int, n) // 0 and 1 return, 2 panics, 3 exits, 4 exits and panics on the way
				for i := range kinds {
					kinds[i] = rand.IntN(5)
				}
				results := run(t.Context(), n, func(_ context.Context, i int) (int, error) {
					switch kinds[i] {
					case 2:
						panic(errBoom)
					case 3:
						runtime.Goexit()
					case 4:
						defer panic("on the way out")
						runtime.Goexit()
					}
					return i, nil
				}, gather.Limit(limit))
				for i, r := range results {
					switch kinds[i] {
					case 2:
						var p *gather.PanicError
						require.ErrorAs(t, r.Err, &p)
						require.ErrorIs(t, r.Err, errBoom, "a panic with an error matches it")
						assert.Contains(t, string(p.Stack), "TestPanicAndGoexitStayWithTheirTask", "the task's own stack")
						assert.Contains(t, p.Error(), "panic: boom")
					case 3:
						assert.Equal(t, gather.ErrGoexit, r.Err)
					case 4:
						var p *gather.PanicError
						require.ErrorAs(t, r.Err, &p)
						assert.Equal(t, "on the way out", p.Value)
						require.NoError(t, p.Unwrap())
					default:
						require.NoError(t, r.Err)
						assert.Equal(t, i, r.Value)
					}
				}
			})
		})
	}
}

func TestGoexitOfAllTasksAtLimit2(t *testing.T) {
	forEngines(t, func(t *testing.T, run engine) {
		results := run(t.Context(), 10, func(_ context.Context, i int) (int, error) {
			if i < 5 {
				runtime.Goexit()
			}
			return i, nil
		}, gather.Limit(2))
		assert.Equal(t, []int{5, 6, 7, 8, 9}, results.Values())
	})
}

func TestFailFast(t *testing.T) {
	forEngines(t, func(t *testing.T, run engine) {
		causes := make(chan error, 10)
		var first atomic.Bool
		results := run(t.Context(), 10, func(ctx context.Context, i int) (int, error) {
			if first.CompareAndSwap(false, true) {
				time.Sleep(time.Second)
				return 0, errBoom
			}
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return i, ctx.Err()
		}, gather.FailFast(), gather.Limit(3))

		var all *gather.Error
		require.ErrorAs(t, results.Err(), &all)
		assert.Equal(t, errBoom, all.First())
		notRun := 0
		for _, r := range results {
			if errors.Is(r.Err, gather.ErrNotRun) {
				notRun++
				require.ErrorIs(t, r.Err, errBoom)
			}
		}
		assert.Equal(t, 7, notRun)
		assert.Len(t, causes, 2)
		close(causes)
		for cause := range causes {
			assert.Equal(t, errBoom, cause)
		}
	})
}

func isKeyed(t *testing.T) bool { return strings.HasSuffix(t.Name(), "/Keyed") }

func TestFailFastOnPanicAndGoexit(t *testing.T) {
	forEngines(t, func(t *testing.T, run engine) {
		for _, end := range []func(){func() { panic(errBoom) }, runtime.Goexit} {
			var first atomic.Bool
			results := run(t.Context(), 10, func(ctx context.Context, _ int) (int, error) {
				if first.CompareAndSwap(false, true) {
					end()
				}
				return block(ctx, 0)
			}, gather.FailFast(), gather.Limit(2))
			require.Empty(t, results.Values())
			var all *gather.Error
			require.ErrorAs(t, results.Err(), &all)
			var p *gather.PanicError
			if !errors.Is(all.First(), gather.ErrGoexit) {
				require.ErrorAs(t, all.First(), &p)
			}
		}
	})
}

func TestFirstErrorIsNeverASiblingsCancellation(t *testing.T) {
	forEngines(t, func(t *testing.T, run engine) {
		for range 100 {
			var failing atomic.Int64
			failing.Store(-1)
			results := run(t.Context(), 8, func(ctx context.Context, i int) (int, error) {
				if failing.CompareAndSwap(-1, int64(i)) {
					return 0, errBoom
				}
				<-ctx.Done()
				return 0, ctx.Err()
			}, gather.FailFast())
			var all *gather.Error
			require.ErrorAs(t, results.Err(), &all)
			require.Equal(t, errBoom, all.First())
		}
	})
}

func TestOneTask(t *testing.T) {
	forEngines(t, func(t *testing.T, run engine) {
		r := run(t.Context(), 1, func(context.Context, int) (int, error) { return 7, errBoom })[0]
		assert.Equal(t, gather.Result[int]{Value: 7, Err: errBoom}, r)
		r = run(t.Context(), 1, func(context.Context, int) (int, error) { runtime.Goexit(); return 7, nil })[0]
		assert.Equal(t, gather.Result[int]{Err: gather.ErrGoexit}, r)
		r = run(t.Context(), 1, func(context.Context, int) (int, error) { panic(errBoom) })[0]
		require.ErrorIs(t, r.Err, errBoom)
		require.ErrorAs(t, r.Err, new(*gather.PanicError))

		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errBoom)
		r = run(ctx, 1, func(context.Context, int) (int, error) { t.Error("called"); return 7, nil })[0]
		require.ErrorIs(t, r.Err, gather.ErrNotRun)
		require.ErrorIs(t, r.Err, errBoom)
	})
}

func TestCallersCancellationIsVisible(t *testing.T) {
	forEngines(t, func(t *testing.T, run engine) {
		ctx, cancel := context.WithCancelCause(t.Context())
		reason := errors.New("enough")
		var started atomic.Int64
		results := run(ctx, 10, func(ctx context.Context, i int) (int, error) {
			if started.Add(1) == 3 {
				cancel(reason)
			}
			return block(ctx, i)
		}, gather.Limit(3))
		assert.EqualValues(t, 3, started.Load(), "nothing starts after the end of ctx")
		notRun := 0
		for _, r := range results {
			require.ErrorIs(t, r.Err, reason)
			if errors.Is(r.Err, gather.ErrNotRun) {
				notRun++
				require.ErrorIs(t, r.Err, context.Canceled)
				require.NotErrorIs(t, r.Err, gather.ErrAbandoned)
			}
		}
		assert.Equal(t, 7, notRun)
	})
}

func TestCancelledByATaskAtLimit1(t *testing.T) {
	forEngines(t, func(t *testing.T, run engine) {
		ctx, cancel := context.WithCancel(t.Context())
		started := 0
		results := run(ctx, 10, func(context.Context, int) (int, error) {
			started++
			if started == 4 {
				cancel()
			}
			return 1, nil // although ctx has ended
		}, gather.Limit(1))
		assert.Equal(t, 4, started)
		assert.Len(t, results.Values(), 4, "a success is one, late or not")
	})
}

func TestEndedContext(t *testing.T) {
	forEngines(t, func(t *testing.T, run engine) {
		ctx, cancel := context.WithTimeout(t.Context(), -1)
		defer cancel()
		results := run(ctx, 3, func(context.Context, int) (int, error) {
			t.Error("called")
			return 0, nil
		})
		for _, r := range results {
			require.ErrorIs(t, r.Err, gather.ErrNotRun)
			require.ErrorIs(t, r.Err, context.DeadlineExceeded)
		}
		assert.Empty(t, run(ctx, 0, square), "no tasks, no failure")
	})
}

func TestTaskTimeout(t *testing.T) {
	forEngines(t, func(t *testing.T, run engine) {
		start := time.Now()
		results := run(t.Context(), 3, func(ctx context.Context, i int) (int, error) {
			deadline, ok := ctx.Deadline()
			assert.True(t, ok)
			assert.Equal(t, time.Second, time.Until(deadline), "from the start of the task")
			if i == 1 {
				<-ctx.Done()
				return 0, ctx.Err()
			}
			time.Sleep(time.Second / 2)
			return i, nil
		}, gather.TaskTimeout(time.Second), gather.Limit(1))
		assert.Equal(t, []int{0, 2}, results.Values())
		assert.Equal(t, context.DeadlineExceeded, results[1].Err)
		assert.Equal(t, 2*time.Second, time.Since(start))

		results = run(t.Context(), 3, func(ctx context.Context, i int) (int, error) {
			_, ok := ctx.Deadline()
			assert.False(t, ok)
			return i, nil
		}, gather.TaskTimeout(0))
		require.NoError(t, results.Err())
	})
}

func TestAbandon(t *testing.T) {
	forEngines(t, func(t *testing.T, run engine) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		late := make(chan int, 4)
		start := time.Now()
		results := run(ctx, 4, func(_ context.Context, i int) (int, error) {
			switch i {
			case 0:
				return 100, nil
			case 1:
				time.Sleep(time.Minute) // whatever becomes of ctx
				return 101, nil
			case 2:
				time.Sleep(time.Minute)
				return 102, errBoom
			}
			time.Sleep(time.Minute)
			panic("late")
		}, gather.Abandon(), gather.OnDiscard(func(v int) { late <- v }))
		assert.Equal(t, time.Second, time.Since(start))
		assert.Equal(t, []int{100}, results.Values())
		for _, r := range results[1:] {
			require.ErrorIs(t, r.Err, gather.ErrAbandoned)
			require.ErrorIs(t, r.Err, context.DeadlineExceeded)
			require.EqualError(t, r.Err, "gather: task abandoned: context deadline exceeded")
		}
		time.Sleep(time.Hour)
		assert.Equal(t, 101, <-late)
		assert.Empty(t, late, "only values of successes are handed over")
	})
}

func TestAbandonAtTheTaskTimeoutFreesTheLimit(t *testing.T) {
	forEngines(t, func(t *testing.T, run engine) {
		start := time.Now()
		results := run(t.Context(), 4, func(context.Context, int) (int, error) {
			time.Sleep(time.Minute)
			return 1, nil
		}, gather.Abandon(), gather.TaskTimeout(time.Second), gather.Limit(2))
		assert.Equal(t, 2*time.Second, time.Since(start))
		for _, r := range results {
			require.ErrorIs(t, r.Err, gather.ErrAbandoned)
		}
		time.Sleep(time.Hour) // nobody is left to take the values, and that is all right
	})
}

// A lateContext ends while somebody asks for the first time whether it has, and
// lets him go on, with the answer no, only later.
type lateContext struct {
	context.Context
	end   context.CancelFunc
	goOn  chan struct{}
	asked atomic.Bool
}

func (c *lateContext) Err() error {
	if c.asked.CompareAndSwap(false, true) {
		c.end()
		<-c.goOn
		return nil
	}
	return c.Context.Err()
}

func TestAbandonDoesNotReadTheSliceAfterTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, end := context.WithCancel(t.Context())
		ctx := &lateContext{Context: inner, end: end, goOn: make(chan struct{})}
		in, got := []int{7}, make(chan int, 1)
		results := gather.Map(ctx, in, func(_ context.Context, i int) (int, error) {
			got <- i
			return i, nil
		}, gather.Abandon())
		require.ErrorIs(t, results[0].Err, gather.ErrAbandoned)
		in[0] = -1
		close(ctx.goOn)
		assert.Equal(t, 7, <-got)
	})
}

func TestAbandonKeepsWhatComesInTime(t *testing.T) {
	forEngines(t, func(t *testing.T, run engine) {
		results := run(t.Context(), 4, func(_ context.Context, i int) (int, error) {
			switch i {
			case 1:
				panic(errBoom)
			case 2:
				runtime.Goexit()
			case 3:
				return 3, errBoom
			}
			return i, nil
		}, gather.Abandon())
		assert.Equal(t, []int{0}, results.Values())
		require.ErrorIs(t, results[1].Err, errBoom)
		assert.Equal(t, gather.ErrGoexit, results[2].Err)
		assert.Equal(t, 3, results[3].Value)
		assert.Equal(t, errBoom, results[3].Err)
	})
}

func TestRepanic(t *testing.T) {
	forEngines(t, func(t *testing.T, run engine) {
		var ended atomic.Int64
		p := requirePanic(t, func() {
			run(t.Context(), 4, func(ctx context.Context, i int) (int, error) {
				defer ended.Add(1)
				time.Sleep(time.Duration(4-i) * time.Second)
				if i >= 2 {
					panic(fmt.Errorf("%w %d", errBoom, i))
				}
				return i, nil
			}, gather.Repanic())
		})
		require.ErrorIs(t, p, errBoom)
		if strings.HasSuffix(t.Name(), "/Ordered") {
			assert.Contains(t, p.Error(), "boom 2", "the first to be reported")
		} else {
			assert.Contains(t, p.Error(), "boom 3", "the first in time")
		}
		assert.EqualValues(t, 4, ended.Load(), "after all have ended")

		results := run(t.Context(), 2, func(_ context.Context, i int) (int, error) { return i, errBoom }, gather.Repanic())
		require.ErrorIs(t, results.Err(), errBoom)
	})
}

func TestRepanicDiscardsWhatNobodyGets(t *testing.T) {
	for _, run := range []engine{runAll, runGroup} {
		synctest.Test(t, func(t *testing.T) {
			discarded := 0
			var p any
			func() {
				defer func() { p = recover() }()
				run(t.Context(), 4, func(_ context.Context, i int) (int, error) {
					if i == 0 {
						panic(errBoom)
					}
					return i, nil
				}, gather.Repanic(), gather.OnDiscard(func(int) {
					discarded++
					panic("in OnDiscard")
				}))
			}()
			assert.Equal(t, 3, discarded, "a panic keeps none from its turn")
			assert.Equal(t, "in OnDiscard", p)
		})
	}
}

func TestABarrierAmongAllTasksCompletes(t *testing.T) {
	const n = 5000
	for name, run := range engines {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var opts []gather.Option
				if strings.HasPrefix(name, "Stream") {
					opts = append(opts, gather.Limit(n))
				}
				var arrived sync.WaitGroup
				arrived.Add(n)
				results := run(t.Context(), n, func(context.Context, int) (int, error) {
					arrived.Done()
					arrived.Wait()
					return 1, nil
				}, opts...)
				require.NoError(t, results.Err())
			})
		})
	}
}

func TestTasksMayWaitForLaterOnesWithinTheLimit(t *testing.T) {
	forEngines(t, func(t *testing.T, run engine) {
		if isKeyed(t) {
			return // which has no order
		}
		const n = 100
		done := make([]chan struct{}, n)
		for i := range done {
			done[i] = make(chan struct{})
		}
		results := run(t.Context(), n, func(_ context.Context, i int) (int, error) {
			if i%2 == 0 {
				<-done[i+1]
			}
			close(done[i])
			return i, nil
		}, gather.Limit(2))
		require.NoError(t, results.Err())
	})
}

func TestEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sum atomic.Int64
		add := func(_ context.Context, i int) error { sum.Add(int64(i)); return nil }
		require.NoError(t, gather.Each(t.Context(), upTo(100), add, gather.Limit(3)))
		assert.EqualValues(t, 4950, sum.Load())
		require.NoError(t, gather.Each(t.Context(), nil, add))

		err := gather.Each(t.Context(), upTo(3), func(_ context.Context, i int) error {
			if i == 1 {
				return io.EOF
			}
			return nil
		})
		require.ErrorIs(t, err, io.EOF)
		require.EqualError(t, err, "gather: 1 failed: task 1: EOF")
	})
}

func TestValuesOfATaskOutliveTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		results := gather.Map(t.Context(), upTo(3), func(ctx context.Context, _ int) (context.Context, error) { return ctx, nil })
		for _, ctx := range results.Values() {
			require.NoError(t, ctx.Err(), "the caller's own context is passed on")
		}
	})
}

func TestContextsAreReleased(t *testing.T) {
	forEngines(t, func(t *testing.T, run engine) {
		var kept context.Context
		for _, o := range []gather.Option{gather.FailFast(), gather.TaskTimeout(time.Hour)} {
			results := run(t.Context(), 1, func(ctx context.Context, _ int) (int, error) { kept = ctx; return 0, nil }, o)
			require.NoError(t, results.Err())
			require.Error(t, kept.Err())
		}
	})
}

func TestJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		values, err := gather.Map(t.Context(), upTo(4), square).Join()
		require.NoError(t, err)
		assert.Equal(t, []int{0, 1, 4, 9}, values)
	})
}

func TestResultsComparesEqual(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		results := gather.Map(t.Context(), upTo(3), func(_ context.Context, i int) (int, error) {
			if i == 1 {
				return 0, errBoom
			}
			return i, nil
		})
		assert.Equal(t, gather.Results[int]{{Value: 0}, {Err: errBoom}, {Value: 2}}, results)
	})
}

func TestNilTasksPanic(t *testing.T) {
	ctx := t.Context()
	ok := func(context.Context) (int, error) { return 0, nil }
	for want, f := range map[string]func(){
		"gather: All with a nil task, at index 1":      func() { gather.All(ctx, []gather.Task[int]{ok, nil}) },
		"gather: First with a nil task, at index 0":    func() { _, _ = gather.First(ctx, []gather.Task[int]{nil}) },
		"gather: Quorum with a nil task, at index 0":   func() { _, _ = gather.Quorum(ctx, 1, []gather.Task[int]{nil}) },
		"gather: Quorum of 0, less than 1":             func() { _, _ = gather.Quorum(ctx, 0, []gather.Task[int]{ok}) },
		"gather: Keyed with a nil task, at key a":      func() { gather.Keyed(ctx, map[string]gather.Task[int]{"a": nil}) },
		"gather: Map of a nil function":                func() { gather.Map[int, int](ctx, nil, nil) },
		"gather: Each of a nil function":               func() { _ = gather.Each[int](ctx, nil, nil) },
		"gather: All3 with a nil task":                 func() { gather.All3(ctx, ok, gather.Task[string](nil), ok) },
		"gather: Stream of a nil sequence or function": func() { gather.Stream[int, int](ctx, nil, square) },
		"gather: Go of a nil task":                     func() { gather.NewGroup[int](ctx).Go(nil) },
		"gather: Group not made by NewGroup":           func() { new(gather.Group[int]).Go(ok) },
		"gather: TryGo of a nil task":                  func() { gather.NewGroup[int](ctx).TryGo(nil) },
		"gather: Do of a nil function":                 func() { _, _, _ = new(gather.Flight[int, int]).Do(ctx, 1, nil) },
	} {
		assert.PanicsWithValue(t, want, f)
	}
}
