package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"math"
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

	"github.com/seed4886185c/concert/ratelimit"
)

// serviceTime is what a call takes at a simServer once it has a place.
const serviceTime = 100 * time.Millisecond

// A simServer does a number of calls at once. The others wait in a queue.
type simServer struct {
	mu     sync.Mutex // guards the fields below
	places int
	time   func() time.Duration // of a call
	busy   int
	queue  []chan struct{}
	served int
}

// do is a call.
func (s *simServer) do() {
	s.mu.Lock()
	turn := make(chan struct{})
	s.queue = append(s.queue, turn)
	s.fill()
	s.mu.Unlock()
	<-turn
	s.mu.Lock()
	d := s.time()
	s.mu.Unlock()
	time.Sleep(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	s.served++
	s.fill()
}

// fill requires mu.
func (s *simServer) fill() {
	for s.busy < s.places && len(s.queue) > 0 {
		close(s.queue[0])
		s.queue = s.queue[1:]
		s.busy++
	}
}

func (s *simServer) set(places int, service func() time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.places, s.time = places, service
	s.fill()
}

func (s *simServer) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.served
}

// always is a service time that does not change.
func always(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

// exponential is a service time of a mean. It is called with a lock held.
func exponential(seed uint64, mean time.Duration) func() time.Duration {
	rnd := rand.New(rand.NewPCG(seed, 3))
	return func() time.Duration { return 1 + time.Duration(rnd.ExpFloat64()*float64(mean)) }
}

// A simulation is some clients that call a server, each again as soon as it has
// its answer, as far as an Adaptive lets them.
type simulation struct {
	*simServer

	t *testing.T
	a *ratelimit.Adaptive
	gauge
}

// simulate runs test with clients that call all the while.
func simulate(t *testing.T, settings ratelimit.AdaptiveSettings, places, clients int, test func(s *simulation)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &simulation{
			simServer: &simServer{places: places, time: always(serviceTime)},
			t:         t, a: ratelimit.NewAdaptive(settings),
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		defer func() {
			cancel()
			wg.Wait()
			assert.Zero(t, s.now.Load())
			requireAllFree(t, s.a)
		}()
		for range clients {
			wg.Go(func() {
				for {
					done, err := s.a.Acquire(ctx)
					if err != nil {
						return
					}
					s.enter()
					s.do()
					s.leave()
					done(ratelimit.Success)
				}
			})
		}
		test(s)
	})
}

// looks returns the limit as it is after each of n round trips.
func (s *simulation) looks(n int) []int {
	var limits []int
	for range n {
		time.Sleep(serviceTime)
		limits = append(limits, s.a.Limit())
	}
	return limits
}

func meanOf(limits []int) float64 {
	sum := 0
	for _, l := range limits {
		sum += l
	}
	return float64(sum) / float64(len(limits))
}

// near is whether a limit is within a part of what a server can do at once.
func near(limit, places, part float64) bool { return math.Abs(limit-places) <= part*places+1e-9 }

// requireSettled checks that the mean of limits is within a part, and that
// almost all of them are within three tenths; the others are when it measures.
func requireSettled(t *testing.T, places int, part float64, limits []int) {
	t.Helper()
	mean := meanOf(limits)
	require.True(t, near(mean, float64(places), part), "%v of %d: %v", mean, places, limits)
	if places < 10 {
		return
	}
	off := 0
	for _, l := range limits {
		if !near(float64(l), float64(places), 0.3) {
			off++
		}
	}
	require.LessOrEqual(t, off, len(limits)/20, "%v", limits)
}

// reached returns after how many looks the limit is near places, or -1.
func reached(places int, limits []int) int {
	return slices.IndexFunc(limits, func(l int) bool { return near(float64(l), float64(places), 0.2) })
}

