package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/pipeline"
)

// numbers are those from 0 on, n of them.
func numbers(n int) pipeline.Stream[int] {
	return pipeline.FromSeq(func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	})
}

// same returns what it is given.
func same(_ context.Context, x int) (int, error) { return x, nil }

// A peak counts those who are there, and how many there were at most.
type peak struct{ now, most atomic.Int64 }

func (p *peak) enter() (leave func()) {
	n := p.now.Add(1)
	for most := p.most.Load(); n > most && !p.most.CompareAndSwap(most, n); most = p.most.Load() {
	}
	return func() { p.now.Add(-1) }
}

func TestWorkersCallAsManyAtOnce(t *testing.T) {
	for _, n := range []int{1, 2, 7, 64} {
		for name, opts := range map[string][]pipeline.Option{
			"unordered": {pipeline.Workers(n)},
			"ordered":   {pipeline.Workers(n), pipeline.Ordered()},
			"by key":    {pipeline.Workers(n), pipeline.ByKey(func(x int) int { return x })},
		} {
			t.Run(fmt.Sprintf("%s/n=%d", name, n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var calls peak
					got, err := pipeline.Collect(t.Context(), pipeline.Map(numbers(10*n), func(_ context.Context, x int) (int, error) {
						defer calls.enter()()
						time.Sleep(time.Second)
						return x, nil
					}, opts...))
					require.NoError(t, err)
					assert.LessOrEqual(t, calls.most.Load(), int64(n))
					if name != "by key" { // where one may have more than its share
						assert.EqualValues(t, n, calls.most.Load())
					}
					if name == "ordered" {
						assert.True(t, slices.IsSorted(got))
					}
					slices.Sort(got)
					for i, x := range got {
						require.Equal(t, i, x)
					}
					require.Len(t, got, 10*n)
				})
			})
		}
	}
}

func TestWorkersDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := pipeline.Collect(t.Context(), pipeline.Map(numbers(1000), func(_ context.Context, x int) (int, error) {
			time.Sleep(time.Millisecond)
			return x, nil
		}, pipeline.Workers(100)))
		require.NoError(t, err)
		assert.Equal(t, 10*time.Millisecond, time.Since(start))
	})
}

// After quick calls a worker takes several items at once. Slow ones among them
// must not wait for each other while other workers have nothing to do.
func TestSlowCallsAfterQuickOnesAreShared(t *testing.T) {
	for name, opts := range map[string][]pipeline.Option{
		"unordered": {pipeline.Workers(4)},
		"ordered":   {pipeline.Workers(4), pipeline.Ordered()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				n, err := pipeline.Count(t.Context(), pipeline.Map(numbers(10_100), func(_ context.Context, x int) (int, error) {
					if x >= 10_000 {
						time.Sleep(time.Second)
					}
					return x, nil
				}, opts...))
				require.NoError(t, err)
				assert.Equal(t, 10_100, n)
				assert.LessOrEqual(t, time.Since(start), 30*time.Second, "with 4 workers 25 s")
			})
		})
	}
}

func TestOrderedKeepsTheOrder(t *testing.T) {
	for _, n := range []int{1, 2, 8, 64} {
		for _, ahead := range []int{0, 1, 3, 100} {
			t.Run(fmt.Sprintf("n=%d/ahead=%d", n, ahead), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					opts := []pipeline.Option{pipeline.Workers(n), pipeline.Ordered()}
					if ahead > 0 {
						opts = append(opts, pipeline.Ahead(ahead))
					}
					next := 0
					s := pipeline.Map(numbers(1000), func(_ context.Context, x int) (int, error) {
						if x%3 > 0 {
							time.Sleep(rand.N(100 * time.Second))
						}
						if x%11 == 0 {
							return 0, fmt.Errorf("%d", x)
						}
						return x, nil
					}, opts...)
					for x, err := range s(t.Context()) { // which goes on after errors
						if next%11 == 0 {
							require.EqualError(t, err, strconv.Itoa(next))
						} else {
							require.NoError(t, err)
							require.Equal(t, next, x)
						}
						next++
					}
					assert.Equal(t, 1000, next)
				})
			})
		}
	}
}

func TestOrderedFilterAndFlatMapKeepTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		even := func(_ context.Context, x int) (bool, error) {
			time.Sleep(rand.N(time.Minute))
			return x%2 == 0, nil
		}
		thrice := func(ctx context.Context, x int) pipeline.Stream[int] {
			time.Sleep(rand.N(time.Minute))
			return pipeline.Map(pipeline.Of(3*x, 3*x+1, 3*x+2), func(_ context.Context, x int) (int, error) {
				time.Sleep(rand.N(time.Minute))
				return x, nil
			})
		}
		got, err := pipeline.Collect(t.Context(), pipeline.FlatMap(pipeline.Filter(numbers(400), even, pipeline.Workers(64), pipeline.Ordered()), thrice, pipeline.Workers(64), pipeline.Ordered()))
		require.NoError(t, err)
		require.Len(t, got, 600)
		assert.True(t, slices.IsSorted(got))
	})
}

func TestOrderedReturnsTheFirstErrorByPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := pipeline.Count(t.Context(), pipeline.Map(numbers(100), func(_ context.Context, x int) (int, error) {
			time.Sleep(time.Duration(100-x) * time.Second)
			if x >= 10 {
				return 0, fmt.Errorf("%d", x)
			}
			return x, nil
		}, pipeline.Workers(64), pipeline.Ordered()))
		require.EqualError(t, err, "10")
		assert.Equal(t, 10, n)
	})
}

func TestHeadOfTheLineHoldsUpOnlyWhatIsAhead(t *testing.T) {
	for name, c := range map[string]struct {
		ahead    int
		from, to time.Duration
	}{
		"default": {0, 13 * time.Second, 13 * time.Second},
		"ahead=4": {4, 20 * time.Second, 22 * time.Second}, // nothing but 3 others goes on for 11 s; then 36 by 4
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := []pipeline.Option{pipeline.Workers(4), pipeline.Ordered()}
				if c.ahead > 0 {
					opts = append(opts, pipeline.Ahead(c.ahead))
				}
				start := time.Now()
				require.NoError(t, pipeline.ForEach(t.Context(), numbers(40), func(_ context.Context, x int) error {
					if x == 0 {
						time.Sleep(10 * time.Second)
					}
					time.Sleep(time.Second)
					return nil
				}, opts...))
				assert.GreaterOrEqual(t, time.Since(start), c.from)
				assert.LessOrEqual(t, time.Since(start), c.to)
			})
		})
	}
}

func TestByKeyWorksOnItemsOfAKeyInTurn(t *testing.T) {
	for name, opts := range map[string][]pipeline.Option{
		"unordered": {pipeline.Workers(8)},
		"ordered":   {pipeline.Workers(8), pipeline.Ordered()},
		"one":       {pipeline.Workers(1)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const keys = 10
				key := func(x int) string { return strconv.Itoa(x % keys) }
				var busy [keys]peak
				var all peak
				s := pipeline.Map(numbers(2000), func(_ context.Context, x int) (int, error) {
					defer busy[x%keys].enter()()
					defer all.enter()()
					if x%2 == 0 {
						time.Sleep(rand.N(10 * time.Second))
					}
					return x, nil
				}, append(opts, pipeline.ByKey(key))...)
				last := map[int]int{}
				n := 0
				for x, err := range s.All(t.Context()) {
					require.NoError(t, err)
					if before, ok := last[x%keys]; ok {
						require.Equal(t, before+keys, x)
					}
					last[x%keys] = x
					n++
				}
				assert.Equal(t, 2000, n)
				for i := range busy {
					assert.EqualValues(t, 1, busy[i].most.Load())
				}
				if name != "one" {
					assert.Greater(t, all.most.Load(), int64(1))
				}
			})
		})
	}
}

