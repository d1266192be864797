package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/ratelimit"
)

var errGaveUp = errors.New("gave up")

// requireEnded checks that err is that of a wait which ended with ctx.
func requireEnded(t *testing.T, ctx context.Context, err error) {
	t.Helper()
	require.Error(t, ctx.Err())
	require.ErrorIs(t, err, ctx.Err())
	require.ErrorIs(t, err, context.Cause(ctx))
	require.NotErrorIs(t, err, ratelimit.ErrFull)
}

// requireInUse checks the counts of b.
func requireInUse(t *testing.T, b *ratelimit.Bulkhead, inUse, waiting int) {
	t.Helper()
	require.Equal(t, inUse, b.InUse(), "in use")
	require.Equal(t, waiting, b.Waiting(), "waiting")
}

// requireUnused checks that nobody is at b, and that it has n places.
func requireUnused(t *testing.T, b *ratelimit.Bulkhead, n int) {
	t.Helper()
	requireInUse(t, b, 0, 0)
	for i := range n {
		require.True(t, b.TryAcquire(), "place %d of %d", i, n)
	}
	require.False(t, b.TryAcquire())
	requireInUse(t, b, n, 0)
	for range n {
		b.Release()
	}
	requireInUse(t, b, 0, 0)
}

// acquireLater acquires in a goroutine, and returns where its error will be.
func acquireLater(ctx context.Context, b *ratelimit.Bulkhead) <-chan error {
	got := make(chan error, 1)
	go func() { got <- b.Acquire(ctx) }()
	return got
}

// isWaiting reports whether nothing has been sent yet.
func isWaiting(got <-chan error) bool { return len(got) == 0 }

// A gauge counts how many are at something, and how many there were at most.
type gauge struct{ now, peak atomic.Int64 }

func (g *gauge) enter() {
	now := g.now.Add(1)
	for peak := g.peak.Load(); now > peak && !g.peak.CompareAndSwap(peak, now); {
		peak = g.peak.Load()
	}
}

func (g *gauge) leave() { g.now.Add(-1) }

func TestBulkhead_neverMore(t *testing.T) {
	for _, places := range []int{1, 2, 7} {
		for _, workers := range []int{1, 2, 30} {
			t.Run(fmt.Sprintf("max=%d/workers=%d", places, workers), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := ratelimit.NewBulkhead(places, -1)
					var g gauge
					var wg sync.WaitGroup
					for i := range workers {
						wg.Go(func() {
							for j := range 50 {
								assert.NoError(t, b.Acquire(t.Context()))
								g.enter()
								time.Sleep(time.Duration(1+(i*7+j)%5) * time.Millisecond)
								g.leave()
								b.Release()
							}
						})
					}
					wg.Wait()
					assert.EqualValues(t, min(places, workers), g.peak.Load())
					requireUnused(t, b, places)
				})
			})
		}
	}
}

// The life of a bulkhead with a queue, for each length of that.
func TestBulkhead_queue(t *testing.T) {
	for _, places := range []int{1, 3} {
		for _, queue := range []int{0, 1, 2, 10} {
			t.Run(fmt.Sprintf("max=%d/queue=%d", places, queue), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := ratelimit.NewBulkhead(places, queue)
					for i := range places {
						requireInUse(t, b, i, 0)
						require.NoError(t, b.Acquire(t.Context()))
					}
					var waiters []<-chan error
					for i := range queue {
						requireInUse(t, b, places, i)
						waiters = append(waiters, acquireLater(t.Context(), b))
						synctest.Wait()
						require.True(t, isWaiting(waiters[i]))
					}
					for range 3 {
						start := time.Now()
						err := b.Acquire(t.Context())
						require.ErrorIs(t, err, ratelimit.ErrFull)
						require.NotErrorIs(t, err, ratelimit.ErrLimited)
						require.Zero(t, time.Since(start), "at once")
						require.False(t, b.TryAcquire())
						requireInUse(t, b, places, queue)
					}
					for i := range queue {
						b.Release()
						requireInUse(t, b, places, queue-i-1)
						synctest.Wait()
						requireInUse(t, b, places, queue-i-1)
						require.NoError(t, <-waiters[i])
					}
					for i := range places {
						b.Release()
						requireInUse(t, b, places-i-1, 0)
					}
					requireUnused(t, b, places)
				})
			})
		}
	}
}