// requireAllFree checks, in a bubble, that as many calls as the limit is, and no
// more, may be made at once.
func requireAllFree(t *testing.T, a *ratelimit.Adaptive) {
	t.Helper()
	limit := a.Limit()
	dones := make([]func(ratelimit.Outcome), 0, limit)
	for i := range limit {
		ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
		done, err := a.Acquire(ctx)
		cancel()
		require.NoError(t, err, "call %d of %d", i, limit)
		dones = append(dones, done)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	done, err := a.Acquire(ctx)
	requireEnded(t, ctx, err)
	require.Nil(t, done)
	for _, done := range dones {
		done(ratelimit.Ignored)
	}
	require.Equal(t, limit, a.Limit())
}

func TestAdaptive_settles(t *testing.T) {
	for _, places := range []int{5, 10, 50, 100, 400} {
		t.Run(fmt.Sprintf("places=%d", places), func(t *testing.T) {
			simulate(t, ratelimit.AdaptiveSettings{}, places, 3*places+20, func(s *simulation) {
				before := s.looks(150)
				served := s.calls()
				after := s.looks(300)
				s.t.Logf("within a fifth after %d round trips, then %.4g, %d to %d", reached(places, before), meanOf(after), slices.Min(after), slices.Max(after))
				requireSettled(s.t, places, 0.2, after)
				assert.Greater(s.t, float64(s.calls()-served), 0.95*float64(300*places), "throughput")
			})
		})
	}
}

// It follows what the server can do at once, down and up again.
func TestAdaptive_follows(t *testing.T) {
	for _, places := range []int{10, 50, 100, 200} {
		t.Run(fmt.Sprintf("places=%d", places), func(t *testing.T) {
			simulate(t, ratelimit.AdaptiveSettings{}, places, 3*places+20, func(s *simulation) {
				s.looks(200)
				for _, p := range []int{places / 2, places, places / 2, places} {
					s.set(p, always(serviceTime))
					before := s.looks(50)
					after := s.looks(150)
					s.t.Logf("%d: after %d round trips, then %.4g, %d to %d", p, reached(p, before), meanOf(after), slices.Min(after), slices.Max(after))
					require.GreaterOrEqual(s.t, reached(p, before), 0, "%v", before)
					requireSettled(s.t, p, 0.25, after) // what it measures in between may be a little too much
				}
			})
		})
	}
}

// That each call takes longer, or less long, is no matter in the end.
func TestAdaptive_serviceTime(t *testing.T) {
	for _, places := range []int{10, 50} {
		for _, factor := range []float64{0.5, 0.8, 1.2, 1.5, 2, 10} {
			t.Run(fmt.Sprintf("places=%d/factor=%v", places, factor), func(t *testing.T) {
				simulate(t, ratelimit.AdaptiveSettings{}, places, 3*places+20, func(s *simulation) {
					s.looks(200)
					s.set(places, always(time.Duration(factor*float64(serviceTime))))
					longer := int(max(1, factor))
					before := s.looks(600 * longer)
					after := s.looks(200 * longer)
					s.t.Logf("%d to %d, then %.4g, %d to %d", slices.Min(before), slices.Max(before), meanOf(after), slices.Min(after), slices.Max(after))
					requireSettled(s.t, places, 0.2, after)
				})
			})
		}
	}
}

// It does not grow for the sake of who needs no more.
func TestAdaptive_idle(t *testing.T) {
	for _, places := range []int{100, 3} {
		simulate(t, ratelimit.AdaptiveSettings{Initial: 20}, places, 5, func(s *simulation) {
			for _, l := range s.looks(1000) {
				require.LessOrEqual(s.t, l, 20)
			}
		})
	}
}

// Service times that differ much cost little of what the server can do.
func TestAdaptive_throughput(t *testing.T) {
	for _, places := range []int{50, 100} {
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("places=%d/seed=%d", places, seed), func(t *testing.T) {
				simulate(t, ratelimit.AdaptiveSettings{}, places, 3*places+20, func(s *simulation) {
					s.set(places, exponential(seed, serviceTime))
					const trips = 1000
					s.looks(100)
					served := s.calls()
					limits := s.looks(trips)
					part := float64(s.calls()-served) / float64(trips*places)
					s.t.Logf("throughput %.3f, limit %.4g, %d to %d", part, meanOf(limits), slices.Min(limits), slices.Max(limits))
					assert.Greater(s.t, part, 0.8)
				})
			})
		}
	}
}