func TestAnItemIsDeliveredWhenItComes(t *testing.T) {
	double := pipeline.Pure(func(x int) int { return x })
	for name, stage := range map[string]func(pipeline.Stream[int]) pipeline.Stream[int]{
		"fused":      func(s pipeline.Stream[int]) pipeline.Stream[int] { return pipeline.Map(s, double) },
		"workers":    func(s pipeline.Stream[int]) pipeline.Stream[int] { return pipeline.Map(s, double, pipeline.Workers(4)) },
		"one worker": func(s pipeline.Stream[int]) pipeline.Stream[int] { return pipeline.Map(s, double, pipeline.Workers(1)) },
		"ordered": func(s pipeline.Stream[int]) pipeline.Stream[int] {
			return pipeline.Map(s, double, pipeline.Workers(4), pipeline.Ordered())
		},
		"buffer": func(s pipeline.Stream[int]) pipeline.Stream[int] { return pipeline.Buffer(s, 100) },
		"merge": func(s pipeline.Stream[int]) pipeline.Stream[int] {
			return pipeline.Merge(s, pipeline.Of[int](), pipeline.FromChan[int](nil))
		},
		"flat map": func(s pipeline.Stream[int]) pipeline.Stream[int] {
			return pipeline.FlatMap(s, single, pipeline.Workers(4))
		},
		"ordered flat map": func(s pipeline.Stream[int]) pipeline.Stream[int] {
			return pipeline.FlatMap(s, single, pipeline.Workers(4), pipeline.Ordered())
		},
		"by key": func(s pipeline.Stream[int]) pipeline.Stream[int] {
			return pipeline.Map(s, double, pipeline.Workers(4), pipeline.ByKey(func(x int) int { return x }))
		},
		"all": func(s pipeline.Stream[int]) pipeline.Stream[int] {
			s = pipeline.Buffer(pipeline.Map(s, double, pipeline.Workers(4)), 10)
			return pipeline.Map(pipeline.Merge(s), double, pipeline.Workers(3), pipeline.Ordered())
		},
	} {
		for _, burst := range []int{0, 10_000} {
			t.Run(fmt.Sprintf("%s/burst=%d", name, burst), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					start := time.Now()
					s := stage(pipeline.Generate(func(_ context.Context, emit func(int) bool) error {
						for i := range burst {
							if !emit(i) {
								return nil
							}
						}
						for i := range 20 {
							time.Sleep(time.Second)
							if !emit(-1 - i) {
								return nil
							}
						}
						time.Sleep(time.Second)
						return nil
					}))
					quick, slow := 0, 0
					for x, err := range s.All(ctx) {
						require.NoError(t, err)
						if x >= 0 {
							require.Zero(t, time.Since(start))
							quick++
							continue
						}
						require.Equal(t, time.Duration(-x)*time.Second, time.Since(start))
						if slow++; slow == 20 {
							break
						}
					}
					assert.Equal(t, burst, quick)
					assert.Equal(t, 20, slow)
				})
			})
		}
	}
}

func single(_ context.Context, x int) pipeline.Stream[int] { return pipeline.Of(x) }

// Quick calls and a slow one may be in the same group; what the quick ones
// before it have made does not wait for it.
func TestResultsBeforeASlowCallAreDeliveredAtOnce(t *testing.T) {
	for name, opts := range map[string][]pipeline.Option{
		"unordered":  {pipeline.Workers(2)},
		"one worker": {pipeline.Workers(1)},
		"ordered":    {pipeline.Workers(2), pipeline.Ordered()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const slow = 12_345
				start := time.Now()
				atOnce := 0
				seen := map[int]bool{}
				s := pipeline.Map(numbers(slow+1000), func(_ context.Context, x int) (int, error) {
					if x == slow {
						time.Sleep(time.Hour)
					}
					return x, nil
				}, opts...)
				for x, err := range s.All(t.Context()) {
					require.NoError(t, err)
					seen[x] = true
					if time.Since(start) == 0 {
						atOnce++
					}
					if x < slow {
						require.Zero(t, time.Since(start), "%d waits", x)
					}
				}
				assert.GreaterOrEqual(t, atOnce, slow)
				assert.Len(t, seen, slow+1000)
			})
		})
	}
}

