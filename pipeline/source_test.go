package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
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

// requireItems fails unless s has these items, and no error.
func requireItems[T any](t *testing.T, s pipeline.Stream[T], want ...T) {
	t.Helper()
	got, err := pipeline.Collect(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestSourcesOfGivenItems(t *testing.T) {
	items := []int{3, 1, 2}
	for range 2 { // each may be used again
		requireItems(t, pipeline.Of(3, 1, 2), 3, 1, 2)
		requireItems(t, pipeline.FromSlice(items), 3, 1, 2)
		requireItems(t, pipeline.FromSeq(slices.Values(items)), 3, 1, 2)
	}
	requireItems(t, pipeline.Of[int]())
	requireItems(t, pipeline.FromSlice[int](nil))
	s := pipeline.FromSlice(items)
	items[0] = 4 // it is not copied
	requireItems(t, s, 4, 1, 2)
}

func TestFromSeq2PassesErrorsOn(t *testing.T) {
	s := pipeline.FromSeq2(func(yield func(int, error) bool) {
		_ = yield(1, nil) && yield(2, io.EOF) && yield(3, nil)
	})
	got, err := pipeline.Collect(t.Context(), s)
	assert.Equal(t, io.EOF, err)
	assert.Equal(t, []int{1}, got)
	requireItems(t, pipeline.Recover(s, func(error) error { return nil }), 1, 3)
}

func TestFromChan(t *testing.T) {
	ch := make(chan int, 5)
	for i := range 5 {
		ch <- i
	}
	close(ch)
	s := pipeline.FromChan(ch)
	requireItems(t, pipeline.Take(s, 2), 0, 1)
	requireItems(t, s, 2, 3, 4) // what is left
	requireItems(t, s)
}

func TestFromChanOfNilWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		require.ErrorIs(t, pipeline.Run(ctx, pipeline.FromChan[int](nil)), context.DeadlineExceeded)
	})
}

func TestGenerate(t *testing.T) {
	calls := 0
	var emitted []bool
	s := pipeline.Generate(func(_ context.Context, emit func(int) bool) error {
		calls++
		for i := range 3 {
			emitted = append(emitted, emit(i))
		}
		return errKill
	})
	assert.Zero(t, calls, "before it is used")
	got, err := pipeline.Collect(t.Context(), s)
	assert.Equal(t, errKill, err)
	assert.Equal(t, []int{0, 1, 2}, got)
	assert.Equal(t, []bool{true, true, true}, emitted)

	emitted = nil
	// The error is that of a function of which nobody wants more.
	requireItems(t, pipeline.Take(s, 2), 0, 1)
	assert.Equal(t, []bool{true, false, false}, emitted, "even if it does not stop")
	assert.Equal(t, 2, calls)
}

func TestGenerateInWorkers(t *testing.T) {
	var wanted atomic.Int64
	s := pipeline.Generate(func(ctx context.Context, emit func(int) bool) error {
		for i := 0; emit(i); i++ {
			wanted.Add(1)
		}
		assert.Error(t, ctx.Err(), "it has ended when nobody wants more")
		return errKill
	})
	requireItems(t, pipeline.Take(pipeline.Map(s, same, pipeline.Workers(3), pipeline.Ordered()), 3), 0, 1, 2)
	assert.GreaterOrEqual(t, wanted.Load(), int64(2), "all but the last, which may come as that is known")
}

func TestTicksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := pipeline.Ticks(time.Second)
		for range 2 {
			var at []time.Duration
			for v, err := range pipeline.Take(s, 3).All(t.Context()) {
				require.NoError(t, err)
				assert.Equal(t, v, time.Now())
				at = append(at, time.Since(start))
			}
			assert.Equal(t, []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}, at)
			start = time.Now()
		}
	})
}

func TestTicksMissesSomeIfTheConsumerIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		start := time.Now()
		for _, err := range pipeline.Ticks(time.Second).All(t.Context()) {
			require.NoError(t, err)
			if time.Sleep(10 * time.Second); time.Since(start) > 100*time.Second {
				break
			}
			n++
		}
		assert.LessOrEqual(t, n, 11)
	})
}

func TestNothingHappensBeforeTheSinkIsCalled(t *testing.T) {
	calls := 0
	f := func(_ context.Context, x int) (int, error) {
		calls++
		return x, nil
	}
	s := pipeline.Generate(func(_ context.Context, emit func(int) bool) error {
		calls++
		emit(1)
		return nil
	})
	s = pipeline.Map(pipeline.Map(s, f), f, pipeline.Workers(1))
	s = pipeline.Merge(pipeline.Buffer(pipeline.Map(s, f), 3))
	s = pipeline.FlatMap(s, func(_ context.Context, x int) pipeline.Stream[int] {
		calls++
		return pipeline.Of(x)
	}, pipeline.Workers(1))
	s = pipeline.Zip(s, s, func(a, b int) int { return a + b })
	all := s.All(t.Context())
	assert.Zero(t, calls)
	for x, err := range all {
		require.NoError(t, err)
		assert.Equal(t, 2, x)
	}
	assert.Equal(t, 10, calls)
}

func TestAStreamBeginsAnewEachTime(t *testing.T) {
	even := func(_ context.Context, x int) (bool, error) { return x%2 == 0, nil }
	for name, s := range map[string]pipeline.Stream[int]{
		"skip":       pipeline.Skip(numbers(20), 10),
		"take":       pipeline.Take(numbers(20), 10),
		"skip while": pipeline.SkipWhile(numbers(20), func(x int) bool { return x%10 != 9 }),
		"take while": pipeline.TakeWhile(numbers(20), func(x int) bool { return x%10 != 9 }),
		"scan":       pipeline.Scan(numbers(20), 0, func(a, b int) int { return a + b }),
		"distinct":   pipeline.Distinct(numbers(20), func(x int) int { return x % 3 }, 3),
		"concat":     pipeline.Concat(numbers(3), numbers(3)),
		"zip":        pipeline.Zip(numbers(20), pipeline.Skip(numbers(20), 5), func(a, b int) int { return a * b }),
		"ordered":    pipeline.Filter(numbers(20), even, pipeline.Workers(3), pipeline.Ordered()),
		"flat map":   pipeline.FlatMap(numbers(20), func(_ context.Context, x int) pipeline.Stream[int] { return numbers(x) }, pipeline.Workers(3), pipeline.Ordered()),
		"buffer":     pipeline.Buffer(numbers(20), 3),
		"by key":     pipeline.Map(numbers(20), same, pipeline.Workers(3), pipeline.Ordered(), pipeline.ByKey(func(x int) int { return x })),
		"chunk":      pipeline.Map(pipeline.Chunk(numbers(20), 3), pipeline.Pure(func(xs []int) int { return len(xs) })),
	} {
		t.Run(name, func(t *testing.T) {
			want, err := pipeline.Collect(t.Context(), s)
			require.NoError(t, err)
			require.NotEmpty(t, want)
			requireItems(t, s, want...)
			_, _, err = pipeline.First(t.Context(), s) // and left
			require.NoError(t, err)
			requireItems(t, s, want...)
			// By several at the same time.
			errs := make(chan error)
			for range 4 {
				go func() {
					got, err := pipeline.Collect(context.WithoutCancel(t.Context()), s)
					if !slices.Equal(want, got) {
						err = errors.Join(err, errors.New("not the same"))
					}
					errs <- err
				}()
			}
			for range 4 {
				assert.NoError(t, <-errs)
			}
		})
	}
}

