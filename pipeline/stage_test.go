package pipeline_test

import (
	"context"
	"errors"
	"io"
	"math"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/pipeline"
)

func TestMapPureAndTry(t *testing.T) {
	requireItems(t, pipeline.Map(numbers(3), pipeline.Pure(strconv.Itoa)), "0", "1", "2")
	requireItems(t, pipeline.Map(pipeline.Of("1", "2"), pipeline.Try(strconv.Atoi)), 1, 2)
	got, err := pipeline.Collect(t.Context(), pipeline.Map(pipeline.Of("1", "x", "2"), pipeline.Try(strconv.Atoi)))
	require.ErrorIs(t, err, strconv.ErrSyntax)
	assert.Equal(t, []int{1}, got)
}

func TestFilter(t *testing.T) {
	s := pipeline.Filter(numbers(6), func(_ context.Context, x int) (bool, error) {
		if x == 5 {
			return true, errKill
		}
		return x%2 == 0, nil
	})
	got, err := pipeline.Collect(t.Context(), s)
	assert.Equal(t, errKill, err)
	assert.Equal(t, []int{0, 2, 4}, got)
}

func TestFlatMap(t *testing.T) {
	up := func(_ context.Context, x int) pipeline.Stream[int] { return numbers(x) }
	requireItems(t, pipeline.FlatMap(numbers(4), up), 0, 0, 1, 0, 1, 2)
	requireItems(t, pipeline.FlatMap(numbers(4), up, pipeline.Workers(3), pipeline.Ordered()), 0, 0, 1, 0, 1, 2)
	requireItems(t, pipeline.Take(pipeline.FlatMap(numbers(math.MaxInt), up), 4), 0, 0, 1, 0)
	got, err := pipeline.Collect(t.Context(), pipeline.FlatMap(pipeline.Of(1, 2), func(context.Context, int) pipeline.Stream[int] { return until5() }))
	requireFive(t, err)
	assert.Equal(t, []int{0, 1, 2, 3, 4}, got)
}

func TestFlatMapUsesSeveralStreamsAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		opts []pipeline.Option
		want time.Duration
	}{
		"sequential": {nil, 30 * time.Second},
		"unordered":  {[]pipeline.Option{pipeline.Workers(3)}, 10 * time.Second},
		"ordered":    {[]pipeline.Option{pipeline.Workers(3), pipeline.Ordered()}, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				var streams peak
				n, err := pipeline.Count(t.Context(), pipeline.FlatMap(numbers(30), func(_ context.Context, x int) pipeline.Stream[int] {
					return pipeline.Generate(func(_ context.Context, emit func(int) bool) error {
						defer streams.enter()()
						time.Sleep(time.Second)
						emit(x)
						return nil
					})
				}, c.opts...))
				require.NoError(t, err)
				assert.Equal(t, 30, n)
				assert.Equal(t, c.want, time.Since(start))
				assert.LessOrEqual(t, streams.most.Load(), int64(3))
			})
		})
	}
}

func TestStagesThatCount(t *testing.T) {
	var seen []int
	requireItems(t, pipeline.Tap(numbers(3), func(x int) { seen = append(seen, x) }), 0, 1, 2)
	assert.Equal(t, []int{0, 1, 2}, seen)
	requireItems(t, pipeline.Take(numbers(3), 5), 0, 1, 2)
	requireItems(t, pipeline.Skip(numbers(3), 1), 1, 2)
	requireItems(t, pipeline.Skip(numbers(3), 3))
	requireItems(t, pipeline.Skip(numbers(3), 0), 0, 1, 2)
	requireItems(t, pipeline.SkipWhile(pipeline.Of(1, 2, 3, 1), func(x int) bool { return x < 3 }), 3, 1)
	requireItems(t, pipeline.TakeWhile(pipeline.Of(1, 2, 3, 1), func(x int) bool { return x < 3 }), 1, 2)
	requireItems(t, pipeline.Scan(pipeline.Of(1, 2, 3), "", func(s string, x int) string { return s + strconv.Itoa(x) }), "1", "12", "123")
	requireItems(t, pipeline.Concat(pipeline.Of(1), pipeline.Of[int](), pipeline.Of(2, 3)), 1, 2, 3)
	requireItems(t, pipeline.Concat[int]())
	requireItems(t, pipeline.Merge[int]())
	requireItems(t, pipeline.Merge(pipeline.Of(1, 2)), 1, 2)
}