func TestBulkhead_unboundedQueue(t *testing.T) {
	for _, queue := range []int{-1, -2, math.MinInt, math.MaxInt} {
		synctest.Test(t, func(t *testing.T) {
			b := ratelimit.NewBulkhead(1, queue)
			require.True(t, b.TryAcquire())
			const many = 2000
			var wg sync.WaitGroup
			for range many {
				wg.Go(func() {
					assert.NoError(t, b.Acquire(t.Context()))
					b.Release()
				})
			}
			synctest.Wait()
			requireInUse(t, b, 1, many)
			b.Release()
			wg.Wait()
			requireUnused(t, b, 1)
		})
	}
}

// Who has been let in does not wait any more, even if it has not run since.
func TestBulkhead_boundAfterHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := ratelimit.NewBulkhead(1, 1)
		for range 1000 {
			require.True(t, b.TryAcquire())
			first := acquireLater(t.Context(), b)
			synctest.Wait()
			requireInUse(t, b, 1, 1)

			b.Release() // to the first
			requireInUse(t, b, 1, 0)
			require.False(t, b.TryAcquire())
			second := acquireLater(t.Context(), b)
			for b.Waiting() == 0 && isWaiting(second) {
				runtime.Gosched()
			}
			requireInUse(t, b, 1, 1)
			require.ErrorIs(t, b.Acquire(t.Context()), ratelimit.ErrFull)
			synctest.Wait()

			b.Release() // for the first, to the second
			requireInUse(t, b, 1, 0)
			ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
			requireEnded(t, ctx, b.Acquire(ctx))
			cancel()
			require.NoError(t, <-first)
			require.NoError(t, <-second)
			b.Release()
		}
		requireUnused(t, b, 1)
	})
}

func TestBulkhead_order(t *testing.T) {
	for _, places := range []int{1, 3, 10} {
		for _, atOnce := range []int{1, 2, 10} {
			atOnce = min(atOnce, places)
			synctest.Test(t, func(t *testing.T) {
				b := ratelimit.NewBulkhead(places, -1)
				for range places {
					require.True(t, b.TryAcquire())
				}
				const many = 40
				var waiters []<-chan error
				for range many {
					waiters = append(waiters, acquireLater(t.Context(), b))
					synctest.Wait()
				}
				for in := 0; in < many; {
					for range atOnce { // some of them without a pause
						b.Release()
						in = min(in+1, many)
					}
					synctest.Wait()
					for i, w := range waiters {
						require.Equal(t, i >= in, isWaiting(w), "waiter %d of the first %d", i, in)
					}
				}
				for b.InUse() > 0 {
					b.Release()
				}
				requireUnused(t, b, places)
			})
		}
	}
}

// A waiter that gives up leaves its place in the queue to others.
func TestBulkhead_cancel(t *testing.T) {
	for gone := range 3 {
		synctest.Test(t, func(t *testing.T) {
			b := ratelimit.NewBulkhead(1, 3)
			require.True(t, b.TryAcquire())
			ctx, cancel := context.WithCancelCause(t.Context())
			var waiters []<-chan error
			for i := range 3 {
				if i == gone {
					waiters = append(waiters, acquireLater(ctx, b))
				} else {
					waiters = append(waiters, acquireLater(t.Context(), b))
				}
				synctest.Wait()
			}
			require.ErrorIs(t, b.Acquire(t.Context()), ratelimit.ErrFull)
			cancel(errGaveUp)
			synctest.Wait()
			requireInUse(t, b, 1, 2)
			requireEnded(t, ctx, <-waiters[gone])
			waiters = append(waiters, acquireLater(t.Context(), b))
			synctest.Wait()
			requireInUse(t, b, 1, 3)
			require.ErrorIs(t, b.Acquire(t.Context()), ratelimit.ErrFull)
			for i, w := range waiters {
				if i == gone {
					continue
				}
				require.True(t, isWaiting(w))
				b.Release()
				synctest.Wait()
				require.False(t, isWaiting(w), "waiter %d", i)
				require.NoError(t, <-w)
			}
			b.Release()
			requireUnused(t, b, 1)
		})
	}
}

func TestBulkhead_deadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := ratelimit.NewBulkhead(1, 1)
		require.True(t, b.TryAcquire())
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errGaveUp)
		defer cancel()
		start := time.Now()
		requireEnded(t, ctx, b.Acquire(ctx))
		assert.Equal(t, time.Second, time.Since(start))
		requireInUse(t, b, 1, 0)
		b.Release()
		requireUnused(t, b, 1)
	})
}

