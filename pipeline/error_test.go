package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
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

// wait waits for the context.
func wait(ctx context.Context, _ int) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

// waits are pipelines that wait for something that does not come.
func waits() map[string]pipeline.Stream[int] {
	stuck := pipeline.FromChan[int](nil)
	flat := func(context.Context, int) pipeline.Stream[int] { return stuck }
	slowHead := func(ctx context.Context, x int) (int, error) {
		if x == 0 {
			return wait(ctx, x)
		}
		return x, nil
	}
	two := []pipeline.Option{pipeline.Workers(2)}
	ordered := []pipeline.Option{pipeline.Workers(2), pipeline.Ordered()}
	return map[string]pipeline.Stream[int]{
		"channel":          stuck,
		"open channel":     pipeline.FromChan(make(chan int)),
		"ticks":            pipeline.Map(pipeline.Ticks(1000*time.Hour), func(context.Context, time.Time) (int, error) { return 0, nil }),
		"buffer":           pipeline.Buffer(stuck, 1),
		"merge":            pipeline.Merge(stuck, stuck),
		"merge of ended":   pipeline.Merge(numbers(3), stuck),
		"worker":           pipeline.Map(numbers(100), wait, two...),
		"ordered worker":   pipeline.Map(numbers(100), wait, ordered...),
		"feeder":           pipeline.Map(stuck, same, two...),
		"ordered feeder":   pipeline.Map(stuck, same, ordered...),
		"head of line":     pipeline.Map(numbers(100_000), slowHead, ordered...),
		"ahead":            pipeline.Map(numbers(100_000), slowHead, append(ordered, pipeline.Ahead(1))...),
		"one key":          pipeline.Map(numbers(100_000), slowHead, append(two, pipeline.ByKey(func(int) int { return 1 }))...),
		"flat map":         pipeline.FlatMap(numbers(10), flat),
		"flat map workers": pipeline.FlatMap(numbers(10), flat, two...),
		"ordered flat map": pipeline.FlatMap(numbers(10), flat, ordered...),
		"flat map feeder":  pipeline.FlatMap(stuck, single, ordered...),
		"zip":              pipeline.Zip(numbers(10), stuck, func(a, b int) int { return a + b }),
		"zip with":         pipeline.Zip(stuck, numbers(10), func(a, b int) int { return a + b }),
		"concat":           pipeline.Concat(numbers(10), stuck, numbers(10)),
		"chunk":            pipeline.FlatMap(pipeline.Chunk(stuck, 3), func(_ context.Context, xs []int) pipeline.Stream[int] { return pipeline.FromSlice(xs) }),
		"recover":          pipeline.Recover(pipeline.Buffer(pipeline.Map(numbers(10), wait, two...), 3), func(error) error { return nil }),
		"generate": pipeline.Generate(func(ctx context.Context, _ func(int) bool) error {
			<-ctx.Done()
			return nil
		}),
	}
}

// sinks are all of them.
func sinks() map[string]func(context.Context, pipeline.Stream[int]) error {
	ignore := func(context.Context, int) error { return nil }
	add := func(_ context.Context, a, b int) (int, error) { return a + b, nil }
	return map[string]func(context.Context, pipeline.Stream[int]) error{
		"run":     pipeline.Run[int],
		"into":    pipeline.Into(ignore),
		"foreach": pipeline.Into(ignore, pipeline.Workers(3)),
		"ordered": pipeline.Into(ignore, pipeline.Workers(3), pipeline.Ordered()),
		"collect": func(ctx context.Context, s pipeline.Stream[int]) error {
			_, err := pipeline.Collect(ctx, s)
			return err
		},
		"count": func(ctx context.Context, s pipeline.Stream[int]) error {
			_, err := pipeline.Count(ctx, s)
			return err
		},
		"first": func(ctx context.Context, s pipeline.Stream[int]) error {
			_, _, err := pipeline.First(ctx, pipeline.Skip(s, math.MaxInt))
			return err
		},
		"reduce": func(ctx context.Context, s pipeline.Stream[int]) error {
			_, _, err := pipeline.Reduce(ctx, s, add)
			return err
		},
		"reduce by workers": func(ctx context.Context, s pipeline.Stream[int]) error {
			_, _, err := pipeline.Reduce(ctx, s, add, pipeline.Workers(3))
			return err
		},
		"all": func(ctx context.Context, s pipeline.Stream[int]) (err error) {
			for _, err = range s.All(ctx) {
			}
			return err
		},
		"chan": func(ctx context.Context, s pipeline.Stream[int]) error {
			ch, stop := pipeline.Chan(ctx, s)
			for range ch {
			}
			return stop()
		},
		"chan, not received": func(ctx context.Context, s pipeline.Stream[int]) error {
			_, stop := pipeline.Chan(ctx, s)
			<-ctx.Done()
			return stop()
		},
	}
}

