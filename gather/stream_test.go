package gather_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/gather"
)

// naturals is without end; taken counts what was taken from it.
func naturals(taken *atomic.Int64) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := 0; ; i++ {
			taken.Store(int64(i + 1))
			if !yield(i) {
				return
			}
		}
	}
}

func TestStreamReportsResultsAsTheyComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []int
		for i, r := range gather.Stream(t.Context(), slices.Values([]int{3, 1, 2}), func(_ context.Context, d int) (int, error) {
			time.Sleep(time.Duration(d) * time.Second)
			return d, nil
		}) {
			assert.Equal(t, []int{3, 1, 2}[i], r.Value)
			order = append(order, r.Value)
		}
		assert.Equal(t, []int{1, 2, 3}, order)
	})
}

func TestStreamReportsResultsWhileItsSourceBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		slow := func(yield func(int) bool) {
			if yield(1) {
				time.Sleep(time.Hour)
				yield(2)
			}
		}
		var at []time.Duration
		for range gather.Stream(t.Context(), slow, square, gather.Ordered()) {
			at = append(at, time.Since(start))
		}
		assert.Equal(t, []time.Duration{0, time.Hour}, at)
	})
}

func TestStreamOrdered(t *testing.T) {
	for _, limit := range []int{1, 2, 8, 64} {
		t.Run(fmt.Sprintf("limit=%d", limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				next := 0
				for i, r := range gather.Stream(t.Context(), slices.Values(upTo(300)), func(_ context.Context, i int) (int, error) {
					time.Sleep(time.Duration(rand.IntN(100)) * time.Second)
					return i, nil
				}, gather.Ordered(), gather.Limit(limit)) {
					require.Equal(t, next, i)
					require.Equal(t, next, r.Value)
					next++
				}
				assert.Equal(t, 300, next)
			})
		})
	}
}

func TestStreamTakesNoMoreThanItMayHaveInFlight(t *testing.T) {
	for name, opts := range map[string][]gather.Option{
		"by default": nil,
		"limit":      {gather.Limit(64)},
		"ordered":    {gather.Limit(64), gather.Ordered()},
		"small":      {gather.Limit(1)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limit := int64(64)
				if name == "small" {
					limit = 1
				}
				var taken atomic.Int64
				yielded := int64(0)
				for range gather.Stream(t.Context(), naturals(&taken), square, opts...) {
					synctest.Wait() // until everything that can be done is done
					yielded++
					require.LessOrEqual(t, taken.Load()-yielded, limit)
					if yielded == 1000 {
						assert.EqualValues(t, limit, taken.Load()-yielded, "the limit is made use of")
						break
					}
				}
			})
		})
	}
}

func TestStreamOfAHugeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		for range gather.Stream(t.Context(), slices.Values(upTo(10)), square, gather.Limit(1<<31-1), gather.Ordered()) {
			n++
		}
		assert.Equal(t, 10, n)
	})
}

func TestLeavingAStreamCancelsTheRestAndWaits(t *testing.T) {
	for _, opts := range [][]gather.Option{nil, {gather.Ordered()}} {
		synctest.Test(t, func(t *testing.T) {
			var taken, ended atomic.Int64
			causes := make(chan error, 100)
			for range gather.Stream(t.Context(), naturals(&taken), func(ctx context.Context, i int) (int, error) {
				defer ended.Add(1)
				if i == 0 {
					return 0, nil
				}
				<-ctx.Done()
				causes <- context.Cause(ctx)
				time.Sleep(time.Minute) // clean-up
				return i, nil
			}, append(opts, gather.Limit(5))...) {
				synctest.Wait()
				break
			}
			assert.EqualValues(t, taken.Load(), ended.Load(), "all that was taken has ended")
			close(causes)
			for cause := range causes {
				require.EqualError(t, cause, "gather: the loop over the stream was left")
			}
		})
	}
}

func TestLeavingAStreamDiscardsWhatWasNotYielded(t *testing.T) {
	for _, opts := range [][]gather.Option{nil, {gather.Ordered()}} {
		synctest.Test(t, func(t *testing.T) {
			var taken, discarded atomic.Int64
			yielded, good := 0, int64(0)
			opts := append(opts, gather.Limit(10), gather.OnDiscard(func(int) { discarded.Add(1) }))
			for _, r := range gather.Stream(t.Context(), naturals(&taken), func(ctx context.Context, i int) (int, error) {
				if i == 3 {
					return 0, errBoom // has no value to discard
				}
				if i == 5 { // so that with Ordered later ones are kept back
					return block(ctx, i)
				}
				return i, nil
			}, opts...) {
				synctest.Wait()
				if r.Err == nil {
					good++
				}
				if yielded++; yielded == 5 {
					break
				}
			}
			require.Greater(t, taken.Load(), int64(5))
			assert.Equal(t, taken.Load()-2-good, discarded.Load(), "all but 3, 5 and what was yielded")
		})
	}
}

func TestPanicAndGoexitInTheLoopBodyJoinTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var taken atomic.Int64
		var running gauge
		stream := gather.Stream(t.Context(), naturals(&taken), func(ctx context.Context, i int) (int, error) {
			defer running.enter()()
			if i > 0 {
				<-ctx.Done()
			}
			return i, nil
		}, gather.Limit(5))
		assert.PanicsWithValue(t, "in the body", func() {
			for range stream {
				synctest.Wait()
				panic("in the body")
			}
		})
		assert.EqualValues(t, 5, running.peak.Load())
		assert.Zero(t, running.now.Load())

		done := make(chan struct{})
		go func() {
			defer close(done)
			for range stream { // a stream may be looped over again
				runtime.Goexit()
			}
		}()
		<-done
		assert.Zero(t, running.now.Load())
	})
}

