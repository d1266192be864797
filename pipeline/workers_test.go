package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
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
