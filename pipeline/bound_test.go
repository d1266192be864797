package pipeline_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/pipeline"
)

// forever is without end, and counts what is taken.
func forever(taken *atomic.Int64) pipeline.Stream[int] {
	return pipeline.FromSeq(func(yield func(int) bool) {
		for i := 0; ; i++ {
			taken.Add(1)
			if !yield(i) {
				return
			}
		}
	})
}

// requireBound uses some items of a stage, with waits in between, and fails if
// more than most are ever taken from its source beyond those that it has
// delivered. It returns how many there were at most.
func requireBound(t *testing.T, most int64, stage func(pipeline.Stream[int]) pipeline.Stream[int]) (peak int64) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var taken atomic.Int64
		delivered := int64(0)
		for _, err := range stage(forever(&taken)).All(t.Context()) {
			require.NoError(t, err)
			delivered++
			switch {
			case delivered%50 == 0:
				time.Sleep(time.Hour)
			case delivered%7 == 0:
				time.Sleep(300 * time.Millisecond)
			case delivered%3 == 0:
				synctest.Wait()
			}
			beyond := taken.Load() - delivered
			require.LessOrEqual(t, beyond, most, "when %d are delivered", delivered)
			peak = max(peak, beyond)
			if delivered == 1000 {
				break
			}
		}
	})
	return peak
}

func TestSlowCallsHaveFewItemsUnderWay(t *testing.T) {
	slow := pipeline.Pure(func(x int) int {
		time.Sleep(time.Duration(1+x%3) * 100 * time.Millisecond)
		return x
	})
	for _, n := range []int{1, 2, 5, 32} {
		t.Run(fmt.Sprintf("n=%d", n), func(t *testing.T) {
			most := int64(3*n + 2)
			peak := requireBound(t, most, func(s pipeline.Stream[int]) pipeline.Stream[int] {
				return pipeline.Map(s, slow, pipeline.Workers(n))
			})
			assert.GreaterOrEqual(t, peak, int64(2*n))
			requireBound(t, most, func(s pipeline.Stream[int]) pipeline.Stream[int] {
				return pipeline.Map(s, slow, pipeline.Workers(n), pipeline.ByKey(func(x int) int { return x % 10 }))
			})
			requireBound(t, most, func(s pipeline.Stream[int]) pipeline.Stream[int] {
				return pipeline.Filter(s, func(ctx context.Context, x int) (bool, error) {
					_, err := slow(ctx, x)
					return true, err
				}, pipeline.Workers(n))
			})
			flat := func(_ context.Context, x int) pipeline.Stream[int] {
				return pipeline.Map(pipeline.Of(x), slow)
			}
			requireBound(t, most, func(s pipeline.Stream[int]) pipeline.Stream[int] {
				return pipeline.FlatMap(s, flat, pipeline.Workers(n))
			})
			requireBound(t, most, func(s pipeline.Stream[int]) pipeline.Stream[int] {
				return pipeline.FlatMap(s, flat, pipeline.Workers(n), pipeline.Ordered())
			})
		})
	}
}

func TestOrderedWorkersAreNotFurtherAhead(t *testing.T) {
	for _, n := range []int{1, 4, 32} {
		for _, ahead := range []int{1, 2, 7, 64, 1000} {
			t.Run(fmt.Sprintf("n=%d/ahead=%d", n, ahead), func(t *testing.T) {
				for _, d := range []time.Duration{0, 100 * time.Millisecond} {
					peak := requireBound(t, int64(ahead)+1, func(s pipeline.Stream[int]) pipeline.Stream[int] {
						return pipeline.Map(s, func(_ context.Context, x int) (int, error) {
							time.Sleep(time.Duration(1+x%3) * d)
							return x, nil
						}, pipeline.Workers(n), pipeline.Ordered(), pipeline.Ahead(ahead))
					})
					assert.GreaterOrEqual(t, peak, int64(ahead)/2)
				}
			})
		}
	}
}

func TestOrderedIsAheadBy64WithoutAhead(t *testing.T) {
	for n, want := range map[int]int64{1: 64, 16: 64, 17: 68, 100: 400} {
		peak := requireBound(t, want+1, func(s pipeline.Stream[int]) pipeline.Stream[int] {
			return pipeline.Map(s, same, pipeline.Workers(n), pipeline.Ordered())
		})
		assert.GreaterOrEqual(t, peak, want-1)
	}
}