func TestBulkhead_endedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		canceled, cancel := context.WithCancelCause(t.Context())
		cancel(errGaveUp)
		late, cancelLate := context.WithDeadline(t.Context(), time.Now())
		defer cancelLate()
		for _, ctx := range []context.Context{canceled, late} {
			b := ratelimit.NewBulkhead(2, 1)
			for range 1000 {
				requireEnded(t, ctx, b.Acquire(ctx))
			}
			requireInUse(t, b, 0, 0)
			require.NoError(t, b.Acquire(t.Context()))
			require.NoError(t, b.Acquire(t.Context()))
			for range 1000 {
				requireEnded(t, ctx, b.Acquire(ctx))
			}
			requireInUse(t, b, 2, 0)
			b.Release()
			b.Release()
			requireUnused(t, b, 2)
		}
	})
}

// The end of a context that comes with a place: either wins, and the place is
// not lost.
func TestBulkhead_cancelWhileHandedOver(t *testing.T) {
	for _, first := range []string{"cancel", "release", "both"} {
		t.Run(first, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := ratelimit.NewBulkhead(1, -1)
				for range 1000 {
					require.True(t, b.TryAcquire())
					ctx, cancel := context.WithCancelCause(t.Context())
					torn := acquireLater(ctx, b)
					synctest.Wait()
					next := acquireLater(t.Context(), b)
					synctest.Wait()
					switch first {
					case "cancel":
						cancel(errGaveUp)
						b.Release()
					case "release":
						b.Release()
						cancel(errGaveUp)
					case "both":
						go cancel(errGaveUp)
						go b.Release()
					}
					synctest.Wait()
					if err := <-torn; err != nil {
						requireEnded(t, ctx, err)
					} else {
						require.True(t, isWaiting(next))
						requireInUse(t, b, 1, 1)
						b.Release()
					}
					require.NoError(t, <-next)
					requireInUse(t, b, 1, 0)
					b.Release()
					cancel(nil)
				}
				requireUnused(t, b, 1)
			})
		})
	}
}

// The same without time, so that everything may be at any place.
func TestBulkhead_cancelDuringRelease(t *testing.T) {
	b := ratelimit.NewBulkhead(2, -1)
	for i := range 20_000 {
		require.True(t, b.TryAcquire())
		require.True(t, b.TryAcquire())
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 1 + i%3 {
			wg.Go(func() {
				if b.Acquire(ctx) == nil {
					b.Release()
				}
			})
		}
		for b.Waiting() < 1+i%3 {
			runtime.Gosched()
		}
		wg.Go(b.Release)
		wg.Go(cancel)
		b.Release()
		wg.Wait()
		requireInUse(t, b, 0, 0)
	}
	requireUnused(t, b, 2)
}

// Who comes while another waits does not get its place, even if that one has
// only just come.
func TestBulkhead_noOvertaking(t *testing.T) {
	b := ratelimit.NewBulkhead(1, -1)
	for i := range 20_000 {
		require.True(t, b.TryAcquire())
		first := acquireLater(t.Context(), b)
		for b.Waiting() == 0 {
			runtime.Gosched()
		}
		b.Release() // to the first
		ctx, cancel := context.WithCancel(t.Context())
		second := acquireLater(ctx, b)
		select {
		case err := <-first:
			require.NoError(t, err)
		case <-second:
			t.Fatal("overtaken, after so many times:", i)
		}
		cancel()
		requireEnded(t, ctx, <-second)
		b.Release()
		requireInUse(t, b, 0, 0)
	}
}

// Many who are torn one after another, each when the place comes to it.
func TestBulkhead_cancelAllWhileHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 200 {
			b := ratelimit.NewBulkhead(2, -1)
			require.True(t, b.TryAcquire())
			require.True(t, b.TryAcquire())
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					if b.Acquire(ctx) == nil {
						b.Release()
					}
				})
			}
			synctest.Wait()
			requireInUse(t, b, 2, 20)
			go b.Release()
			go cancel()
			go b.Release()
			wg.Wait()
			synctest.Wait()
			requireUnused(t, b, 2)
		}
	})
}

