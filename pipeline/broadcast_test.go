package pipeline_test

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/pipeline"
)

// into collects what a sink gets, which it keeps for a time.
func into(got *[]int, pause time.Duration) pipeline.Sink[int] {
	return pipeline.Into(func(ctx context.Context, v int) error {
		*got = append(*got, v)
		return stay(ctx, pause)
	})
}

// stay waits for d, or until ctx ends.
func stay(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return errors.Join(ctx.Err(), context.Cause(ctx))
	}
}

// counted is a Stream of n numbers from 0 on, or without end if n is negative.
func counted(n int, taken *atomic.Int64) pipeline.Stream[int] {
	return pipeline.Generate(func(_ context.Context, emit func(int) bool) error {
		for i := 0; i != n; i++ {
			taken.Add(1)
			if !emit(i) {
				return nil
			}
		}
		return nil
	})
}

// countTo returns the numbers from 0 on.
func countTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func TestBroadcastGivesAllToEach(t *testing.T) {
	for _, n := range []int{0, 1, 2, 100, 5000} {
		for _, sinks := range []int{1, 2, 10} {
			got := make([][]int, sinks)
			var all []pipeline.Sink[int]
			for i := range got {
				all = append(all, into(&got[i], 0))
			}
			require.NoError(t, pipeline.Broadcast(t.Context(), pipeline.FromSlice(countTo(n)), all...))
			for i := range got {
				require.Len(t, got[i], n)
				require.True(t, slices.Equal(countTo(n), got[i]))
			}
		}
	}
}

func TestBroadcastWithoutSinks(t *testing.T) {
	var taken atomic.Int64
	require.NoError(t, pipeline.Broadcast(t.Context(), counted(-1, &taken)))
	assert.Zero(t, taken.Load())
}

func TestBroadcastAtDifferentSpeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		got := make([][]int, 3)
		require.NoError(t, pipeline.Broadcast(t.Context(), pipeline.FromSlice(countTo(50)),
			into(&got[0], 0), into(&got[1], time.Second), into(&got[2], time.Minute)))
		for i := range got {
			assert.Equal(t, countTo(50), got[i])
		}
		assert.Equal(t, 50*time.Minute, time.Since(start), "as long as the slowest takes")
	})
}

func TestBroadcastTakesNoMoreThanTheSlowestTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var taken atomic.Int64
		var fast, slow []int
		most := 0
		require.NoError(t, pipeline.Broadcast(t.Context(), counted(50, &taken), into(&fast, 0),
			pipeline.Into(func(_ context.Context, v int) error {
				time.Sleep(time.Minute)
				slow = append(slow, v)
				most = max(most, int(taken.Load())-len(slow))
				return nil
			})))
		assert.Len(t, slow, 50)
		assert.LessOrEqual(t, most, 3)
	})
}

func TestBroadcastHandsOnAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a, b []time.Duration
		start := time.Now()
		at := func(all *[]time.Duration) pipeline.Sink[int] {
			return pipeline.Into(func(context.Context, int) error {
				*all = append(*all, time.Since(start))
				return nil
			})
		}
		require.NoError(t, pipeline.Broadcast(t.Context(), arriving(every(time.Second, 4), time.Hour), at(&a), at(&b)))
		want := []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second}
		assert.Equal(t, want, a)
		assert.Equal(t, want, b)
	})
}

func TestBroadcastWithOneThatEndsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []int
		var few []int
		var ctxOfFew context.Context
		err := pipeline.Broadcast(t.Context(), arriving(every(time.Second, 20), time.Hour),
			func(ctx context.Context, s pipeline.Stream[int]) (err error) {
				ctxOfFew = ctx
				few, err = pipeline.Collect(ctx, pipeline.Take(s, 3))
				return err
			},
			into(&all, time.Second))
		require.NoError(t, err)
		assert.Equal(t, []int{1, 2, 3}, few)
		assert.Len(t, all, 20, "the other gets all")
		assert.Error(t, ctxOfFew.Err(), "ended with the call")
	})
}

func TestBroadcastWithOneThatNeverReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leave := func(context.Context, pipeline.Stream[int]) error { return nil }
		leaveLater := func(context.Context, pipeline.Stream[int]) error { time.Sleep(time.Hour); return nil }
		for name, sink := range map[string]pipeline.Sink[int]{"at once": leave, "later": leaveLater} {
			var all []int
			require.NoError(t, pipeline.Broadcast(t.Context(), pipeline.FromSlice(countTo(20_000)), sink, into(&all, 0)), name)
			require.Len(t, all, 20_000, name)
		}
		start := time.Now()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errSpoilt)
		defer cancel()
		var all []int
		err := pipeline.Broadcast(ctx, pipeline.FromSlice(countTo(20_000)), into(&all, 0), func(ctx context.Context, _ pipeline.Stream[int]) error {
			<-ctx.Done()
			return nil
		})
		require.ErrorIs(t, err, errSpoilt, "of the other, which had to wait")
		assert.Equal(t, time.Minute, time.Since(start))
		assert.Less(t, len(all), 20_000)
	})
}

func TestBroadcastThatAllLeaveEndsABlockedSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ch := make(chan int, 2)
		ch <- 1
		ch <- 2
		take := func(n int, wait time.Duration) pipeline.Sink[int] {
			return func(ctx context.Context, s pipeline.Stream[int]) error {
				got, err := pipeline.Count(ctx, pipeline.Take(s, n))
				assert.Equal(t, n, got)
				time.Sleep(wait)
				return err
			}
		}
		start := time.Now()
		require.NoError(t, pipeline.Broadcast(t.Context(), pipeline.FromChan(ch), take(1, time.Minute), take(2, 0)))
		assert.Equal(t, time.Minute, time.Since(start), "when the last has left")
	})
}

func TestBroadcastWithOneThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var seen, inside error
		err := pipeline.Broadcast(t.Context(), arriving(every(time.Second, 100), time.Hour),
			pipeline.Into(func(_ context.Context, v int) error {
				if v == 5 {
					return errSpoilt
				}
				return nil
			}),
			func(ctx context.Context, s pipeline.Stream[int]) error { // waits for items
				seen = pipeline.Run(ctx, s)
				return seen
			},
			func(ctx context.Context, s pipeline.Stream[int]) error { // waits elsewhere
				return pipeline.Run(ctx, pipeline.Tap(pipeline.Take(s, 4), func(v int) {
					if v == 4 {
						inside = stay(ctx, time.Hour)
					}
				}))
			})
		require.Equal(t, errSpoilt, err)
		require.ErrorIs(t, seen, errSpoilt)
		require.ErrorIs(t, seen, context.Canceled)
		require.ErrorIs(t, inside, errSpoilt, "the cause of its context")
		assert.Equal(t, 4*time.Second, time.Since(start))
	})
}

func TestBroadcastReturnsTheFirstErrorOfASink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails := func(after time.Duration, err error) pipeline.Sink[int] {
			return func(context.Context, pipeline.Stream[int]) error { time.Sleep(after); return err }
		}
		err := pipeline.Broadcast(t.Context(), pipeline.FromChan[int](nil),
			fails(3*time.Second, errors.New("third")), fails(time.Second, errSpoilt), fails(2*time.Second, errors.New("second")))
		assert.Equal(t, errSpoilt, err)
	})
}

func TestBroadcastOfASourceThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errs := make([]error, 5)
		got := make([]int, 5)
		var sinks []pipeline.Sink[int]
		for i := range errs {
			sinks = append(sinks, func(ctx context.Context, s pipeline.Stream[int]) error {
				for _, err := range s.All(ctx) {
					if errs[i] = err; err == nil {
						got[i]++
					}
				}
				return errs[i]
			})
		}
		all := append(every(time.Second, 3), coming{3 * time.Second, 0, errSpoilt})
		err := pipeline.Broadcast(t.Context(), arriving(all, time.Hour), sinks...)
		require.ErrorIs(t, err, errSpoilt)
		for i := range errs {
			require.ErrorIs(t, errs[i], errSpoilt)
			assert.Equal(t, 3, got[i])
		}
	})
}

func TestBroadcastOfASourceThatFailsToSinksThatGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errs := make([]int, 3)
		got := make([][]int, 3)
		var sinks []pipeline.Sink[int]
		for i := range errs {
			sinks = append(sinks, func(ctx context.Context, s pipeline.Stream[int]) (err error) {
				got[i], err = pipeline.Collect(ctx, pipeline.Recover(s, func(err error) error {
					assert.ErrorIs(t, err, errSpoilt)
					errs[i]++
					time.Sleep(time.Minute)
					return nil
				}))
				return err
			})
		}
		all := []coming{{0, 1, nil}, {0, 0, errSpoilt}, {0, 2, nil}, {time.Second, 0, errSpoilt}, {time.Second, 3, nil}}
		require.NoError(t, pipeline.Broadcast(t.Context(), arriving(all, time.Hour), sinks...))
		assert.Equal(t, []int{2, 2, 2}, errs)
		assert.Equal(t, [][]int{{1, 2, 3}, {1, 2, 3}, {1, 2, 3}}, got)
	})
}

func TestBroadcastWithOneThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var other error
		ended := false
		func() {
			defer func() {
				p, ok := recover().(*pipeline.PanicError)
				require.True(t, ok)
				assert.Equal(t, "oh", p.Value)
				assert.Contains(t, string(p.Stack), "broadcast_test.go")
			}()
			_ = pipeline.Broadcast(t.Context(), pipeline.FromChan[int](nil),
				func(context.Context, pipeline.Stream[int]) error { time.Sleep(time.Second); panic("oh") },
				func(ctx context.Context, s pipeline.Stream[int]) error {
					other = pipeline.Run(ctx, s)
					time.Sleep(time.Minute) // clean-up
					ended = true
					return nil
				})
			assert.Fail(t, "did not panic")
		}()
		require.ErrorIs(t, other, context.Canceled)
		assert.True(t, ended, "it is waited for")
		assert.Equal(t, time.Second+time.Minute, time.Since(start))
	})
}

func TestBroadcastWithOneThatCallsGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 100 {
			var other error
			err := pipeline.Broadcast(t.Context(), pipeline.FromChan[int](nil),
				func(ctx context.Context, s pipeline.Stream[int]) error { other = pipeline.Run(ctx, s); return other },
				func(context.Context, pipeline.Stream[int]) error { runtime.Goexit(); return nil })
			require.ErrorIs(t, err, pipeline.ErrGoexit)
			require.ErrorIs(t, other, context.Canceled)
		}
		err := pipeline.Broadcast(t.Context(), pipeline.FromSlice(countTo(100)),
			func(context.Context, pipeline.Stream[int]) error { runtime.Goexit(); return nil })
		require.ErrorIs(t, err, pipeline.ErrGoexit)
	})
}

func TestBroadcastOfASourceThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []int
		var other error
		defer func() {
			require.Equal(t, "oh", recover(), "it is in the goroutine of the caller")
			assert.LessOrEqual(t, len(got), 5)
			require.ErrorIs(t, other, context.Canceled)
		}()
		_ = pipeline.Broadcast(t.Context(), failing(5, func() { panic("oh") }), into(&got, time.Second),
			func(ctx context.Context, s pipeline.Stream[int]) error { other = pipeline.Run(ctx, s); return other })
		assert.Fail(t, "did not panic")
	})
}

// A sink must not take the end of a source that panicked for that of its items.
func TestBroadcastTellsEachSinkOfAPanicOfTheSource(t *testing.T) {
	for range 500 {
		func() {
			var seen error
			defer func() {
				require.Equal(t, "oh", recover())
				require.ErrorIs(t, seen, context.Canceled)
			}()
			_ = pipeline.Broadcast(t.Context(), failing(3, func() { panic("oh") }),
				func(ctx context.Context, s pipeline.Stream[int]) error { seen = pipeline.Run(ctx, s); return seen })
		}()
	}
}

func TestBroadcastOfASourceThatCallsGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []int
		returned := false
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = pipeline.Broadcast(t.Context(), failing(5, runtime.Goexit), into(&got, time.Second))
			returned = true
		}()
		<-done
		assert.False(t, returned, "it is the caller's goroutine")
	})
}

func TestBroadcastEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, s := range map[string]pipeline.Stream[int]{
			"a source that waits":    pipeline.FromChan[int](nil),
			"one that always has":    counted(-1, new(atomic.Int64)),
			"one that has now, then": arriving(every(time.Second, 10_000), time.Hour),
		} {
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errSpoilt)
			start := time.Now()
			var a, b []int
			err := pipeline.Broadcast(ctx, s, into(&a, 0), into(&b, 10*time.Second))
			cancel()
			require.ErrorIs(t, err, errSpoilt, name)
			require.ErrorIs(t, err, context.DeadlineExceeded, name)
			assert.Equal(t, time.Minute, time.Since(start), name)
		}
	})
}

func TestBroadcastOfAnEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errSpoilt)
	var a, b []int
	err := pipeline.Broadcast(ctx, pipeline.Of(1, 2, 3), into(&a, 0), into(&b, 0))
	require.ErrorIs(t, err, errSpoilt)
	assert.Empty(t, a)
	assert.Empty(t, b)
}

func TestBroadcastStreamWithAContextOfTheSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var some, all []int
		err := pipeline.Broadcast(t.Context(), arriving(every(time.Second, 20), time.Hour),
			func(ctx context.Context, s pipeline.Stream[int]) (err error) {
				ctx, cancel := context.WithTimeoutCause(ctx, 4500*time.Millisecond, errSpoilt)
				defer cancel()
				some, err = pipeline.Collect(ctx, s)
				assert.ErrorIs(t, err, errSpoilt)
				return nil // enough
			}, into(&all, 0))
		require.NoError(t, err)
		assert.Len(t, some, 5)
		assert.Len(t, all, 20)
	})
}

func TestBroadcastStreamIsForOneUse(t *testing.T) {
	err := pipeline.Broadcast(t.Context(), pipeline.Of(1, 2, 3), func(ctx context.Context, s pipeline.Stream[int]) error {
		if err := pipeline.Run(ctx, s); err != nil {
			return err
		}
		n, err := pipeline.Count(ctx, s)
		assert.Zero(t, n)
		require.Error(t, err)
		return err
	})
	require.ErrorContains(t, err, "pipeline: ")
}

func TestBroadcastIntoStagesAndWorkers(t *testing.T) {
	var sum atomic.Int64
	var batches int
	err := pipeline.Broadcast(t.Context(), pipeline.FromSlice(countTo(10_000)),
		pipeline.Into(func(_ context.Context, v int) error { sum.Add(int64(v)); return nil }, pipeline.Workers(4)),
		func(ctx context.Context, s pipeline.Stream[int]) (err error) {
			batches, err = pipeline.Count(ctx, pipeline.Batch(s, 100, time.Hour))
			return err
		},
		func(ctx context.Context, s pipeline.Stream[int]) error { // in another
			return pipeline.Broadcast(ctx, s, pipeline.Run[int], pipeline.Run[int])
		})
	require.NoError(t, err)
	assert.EqualValues(t, 10_000*9_999/2, sum.Load())
	assert.Equal(t, 100, batches)
}

// Sinks of all kinds, at random: it ends, the outcome is one of theirs, and
// those that read to the end have got all.
func TestBroadcastAtRandom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(13, 14))
		for range 300 {
			n := r.IntN(200)
			got := make([][]int, 1+r.IntN(5))
			fails, dies := false, false
			var sinks []pipeline.Sink[int]
			for i := range got {
				pause, stop, kind := time.Duration(r.IntN(4))*time.Second, r.IntN(200), r.IntN(9)
				fails, dies = fails || kind == 0 && stop < n, dies || kind == 1 && stop < n
				sinks = append(sinks, func(ctx context.Context, s pipeline.Stream[int]) error {
					for v, err := range s.All(ctx) {
						switch {
						case err != nil:
							return err
						case v == stop && kind == 0:
							return errSpoilt
						case v == stop && kind == 1:
							runtime.Goexit()
						case v == stop && kind == 2:
							got[i] = nil
							return nil
						}
						got[i] = append(got[i], v)
						time.Sleep(pause)
					}
					return nil
				})
			}
			err := pipeline.Broadcast(t.Context(), pipeline.FromSlice(countTo(n)), sinks...)
			switch {
			case !fails && !dies:
				require.NoError(t, err)
				for i := range got {
					require.True(t, got[i] == nil || slices.Equal(countTo(n), got[i]))
				}
			case !fails:
				require.ErrorIs(t, err, pipeline.ErrGoexit)
			case !dies:
				require.Equal(t, errSpoilt, err)
			default:
				require.Error(t, err)
			}
		}
	})
}

func TestBroadcastPanics(t *testing.T) {
	for name, f := range map[string]func(){
		"no stream": func() { pipeline.Broadcast[int](t.Context(), nil, pipeline.Run[int]) },
		"no sink":   func() { pipeline.Broadcast(t.Context(), pipeline.Of(1), pipeline.Run[int], nil) },
		"into nil":  func() { pipeline.Into[int](nil) },
		"not its key": func() {
			pipeline.Into(func(context.Context, int) error { return nil }, pipeline.Workers(2), pipeline.ByKey(func(string) int { return 0 }))
		},
	} {
		t.Run(name, func(t *testing.T) { assertPanics(t, "pipeline: ", f) })
	}
}