// As many calls are under way as the limit lets through, whatever it is.
func TestAdaptive_usedUp(t *testing.T) {
	simulate(t, ratelimit.AdaptiveSettings{}, 30, 200, func(s *simulation) {
		s.set(30, exponential(1, serviceTime))
		for range 1000 {
			time.Sleep(serviceTime / 3)
			synctest.Wait()
			require.GreaterOrEqual(s.t, s.now.Load(), int64(s.a.Limit()))
		}
	})
}

func TestAdaptive_minAndMax(t *testing.T) {
	for _, tt := range []struct {
		settings ratelimit.AdaptiveSettings
		places   int
		reaches  int // among others
	}{
		{ratelimit.AdaptiveSettings{Max: 25}, 100, 25},
		{ratelimit.AdaptiveSettings{Initial: 3, Max: 12}, 100, 12},
		{ratelimit.AdaptiveSettings{Initial: 40, Min: 30, Max: 40}, 5, 30},
		{ratelimit.AdaptiveSettings{Initial: 30, Min: 10, Max: 1000}, 2, 10},
		{ratelimit.AdaptiveSettings{Min: 7, Max: 7}, 3, 7},
		{ratelimit.AdaptiveSettings{Min: 7, Max: 7}, 100, 7},
		{ratelimit.AdaptiveSettings{Min: 1, Max: 1}, 10, 1},
	} {
		t.Run(fmt.Sprintf("%+v/places=%d", tt.settings, tt.places), func(t *testing.T) {
			simulate(t, tt.settings, tt.places, 120, func(s *simulation) {
				limits := s.looks(300)
				require.GreaterOrEqual(s.t, slices.Min(limits), max(1, tt.settings.Min))
				require.LessOrEqual(s.t, slices.Max(limits), tt.settings.Max)
				require.LessOrEqual(s.t, s.peak.Load(), int64(tt.settings.Max))
				assert.Contains(s.t, limits, tt.reaches)
			})
		})
	}
}

func TestAdaptive_overloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := ratelimit.NewAdaptive(ratelimit.AdaptiveSettings{Min: 3})
		want := 20.0
		for range 30 {
			require.InDelta(t, want, a.Limit(), 1)
			require.GreaterOrEqual(t, a.Limit(), 3)
			endWith(t, a, ratelimit.Overloaded)
			want = max(3, want*0.9)
		}
		require.Equal(t, 3, a.Limit())
	})
}

// endWith makes a call that ends at once.
func endWith(t *testing.T, a *ratelimit.Adaptive, o ratelimit.Outcome) {
	t.Helper()
	done, err := a.Acquire(t.Context())
	require.NoError(t, err)
	done(o)
}

// A call that takes longer than others, such as one that times out, is no less of
// a sign.
func TestAdaptive_overloadedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := ratelimit.NewAdaptive(ratelimit.AdaptiveSettings{Min: 20, Max: 1000, Initial: 100})
		for range 10 {
			late, err := a.Acquire(t.Context())
			require.NoError(t, err)
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					for range 100 {
						done, err := a.Acquire(t.Context())
						assert.NoError(t, err)
						time.Sleep(10 * time.Millisecond)
						done(ratelimit.Success)
					}
				})
			}
			wg.Wait()
			before := a.Limit()
			late(ratelimit.Overloaded) // after a second
			require.InDelta(t, 0.9*float64(before), a.Limit(), 1)
		}
	})
}

// A sign of overload while it measures does not make a queue look like none.
func TestAdaptive_overloadedWhileMeasuring(t *testing.T) {
	simulate(t, ratelimit.AdaptiveSettings{Initial: 100}, 10, 200, func(s *simulation) {
		for s.a.Limit() == 100 {
			time.Sleep(serviceTime / 10)
		}
		endWith(s.t, s.a, ratelimit.Overloaded)
		s.looks(100)
		requireSettled(s.t, 10, 0.3, s.looks(100))
	})
}