// What waits behind a slow call, while another worker has nothing to do, is
// stranded.
func TestResultsBehindASlowCallAreDeliveredByOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow = 12_345
		start := time.Now()
		s := pipeline.Map(numbers(slow+1000), func(_ context.Context, x int) (int, error) {
			if x == slow {
				time.Sleep(time.Hour)
			}
			return x, nil
		}, pipeline.Workers(4))
		late := 0
		for _, err := range s.All(t.Context()) {
			require.NoError(t, err)
			if time.Since(start) > time.Second {
				late++
			}
		}
		assert.Equal(t, 1, late, "only the slow one is late")
	})
}

func TestNoCallBeginsAfterAnUnhandledError(t *testing.T) {
	const n = 4
	for name, opts := range map[string][]pipeline.Option{
		"unordered": {pipeline.Workers(n)},
		"ordered":   {pipeline.Workers(n), pipeline.Ordered()},
		"by key":    {pipeline.Workers(n), pipeline.ByKey(func(x int) int { return x })},
	} {
		for _, bad := range []int{0, 3, 50, 5000} {
			t.Run(fmt.Sprintf("%s/bad=%d", name, bad), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var failed atomic.Bool
					var after atomic.Int64
					f := func(_ context.Context, x int) error {
						if failed.Load() {
							after.Add(1)
						}
						if x > bad-n { // these are slow
							time.Sleep(time.Duration(1+x%3) * time.Second)
						}
						if x == bad {
							failed.Store(true)
							return errKill
						}
						return nil
					}
					require.Equal(t, errKill, pipeline.ForEach(t.Context(), numbers(math.MaxInt), f, opts...))
					assert.LessOrEqual(t, after.Load(), int64(n))
					was := after.Load()
					time.Sleep(time.Hour)
					assert.Equal(t, was, after.Load())

					if name == "by key" {
						return
					}
					// The same, in a stage whose consumer has no time for the error.
					failed.Store(false)
					after.Store(0)
					s := pipeline.Map(numbers(math.MaxInt), func(ctx context.Context, x int) (int, error) { return x, f(ctx, x) }, opts...)
					var err error
					for _, err = range s.All(t.Context()) {
						if err == nil && failed.Load() {
							time.Sleep(time.Hour)
						}
					}
					require.Equal(t, errKill, err)
					if name == "unordered" { // with order, those before it are wanted
						assert.LessOrEqual(t, after.Load(), int64(n))
					}
				})
			})
		}
	}
}

func TestFlatMapCallsNoMoreAfterAnUnhandledError(t *testing.T) {
	const n = 4
	for name, opts := range map[string][]pipeline.Option{
		"unordered": {pipeline.Workers(n)},
		"ordered":   {pipeline.Workers(n), pipeline.Ordered()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var failed atomic.Bool
				var after atomic.Int64
				s := pipeline.FlatMap(numbers(100_000), func(_ context.Context, x int) pipeline.Stream[int] {
					if x > 0 {
						time.Sleep(time.Millisecond)
					}
					switch {
					case failed.Load():
						after.Add(1)
					case x == 100:
						return pipeline.Generate(func(context.Context, func(int) bool) error {
							failed.Store(true)
							return errKill
						})
					case x == 0:
						return pipeline.Of(0)
					}
					return pipeline.Of[int]()
				}, opts...)
				var err error
				for _, err = range s.All(t.Context()) {
					if err == nil {
						time.Sleep(time.Second) // while the error waits
					}
				}
				require.Equal(t, errKill, err)
				assert.LessOrEqual(t, after.Load(), int64(n))
			})
		})
	}
}