func TestMistakesPanicAtConstruction(t *testing.T) {
	s := numbers(3)
	var none pipeline.Stream[int]
	type ctx = context.Context
	keep := func(ctx, int) (bool, error) { return true, nil }
	each := func(ctx, int) error { return nil }
	add := func(a, b int) int { return a + b }
	sum := func(_ ctx, a, b int) (int, error) { return a + b, nil }
	key := pipeline.ByKey(func(x int) int { return x })
	other := pipeline.ByKey(func(x string) string { return x })
	two := pipeline.Workers(2)
	background := t.Context()
	for name, f := range map[string]func(){
		"Workers(0)":                func() { pipeline.Workers(0) },
		"Workers(-1)":               func() { pipeline.Workers(-1) },
		"Ahead(0)":                  func() { pipeline.Ahead(0) },
		"ByKey(nil)":                func() { pipeline.ByKey[int, int](nil) },
		"Ticks(0)":                  func() { pipeline.Ticks(0) },
		"Ticks(-1)":                 func() { pipeline.Ticks(-1) },
		"FromSeq(nil)":              func() { pipeline.FromSeq[int](nil) },
		"FromSeq2(nil)":             func() { pipeline.FromSeq2[int](nil) },
		"Until(nil)":                func() { pipeline.Until(background, none) },
		"Until(nil context)":        func() { pipeline.Until(nil, s) }, //nolint:staticcheck // that is the mistake
		"Generate(nil)":             func() { pipeline.Generate[int](nil) },
		"Pure(nil)":                 func() { pipeline.Pure[int, int](nil) },
		"Try(nil)":                  func() { pipeline.Try[int, int](nil) },
		"SkipErrors(nil)":           func() { pipeline.SkipErrors[int, int](nil, nil) },
		"Map(nil stream)":           func() { pipeline.Map(none, same) },
		"Map(nil)":                  func() { pipeline.Map[int, int](s, nil) },
		"Map(nil, Workers)":         func() { pipeline.Map[int, int](s, nil, two) },
		"Map(Ordered)":              func() { pipeline.Map(s, same, pipeline.Ordered()) },
		"Map(Ahead)":                func() { pipeline.Map(s, same, pipeline.Ahead(3)) },
		"Map(ByKey)":                func() { pipeline.Map(s, same, key) },
		"Map(ByKey of another)":     func() { pipeline.Map(s, same, two, other) },
		"Filter(nil)":               func() { pipeline.Filter(s, nil) },
		"Filter(nil stream)":        func() { pipeline.Filter(none, keep) },
		"Filter(Ordered)":           func() { pipeline.Filter(s, keep, pipeline.Ordered()) },
		"Filter(ByKey of another)":  func() { pipeline.Filter(s, keep, two, other) },
		"FlatMap(nil)":              func() { pipeline.FlatMap[int, int](s, nil) },
		"FlatMap(nil stream)":       func() { pipeline.FlatMap(none, single) },
		"FlatMap(Ordered)":          func() { pipeline.FlatMap(s, single, pipeline.Ordered()) },
		"FlatMap(ByKey)":            func() { pipeline.FlatMap(s, single, two, key) },
		"FlatMap(Ahead)":            func() { pipeline.FlatMap(s, single, two, pipeline.Ordered(), pipeline.Ahead(3)) },
		"Tap(nil)":                  func() { pipeline.Tap(s, nil) },
		"Take(-1)":                  func() { pipeline.Take(s, -1) },
		"Take(nil)":                 func() { pipeline.Take(none, 1) },
		"Skip(-1)":                  func() { pipeline.Skip(s, -1) },
		"Skip(nil)":                 func() { pipeline.Skip(none, 1) },
		"TakeWhile(nil)":            func() { pipeline.TakeWhile(s, nil) },
		"SkipWhile(nil)":            func() { pipeline.SkipWhile(s, nil) },
		"Distinct(nil)":             func() { pipeline.Distinct[int, int](s, nil, 1) },
		"Distinct(0)":               func() { pipeline.Distinct(s, func(x int) int { return x }, 0) },
		"Scan(nil)":                 func() { pipeline.Scan[int](s, 0, nil) },
		"Concat(nil)":               func() { pipeline.Concat(s, nil) },
		"Zip(nil)":                  func() { pipeline.Zip[int, int, int](s, s, nil) },
		"Zip(nil a)":                func() { pipeline.Zip(none, s, add) },
		"Zip(nil b)":                func() { pipeline.Zip(s, none, add) },
		"Chunk(0)":                  func() { pipeline.Chunk(s, 0) },
		"Chunk(nil)":                func() { pipeline.Chunk(none, 1) },
		"Buffer(0)":                 func() { pipeline.Buffer(s, 0) },
		"Buffer(nil)":               func() { pipeline.Buffer(none, 1) },
		"Merge(nil)":                func() { pipeline.Merge(s, nil) },
		"Recover(nil)":              func() { pipeline.Recover(s, nil) },
		"Recover(nil stream)":       func() { pipeline.Recover(none, func(err error) error { return err }) },
		"Into(nil)":                 func() { pipeline.Into[int](nil) },
		"Into(Ordered)":             func() { pipeline.Into(each, pipeline.Ordered()) },
		"Into(ByKey of another)":    func() { pipeline.Into(each, two, other) },
		"ForEach(nil)":              func() { assert.NoError(t, pipeline.ForEach(background, s, nil)) },
		"ForEach(nil stream)":       func() { assert.NoError(t, pipeline.ForEach(background, none, each)) },
		"ForEach(Ordered)":          func() { assert.NoError(t, pipeline.ForEach(background, s, each, pipeline.Ordered())) },
		"ForEach(ByKey of another)": func() { assert.NoError(t, pipeline.ForEach(background, s, each, two, other)) },
		"Reduce(nil)":               func() { _, _, _ = pipeline.Reduce(background, s, nil) },
		"Reduce(nil stream)":        func() { _, _, _ = pipeline.Reduce(background, none, sum) },
		"Fold(nil)":                 func() { _, _ = pipeline.Fold[int](background, s, 0, nil) },
		"Fold(nil stream)":          func() { _, _ = pipeline.Fold(background, none, 0, add) },
		"Run(nil)":                  func() { assert.NoError(t, pipeline.Run(background, none)) },
		"Count(nil)":                func() { _, _ = pipeline.Count(background, none) },
		"Collect(nil)":              func() { _, _ = pipeline.Collect(background, none) },
		"First(nil)":                func() { _, _, _ = pipeline.First(background, none) },
		"Chan(nil)":                 func() { pipeline.Chan(background, none) },
		"All(nil)":                  func() { none.All(background) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				v, _ := recover().(string)
				assert.Regexp(t, "^pipeline: ", v)
			}()
			f()
		})
	}
}