// hammerBulkhead lets many do everything at once; pause is what they do in
// between, in pauses of any length but not without end.
func hammerBulkhead(t *testing.T, places, queue int, pause func(*rand.Rand), limited func(*rand.Rand) (context.Context, context.CancelFunc)) {
	t.Helper()
	b := ratelimit.NewBulkhead(places, queue)
	var g gauge
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 1))
			for range 300 {
				in := false
				switch rnd.IntN(4) {
				case 0:
					in = b.TryAcquire()
				case 1:
					err := b.Acquire(t.Context())
					in = err == nil
					assert.True(t, in || queue >= 0 && errors.Is(err, ratelimit.ErrFull), "%v", err)
				default:
					ctx, cancel := limited(rnd)
					err := b.Acquire(ctx)
					in = err == nil
					assert.True(t, in || queue >= 0 && errors.Is(err, ratelimit.ErrFull) ||
						ctx.Err() != nil && errors.Is(err, ctx.Err()), "%v", err)
					cancel()
				}
				if waiting := b.Waiting(); queue >= 0 {
					assert.LessOrEqual(t, waiting, queue)
				}
				assert.LessOrEqual(t, b.InUse(), places)
				if !in {
					continue
				}
				g.enter()
				assert.LessOrEqual(t, g.now.Load(), int64(places))
				pause(rnd)
				g.leave()
				b.Release()
			}
		})
	}
	wg.Wait()
	assert.LessOrEqual(t, g.peak.Load(), int64(places))
	requireUnused(t, b, places)
}

func TestBulkhead_hammer(t *testing.T) {
	for _, places := range []int{1, 2, 8} {
		for _, queue := range []int{-1, 0, 1, 5} {
			t.Run(fmt.Sprintf("max=%d/queue=%d/bubble", places, queue), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					hammerBulkhead(t, places, queue,
						func(rnd *rand.Rand) { time.Sleep(time.Duration(rnd.IntN(5)) * time.Millisecond) },
						func(rnd *rand.Rand) (context.Context, context.CancelFunc) {
							return context.WithTimeout(t.Context(), time.Duration(rnd.IntN(20))*time.Millisecond)
						})
				})
			})
			// Without time: contexts end when others get to it.
			t.Run(fmt.Sprintf("max=%d/queue=%d", places, queue), func(t *testing.T) {
				var last atomic.Pointer[context.CancelFunc]
				hammerBulkhead(t, places, queue,
					func(rnd *rand.Rand) {
						for range rnd.IntN(5) {
							runtime.Gosched()
						}
					},
					func(rnd *rand.Rand) (context.Context, context.CancelFunc) {
						ctx, cancel := context.WithCancel(t.Context())
						if rnd.IntN(2) == 0 {
							go cancel()
						} else if other := last.Swap(&cancel); other != nil {
							(*other)()
						}
						return ctx, cancel
					})
			})
		}
	}
}

func TestBulkhead_releaseTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := ratelimit.NewBulkhead(2, 1)
		for range 3 {
			requireOurPanic(t, b.Release)
			requireUnused(t, b, 2)
		}
		require.NoError(t, b.Acquire(t.Context()))
		b.Release()
		requireOurPanic(t, b.Release)
		requireUnused(t, b, 2)
	})
}

// requireOurPanic checks that fn panics, with a text that says who does.
func requireOurPanic(t *testing.T, fn func()) {
	t.Helper()
	defer func() {
		t.Helper()
		text, _ := recover().(string)
		require.Regexp(t, "^ratelimit: .", text)
	}()
	fn()
}

func TestBulkhead_tryBehindOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := ratelimit.NewBulkhead(1, -1)
		require.True(t, b.TryAcquire())
		require.False(t, b.TryAcquire())
		waiter := acquireLater(t.Context(), b)
		synctest.Wait()
		require.False(t, b.TryAcquire())
		b.Release()
		require.False(t, b.TryAcquire(), "it is for who waits")
		require.NoError(t, <-waiter)
		b.Release()
		require.True(t, b.TryAcquire())
		b.Release()
	})
}

func TestNewBulkhead_panics(t *testing.T) {
	for _, places := range []int{0, -1, math.MinInt} {
		for _, queue := range []int{-1, 0, 1} {
			requireOurPanic(t, func() { ratelimit.NewBulkhead(places, queue) })
		}
	}
	for _, places := range []int{2, math.MaxInt} {
		b := ratelimit.NewBulkhead(places, math.MaxInt)
		require.True(t, b.TryAcquire())
		require.NoError(t, b.Acquire(t.Context()))
		requireInUse(t, b, 2, 0)
	}
}