// A stream that is in use stops, too, while an error of another waits.
func TestStreamsOfAFlatMapWaitWhileAnErrorIsUnhandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		s := pipeline.FlatMap(numbers(2), func(_ context.Context, x int) pipeline.Stream[int] {
			if x == 1 {
				return pipeline.Generate(func(context.Context, func(int) bool) error {
					time.Sleep(time.Second)
					return errKill
				})
			}
			return pipeline.Tap(numbers(25_000), func(x int) {
				if calls.Add(1); x >= 20_000 { // after quick ones, much may be under way
					time.Sleep(time.Millisecond)
				}
			})
		}, pipeline.Workers(2))
		n := 0
		for _, err := range s(t.Context()) {
			n++
			if err == nil {
				continue
			}
			before := calls.Load()
			time.Sleep(time.Minute)
			assert.LessOrEqual(t, calls.Load()-before, int64(1))
		}
		assert.Equal(t, 25_001, n)
	})
}

func TestSequentialStagesCallNothingAfterAnError(t *testing.T) {
	calls := 0
	s := pipeline.Tap(pipeline.Map(numbers(100), func(_ context.Context, x int) (int, error) {
		if calls++; x == 10 {
			return 0, errKill
		}
		return x, nil
	}), func(x int) { assert.Less(t, x, 10) })
	require.Equal(t, errKill, pipeline.Run(t.Context(), s))
	assert.Equal(t, 11, calls)
}

func TestErrorsThatAreHandledDoNotEndTheStream(t *testing.T) {
	for name, opts := range map[string][]pipeline.Option{
		"fused":     nil,
		"unordered": {pipeline.Workers(8)},
		"ordered":   {pipeline.Workers(8), pipeline.Ordered()},
		"by key":    {pipeline.Workers(8), pipeline.ByKey(func(x int) int { return x % 20 })},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failed := 0
				source := pipeline.FromSeq2(func(yield func(int, error) bool) {
					for i := range 5000 {
						var err error
						if i%13 == 0 {
							err = errors.New("of the source")
						}
						if !yield(i, err) {
							return
						}
					}
				})
				s := pipeline.Recover(pipeline.Map(source, func(_ context.Context, x int) (int, error) {
					if x%5 == 0 {
						time.Sleep(rand.N(time.Second))
					}
					if x%7 == 0 {
						return x, errKill
					}
					return x, nil
				}, opts...), func(error) error {
					failed++
					return nil
				})
				got, err := pipeline.Collect(t.Context(), s)
				require.NoError(t, err)
				if name == "ordered" || name == "fused" {
					assert.True(t, slices.IsSorted(got))
				}
				slices.Sort(got)
				var want []int
				for i := range 5000 {
					if i%13 != 0 && i%7 != 0 {
						want = append(want, i)
					}
				}
				require.Equal(t, want, got)
				assert.Equal(t, 5000-len(want), failed)
			})
		})
	}
}

func TestReduceWithWorkersIsTheSequentialOne(t *testing.T) {
	concat := func(_ context.Context, a, b string) (string, error) {
		if len(a)%3 == 0 {
			runtime.Gosched()
		}
		return a + b, nil
	}
	text := pipeline.Pure(func(x int) string { return strconv.Itoa(x) + " " })
	for _, n := range []int{0, 1, 2, 15, 16, 17, 33, 1000, 5000} {
		want, ok, err := pipeline.Reduce(t.Context(), pipeline.Map(numbers(n), text), concat)
		require.NoError(t, err)
		require.Equal(t, n > 0, ok)
		for _, workers := range []int{1, 2, 4, 64} {
			got, ok, err := pipeline.Reduce(t.Context(), pipeline.Map(numbers(n), text), concat, pipeline.Workers(workers))
			require.NoError(t, err)
			require.Equal(t, n > 0, ok)
			require.Equal(t, want, got)
		}
	}
}