func requireCause(t *testing.T, err error, is error) {
	t.Helper()
	require.ErrorIs(t, err, errCause)
	require.ErrorIs(t, err, is)
	require.Contains(t, err.Error(), errCause.Error())
}

func TestTheEndOfTheContextWakesEveryWait(t *testing.T) {
	for name := range waits() {
		for how, sink := range sinks() {
			t.Run(name+"/"+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := waits()[name] // whose channels are of the bubble
					start := time.Now()
					ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, errCause)
					defer cancel()
					requireCause(t, sink(ctx, s), context.DeadlineExceeded)
					assert.Equal(t, time.Hour, time.Since(start))
				})
			})
		}
	}
}

func TestTheErrorOfAContextWithoutACause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, s := range waits() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			assert.ErrorIs(t, pipeline.Run(ctx, s), context.DeadlineExceeded, name)
			cancel()
		}
	})
}

func TestAnEndedContextWinsOverReadyData(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errCause)
	called := func(context.Context, int) (int, error) {
		assert.Fail(t, "a function is called")
		return 0, nil
	}
	ready := make(chan int, 10)
	ready <- 1
	for name, s := range map[string]pipeline.Stream[int]{
		"slice":     pipeline.Map(pipeline.Of(1, 2, 3), called),
		"channel":   pipeline.Map(pipeline.FromChan(ready), called),
		"seq":       pipeline.Map(numbers(10), called),
		"generate":  pipeline.Map(pipeline.Generate(func(_ context.Context, emit func(int) bool) error { emit(1); return nil }), called),
		"workers":   pipeline.Map(numbers(10), called, pipeline.Workers(3)),
		"ordered":   pipeline.Map(numbers(10), called, pipeline.Workers(3), pipeline.Ordered()),
		"by key":    pipeline.Map(numbers(10), called, pipeline.Workers(3), pipeline.ByKey(func(x int) int { return x })),
		"buffer":    pipeline.Map(pipeline.Buffer(numbers(10), 3), called),
		"merge":     pipeline.Map(pipeline.Merge(numbers(10), numbers(10)), called),
		"no merge":  pipeline.Merge[int](),
		"flat map":  pipeline.Map(pipeline.FlatMap(numbers(10), single, pipeline.Workers(3)), called),
		"in order":  pipeline.Map(pipeline.FlatMap(numbers(10), single, pipeline.Workers(3), pipeline.Ordered()), called),
		"concat":    pipeline.Map(pipeline.Concat(numbers(10), numbers(10)), called),
		"no concat": pipeline.Map(pipeline.Concat(pipeline.Of[int](), numbers(10)), called),
	} {
		t.Run(name, func(t *testing.T) {
			for how, sink := range sinks() {
				err := sink(ctx, s)
				assert.ErrorIs(t, err, errCause, how)
				assert.ErrorIs(t, err, context.Canceled, how)
			}
		})
	}
	assert.Len(t, ready, 1)
}