func TestBufferHoldsItsNumber(t *testing.T) {
	for _, k := range []int{1, 2, 3, 10, 1000} {
		peak := requireBound(t, int64(k)+2, func(s pipeline.Stream[int]) pipeline.Stream[int] {
			return pipeline.Buffer(s, k)
		})
		assert.GreaterOrEqual(t, peak, int64(k))
	}
}

func TestQuickCallsHaveAtMost4096ItemsUnderWay(t *testing.T) {
	for name, stage := range map[string]func(pipeline.Stream[int]) pipeline.Stream[int]{
		"1 worker":   func(s pipeline.Stream[int]) pipeline.Stream[int] { return pipeline.Map(s, same, pipeline.Workers(1)) },
		"4 workers":  func(s pipeline.Stream[int]) pipeline.Stream[int] { return pipeline.Map(s, same, pipeline.Workers(4)) },
		"99 workers": func(s pipeline.Stream[int]) pipeline.Stream[int] { return pipeline.Map(s, same, pipeline.Workers(99)) },
		"by key": func(s pipeline.Stream[int]) pipeline.Stream[int] {
			return pipeline.Map(s, same, pipeline.Workers(4), pipeline.ByKey(func(x int) int { return x }))
		},
		"flat map": func(s pipeline.Stream[int]) pipeline.Stream[int] {
			return pipeline.FlatMap(s, single, pipeline.Workers(4))
		},
		"ordered flat map": func(s pipeline.Stream[int]) pipeline.Stream[int] {
			return pipeline.FlatMap(s, single, pipeline.Workers(4), pipeline.Ordered())
		},
		"merge": func(s pipeline.Stream[int]) pipeline.Stream[int] { return pipeline.Merge(s) },
		"merge with": func(s pipeline.Stream[int]) pipeline.Stream[int] {
			return pipeline.Merge(s, pipeline.FromChan[int](nil))
		},
	} {
		t.Run(name, func(t *testing.T) { requireBound(t, 4096, stage) })
	}
}

func TestAStageWithoutWorkersHasTakenOne(t *testing.T) {
	requireBound(t, 0, func(s pipeline.Stream[int]) pipeline.Stream[int] {
		s = pipeline.Skip(pipeline.Map(pipeline.Tap(s, func(int) {}), same), 0)
		return pipeline.FlatMap(pipeline.Concat(pipeline.Take(s, math.MaxInt), s), single)
	})
}

func TestFirstAndTakeAskForNoMore(t *testing.T) {
	var taken atomic.Int64
	v, ok, err := pipeline.First(t.Context(), forever(&taken))
	require.NoError(t, err)
	assert.True(t, ok)
	assert.Zero(t, v)
	assert.EqualValues(t, 1, taken.Load())

	taken.Store(0)
	n, err := pipeline.Count(t.Context(), pipeline.Take(forever(&taken), 5))
	require.NoError(t, err)
	assert.Equal(t, 5, n)
	assert.EqualValues(t, 5, taken.Load())

	taken.Store(0)
	got, err := pipeline.Collect(t.Context(), pipeline.TakeWhile(forever(&taken), func(x int) bool { return x < 5 }))
	require.NoError(t, err)
	assert.Equal(t, []int{0, 1, 2, 3, 4}, got)
	assert.EqualValues(t, 6, taken.Load())

	taken.Store(0)
	got, err = pipeline.Collect(t.Context(), pipeline.Take(forever(&taken), 0))
	require.NoError(t, err)
	assert.Empty(t, got)
	assert.Zero(t, taken.Load())
}