func TestWorkersUseTheContextOfTheSink(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "value")
	require.NoError(t, pipeline.ForEach(ctx, numbers(10), func(ctx context.Context, _ int) error {
		assert.Equal(t, "value", ctx.Value(key{}))
		return nil
	}, pipeline.Workers(2)))
}

func TestWithoutWorkersFunctionsRunInTheGoroutineOfTheSink(t *testing.T) {
	calls := 0
	s := pipeline.Filter(pipeline.Tap(numbers(100), func(int) { calls++ }), func(context.Context, int) (bool, error) {
		calls++
		return true, nil
	})
	require.NoError(t, pipeline.ForEach(t.Context(), s, func(context.Context, int) error {
		calls++
		return nil
	}))
	assert.Equal(t, 300, calls)
}

// However a burst meets those who fall asleep, each worker gets one of its
// calls.
func TestNoCallWaitsBehindASlowOneWhileAWorkerSleeps(t *testing.T) {
	rounds := 300
	if testing.Short() || underRace() {
		rounds = 20
	}
	for _, n := range []int{2, 4} {
		for _, pause := range []time.Duration{40 * time.Microsecond, time.Second} { // as their timers fire, and later
			t.Run(fmt.Sprintf("n=%d/pause=%v", n, pause), func(t *testing.T) {
				for range rounds {
					synctest.Test(t, func(t *testing.T) {
						source := pipeline.Generate(func(_ context.Context, emit func(time.Duration) bool) error {
							for range 2000 {
								emit(0)
							}
							time.Sleep(pause)
							for range n {
								emit(time.Second)
							}
							time.Sleep(time.Minute) // the end would wake them
							return nil
						})
						start := time.Now()
						var last atomic.Int64
						require.NoError(t, pipeline.ForEach(t.Context(), source, func(_ context.Context, d time.Duration) error {
							if d > 0 {
								time.Sleep(d)
								last.Store(int64(time.Since(start)))
							}
							return nil
						}, pipeline.Workers(n)))
						require.Less(t, time.Duration(last.Load()), pause+1500*time.Millisecond)
					})
				}
			})
		}
	}
}

// A timer that fires again and again would keep this busy for ever.
func TestWhoWaitsSetsNoTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const years = 100 * 365 * 24 * time.Hour
		open := make(chan int)
		for name, s := range map[string]pipeline.Stream[int]{
			"workers":  pipeline.Map(pipeline.FromChan(open), same, pipeline.Workers(3)),
			"ordered":  pipeline.Map(pipeline.FromChan(open), same, pipeline.Workers(3), pipeline.Ordered()),
			"by key":   pipeline.Map(pipeline.FromChan(open), same, pipeline.Workers(3), pipeline.ByKey(func(x int) int { return x })),
			"flat map": pipeline.FlatMap(pipeline.FromChan(open), single, pipeline.Workers(3)),
			"buffer":   pipeline.Buffer(pipeline.FromChan(open), 3),
			"batch":    pipeline.Map(pipeline.Batch(pipeline.FromChan(open), 3, 1), func(context.Context, []int) (int, error) { return 0, nil }),
			"window":   pipeline.Map(pipeline.Window(pipeline.FromChan(open), 1), func(context.Context, pipeline.Windowed[int]) (int, error) { return 0, nil }),
			"debounce": pipeline.Debounce(pipeline.FromChan(open), 1),
		} {
			ctx, cancel := context.WithTimeout(t.Context(), years)
			assert.ErrorIs(t, pipeline.Run(ctx, s), context.DeadlineExceeded, name)
			cancel()
		}
	})
}