func TestAContextThatEndsInTheLoopIsWhatComesNext(t *testing.T) {
	for name, s := range map[string]pipeline.Stream[int]{
		"fused":    numbers(100),
		"workers":  pipeline.Map(numbers(100), same, pipeline.Workers(3)),
		"ordered":  pipeline.Map(numbers(100), same, pipeline.Workers(3), pipeline.Ordered()),
		"buffer":   pipeline.Buffer(numbers(100), 100),
		"merge":    pipeline.Merge(numbers(100), numbers(100)),
		"flat map": pipeline.FlatMap(numbers(100), single, pipeline.Workers(3)),
		"in order": pipeline.FlatMap(numbers(100), single, pipeline.Workers(3), pipeline.Ordered()),
		"in one":   pipeline.FlatMap(pipeline.Of(1), func(context.Context, int) pipeline.Stream[int] { return numbers(100) }),
		"zip":      pipeline.Zip(numbers(100), pipeline.Buffer(numbers(100), 100), func(a, b int) int { return a + b }),
		"concat":   pipeline.Concat(numbers(5), numbers(100)),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				n := 0
				var last error
				for _, err := range s.All(ctx) {
					if n++; n == 5 {
						synctest.Wait() // until more is ready
						cancel(errCause)
					}
					last = err
				}
				assert.Equal(t, 6, n)
				requireCause(t, last, context.Canceled)
			})
		})
	}
}

// Most functions return the error of their context, which may lack the cause.
func TestAFunctionThatReturnsTheErrorOfItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, s := range map[string]pipeline.Stream[int]{
			"fused":   pipeline.Map(numbers(100), wait),
			"workers": pipeline.Map(numbers(100), wait, pipeline.Workers(2)),
			"ordered": pipeline.Map(numbers(100), wait, pipeline.Workers(2), pipeline.Ordered()),
			"generate": pipeline.Generate(func(ctx context.Context, _ func(int) bool) error {
				_, err := wait(ctx, 0)
				return err
			}),
		} {
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, errCause)
			err := pipeline.Run(ctx, s)
			assert.ErrorIs(t, err, errCause, name)
			assert.ErrorIs(t, err, context.DeadlineExceeded, name)
			cancel()
		}
	})
}

// A sequence that knows of the context may end with it: that is not its end.
func TestAContextThatEndsBeforeTheSequenceDoes(t *testing.T) {
	for name, source := range map[string]func(iter.Seq[int]) pipeline.Stream[int]{
		"seq": pipeline.FromSeq[int],
		"seq2": func(seq iter.Seq[int]) pipeline.Stream[int] {
			return pipeline.FromSeq2(func(yield func(int, error) bool) {
				seq(func(x int) bool { return yield(x, nil) })
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			requireCause(t, pipeline.Run(ctx, source(func(yield func(int) bool) {
				for i := 0; ctx.Err() == nil && yield(i); i++ {
					if i == 10 {
						cancel(errCause)
					}
				}
			})), context.Canceled)
		})
	}
}

// A context that ends at any moment is not taken for the end of the stream.
func TestTheEndOfTheContextIsNeverLost(t *testing.T) {
	rounds := 500
	if testing.Short() || underRace() {
		rounds = 100
	}
	endless := numbers(math.MaxInt)
	for name, s := range map[string]pipeline.Stream[int]{
		"workers":    pipeline.Map(endless, same, pipeline.Workers(4)),
		"one worker": pipeline.Map(endless, same, pipeline.Workers(1)),
		"ordered":    pipeline.Map(endless, same, pipeline.Workers(2), pipeline.Ordered()),
		"flat map":   pipeline.FlatMap(endless, single, pipeline.Workers(2)),
		"in order":   pipeline.FlatMap(endless, single, pipeline.Workers(2), pipeline.Ordered()),
		"merge":      pipeline.Merge(endless, pipeline.FromChan[int](nil)), // which is of no bubble
		"buffer":     pipeline.Buffer(endless, 1),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for i := range rounds {
					ctx, cancel := context.WithCancelCause(t.Context())
					go func() {
						for range i % 30 {
							runtime.Gosched()
						}
						cancel(errCause)
					}()
					requireCause(t, pipeline.Run(ctx, s), context.Canceled)
				}
			})
		})
	}
}