func TestFromSeq2OfAValueWithAnError(t *testing.T) {
	s := pipeline.FromSeq2(func(yield func(int, error) bool) { _ = yield(1, nil) && yield(2, errKill) })
	for v, err := range s(t.Context()) {
		if err != nil {
			assert.Equal(t, errKill, err)
			assert.Zero(t, v, "only the error is passed on")
		} else {
			assert.Equal(t, 1, v)
		}
	}
}

// What has come goes on through the stages when stop ends.
func TestUntilLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, count := range map[string]func(context.Context, pipeline.Stream[int]) (int, error){
			"fused": pipeline.Count[int],
			"batch": func(ctx context.Context, s pipeline.Stream[int]) (int, error) {
				return pipeline.Fold(ctx, pipeline.Batch(s, 100, time.Hour), 0, func(n int, b []int) int { return n + len(b) })
			},
			"window": func(ctx context.Context, s pipeline.Stream[int]) (int, error) {
				return pipeline.Fold(ctx, pipeline.Window(s, time.Hour), 0, func(n int, w pipeline.Windowed[int]) int { return n + len(w.Items) })
			},
			"workers": func(ctx context.Context, s pipeline.Stream[int]) (int, error) {
				return pipeline.Count(ctx, pipeline.Map(s, func(ctx context.Context, x int) (int, error) {
					return x, stay(ctx, 10*time.Second) // begins before the end, and ends after it
				}, pipeline.Workers(3), pipeline.Ordered()))
			},
			"buffer": func(ctx context.Context, s pipeline.Stream[int]) (int, error) {
				return pipeline.Count(ctx, pipeline.Tap(pipeline.Buffer(s, 5), func(int) { time.Sleep(time.Minute) }))
			},
		} {
			before := runtime.NumGoroutine()
			stop, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
			ch := make(chan int)
			sent := 0
			done := make(chan struct{})
			go func() {
				defer close(done)
				for pipeline.Send(stop, ch, sent) == nil {
					sent++
					time.Sleep(time.Second)
				}
			}()
			n, err := count(context.WithoutCancel(stop), pipeline.Until(stop, pipeline.FromChan(ch)))
			require.NoError(t, err, name)
			<-done
			assert.Positive(t, n, name)
			assert.Equal(t, sent, n, name)
			cancel()
			requireJoined(t, before)
		}
	})
}

func TestUntilEndsWhateverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, s := range map[string]pipeline.Stream[int]{
			"channel": pipeline.FromChan(make(chan int)),
			"ticks":   pipeline.Map(pipeline.Ticks(time.Hour), func(context.Context, time.Time) (int, error) { return 0, nil }),
			"generate": pipeline.Generate(func(ctx context.Context, _ func(int) bool) error {
				<-ctx.Done()
				return ctx.Err()
			}),
			"source that does not tell": func(ctx context.Context) iter.Seq2[int, error] {
				return func(func(int, error) bool) { <-ctx.Done() }
			},
			"stage": pipeline.Buffer(pipeline.Map(pipeline.FromChan(make(chan int)), same, pipeline.Workers(2)), 2),
		} {
			before := runtime.NumGoroutine()
			start := time.Now()
			stop, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errCause)
			got, err := pipeline.Collect(t.Context(), pipeline.Until(stop, s))
			require.NoError(t, err, name)
			assert.Empty(t, got, name)
			assert.Equal(t, time.Minute, time.Since(start), name)
			cancel()
			requireJoined(t, before)
		}
	})
}

func TestUntilOfWhatHasEnded(t *testing.T) {
	stop, cancel := context.WithCancel(t.Context())
	cancel()
	var taken atomic.Int64
	requireItems(t, pipeline.Until(stop, forever(&taken)))
	assert.Zero(t, taken.Load())
	requireItems(t, pipeline.Until(t.Context(), numbers(3)), 0, 1, 2) // which ends by itself
}

// The end of the sink's own context is no end of the stream.
func TestUntilOfASinkWhoseContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, s := range []pipeline.Stream[int]{
			pipeline.Until(t.Context(), pipeline.FromChan[int](nil)),
			pipeline.Until(t.Context(), arriving(every(time.Second, 1000), time.Hour)),
			pipeline.Buffer(pipeline.Until(t.Context(), pipeline.FromChan[int](nil)), 1),
		} {
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errCause)
			requireCause(t, pipeline.Run(ctx, s), context.DeadlineExceeded)
			cancel()
		}
	})
}

// A context that ends within the stream ends what uses that, at once.
func TestUntilOfAContextWithinThatEnds(t *testing.T) {
	for name, inner := range map[string]pipeline.Stream[int]{
		"generate": pipeline.Generate(func(_ context.Context, emit func(int) bool) error { emit(1); emit(2); return nil }),
		"seq":      numbers(3),
		"seq2":     pipeline.FromSeq2(func(yield func(int, error) bool) { _ = yield(1, nil) && yield(2, nil) }),
	} {
		requireItems(t, pipeline.Until(t.Context(), pipeline.Map(pipeline.Of(1), func(ctx context.Context, _ int) (int, error) {
			ctx, cancel := context.WithCancelCause(ctx)
			cancel(errCause)
			got, err := pipeline.Collect(ctx, inner)
			require.ErrorIs(t, err, errCause, name)
			assert.Empty(t, got, name)
			return 7, nil
		})), 7)
	}
}