// While one call takes long, the others go on as far as Ahead lets them.
func TestAheadIsUsedToItsEnd(t *testing.T) {
	for _, c := range []struct{ workers, ahead int }{{2, 4}, {4, 4}, {4, 8}, {4, 64}, {8, 8}} {
		t.Run(fmt.Sprintf("n=%d/ahead=%d", c.workers, c.ahead), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slow := max(1, min(c.ahead/2, c.workers)-1)
				n := slow + c.ahead
				start := time.Now()
				var done atomic.Int64
				require.NoError(t, pipeline.ForEach(t.Context(), numbers(n), func(_ context.Context, x int) error {
					if x == slow {
						time.Sleep(time.Hour)
						return nil
					}
					time.Sleep(time.Second)
					if time.Since(start) < time.Hour {
						done.Add(1)
					}
					return nil
				}, pipeline.Workers(c.workers), pipeline.Ahead(c.ahead)))
				assert.EqualValues(t, n-1, done.Load())
			})
		})
	}
}

// Several errors may be on their way at once; what is behind the first of them
// waits for that.
func TestOrderedCallsNothingBehindAnUnhandledError(t *testing.T) {
	takes := map[int]time.Duration{0: 10, 3: 2, 5: 3, 9: 1} // s; 3 and then 5 fail, with 4 behind 0
	for range 30 {                                          // the keys share workers at random
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			unhandled := map[int]bool{}
			s := pipeline.Map(numbers(20), func(_ context.Context, x int) (int, error) {
				mu.Lock()
				for bad := range unhandled {
					assert.Less(t, x, bad, "called before the error is handled")
				}
				mu.Unlock()
				time.Sleep(takes[x] * time.Second)
				if x != 3 && x != 5 && x != 9 {
					return x, nil
				}
				mu.Lock()
				defer mu.Unlock()
				unhandled[x] = true
				return x, numbered(x)
			}, pipeline.Workers(8), pipeline.Ordered(), pipeline.ByKey(func(x int) int {
				if x%2 == 1 {
					return x
				}
				return 0
			}))
			next := 0
			for x, err := range s(t.Context()) {
				if bad, ok := err.(numbered); ok { //nolint:errorlint // it is one, or nil
					time.Sleep(time.Minute)
					x = int(bad)
					mu.Lock()
					delete(unhandled, x)
					mu.Unlock()
				}
				require.Equal(t, next, x)
				next++
			}
			assert.Equal(t, 20, next)
		})
	}
}

// spin takes some nanoseconds.
func spin(n int) {
	for range n {
		runtime.KeepAlive(n)
	}
}

// awaitAtLeast waits, busily, so that it comes back at once.
func awaitAtLeast(counter *atomic.Int64, n int64) {
	for tries := 1; counter.Load() < n; tries++ {
		if tries%100 == 0 {
			runtime.Gosched()
		}
	}
}

// The consumer falls asleep at the very moment at which the one item comes that
// there is: nothing else would wake it.
func TestNoWakeUpIsLost(t *testing.T) {
	rounds := 100_000
	if testing.Short() || underRace() {
		rounds = 5_000
	}
	for name, stage := range map[string]func(pipeline.Stream[int]) pipeline.Stream[int]{
		"buffer": func(s pipeline.Stream[int]) pipeline.Stream[int] { return pipeline.Buffer(s, 1) },
		"merge": func(s pipeline.Stream[int]) pipeline.Stream[int] {
			return pipeline.Merge(append(slices.Repeat([]pipeline.Stream[int]{pipeline.Of[int]()}, 50), s)...)
		},
		"workers": func(s pipeline.Stream[int]) pipeline.Stream[int] { return pipeline.Map(s, same, pipeline.Workers(2)) },
		"ordered": func(s pipeline.Stream[int]) pipeline.Stream[int] {
			return pipeline.Map(s, same, pipeline.Workers(2), pipeline.Ordered())
		},
		"flat map in order": func(s pipeline.Stream[int]) pipeline.Stream[int] {
			return pipeline.FlatMap(s, single, pipeline.Workers(2), pipeline.Ordered())
		},
	} {
		t.Run(name, func(t *testing.T) {
			ch, next := make(chan int), make(chan struct{}, 1)
			go func() {
				defer close(ch)
				for i := range rounds {
					ch <- i
					<-next
					spin(i % 97 * 5)
				}
			}()
			const patience = 20 * time.Second // for so many items
			watch := time.AfterFunc(patience, func() { panic("a wake-up was lost") })
			defer watch.Stop()
			n := 0
			for _, err := range stage(pipeline.FromChan(ch)).All(t.Context()) {
				require.NoError(t, err)
				if n++; n%1000 == 0 {
					watch.Reset(patience)
				}
				next <- struct{}{}
			}
			assert.Equal(t, rounds, n)
		})
	}
}