// explode is a function whose name is in the stack.
func explode(value any) { panic(value) }

// spoilt are pipelines of which a function that gets 100 calls end.
func spoilt(end func()) map[string]pipeline.Stream[int] {
	badKey := func(x int) int {
		if x == 100 {
			end()
		}
		return x
	}
	bad := pipeline.Pure(badKey)
	badFlat := func(_ context.Context, x int) pipeline.Stream[int] { return pipeline.Map(pipeline.Of(x), bad) }
	badFlatMap := func(_ context.Context, x int) pipeline.Stream[int] { return pipeline.Of(badKey(x)) }
	source := pipeline.Map(numbers(1000), bad)
	two := []pipeline.Option{pipeline.Workers(2)}
	ordered := []pipeline.Option{pipeline.Workers(2), pipeline.Ordered()}
	return map[string]pipeline.Stream[int]{
		"worker":              pipeline.Map(numbers(1000), bad, two...),
		"ordered worker":      pipeline.Map(numbers(1000), bad, ordered...),
		"source of workers":   pipeline.Map(source, same, two...),
		"source of ordered":   pipeline.Map(source, same, ordered...),
		"key":                 pipeline.Map(numbers(1000), same, append(two, pipeline.ByKey(badKey))...),
		"buffer":              pipeline.Buffer(source, 5),
		"merge":               pipeline.Merge(numbers(1000), source),
		"stream of flat map":  pipeline.FlatMap(numbers(1000), badFlat, two...),
		"stream in order":     pipeline.FlatMap(numbers(1000), badFlat, ordered...),
		"flat map":            pipeline.FlatMap(numbers(1000), badFlatMap, two...),
		"flat map in order":   pipeline.FlatMap(numbers(1000), badFlatMap, ordered...),
		"source of flat map":  pipeline.FlatMap(source, single, two...),
		"source in order":     pipeline.FlatMap(source, single, ordered...),
		"behind others":       pipeline.Map(pipeline.Merge(pipeline.Buffer(pipeline.Map(numbers(1000), bad, two...), 5)), same, ordered...),
		"behind a coroutine":  pipeline.Zip(numbers(1000), pipeline.Buffer(source, 3), func(a, _ int) int { return a }),
		"the last of workers": pipeline.Map(numbers(101), bad, two...),
	}
}

func TestAPanicIsRaisedAgainByTheSink(t *testing.T) {
	for name := range spoilt(nil) {
		t.Run(name, func(t *testing.T) {
			for how, sink := range sinks() {
				if how == "chan, not received" {
					continue
				}
				synctest.Test(t, func(t *testing.T) {
					var running atomic.Int64
					s := spoilt(func() { explode(io.ErrUnexpectedEOF) })[name]
					s = pipeline.Map(s, func(_ context.Context, x int) (int, error) {
						running.Add(1)
						defer running.Add(-1)
						time.Sleep(time.Duration(x%3) * time.Second)
						return x, nil
					}, pipeline.Workers(2))
					before := runtime.NumGoroutine()
					v := func() (v any) {
						defer func() { v = recover() }()
						return sink(t.Context(), s)
					}()
					assert.Zero(t, running.Load(), how)
					requireJoined(t, before)
					p, ok := v.(*pipeline.PanicError)
					require.True(t, ok, "%s: %v", how, v)
					assert.Equal(t, io.ErrUnexpectedEOF, p.Value)
					assert.Contains(t, string(p.Stack), "pipeline_test.explode")
					require.ErrorIs(t, p, io.ErrUnexpectedEOF)
					assert.Contains(t, p.Error(), "unexpected EOF")
					assert.Contains(t, p.Error(), "pipeline_test.explode")
				})
			}
		})
	}
}