// crossings are pipelines of n items that cross goroutines.
func crossings() map[string]func(n int) pipeline.Stream[int] {
	return map[string]func(n int) pipeline.Stream[int]{
		"fused": func(n int) pipeline.Stream[int] {
			even := func(_ context.Context, x int) (bool, error) { return x%2 == 0, nil }
			return pipeline.Scan(pipeline.Skip(pipeline.Tap(pipeline.Filter(pipeline.Map(numbers(n), same), even), func(int) {}), 3), 0, func(a, b int) int { return a ^ b })
		},
		"workers": func(n int) pipeline.Stream[int] { return pipeline.Map(numbers(n), same, pipeline.Workers(4)) },
		"ordered": func(n int) pipeline.Stream[int] {
			return pipeline.Map(numbers(n), same, pipeline.Workers(4), pipeline.Ordered())
		},
		"filter": func(n int) pipeline.Stream[int] {
			return pipeline.Filter(numbers(n), func(_ context.Context, x int) (bool, error) { return x%2 == 0, nil }, pipeline.Workers(4))
		},
		"by key": func(n int) pipeline.Stream[int] {
			return pipeline.Map(numbers(n), same, pipeline.Workers(4), pipeline.ByKey(func(x int) int { return x }))
		},
		"buffer": func(n int) pipeline.Stream[int] { return pipeline.Buffer(numbers(n), 100) },
		"merge":  func(n int) pipeline.Stream[int] { return pipeline.Merge(numbers(n/2), numbers(n/2)) },
		"zip": func(n int) pipeline.Stream[int] {
			return pipeline.Zip(numbers(n), numbers(n), func(a, b int) int { return a + b })
		},
		"distinct": func(n int) pipeline.Stream[int] {
			return pipeline.Distinct(numbers(n), func(x int) int { return x }, 100)
		},
	}
}

func TestNoItemIsAllocated(t *testing.T) {
	few, many := 20_000, 120_000
	if testing.Short() || underRace() {
		few, many = 5_000, 25_000
	}
	mallocs := func(s pipeline.Stream[int]) float64 {
		least := math.Inf(1)
		for range 3 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			require.NoError(t, pipeline.Run(t.Context(), s))
			runtime.ReadMemStats(&after)
			least = min(least, float64(after.Mallocs-before.Mallocs))
		}
		return least
	}
	for name, stream := range crossings() {
		t.Run(name, func(t *testing.T) {
			assert.Less(t, (mallocs(stream(many))-mallocs(stream(few)))/float64(many-few), 0.01)
		})
	}
	t.Run("foreach", func(t *testing.T) {
		for _, opts := range [][]pipeline.Option{nil, {pipeline.Workers(4)}, {pipeline.Workers(4), pipeline.Ordered()}} {
			sink := func(n int) float64 {
				return testing.AllocsPerRun(1, func() {
					require.NoError(t, pipeline.ForEach(t.Context(), numbers(n), func(context.Context, int) error { return nil }, opts...))
				})
			}
			assert.Less(t, (sink(many)-sink(few))/float64(many-few), 0.01)
		}
	})
}

// heapOf is what is in use, without garbage.
func heapOf() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // it fits
}

// requireSteady uses s and fails if memory or goroutines grow.
func requireSteady(t *testing.T, ctx context.Context, n int, s pipeline.Stream[int]) {
	t.Helper()
	var heap []int64
	var goroutines []int
	i := 0
	for _, err := range s.All(ctx) {
		require.NoError(t, err)
		if i++; i%(n/10) == 0 {
			heap = append(heap, heapOf())
			goroutines = append(goroutines, runtime.NumGoroutine())
		}
	}
	require.GreaterOrEqual(t, len(heap), 4)
	// What is there at first may be more or less, by as much as is under way.
	half := len(heap) / 2
	assert.Less(t, slices.Max(heap[half:])-slices.Max(heap[:half]), int64(300_000), "the heap grows: %v", heap)
	assert.LessOrEqual(t, slices.Max(goroutines), goroutines[0]+2, "there are more and more goroutines")
}

func TestMemoryDoesNotGrowWithTheLength(t *testing.T) {
	n := 1_000_000
	if testing.Short() || underRace() {
		n = 40_000
	}
	for name, stream := range crossings() {
		t.Run(name, func(t *testing.T) { requireSteady(t, t.Context(), n, stream(n)) })
	}
}

func TestMemoryDoesNotGrowWhileWorkersAreBusy(t *testing.T) {
	n := 100_000
	if testing.Short() || underRace() {
		n = 20_000
	}
	for name, opts := range map[string][]pipeline.Option{
		"unordered": {pipeline.Workers(4)},
		"ordered":   {pipeline.Workers(4), pipeline.Ordered()},
		"by key":    {pipeline.Workers(4), pipeline.ByKey(func(x int) int { return x })},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				requireSteady(t, t.Context(), n, pipeline.Map(numbers(n), func(_ context.Context, x int) (int, error) {
					time.Sleep(time.Duration(1+x%3) * time.Millisecond)
					return x, nil
				}, opts...))
			})
		})
	}
}