// A context that a sink makes of nothing does not keep it from ending with the
// others.
func TestBroadcastStreamWithAContextThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		forever := func(ctx context.Context, s pipeline.Stream[int]) error {
			return pipeline.ForEach(context.WithoutCancel(ctx), s, func(context.Context, int) error {
				time.Sleep(time.Second)
				return nil
			})
		}
		for name, s := range map[string]pipeline.Stream[int]{
			"that waits":    pipeline.FromChan[int](nil),
			"that has some": arriving(every(time.Millisecond, 100_000), time.Hour),
		} {
			err := pipeline.Broadcast(t.Context(), s, forever, func(ctx context.Context, _ pipeline.Stream[int]) error {
				time.Sleep(10500 * time.Millisecond)
				return errSpoilt
			})
			require.Equal(t, errSpoilt, err, name)
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errSpoilt)
			err = pipeline.Broadcast(ctx, s, forever)
			cancel()
			require.ErrorIs(t, err, errSpoilt, name)
			require.ErrorIs(t, err, context.DeadlineExceeded, name)
		}
	})
}

func TestBroadcastStreamThatIsUsedTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept pipeline.Stream[int]
		keep := func(_ context.Context, s pipeline.Stream[int]) error { kept = s; return nil }
		require.NoError(t, pipeline.Broadcast(t.Context(), pipeline.Of(1, 2, 3), keep))
		require.Error(t, pipeline.Run(t.Context(), kept), "after the call")
		require.Error(t, pipeline.Run(t.Context(), kept), "again")

		// By a sink that has left, while others go on.
		start := time.Now()
		var wg sync.WaitGroup
		var all []int
		require.NoError(t, pipeline.Broadcast(t.Context(), arriving(every(time.Second, 60), time.Hour),
			func(ctx context.Context, s pipeline.Stream[int]) error {
				wg.Go(func() {
					time.Sleep(time.Second)
					assert.Error(t, pipeline.Run(ctx, s))
					assert.Equal(t, time.Second, time.Since(start), "it does not wait")
				})
				return nil
			}, into(&all, 0)))
		wg.Wait()
		assert.Len(t, all, 60)
	})
}

// Whoever takes its time with an error holds up what comes behind it, but not
// that the others get it; and nothing is taken until all have handled it.
func TestBroadcastGivesAnErrorToAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		at := make([]time.Duration, 3)
		var handled atomic.Int64
		var sinks []pipeline.Sink[int]
		for i := range at {
			sinks = append(sinks, func(ctx context.Context, s pipeline.Stream[int]) error {
				return pipeline.Run(ctx, pipeline.Recover(s, func(error) error {
					at[i] = time.Since(start)
					time.Sleep(time.Duration(3-i) * time.Minute)
					handled.Add(1)
					return nil
				}))
			})
		}
		source := func(context.Context) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				_ = yield(0, errSpoilt)
				assert.EqualValues(t, 3, handled.Load(), "more is asked for before that")
				_ = yield(1, nil)
			}
		}
		require.NoError(t, pipeline.Broadcast(t.Context(), source, sinks...))
		assert.Equal(t, make([]time.Duration, 3), at)
	})
}

func TestBroadcastOfAnErrorThatNobodyWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leave := func(context.Context, pipeline.Stream[int]) error { return nil }
		var errs []error
		source := pipeline.FromSeq2(func(yield func(int, error) bool) {
			_ = yield(0, errSpoilt) && yield(1, nil) && yield(0, errSpoilt)
		})
		require.NoError(t, pipeline.Broadcast(t.Context(), source, leave, func(ctx context.Context, s pipeline.Stream[int]) error {
			return pipeline.Run(ctx, pipeline.Recover(s, func(err error) error { errs = append(errs, err); return nil }))
		}))
		assert.Equal(t, []error{errSpoilt, errSpoilt}, errs, "of those who have left")
	})
}

func TestBroadcastReturnsTheFirstErrorAlsoIfAnotherSinkExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 50 {
			err := pipeline.Broadcast(t.Context(), pipeline.FromChan[int](nil),
				func(context.Context, pipeline.Stream[int]) error { return errSpoilt },
				func(ctx context.Context, _ pipeline.Stream[int]) error { <-ctx.Done(); runtime.Goexit(); return nil })
			require.Equal(t, errSpoilt, err)
		}
	})
}

// A source that does not look at its context ends when all have left.
func TestBroadcastOfASourceThatDoesNotKnowOfItsContext(t *testing.T) {
	const many = 1_000_000
	taken := 0
	source := func(context.Context) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for taken = 0; taken < many && yield(taken, nil); taken++ {
			}
		}
	}
	few := func(ctx context.Context, s pipeline.Stream[int]) error { return pipeline.Run(ctx, pipeline.Take(s, 3)) }
	require.NoError(t, pipeline.Broadcast(t.Context(), source, few, few))
	assert.Less(t, taken, many)
}