func TestAPanicOfNoErrorMatchesNone(t *testing.T) {
	defer func() {
		var p *pipeline.PanicError
		require.ErrorAs(t, recover().(error), &p)
		assert.Equal(t, 42, p.Value)
		assert.NoError(t, p.Unwrap())
	}()
	assert.NoError(t, pipeline.Run(t.Context(), spoilt(func() { explode(42) })["worker"]))
}

// The stop function panics each time it is called.
func TestChanPanicsAgain(t *testing.T) {
	ch, stop := pipeline.Chan(t.Context(), spoilt(func() { explode("value") })["buffer"])
	for range ch {
	}
	for range 2 {
		func() {
			defer func() {
				p, ok := recover().(*pipeline.PanicError)
				require.True(t, ok)
				assert.Equal(t, "value", p.Value)
			}()
			assert.NoError(t, stop())
		}()
	}
}

func TestAPanicInTheGoroutineOfTheSinkIsAsItIs(t *testing.T) {
	for name, s := range spoilt(func() {}) {
		synctest.Test(t, func(t *testing.T) {
			before := runtime.NumGoroutine()
			assert.PanicsWithValue(t, "in the body", func() {
				for range s.All(t.Context()) {
					panic("in the body")
				}
			}, name)
			requireJoined(t, before)
			assert.PanicsWithValue(t, "in a function", func() {
				assert.NoError(t, pipeline.Run(t.Context(), pipeline.Tap(s, func(int) { panic("in a function") })))
			}, name)
			requireJoined(t, before)
		})
	}
}

func TestGoexitMakesTheSinkReturnAnError(t *testing.T) {
	for name, s := range spoilt(runtime.Goexit) {
		if name == "behind a coroutine" {
			continue // whose own goroutine it is, or ends
		}
		for how, sink := range sinks() {
			if how == "chan, not received" {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				before := runtime.NumGoroutine()
				require.ErrorIs(t, sink(t.Context(), s), pipeline.ErrGoexit, "%s, %s", name, how)
				requireJoined(t, before)
			})
		}
	}
}

// However soon the consumer sees that a goroutine has ended, it knows why.
func TestGoexitIsNeverTakenForTheEnd(t *testing.T) {
	rounds := 2000
	if testing.Short() || underRace() {
		rounds = 30
	}
	for name, s := range spoilt(runtime.Goexit) {
		if name == "behind a coroutine" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // which tells if it hangs
				for range rounds {
					require.ErrorIs(t, pipeline.Run(t.Context(), s), pipeline.ErrGoexit)
				}
			})
		})
	}
}

func TestAPanicIsNeverLost(t *testing.T) {
	rounds := 2000
	if testing.Short() || underRace() {
		rounds = 30
	}
	for name, s := range spoilt(func() { panic(1) }) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for range rounds {
					require.Panics(t, func() { assert.NoError(t, pipeline.Run(t.Context(), s)) })
				}
			})
		})
	}
}

func TestGoexitInTheGoroutineOfTheSinkEndsIt(t *testing.T) {
	for name, s := range spoilt(func() {}) {
		synctest.Test(t, func(t *testing.T) {
			before := runtime.NumGoroutine()
			done := make(chan bool)
			go func() {
				returned := false
				defer func() { done <- returned }()
				for range s.All(t.Context()) {
					runtime.Goexit()
				}
				returned = true
			}()
			assert.False(t, <-done, name)
			requireJoined(t, before)
		})
	}
}

func TestRecoverDoesNotGetWhatEndsTheStream(t *testing.T) {
	s := pipeline.Recover(spoilt(runtime.Goexit)["buffer"], func(error) error {
		assert.Fail(t, "it is asked")
		return nil
	})
	require.ErrorIs(t, pipeline.Run(t.Context(), s), pipeline.ErrGoexit)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errCause)
	requireCause(t, pipeline.Run(ctx, pipeline.Recover(numbers(10), func(error) error {
		assert.Fail(t, "it is asked")
		return nil
	})), context.Canceled)
}