func TestStreamCutShortSaysSo(t *testing.T) {
	for _, opts := range [][]gather.Option{nil, {gather.Ordered()}} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			var taken atomic.Int64
			type pair struct {
				i   int
				err error
			}
			var pairs []pair
			for i, r := range gather.Stream(ctx, naturals(&taken), square, append(opts, gather.Limit(3))...) {
				pairs = append(pairs, pair{i, r.Err})
				if len(pairs) == 10 {
					synctest.Wait()
					cancel(errBoom)
				}
			}
			assert.Len(t, pairs, int(taken.Load()), "all that was taken is yielded, the last item as not run")
			last := pairs[len(pairs)-1]
			assert.EqualValues(t, taken.Load()-1, last.i)
			require.ErrorIs(t, last.err, gather.ErrNotRun)
			require.ErrorIs(t, last.err, errBoom)
			for _, p := range pairs[:len(pairs)-1] {
				require.NoError(t, p.err)
			}
		})
	}
}

func TestStreamOfAnItemTakenTooLateIsNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		slow := func(yield func(int) bool) {
			if yield(1) {
				time.Sleep(time.Hour)
				cancel()
				yield(2)
			}
		}
		var indexes []int
		for i, r := range gather.Stream(ctx, slow, square) {
			indexes = append(indexes, i)
			assert.Equal(t, i == 1, errors.Is(r.Err, gather.ErrNotRun))
		}
		assert.Equal(t, []int{0, 1}, indexes)
	})
}

func TestStreamThatIsAtItsEndWhenCtxEndsIsNotCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		n := 0
		for _, r := range gather.Stream(ctx, slices.Values(upTo(3)), func(ctx context.Context, i int) (int, error) {
			<-ctx.Done()
			return i, nil
		}) {
			require.NoError(t, r.Err)
			n++
		}
		assert.Equal(t, 3, n)
	})
}

func TestPanicAndGoexitInTheSourceOfAStream(t *testing.T) {
	for want, end := range map[string]func(){"panic": func() { panic(errBoom) }, "Goexit": runtime.Goexit} {
		synctest.Test(t, func(t *testing.T) {
			source := func(yield func(int) bool) {
				yield(0)
				end()
			}
			var errs []error
			for _, r := range gather.Stream(t.Context(), source, square) {
				errs = append(errs, r.Err)
			}
			require.Len(t, errs, 2)
			require.NoError(t, errs[0])
			if want == "panic" {
				require.ErrorIs(t, errs[1], errBoom)
			} else {
				require.ErrorIs(t, errs[1], gather.ErrGoexit)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		p := requirePanic(t, func() {
			for range gather.Stream(t.Context(), func(func(int) bool) { panic(errBoom) }, square, gather.Repanic()) {
				t.Error("a result")
			}
		})
		require.ErrorIs(t, p, errBoom)
	})
}

func TestStreamThroughPull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var taken atomic.Int64
		next, stop := iter.Pull2(gather.Stream(t.Context(), naturals(&taken), square, gather.Ordered()))
		for i := range 100 {
			index, r, ok := next()
			require.True(t, ok)
			require.Equal(t, i, index)
			require.Equal(t, i*i, r.Value)
		}
		stop()
	})
}

func TestStreamPanicInOnDiscardKeepsNoneFromItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		discarded := 0
		stream := gather.Stream(t.Context(), slices.Values(upTo(6)), func(_ context.Context, i int) (int, error) {
			if i == 1 {
				time.Sleep(time.Second) // the others are kept back, for the order
			}
			return i, nil
		}, gather.Ordered(), gather.OnDiscard(func(int) {
			discarded++
			panic("in OnDiscard")
		}))
		assert.PanicsWithValue(t, "in OnDiscard", func() {
			for i := range stream {
				if i == 0 {
					synctest.Wait()
				} else {
					break
				}
			}
		})
		assert.Equal(t, 4, discarded)
	})
}

func TestStreamYieldsTheFirstFailureFirst(t *testing.T) {
	for range 2000 {
		var first error
		var n atomic.Int64
		for _, r := range gather.Stream(t.Context(), slices.Values(upTo(20)), func(ctx context.Context, _ int) (int, error) {
			if n.Add(1) == 4 {
				return 0, errBoom
			}
			<-ctx.Done()
			return 0, ctx.Err()
		}, gather.FailFast(), gather.Limit(4)) {
			if r.Err != nil && first == nil {
				first = r.Err
			}
		}
		require.Equal(t, errBoom, first)
	}
}

func TestStreamWhoseLastItemFailsHasNoFurtherPair(t *testing.T) {
	for _, limit := range []int{1, 2, 3, 4, 64} {
		for range 200 {
			pairs := 0
			for _, r := range gather.Stream(t.Context(), slices.Values(upTo(3)), func(_ context.Context, i int) (int, error) {
				if i == 2 {
					return 0, errBoom
				}
				return i, nil
			}, gather.FailFast(), gather.Limit(limit)) {
				if pairs++; r.Err != nil && !errors.Is(r.Err, gather.ErrNotRun) {
					assert.Equal(t, errBoom, r.Err)
				}
			}
			require.Equal(t, 3, pairs, "there is no fourth item")
		}
	}
}

func TestStreamStartsNothingAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		for range gather.Stream(t.Context(), slices.Values(upTo(100)), func(ctx context.Context, _ int) (int, error) {
			calls.Add(1)
			assert.NoError(t, ctx.Err())
			return 0, errBoom
		}, gather.FailFast(), gather.Limit(1)) {
		}
		assert.EqualValues(t, 1, calls.Load())
	})
}