func TestSkipWhileDoesNotAskAgain(t *testing.T) {
	calls := 0
	requireItems(t, pipeline.SkipWhile(numbers(5), func(x int) bool {
		calls++
		return x < 2
	}), 2, 3, 4)
	assert.Equal(t, 3, calls)
}

func TestTakePassesErrorsOnBeforeTheLast(t *testing.T) {
	s := pipeline.FromSeq2(func(yield func(int, error) bool) {
		_ = yield(0, io.EOF) && yield(1, nil) && yield(0, io.EOF) && yield(2, nil) && yield(0, io.ErrClosedPipe)
	})
	errs := 0
	got, err := pipeline.Collect(t.Context(), pipeline.Recover(pipeline.Take(s, 2), func(err error) error {
		errs++
		assert.Equal(t, io.EOF, err)
		return nil
	}))
	require.NoError(t, err)
	assert.Equal(t, []int{1, 2}, got)
	assert.Equal(t, 2, errs)
}

func TestDistinctForgets(t *testing.T) {
	id := func(x int) int { return x }
	requireItems(t, pipeline.Distinct(pipeline.Of(1, 1, 2, 1, 2), id, 10), 1, 2)
	// With 1 and 2 in mind, 3 replaces 1, which was not renewed when it came again.
	requireItems(t, pipeline.Distinct(pipeline.Of(1, 2, 1, 3, 2, 1, 3), id, 2), 1, 2, 3, 1)
	requireItems(t, pipeline.Distinct(pipeline.Of(1, 1, 2, 2, 1), id, 1), 1, 2, 1)
	requireItems(t, pipeline.Distinct(pipeline.Of("a", "bb", "c"), func(s string) int { return len(s) }, 9), "a", "bb")
}

func TestZip(t *testing.T) {
	pair := func(a int, b string) string { return strconv.Itoa(a) + b }
	requireItems(t, pipeline.Zip(numbers(9), pipeline.Of("a", "b"), pair), "0a", "1b")
	requireItems(t, pipeline.Zip(numbers(1), pipeline.Of("a", "b"), pair), "0a")
	requireItems(t, pipeline.Zip(numbers(0), pipeline.Of("a", "b"), pair))
	requireItems(t, pipeline.Zip(numbers(5), pipeline.Of[string](), pair))
	// The coroutine of the second ends with the first.
	ended := false
	endless := pipeline.FromSeq(func(yield func(string) bool) {
		defer func() { ended = true }()
		for yield("x") {
		}
	})
	requireItems(t, pipeline.Zip(numbers(2), endless, pair), "0x", "1x")
	assert.True(t, ended)
}

func TestErrorsDoNotShiftWhatIsZipped(t *testing.T) {
	odd := func(_ context.Context, x int) (int, error) {
		if x%3 == 1 {
			return 0, errKill
		}
		return x, nil
	}
	errs := 0
	s := pipeline.Zip(pipeline.Map(numbers(6), odd), pipeline.Map(pipeline.Skip(numbers(20), 1), odd), func(a, b int) [2]int { return [2]int{a, b} })
	requireItems(t, pipeline.Recover(s, func(error) error { errs++; return nil }), [][2]int{{0, 2}, {2, 3}, {3, 5}, {5, 6}}...)
	assert.Equal(t, 4, errs)
}

func TestChunk(t *testing.T) {
	requireItems(t, pipeline.Chunk(numbers(5), 2), []int{0, 1}, []int{2, 3}, []int{4})
	requireItems(t, pipeline.Chunk(numbers(4), 2), []int{0, 1}, []int{2, 3})
	requireItems(t, pipeline.Chunk(numbers(0), 2))
	got, err := pipeline.Collect(t.Context(), pipeline.Chunk(until5(), 3))
	requireFive(t, err)
	require.Equal(t, [][]int{{0, 1, 2}, {3, 4}}, got)
	// No two share memory.
	first := append(got[0], 99) //nolint:gocritic // that is the point
	got[0][2] = 98
	assert.Equal(t, []int{3, 4}, got[1])
	assert.Equal(t, 99, first[3])
}

func TestBufferLetsBothSidesRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		slow := pipeline.Tap(numbers(10), func(int) { time.Sleep(time.Second) })
		require.NoError(t, pipeline.ForEach(t.Context(), pipeline.Buffer(slow, 1), func(context.Context, int) error {
			time.Sleep(time.Second)
			return nil
		}))
		assert.Equal(t, 11*time.Second, time.Since(start))
	})
}

func TestBufferSmoothsABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		source := pipeline.Tap(numbers(100), func(x int) {
			if x%10 == 0 {
				time.Sleep(10 * time.Second)
			}
		})
		require.NoError(t, pipeline.ForEach(t.Context(), pipeline.Buffer(source, 10), func(context.Context, int) error {
			time.Sleep(time.Second)
			return nil
		}))
		assert.LessOrEqual(t, time.Since(start), 111*time.Second)
	})
}

func TestMergeKeepsTheOrderOfEach(t *testing.T) {
	for _, slow := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var ss []pipeline.Stream[[2]int]
			for i := range 5 {
				ss = append(ss, pipeline.Map(numbers(2000), func(_ context.Context, x int) ([2]int, error) {
					if slow && x%10 == 0 {
						time.Sleep(time.Duration(1+(x+i)%7) * time.Second)
					}
					return [2]int{i, x}, nil
				}))
			}
			var next [5]int
			for v, err := range pipeline.Merge(ss...).All(t.Context()) {
				require.NoError(t, err)
				require.Equal(t, next[v[0]], v[1])
				next[v[0]]++
			}
			assert.Equal(t, [5]int{2000, 2000, 2000, 2000, 2000}, next)
		})
	}
}

func TestMergeDeliversWhatComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		after := func(d time.Duration, x int) pipeline.Stream[int] {
			return pipeline.Tap(pipeline.Of(x), func(int) { time.Sleep(d) })
		}
		requireItems(t, pipeline.Merge(after(3*time.Second, 3), after(time.Second, 1), after(2*time.Second, 2)), 1, 2, 3)
	})
}

func TestAnErrorHoldsUpOnlyItsOwnStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, handled := 0, false
		bad := pipeline.Generate(func(_ context.Context, emit func(int) bool) error { return errKill })
		bad = pipeline.Concat(bad, pipeline.Tap(numbers(1), func(int) {
			begun++
			assert.True(t, handled, "its stream goes on before the error is handled")
		}))
		good := pipeline.Tap(numbers(10), func(int) { time.Sleep(time.Second) })
		start := time.Now()
		n := 0
		s := pipeline.Recover(pipeline.Merge(bad, good), func(err error) error {
			assert.Equal(t, errKill, err)
			time.Sleep(5 * time.Second) // the other goes on
			handled = true
			return nil
		})
		for _, err := range s.All(t.Context()) {
			require.NoError(t, err)
			n++
		}
		assert.Equal(t, 11, n)
		assert.Equal(t, 1, begun)
		assert.LessOrEqual(t, time.Since(start), 14*time.Second)
	})
}

// What comes behind an error waits until that has been handled.
func TestWhatIsBehindAnErrorWaits(t *testing.T) {
	for name, stage := range map[string]func(pipeline.Stream[int]) pipeline.Stream[int]{
		"fused":   func(s pipeline.Stream[int]) pipeline.Stream[int] { return s },
		"buffer":  func(s pipeline.Stream[int]) pipeline.Stream[int] { return pipeline.Buffer(s, 10) },
		"merge":   func(s pipeline.Stream[int]) pipeline.Stream[int] { return pipeline.Merge(s) },
		"workers": func(s pipeline.Stream[int]) pipeline.Stream[int] { return pipeline.Map(s, same, pipeline.Workers(3)) },
		"ordered": func(s pipeline.Stream[int]) pipeline.Stream[int] {
			return pipeline.Map(s, same, pipeline.Workers(3), pipeline.Ordered())
		},
		"flat map": func(s pipeline.Stream[int]) pipeline.Stream[int] {
			return pipeline.FlatMap(s, single, pipeline.Workers(3))
		},
		"in order": func(s pipeline.Stream[int]) pipeline.Stream[int] {
			return pipeline.FlatMap(s, single, pipeline.Workers(3), pipeline.Ordered())
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				taken := 0
				s := stage(pipeline.FromSeq2(func(yield func(int, error) bool) {
					for i := range 100 {
						var err error
						if i == 50 {
							err = errors.New("bad")
						}
						if taken++; !yield(i, err) {
							return
						}
					}
				}))
				n := 0
				for _, err := range s(t.Context()) {
					if n++; err != nil {
						synctest.Wait()
						assert.Equal(t, 51, taken)
					}
				}
				assert.Equal(t, 100, n)
			})
		})
	}
}