func TestRecover(t *testing.T) {
	other := errors.New("other")
	s := pipeline.Recover(pipeline.Map(numbers(10), func(_ context.Context, x int) (int, error) {
		switch x {
		case 2, 4:
			return 0, errKill
		case 7:
			return 0, fmt.Errorf("7: %w", io.EOF)
		}
		return x, nil
	}), func(err error) error {
		if errors.Is(err, io.EOF) {
			return other
		}
		return nil
	})
	got, err := pipeline.Collect(t.Context(), s)
	assert.Equal(t, other, err)
	assert.Equal(t, []int{0, 1, 3, 5, 6}, got)
}

func TestRecoverOfAContextThatIsNotThatOfTheSink(t *testing.T) {
	s := pipeline.Map(numbers(3), func(ctx context.Context, x int) (int, error) {
		if x == 1 {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return 0, ctx.Err()
		}
		return x, nil
	})
	got, err := pipeline.Collect(t.Context(), pipeline.Recover(s, func(err error) error {
		assert.ErrorIs(t, err, context.Canceled)
		return nil
	}))
	require.NoError(t, err)
	assert.Equal(t, []int{0, 2}, got)
}

func TestSkipErrors(t *testing.T) {
	for name, opts := range map[string][]pipeline.Option{
		"fused":   nil,
		"ordered": {pipeline.Workers(1), pipeline.Ordered()},
	} {
		t.Run(name, func(t *testing.T) {
			var skipped []string
			f := pipeline.SkipErrors(pipeline.Try(strconv.Atoi), func(s string, err error) {
				assert.ErrorIs(t, err, strconv.ErrSyntax)
				skipped = append(skipped, s)
			})
			got, err := pipeline.Collect(t.Context(), pipeline.Map(pipeline.Of("1", "x", "3", ""), f, opts...))
			require.NoError(t, err)
			assert.Equal(t, []int{1, 3}, got)
			assert.Equal(t, []string{"x", ""}, skipped)
		})
	}
	got, err := pipeline.Collect(t.Context(), pipeline.Map(pipeline.Of("1", "x"), pipeline.SkipErrors(pipeline.Try(strconv.Atoi), nil)))
	require.NoError(t, err)
	assert.Equal(t, []int{1}, got)
}

func TestSkipErrorsDoesNotSkipTheEndOfTheContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	s := pipeline.Map(numbers(10), pipeline.SkipErrors(func(ctx context.Context, x int) (int, error) {
		if x == 3 {
			cancel(errCause)
			return 0, context.Cause(ctx)
		}
		return x, nil
	}, func(int, error) { assert.Fail(t, "it is reported") }))
	got, err := pipeline.Collect(ctx, s)
	require.ErrorIs(t, err, errCause)
	assert.Equal(t, []int{0, 1, 2}, got)
}

func TestSkipErrorsDoesNotReportWhatIsDropped(t *testing.T) {
	got, err := pipeline.Collect(t.Context(), pipeline.Map(numbers(4), pipeline.SkipErrors(func(_ context.Context, x int) (int, error) {
		if x == 1 {
			return 0, pipeline.Drop
		}
		return x, nil
	}, func(int, error) { assert.Fail(t, "it is reported") })))
	require.NoError(t, err)
	assert.Equal(t, []int{0, 2, 3}, got)
}