func TestWithin(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "mine")
	b := ratelimit.NewBulkhead(1, 0)
	for _, want := range []error{nil, errGaveUp} {
		v, err := ratelimit.Within(ctx, b, func(ctx context.Context) (int, error) {
			assert.Equal(t, "mine", ctx.Value(key{}))
			requireInUse(t, b, 1, 0)
			return 7, want
		})
		assert.Equal(t, 7, v)
		assert.Equal(t, want, err)
		requireUnused(t, b, 1)
	}
}

func TestWithin_noPlace(t *testing.T) {
	never := func(context.Context) (int, error) { panic("called") }
	synctest.Test(t, func(t *testing.T) {
		b := ratelimit.NewBulkhead(1, 0)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errGaveUp)
		v, err := ratelimit.Within(ctx, b, never)
		requireEnded(t, ctx, err)
		assert.Zero(t, v)
		requireUnused(t, b, 1)

		require.True(t, b.TryAcquire())
		v, err = ratelimit.Within(t.Context(), b, never)
		require.ErrorIs(t, err, ratelimit.ErrFull)
		assert.Zero(t, v)
		b.Release()

		patient := ratelimit.NewBulkhead(1, 1)
		require.True(t, patient.TryAcquire())
		late, cancelLate := context.WithTimeoutCause(t.Context(), time.Second, errGaveUp)
		defer cancelLate()
		_, err = ratelimit.Within(late, patient, never)
		requireEnded(t, late, err)
		requireInUse(t, patient, 1, 0)
	})
}

// A place is given back however fn ends, and to who waits.
func TestWithin_panicAndGoexit(t *testing.T) {
	for name, end := range map[string]func(){
		"panic":     func() { panic(errGaveUp) },
		"panic nil": func() { panic(nil) }, //nolint:govet // it is what is tested
		"Goexit":    runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := ratelimit.NewBulkhead(1, -1)
				in, out := make(chan struct{}), make(chan any)
				go func() {
					returned := false
					defer func() { out <- [2]any{returned, recover() != nil} }()
					_, _ = ratelimit.Within(t.Context(), b, func(context.Context) (int, error) {
						<-in
						end()
						return 0, nil
					})
					returned = true
				}()
				synctest.Wait()
				waiter := acquireLater(t.Context(), b)
				synctest.Wait()
				requireInUse(t, b, 1, 1)
				close(in)
				assert.Equal(t, [2]any{false, name != "Goexit"}, <-out)
				require.NoError(t, <-waiter)
				requireInUse(t, b, 1, 0)
				b.Release()
				requireUnused(t, b, 1)
			})
		})
	}
}

// As in the tests of semaphore.Weighted: a waiter that gives up while another
// comes keeps nobody waiting.
func Test_semaphore_AllocCancelDoesntStarve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 100 {
			b := ratelimit.NewBulkhead(1, -1)
			require.True(t, b.TryAcquire())
			ctx, cancel := context.WithCancel(t.Context())
			var first sync.WaitGroup
			first.Go(func() {
				if b.Acquire(ctx) == nil {
					b.Release()
				}
			})
			synctest.Wait()
			go cancel()
			go b.Release()
			require.NoError(t, b.Acquire(t.Context()))
			b.Release()
			first.Wait()
			requireUnused(t, b, 1)
		}
	})
}

// As in the tests of semaphore.Weighted, golang.org/issue/63615: who is let in
// after the end of its context does not get in.
func Test_semaphore_AcquireCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 1000 {
			b := ratelimit.NewBulkhead(1, -1)
			ctx, cancel := context.WithCancel(t.Context())
			require.True(t, b.TryAcquire())
			waiter := acquireLater(ctx, b)
			synctest.Wait()
			cancel()
			b.Release()
			require.ErrorIs(t, <-waiter, context.Canceled)
			requireUnused(t, b, 1)
			require.ErrorIs(t, b.Acquire(ctx), context.Canceled)
		}
	})
}

func Test_semaphore_TryAcquire(t *testing.T) {
	b := ratelimit.NewBulkhead(2, -1)
	require.NoError(t, b.Acquire(t.Context()))
	assert.True(t, b.TryAcquire())
	assert.False(t, b.TryAcquire())
	b.Release()
	b.Release()
	assert.True(t, b.TryAcquire())
	require.NoError(t, b.Acquire(t.Context()))
	assert.False(t, b.TryAcquire())
}