// The sink's own context counts also where stop has ended.
func TestUntilWhereBothHaveEnded(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errCause)
	requireCause(t, pipeline.Run(ctx, pipeline.Until(ctx, pipeline.Of(1))), context.Canceled)
}

func TestUntilPassesErrorsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := fmt.Errorf("of another context: %w", context.Canceled)
		all := []coming{{0, 1, nil}, {time.Second, 0, err}, {2 * time.Second, 0, errKill}, {3 * time.Second, 2, nil}}
		got := watch(t.Context(), pipeline.Until(stop, arriving(all, time.Hour)))
		assert.Equal(t, []passed[int]{{0, 1, nil}, {time.Second, 0, err}, {2 * time.Second, 0, errKill}, {3 * time.Second, 2, nil}}, got)

		// One that comes of the end of stop, but is more than that.
		broken := func(ctx context.Context) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				<-ctx.Done()
				yield(0, errKill)
			}
		}
		again, cancelAgain := context.WithTimeout(t.Context(), time.Minute)
		defer cancelAgain()
		require.Equal(t, errKill, pipeline.Run(t.Context(), pipeline.Until(again, broken)))
	})
}

func TestUntilIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := runtime.NumGoroutine()
		stop, cancel := context.WithCancel(t.Context())
		defer cancel()
		requireItems(t, pipeline.Take(pipeline.Until(stop, numbers(10)), 2), 0, 1)
		for range pipeline.Until(stop, numbers(10)).All(t.Context()) {
			cancel() // while an item is used
			break
		}
		requireJoined(t, before)
	})
}

// A source that has taken an item when stop ends can still pass it on, and
// learns then that nobody wants more.
func TestUntilOfASourceThatEmitsWhileItStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, source := range map[string]func(func(int) bool) pipeline.Stream[int]{
			"generate": func(last func(int) bool) pipeline.Stream[int] {
				return pipeline.Generate(func(_ context.Context, emit func(int) bool) error {
					for i := 0; emit(i) && last(i); i++ {
					}
					return nil
				})
			},
			"seq": func(last func(int) bool) pipeline.Stream[int] {
				return pipeline.FromSeq(func(yield func(int) bool) {
					for i := 0; yield(i) && last(i); i++ {
					}
				})
			},
			"seq2": func(last func(int) bool) pipeline.Stream[int] {
				return pipeline.FromSeq2(func(yield func(int, error) bool) {
					for i := 0; yield(i, nil) && last(i); i++ {
					}
				})
			},
		} {
			for behind, stage := range map[string]func(pipeline.Stream[int]) pipeline.Stream[int]{
				"sink":   func(s pipeline.Stream[int]) pipeline.Stream[int] { return s },
				"buffer": func(s pipeline.Stream[int]) pipeline.Stream[int] { return pipeline.Buffer(s, 2) },
				"chunk": func(s pipeline.Stream[int]) pipeline.Stream[int] {
					return pipeline.FlatMap(pipeline.Chunk(s, 100), func(_ context.Context, b []int) pipeline.Stream[int] { return pipeline.FromSlice(b) })
				},
			} {
				stop, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
				takes := func(int) bool { time.Sleep(time.Second); return true }
				got, err := pipeline.Collect(t.Context(), stage(pipeline.Until(stop, source(takes))))
				cancel()
				require.NoError(t, err, name)
				assert.Equal(t, []int{0, 1, 2, 3}, got, "%s, %s", name, behind)
			}
		}
	})
}