func TestDropIsNoError(t *testing.T) {
	for name, opts := range map[string][]pipeline.Option{
		"fused":   nil,
		"workers": {pipeline.Workers(3)},
		"ordered": {pipeline.Workers(3), pipeline.Ordered()},
	} {
		t.Run(name, func(t *testing.T) {
			s := pipeline.Map(numbers(1000), func(_ context.Context, x int) (int, error) {
				if x%2 == 0 {
					return x, pipeline.Drop
				}
				return x, nil
			}, opts...)
			got, err := pipeline.Collect(t.Context(), pipeline.Recover(s, func(error) error {
				assert.Fail(t, "it gets Drop")
				return nil
			}))
			require.NoError(t, err)
			slices.Sort(got)
			require.Len(t, got, 500)
			for i, x := range got {
				require.Equal(t, 2*i+1, x)
			}
		})
	}
	wrapped := fmt.Errorf("not as it is: %w", pipeline.Drop)
	for _, opts := range [][]pipeline.Option{nil, {pipeline.Workers(2)}, {pipeline.Workers(2), pipeline.Ordered()}} {
		require.Equal(t, wrapped, pipeline.Run(t.Context(), pipeline.Map(numbers(3), func(context.Context, int) (int, error) { return 0, wrapped }, opts...)))
	}
}

// A stream whose errors are Drop has errors: only what a function of Map
// returns leaves an item out.
func TestDropOfAStreamIsAnError(t *testing.T) {
	inside := func(_ context.Context, x int) pipeline.Stream[int] {
		return pipeline.Generate(func(_ context.Context, emit func(int) bool) error {
			if x == 2 {
				return pipeline.Drop
			}
			emit(x)
			return nil
		})
	}
	before := pipeline.FromSeq2(func(yield func(int, error) bool) {
		_ = yield(0, nil) && yield(1, nil) && yield(0, pipeline.Drop) && yield(3, nil) && yield(4, nil) && yield(5, nil)
	})
	for name, opts := range map[string][]pipeline.Option{
		"fused":   nil,
		"workers": {pipeline.Workers(2)},
		"ordered": {pipeline.Workers(2), pipeline.Ordered()},
	} {
		for where, s := range map[string]pipeline.Stream[int]{
			"in a flat map":     pipeline.FlatMap(numbers(6), inside, opts...),
			"before a flat map": pipeline.FlatMap(before, single, opts...),
			"before a map":      pipeline.Map(before, same, opts...),
			"in a buffer":       pipeline.Buffer(pipeline.FlatMap(numbers(6), inside, opts...), 2),
		} {
			t.Run(name+"/"+where, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { // in which a hang is noticed
					require.Equal(t, pipeline.Drop, pipeline.Run(t.Context(), s))
					var errs []error
					got, err := pipeline.Collect(t.Context(), pipeline.Recover(s, func(err error) error {
						errs = append(errs, err)
						return nil
					}))
					require.NoError(t, err)
					slices.Sort(got)
					assert.Equal(t, []int{0, 1, 3, 4, 5}, got)
					assert.Equal(t, []error{pipeline.Drop}, errs)
				})
			})
		}
	}
}

func TestDropOfFilterAndForEach(t *testing.T) {
	for _, opts := range [][]pipeline.Option{nil, {pipeline.Workers(2), pipeline.Ordered()}} {
		requireItems(t, pipeline.Filter(numbers(4), func(_ context.Context, x int) (bool, error) {
			if x == 1 {
				return true, pipeline.Drop
			}
			return true, nil
		}, opts...), 0, 2, 3)
		require.NoError(t, pipeline.ForEach(t.Context(), numbers(4), func(context.Context, int) error { return pipeline.Drop }, opts...))
	}
}

func TestAPanicAfterAGoexitIsRaised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		assert.Panics(t, func() {
			_ = pipeline.ForEach(t.Context(), numbers(2), func(ctx context.Context, x int) error {
				if x == 0 {
					time.Sleep(time.Second)
					runtime.Goexit()
				}
				<-ctx.Done() // the other has exited
				panic("while it ends")
			}, pipeline.Workers(2))
		})
	})
}

func TestAStreamThatIsNilPanics(t *testing.T) {
	none := func(context.Context, int) pipeline.Stream[int] { return nil }
	for _, opts := range [][]pipeline.Option{nil, {pipeline.Workers(2)}, {pipeline.Workers(2), pipeline.Ordered()}} {
		v := func() (v any) {
			defer func() { v = recover() }()
			return pipeline.Run(t.Context(), pipeline.FlatMap(numbers(3), none, opts...))
		}()
		if p, ok := v.(*pipeline.PanicError); ok {
			v = p.Value
		}
		assert.Equal(t, "pipeline: the function of FlatMap returned nil", v)
	}
}