// Who is under way when the limit shrinks stays so; others have to wait for
// longer.
func TestAdaptive_shrinksBelowUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := ratelimit.NewAdaptive(ratelimit.AdaptiveSettings{Initial: 20})
		var dones []func(ratelimit.Outcome)
		for range 20 {
			done, err := a.Acquire(t.Context())
			require.NoError(t, err)
			dones = append(dones, done)
		}
		waiter := adaptLater(t.Context(), a)
		synctest.Wait()
		dones[0](ratelimit.Overloaded)
		synctest.Wait()
		require.Equal(t, 18, a.Limit())
		require.Empty(t, waiter, "19 of 18")
		dones[1](ratelimit.Ignored)
		synctest.Wait()
		require.Empty(t, waiter, "18 of 18")
		dones[2](ratelimit.Ignored)
		e := <-waiter
		require.NoError(t, e.err)
		e.done(ratelimit.Ignored)
		for _, done := range dones {
			done(ratelimit.Ignored)
		}
		requireAllFree(t, a)
	})
}

// An entry to an Adaptive is what Acquire returns.
type admission struct {
	done func(ratelimit.Outcome)
	err  error
}

// adaptLater acquires in a goroutine, and returns where its results will be.
func adaptLater(ctx context.Context, a *ratelimit.Adaptive) <-chan admission {
	got := make(chan admission, 1)
	go func() {
		done, err := a.Acquire(ctx)
		got <- admission{done, err}
	}()
	return got
}

var outcomesWithoutEffect = []ratelimit.Outcome{ratelimit.Ignored, 3, -1, math.MaxInt, math.MinInt}

func TestAdaptive_ignored(t *testing.T) {
	for _, o := range outcomesWithoutEffect {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(1, 1))
			a := ratelimit.NewAdaptive(ratelimit.AdaptiveSettings{})
			var wg sync.WaitGroup
			for range 30 {
				wg.Go(func() {
					for range 100 {
						done, err := a.Acquire(t.Context())
						assert.NoError(t, err)
						time.Sleep(time.Second)
						done(o)
						assert.Equal(t, 20, a.Limit())
					}
				})
			}
			wg.Wait()
			for range 1000 {
				done, err := a.Acquire(t.Context())
				require.NoError(t, err)
				time.Sleep(time.Duration(rnd.Int64N(int64(time.Hour))))
				done(o)
				require.Equal(t, 20, a.Limit())
			}
			requireAllFree(t, a)
		})
	}
}

// Their times do not count among those that do.
func TestAdaptive_ignoredAmongOthers(t *testing.T) {
	for _, o := range outcomesWithoutEffect {
		for _, d := range []time.Duration{1, time.Hour} {
			synctest.Test(t, func(t *testing.T) {
				a := ratelimit.NewAdaptive(ratelimit.AdaptiveSettings{})
				call := func(d time.Duration, o ratelimit.Outcome) {
					done, err := a.Acquire(t.Context())
					require.NoError(t, err)
					time.Sleep(d)
					done(o)
				}
				for range 3000 {
					call(serviceTime, ratelimit.Success)
					call(d, o)
					require.LessOrEqual(t, a.Limit(), 20)
					require.GreaterOrEqual(t, a.Limit(), 10, "half of it, to measure")
				}
				requireAllFree(t, a)
			})
		}
	}
}

func TestAdaptive_doneTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := ratelimit.NewAdaptive(ratelimit.AdaptiveSettings{Initial: 2})
		done, err := a.Acquire(t.Context())
		require.NoError(t, err)
		other, err := a.Acquire(t.Context())
		require.NoError(t, err)
		for _, o := range []ratelimit.Outcome{ratelimit.Ignored, ratelimit.Overloaded, ratelimit.Success, ratelimit.Overloaded} {
			done(o)
			require.Equal(t, 2, a.Limit())
		}
		next, err := a.Acquire(t.Context())
		require.NoError(t, err)
		waiter := adaptLater(t.Context(), a)
		synctest.Wait()
		done(ratelimit.Ignored)
		synctest.Wait()
		require.Empty(t, waiter)
		other(ratelimit.Ignored)
		e := <-waiter
		require.NoError(t, e.err)
		next(ratelimit.Ignored)
		e.done(ratelimit.Ignored)
		e.done(ratelimit.Overloaded)
		requireAllFree(t, a)
	})
	synctest.Test(t, func(t *testing.T) { // at once
		for range 200 {
			a := ratelimit.NewAdaptive(ratelimit.AdaptiveSettings{Initial: 100})
			done, err := a.Acquire(t.Context())
			require.NoError(t, err)
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() { done(ratelimit.Overloaded) })
			}
			wg.Wait()
			require.Equal(t, 90, a.Limit())
			requireAllFree(t, a)
		}
	})
}