// endOfMany uses a Merge of many streams of which all but one have ended, again
// and again, and ends that while the consumer looks at them.
func endOfMany(t *testing.T, rounds int, use func(pipeline.Stream[int]), end func(yield func(int, error) bool)) {
	t.Helper()
	const many = 100
	for i := range rounds {
		var ended atomic.Int64
		ss := slices.Repeat([]pipeline.Stream[int]{func(context.Context) iter.Seq2[int, error] {
			return func(func(int, error) bool) { ended.Add(1) }
		}}, many)
		ss[0] = func(context.Context) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for ended.Load() < many-1 {
					runtime.Gosched()
				}
				if yield(1, nil) { // wakes the consumer
					spin(i * 37 % 20_000)
					end(yield)
				}
			}
		}
		use(pipeline.Merge(ss...))
	}
}

func TestWhatComesAsTheConsumerFallsAsleep(t *testing.T) {
	rounds := 400
	if testing.Short() || underRace() {
		rounds = 30
	}
	t.Run("the last item", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			endOfMany(t, rounds, func(s pipeline.Stream[int]) {
				n, err := pipeline.Count(t.Context(), s)
				require.NoError(t, err)
				require.Equal(t, 2, n)
			}, func(yield func(int, error) bool) { yield(2, nil) })
		})
	})
	t.Run("a failure", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			endOfMany(t, rounds, func(s pipeline.Stream[int]) {
				require.ErrorIs(t, pipeline.Run(t.Context(), s), pipeline.ErrGoexit)
			}, func(func(int, error) bool) { runtime.Goexit() })
		})
	})
	t.Run("the end of the context", func(t *testing.T) { // after which the stream ends, and does not tell
		var ctx *plainContext
		endOfMany(t, rounds, func(s pipeline.Stream[int]) {
			ctx = &plainContext{Context: t.Context(), done: make(chan struct{})}
			require.ErrorIs(t, pipeline.Run(ctx, s), context.Canceled)
		}, func(func(int, error) bool) { close(ctx.done) })
	})
}

// plainContext is one that is not of package context, which makes others learn
// of its end later.
type plainContext struct {
	context.Context

	done chan struct{}
}

func (c *plainContext) Done() <-chan struct{} { return c.done }

func (c *plainContext) Err() error {
	select {
	case <-c.done:
		return context.Canceled
	default:
		return nil
	}
}

// The one worker that there is fails as the consumer falls asleep.
func TestAFailureAsTheConsumerFallsAsleep(t *testing.T) {
	rounds := 5000
	if testing.Short() || underRace() {
		rounds = 500
	}
	for name, opts := range map[string][]pipeline.Option{
		"unordered": {pipeline.Workers(1)},
		"ordered":   {pipeline.Workers(1), pipeline.Ordered()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for i := range rounds {
					var used atomic.Int64
					s := pipeline.Map(numbers(2), func(_ context.Context, x int) (int, error) {
						if x == 1 {
							awaitAtLeast(&used, 1)
							spin(i * 7 % 500)
							runtime.Goexit()
						}
						return x, nil
					}, opts...)
					var last error
					for _, err := range s.All(t.Context()) {
						last = err
						used.Add(1)
						spin(i * 31 % 1000)
					}
					require.ErrorIs(t, last, pipeline.ErrGoexit)
				}
			})
		})
	}
}