func TestAPanicOfAZippedStreamHasItsStack(t *testing.T) {
	b := pipeline.Map(numbers(3), func(context.Context, int) (int, error) { explode("zipped"); return 0, nil })
	s := pipeline.Zip(numbers(3), b, func(a, _ int) int { return a })
	for name, s := range map[string]pipeline.Stream[int]{"of the sink": s, "in another goroutine": pipeline.Buffer(s, 1)} {
		func() {
			defer func() {
				p, ok := recover().(*pipeline.PanicError)
				require.True(t, ok, name)
				assert.Equal(t, "zipped", p.Value, name)
				assert.Contains(t, string(p.Stack), "pipeline_test.explode", name)
			}()
			_ = pipeline.Run(t.Context(), s)
			assert.Fail(t, "did not panic", name)
		}()
	}
}

// The context ends while the last item is used, of which the source does not
// know yet that it is the last.
func TestAllSourcesTellOfAContextThatEndsInTheLastItem(t *testing.T) {
	one := func(yield func(int) bool) { yield(1) }
	for name, s := range map[string]pipeline.Stream[int]{
		"slice": pipeline.Of(1),
		"seq":   pipeline.FromSeq(one),
		"seq2": pipeline.FromSeq2(func(yield func(int, error) bool) {
			yield(1, nil)
		}),
		"generate": pipeline.Generate(func(_ context.Context, emit func(int) bool) error { emit(1); return nil }),
		"channel": func(ctx context.Context) iter.Seq2[int, error] {
			ch := make(chan int, 1)
			ch <- 1
			close(ch)
			return pipeline.FromChan(ch)(ctx)
		},
	} {
		for _, opts := range [][]pipeline.Option{nil, {pipeline.Workers(1)}, {pipeline.Workers(1), pipeline.Ordered()}} {
			ctx, cancel := context.WithCancelCause(t.Context())
			n := 0
			err := pipeline.ForEach(ctx, s, func(context.Context, int) error {
				n++
				cancel(errCause)
				return nil
			}, opts...)
			assert.Equal(t, 1, n, name)
			require.ErrorIs(t, err, errCause, name)
			require.ErrorIs(t, err, context.Canceled, name)
		}
	}
	// Nor does it matter that there is nothing.
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errCause)
	requireCause(t, pipeline.Run(ctx, pipeline.Of[int]()), context.Canceled)
	requireCause(t, pipeline.Run(ctx, numbers(0)), context.Canceled)
}

// Whatever a function returns for an ended context, it is not lost, and matches
// that.
func TestAnErrorBesideTheEndOfTheContext(t *testing.T) {
	for name, fails := range map[string]func(context.Context) error{
		"of its own":       func(context.Context) error { return errKill },
		"wrapped":          func(context.Context) error { return fmt.Errorf("write: %w", errKill) },
		"joined":           func(ctx context.Context) error { return errors.Join(errKill, ctx.Err()) },
		"joined with both": func(ctx context.Context) error { return errors.Join(errKill, ctx.Err(), context.Cause(ctx)) },
	} {
		for how, sink := range sinks() {
			if how == "foreach" || how == "ordered" || how == "reduce by workers" {
				continue // whose goroutines end with the context
			}
			t.Run(name+"/"+how, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				err := sink(ctx, pipeline.Map(numbers(3), func(ctx context.Context, x int) (int, error) {
					cancel(errCause)
					return x, fails(ctx)
				}))
				require.ErrorIs(t, err, errKill)
				require.ErrorIs(t, err, errCause)
				require.ErrorIs(t, err, context.Canceled)
				assert.Contains(t, err.Error(), errKill.Error())
			})
		}
	}
}