// A deferred done gives the place back, however the call ends.
func TestAdaptive_panicAndGoexit(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic(errGaveUp) }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := ratelimit.NewAdaptive(ratelimit.AdaptiveSettings{Min: 2, Max: 2})
				var wg sync.WaitGroup
				for range 10 {
					wg.Go(func() {
						defer func() { _ = recover() }()
						done, err := a.Acquire(t.Context())
						assert.NoError(t, err)
						defer done(ratelimit.Ignored)
						time.Sleep(time.Nanosecond)
						end()
					})
				}
				wg.Wait()
				requireAllFree(t, a)
			})
		})
	}
}

func TestAdaptive_order(t *testing.T) {
	for _, places := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			a := ratelimit.NewAdaptive(ratelimit.AdaptiveSettings{Min: places, Max: places})
			var dones []func(ratelimit.Outcome)
			for range places {
				done, err := a.Acquire(t.Context())
				require.NoError(t, err)
				dones = append(dones, done)
			}
			var waiters []<-chan admission
			for range 40 {
				waiters = append(waiters, adaptLater(t.Context(), a))
				synctest.Wait()
			}
			for in := 0; in < len(waiters); in += places {
				for _, done := range dones { // without a pause
					done(ratelimit.Success)
				}
				synctest.Wait()
				dones = nil
				for i, w := range waiters[in:] {
					require.Equal(t, i >= places, len(w) == 0, "waiter %d", in+i)
					if i < places {
						e := <-w
						require.NoError(t, e.err)
						dones = append(dones, e.done)
					}
				}
			}
			for _, done := range dones {
				done(ratelimit.Success)
			}
			requireAllFree(t, a)
		})
	}
}

// A waiter that gives up delays nobody.
func TestAdaptive_cancel(t *testing.T) {
	for gone := range 3 {
		synctest.Test(t, func(t *testing.T) {
			a := ratelimit.NewAdaptive(ratelimit.AdaptiveSettings{Min: 1, Max: 1})
			last, err := a.Acquire(t.Context())
			require.NoError(t, err)
			ctx, cancel := context.WithCancelCause(t.Context())
			var waiters []<-chan admission
			for i := range 3 {
				waitCtx := t.Context()
				if i == gone {
					waitCtx = ctx
				}
				waiters = append(waiters, adaptLater(waitCtx, a))
				synctest.Wait()
			}
			cancel(errGaveUp)
			e := <-waiters[gone]
			requireEnded(t, ctx, e.err)
			require.Nil(t, e.done)
			for i, w := range waiters {
				if i == gone {
					continue
				}
				synctest.Wait()
				require.Empty(t, w)
				last(ratelimit.Success)
				e := <-w
				require.NoError(t, e.err)
				last = e.done
			}
			last(ratelimit.Success)
			requireAllFree(t, a)
		})
	}
}

func TestAdaptive_cancelWhileLetIn(t *testing.T) {
	for _, first := range []string{"cancel", "done", "both"} {
		t.Run(first, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := ratelimit.NewAdaptive(ratelimit.AdaptiveSettings{Min: 1, Max: 1})
				for range 1000 {
					done, err := a.Acquire(t.Context())
					require.NoError(t, err)
					ctx, cancel := context.WithCancelCause(t.Context())
					torn := adaptLater(ctx, a)
					synctest.Wait()
					next := adaptLater(t.Context(), a)
					synctest.Wait()
					switch first {
					case "cancel":
						cancel(errGaveUp)
						done(ratelimit.Success)
					case "done":
						done(ratelimit.Success)
						cancel(errGaveUp)
					case "both":
						go cancel(errGaveUp)
						go done(ratelimit.Success)
					}
					synctest.Wait()
					e := <-torn
					if first == "cancel" {
						require.Error(t, e.err)
					}
					if e.err != nil {
						requireEnded(t, ctx, e.err)
						require.Nil(t, e.done)
					} else {
						require.Empty(t, next)
						e.done(ratelimit.Success)
					}
					e = <-next
					require.NoError(t, e.err)
					e.done(ratelimit.Success)
					cancel(nil)
				}
				requireAllFree(t, a)
			})
		})
	}
}

func TestAdaptive_endedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		canceled, cancel := context.WithCancelCause(t.Context())
		cancel(errGaveUp)
		late, cancelLate := context.WithDeadline(t.Context(), time.Now())
		defer cancelLate()
		for _, ctx := range []context.Context{canceled, late} {
			a := ratelimit.NewAdaptive(ratelimit.AdaptiveSettings{})
			for range 1000 {
				done, err := a.Acquire(ctx)
				requireEnded(t, ctx, err)
				require.Nil(t, done)
			}
			requireAllFree(t, a)
		}
	})
}

func TestAdaptive_deadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := ratelimit.NewAdaptive(ratelimit.AdaptiveSettings{Max: 1})
		done, err := a.Acquire(t.Context())
		require.NoError(t, err)
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errGaveUp)
		defer cancel()
		start := time.Now()
		_, err = a.Acquire(ctx)
		requireEnded(t, ctx, err)
		require.Equal(t, time.Second, time.Since(start))
		done(ratelimit.Success)
		requireAllFree(t, a)
	})
}

// Many do everything at once, and nothing is lost.
func TestAdaptive_hammer(t *testing.T) {
	hammer := func(t *testing.T, a *ratelimit.Adaptive, pause func(*rand.Rand), limited func(*rand.Rand) (context.Context, context.CancelFunc)) {
		t.Helper()
		var wg sync.WaitGroup
		var g gauge
		for i := range 32 {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(i), 2))
				for range 300 {
					ctx, cancel := limited(rnd)
					done, err := a.Acquire(ctx)
					if err != nil {
						assert.Nil(t, done)
						assert.True(t, ctx.Err() != nil && errors.Is(err, ctx.Err()), "%v", err)
						cancel()
						continue
					}
					g.enter()
					assert.LessOrEqual(t, g.now.Load(), int64(9))
					pause(rnd)
					g.leave()
					for range 1 + rnd.IntN(2) {
						done(ratelimit.Outcome(rnd.IntN(5)))
					}
					cancel()
				}
			})
		}
		wg.Wait()
		assert.GreaterOrEqual(t, a.Limit(), 2)
	}
	settings := ratelimit.AdaptiveSettings{Min: 2, Max: 9}
	t.Run("bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a := ratelimit.NewAdaptive(settings)
			hammer(t, a,
				func(rnd *rand.Rand) { time.Sleep(time.Duration(rnd.IntN(5)) * time.Millisecond) },
				func(rnd *rand.Rand) (context.Context, context.CancelFunc) {
					return context.WithTimeout(t.Context(), time.Duration(rnd.IntN(20))*time.Millisecond)
				})
			requireAllFree(t, a)
		})
	})
	t.Run("alone", func(t *testing.T) {
		a := ratelimit.NewAdaptive(settings)
		var last atomic.Pointer[context.CancelFunc]
		hammer(t, a,
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
		for range a.Limit() {
			_, err := a.Acquire(t.Context())
			require.NoError(t, err)
		}
	})
}

func TestNewAdaptive_defaults(t *testing.T) {
	for _, tt := range []struct {
		settings ratelimit.AdaptiveSettings
		want     int
	}{
		{ratelimit.AdaptiveSettings{}, 20},
		{ratelimit.AdaptiveSettings{Initial: 1}, 1},
		{ratelimit.AdaptiveSettings{Initial: 1000}, 1000},
		{ratelimit.AdaptiveSettings{Min: 20}, 20},
		{ratelimit.AdaptiveSettings{Min: 21}, 21},
		{ratelimit.AdaptiveSettings{Max: 19}, 19},
		{ratelimit.AdaptiveSettings{Max: 1}, 1},
		{ratelimit.AdaptiveSettings{Min: 5, Max: 5}, 5},
		{ratelimit.AdaptiveSettings{Min: 2000}, 2000},
		{ratelimit.AdaptiveSettings{Min: 2000, Initial: 2000}, 2000},
		{ratelimit.AdaptiveSettings{Initial: 3000, Max: 4000}, 3000},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := ratelimit.NewAdaptive(tt.settings)
			assert.Equal(t, tt.want, a.Limit(), "%+v", tt.settings)
			requireAllFree(t, a)
		})
	}
}

func TestNewAdaptive_panics(t *testing.T) {
	for _, settings := range []ratelimit.AdaptiveSettings{
		{Initial: -1},
		{Min: -1},
		{Max: -1},
		{Initial: math.MinInt},
		{Min: math.MinInt},
		{Max: math.MinInt},
		{Min: 2, Max: 1},
		{Min: 1001, Max: 1000},
		{Initial: 4, Min: 5},
		{Initial: 6, Max: 5},
		{Initial: 6, Min: 7, Max: 8},
		{Initial: 9, Min: 7, Max: 8},
	} {
		assert.NotPanics(t, func() { requireOurPanic(t, func() { ratelimit.NewAdaptive(settings) }) }, "%+v", settings)
	}
}

// The queue has a bound, if there is one.
func TestAdaptive_queue(t *testing.T) {
	for _, test := range []struct{ queue, waiting int }{{-1, 0}, {1, 1}, {3, 3}, {0, 100}} {
		synctest.Test(t, func(t *testing.T) {
			a := ratelimit.NewAdaptive(ratelimit.AdaptiveSettings{Initial: 1, Max: 1, Queue: test.queue})
			done, err := a.Acquire(t.Context())
			require.NoError(t, err)
			var wg sync.WaitGroup
			for range test.waiting {
				wg.Go(func() {
					done, err := a.Acquire(t.Context())
					if assert.NoError(t, err) {
						done(ratelimit.Ignored)
					}
				})
			}
			synctest.Wait()
			if test.queue != 0 {
				none, err := a.Acquire(t.Context())
				require.ErrorIs(t, err, ratelimit.ErrFull)
				require.Nil(t, none)
			}
			done(ratelimit.Ignored)
			wg.Wait()
			done, err = a.Acquire(t.Context())
			require.NoError(t, err)
			done(ratelimit.Success)
		})
	}
}

// Calls that were too many together count once, those that begin afterwards
// again.
func TestAdaptive_overloadedTogether(t *testing.T) {
	a := ratelimit.NewAdaptive(ratelimit.AdaptiveSettings{Initial: 100})
	for _, want := range []int{90, 81} {
		var dones []func(ratelimit.Outcome)
		for range 20 {
			done, err := a.Acquire(t.Context())
			require.NoError(t, err)
			dones = append(dones, done)
		}
		for _, done := range dones {
			done(ratelimit.Overloaded)
		}
		assert.Equal(t, want, a.Limit())
	}
}

// The limit is cut as it was before it was halved to measure.
func TestAdaptive_overloadedWhileHalved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := ratelimit.NewAdaptive(ratelimit.AdaptiveSettings{Initial: 100})
		for a.Limit() == 100 {
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					done, err := a.Acquire(t.Context())
					if assert.NoError(t, err) {
						time.Sleep(time.Second)
						done(ratelimit.Success)
					}
				})
			}
			wg.Wait()
		}
		require.Equal(t, 50, a.Limit())
		done, err := a.Acquire(t.Context())
		require.NoError(t, err)
		done(ratelimit.Overloaded)
		assert.Equal(t, 90, a.Limit())
	})
}
