package ratelimit_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/ratelimit"
)

// mostBurst is the highest burst that there may be, and that an int can hold.
var mostBurst = int(min(1<<36, uint64(math.MaxInt)))

// spannedEvents are n events that happened at some time from at to until.
type spannedEvents struct {
	at, until time.Duration
	n         int64
}

// requireBound requires that in no span of time there are more events than
// rate*t + burst, in whole numbers.
func requireBound(t *testing.T, as []spannedEvents, rate, burst int64) {
	t.Helper()
	slices.SortFunc(as, func(a, b spannedEvents) int { return cmp.Compare(a.at, b.at) })
	for i, first := range as {
		var sum int64
		until := first.until
		for _, a := range as[i:] {
			sum += a.n
			until = max(until, a.until)
			if (sum-burst)*int64(time.Second) > rate*int64(until-first.at) {
				require.Fail(t, "more than rate*t + burst", "%d from %v to %v", sum, first.at, until)
			}
		}
	}
}

func TestLimiter_bound(t *testing.T) {
	for _, set := range []bool{false, true} {
		t.Run(fmt.Sprintf("set=%t", set), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const rate, burst, goroutines, rounds = 1000, 50, 32, 300
				l := ratelimit.New(rate, burst)
				start := time.Now()
				var mu sync.Mutex // guards as
				var as []spannedEvents
				var wg sync.WaitGroup
				for g := range uint64(goroutines) {
					wg.Go(func() {
						r := rand.New(rand.NewPCG(g, 0))
						for range rounds {
							n := int64(r.IntN(4))
							if l.AllowN(int(n)) {
								at := time.Since(start)
								mu.Lock()
								as = append(as, spannedEvents{at, at, n})
								mu.Unlock()
							}
							time.Sleep(time.Duration(r.IntN(5)) * time.Millisecond)
						}
					})
				}
				if set {
					wg.Go(func() {
						r := rand.New(rand.NewPCG(goroutines, 0))
						for range rounds {
							l.Set(ratelimit.Rate(r.IntN(rate+1)), r.IntN(burst+1))
							time.Sleep(time.Duration(r.IntN(5)) * time.Millisecond)
						}
					})
				}
				wg.Wait()
				requireBound(t, as, rate, burst)
				if !set {
					total := int64(0)
					for _, a := range as {
						total += a.n
					}
					most := burst + rate*int64(time.Since(start))/int64(time.Second)
					assert.Greater(t, total, most*98/100)
				}
			})
		})
	}
}

// On a real clock, an event happens at some time between before and after
// Allow. Whatever the machine does, the bound holds for the longest such span.
func TestLimiter_boundOnRealClock(t *testing.T) {
	const rate, burst, goroutines = 1_000_000, 1000, 32
	l := ratelimit.New(rate, burst)
	start := time.Now()
	all := make([][]spannedEvents, goroutines)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for range 5000 {
				n := 1 + g%2
				before := time.Since(start)
				if l.AllowN(n) {
					all[g] = append(all[g], spannedEvents{before, time.Since(start), int64(n)})
				}
				if len(all[g]) == 150 {
					return
				}
			}
		})
	}
	wg.Wait()
	as := slices.Concat(all...)
	require.NotEmpty(t, as)
	requireBound(t, as, rate, burst)
}

// With ten times as many requests as are allowed, none of those is lost.
func TestLimiter_overload(t *testing.T) {
	const requests = 20_000
	for _, test := range []struct {
		rate  ratelimit.Rate
		burst int
	}{
		{10, 1},
		{0.1, 1},
		{1000, 1},
		{1e6, 1},
		{1e8, 1},
		{10, 3},
		{37.123, 2}, // of one, a part would be lost between two requests
		{7, 10},
		{1. / 3, 100},
		{12345.678, 50},
		{7e7, 1000},
	} {
		t.Run(fmt.Sprintf("rate=%v,burst=%d", float64(test.rate), test.burst), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := ratelimit.New(test.rate, test.burst)
				start := time.Now()
				allowed := 0
				for i := range requests {
					if l.Allow() {
						allowed++
					}
					time.Sleep(time.Until(start.Add(time.Duration(float64(i+1) * 1e8 / float64(test.rate)))))
				}
				most := float64(test.burst) + float64(test.rate)*time.Since(start).Seconds()
				assert.LessOrEqual(t, float64(allowed), most+1e-6)
				assert.GreaterOrEqual(t, float64(allowed), 0.99*(most-1))
			})
		})
	}
}

// The events happen as fast as they should.
func TestLimiter_effectiveRate(t *testing.T) {
	for _, rate := range []float64{1e-10, 1e-3, 1. / 3, 1, 7, 37.123, 1e6, 7e8, 1e9, 2e9, 3.14159e9, 3.3e12} {
		for burst, within := range map[int]float64{1_000_000: 1e-9, mostBurst: 1e-6} {
			t.Run(fmt.Sprintf("rate=%v,burst=%d", rate, burst), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := ratelimit.New(ratelimit.Rate(rate), burst)
					require.InDelta(t, burst, l.Tokens(), 0)
					require.True(t, l.AllowN(burst))
					require.InDelta(t, 0, l.Tokens(), 0)

					const longest = 90 * 365 * 24 * time.Hour
					if fills := float64(burst) / rate * 1e9; fills < float64(longest) {
						r, ok := l.Reserve(burst)
						require.True(t, ok)
						assert.InDelta(t, fills, float64(r.Delay()), fills*within+1)
						r.Cancel()
					}
					d := time.Duration(min(float64(longest), 0.9*float64(burst)/rate*1e9))
					time.Sleep(d)
					want := rate * float64(d) / 1e9
					assert.InEpsilon(t, want, l.Tokens(), within)
					if n := int(want * (1 + 2*within)); n > 0 {
						assert.False(t, l.AllowN(n+1))
						assert.True(t, l.AllowN(int(want*(1-2*within))))
					}
				})
			})
		}
	}
}

func TestLimiter_zeroRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(0, 3)
		assert.True(t, l.AllowN(2))
		time.Sleep(100 * 365 * 24 * time.Hour)
		assert.True(t, l.Allow())
		assert.False(t, l.Allow())
		r, ok := l.Reserve(1)
		assert.False(t, ok)
		assert.Nil(t, r)
		ctx, cancel := context.WithTimeout(t.Context(), 10*365*24*time.Hour)
		defer cancel()
		start := time.Now()
		err := l.Wait(ctx)
		var limited *ratelimit.LimitError
		require.ErrorAs(t, err, &limited)
		assert.Negative(t, limited.After)
		assert.Zero(t, time.Since(start))
		assert.InDelta(t, 0, l.Tokens(), 0)

		l.Set(10, 3)
		assert.False(t, l.Allow(), "what did not come at the rate of 0")
		require.NoError(t, l.Wait(t.Context()))
		assert.Equal(t, 100*time.Millisecond, time.Since(start))
		time.Sleep(time.Second)
		l.Set(0, 2)
		assert.True(t, l.AllowN(2))
		assert.False(t, l.Allow())
	})
}

// Nothing is given back of what was used before, or never taken.
func TestReservation_cancelTooLate(t *testing.T) {
	t.Run("rate 0", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := ratelimit.New(0, 2)
			r, ok := l.Reserve(2)
			require.True(t, ok)
			require.Zero(t, r.Delay())
			time.Sleep(time.Hour)
			r.Cancel()
			assert.False(t, l.Allow())
		})
	})
	t.Run("taken at Inf", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := ratelimit.New(ratelimit.Inf, 3)
			r, ok := l.Reserve(2)
			require.True(t, ok)
			l.Set(10, 3)
			require.True(t, l.AllowN(3))
			r.Cancel()
			assert.False(t, l.Allow())
		})
	})
	t.Run("due at Inf", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := ratelimit.New(10, 3)
			require.True(t, l.AllowN(3))
			r, ok := l.Reserve(1)
			require.True(t, ok)
			l.Set(ratelimit.Inf, 3)
			l.Set(10, 3)
			require.Zero(t, r.Delay())
			require.True(t, l.AllowN(3))
			r.Cancel()
			assert.False(t, l.Allow())
		})
	})
}

// One who waited before a reservation, and gives up, leaves no room for more
// than the burst when that is due.
func TestLimiter_boundAfterGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const burst = 4
		l := ratelimit.New(10, burst)
		require.True(t, l.AllowN(burst))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- l.WaitN(ctx, burst) }()
		synctest.Wait()
		r, ok := l.Reserve(burst)
		require.True(t, ok)
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		time.Sleep(r.Delay())
		assert.False(t, l.Allow(), "beside those of the reservation")
	})
}

// Whatever is canceled, and in whatever order, those that are left keep to the
// bound.
func TestReservation_boundAfterCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, burst = 10, 50
		l := ratelimit.New(rate, burst)
		left := map[*ratelimit.Reservation]int64{}
		reserve := func(n int) *ratelimit.Reservation {
			r, ok := l.Reserve(n)
			require.True(t, ok)
			left[r] = int64(n)
			return r
		}
		cancel := func(r *ratelimit.Reservation) {
			r.Cancel()
			delete(left, r)
		}
		first, second := reserve(burst), reserve(burst)
		cancel(first)
		third := reserve(burst)
		reserve(2)
		cancel(third)
		reserve(1)
		cancel(second)
		reserve(burst)
		var events []spannedEvents
		for r, n := range left {
			events = append(events, spannedEvents{r.Delay(), r.Delay(), n})
		}
		requireBound(t, events, rate, burst)
	})
}

// Those who wait are served in turn, also if a reservation before them is
// canceled after one who waited before that has given up.
func TestLimiter_inTurnAfterCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const burst = 10
		l := ratelimit.New(10, burst)
		require.True(t, l.Allow())
		ctx, giveUp := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- l.WaitN(ctx, burst) }()
		synctest.Wait()
		r, ok := l.Reserve(burst)
		require.True(t, ok)
		giveUp()
		require.ErrorIs(t, <-ended, context.Canceled)

		var early, late time.Time
		var wg sync.WaitGroup
		wg.Go(func() {
			assert.NoError(t, l.WaitN(t.Context(), 3))
			early = time.Now()
		})
		synctest.Wait()
		r.Cancel()
		wg.Go(func() {
			assert.NoError(t, l.WaitN(t.Context(), 1))
			late = time.Now()
		})
		wg.Wait()
		assert.False(t, late.Before(early), "overtaken by %v", early.Sub(late))
	})
}

func TestLimiter_inf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, inf := range []ratelimit.Rate{ratelimit.Inf, ratelimit.Rate(math.Inf(1)), ratelimit.Every(0)} {
			l := ratelimit.New(inf, 0)
			assert.GreaterOrEqual(t, float64(l.Rate()), float64(ratelimit.Inf))
			assert.True(t, math.IsInf(l.Tokens(), 1))
			for range 100 {
				assert.True(t, l.AllowN(math.MaxInt))
				assert.NoError(t, l.WaitN(t.Context(), math.MaxInt))
				r, ok := l.Reserve(math.MaxInt)
				assert.True(t, ok)
				assert.Zero(t, r.Delay())
			}
			assert.False(t, l.AllowN(-1))
			l.Set(1, 5) // it starts full
			assert.InDelta(t, 5, l.Tokens(), 0)
			assert.True(t, l.AllowN(5))
			assert.False(t, l.Allow())
			l.Set(inf, 0)
			assert.True(t, l.AllowN(1000))
			l.Set(1, 0)
			assert.False(t, l.Allow())
			assert.True(t, l.AllowN(0))
		}
	})
}

func TestLimiter_panics(t *testing.T) {
	l := ratelimit.New(1, 1)
	for _, bad := range []struct {
		rate  ratelimit.Rate
		burst int
	}{
		{ratelimit.Rate(math.NaN()), 1},
		{-1, 1},
		{-math.SmallestNonzeroFloat64, 1},
		{-ratelimit.Inf, 1},
		{ratelimit.Rate(math.Inf(-1)), 1},
		{1, -1},
		{1, math.MinInt},
		{0, -1},
		{1, mostBurst + 1},
		{1, math.MaxInt},
		{0, mostBurst + 1},
	} {
		assert.Panics(t, func() { ratelimit.New(bad.rate, bad.burst) }, "New(%v, %d)", bad.rate, bad.burst)
		assert.Panics(t, func() { l.Set(bad.rate, bad.burst) }, "Set(%v, %d)", bad.rate, bad.burst)
	}
	assert.InDelta(t, 1, float64(l.Rate()), 0)
	assert.Equal(t, 1, l.Burst())
	assert.True(t, l.Allow())
}

// No number of events is a credit, and what is refused changes nothing.
func TestLimiter_numbers(t *testing.T) {
	for _, rate := range []ratelimit.Rate{0, 1e-10, 1, 1. / 3, 1e9, 3.3e12, 1e18, 1e300} {
		for _, burst := range []int{0, 1, 10, mostBurst} {
			t.Run(fmt.Sprintf("rate=%v,burst=%d", float64(rate), burst), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := ratelimit.New(rate, burst)
					ended, cancel := context.WithCancel(t.Context())
					cancel()
					for _, left := range []int{burst, burst / 2, 0} {
						require.True(t, l.AllowN(int(math.Round(l.Tokens()))-left))
						for _, n := range []int{-1, -burst - 1, math.MinInt, math.MinInt + 1, burst + 1, math.MaxInt, math.MaxInt - 1, math.MaxInt/2 + 1} {
							assert.False(t, l.AllowN(n), n)
							err := l.WaitN(t.Context(), n)
							require.Error(t, err, n)
							if n > 0 {
								require.ErrorIs(t, err, ratelimit.ErrExceedsBurst)
							}
							r, ok := l.Reserve(n)
							assert.False(t, ok, n)
							assert.Nil(t, r, n)
						}
						assert.True(t, l.AllowN(0))
						require.NoError(t, l.WaitN(t.Context(), 0))
						if r, ok := l.Reserve(0); assert.True(t, ok) {
							assert.Zero(t, r.Delay())
							r.Cancel()
							r.Cancel()
						}
						if burst > 0 {
							require.ErrorIs(t, l.Wait(ended), context.Canceled)
						}
						assert.InDelta(t, left, l.Tokens(), 0)
					}
					assert.False(t, l.Allow())
				})
			})
		}
	}
}

// The bound holds at odd rates, too, however long nobody asks.
func TestLimiter_longIdle(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, rate := range []ratelimit.Rate{1e-10, 1e-3, 37.123, 3.14159e9, 1e12, 1e18, 1e100} {
		for _, burst := range []int{1, 3, 1000, mostBurst} {
			t.Run(fmt.Sprintf("rate=%v,burst=%d", float64(rate), burst), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := ratelimit.New(rate, burst)
					start := time.Now()
					events := []slowEvent{{rate: rate, burst: burst}}
					r := rand.New(rand.NewPCG(1, uint64(burst)))
					for _, d := range []time.Duration{
						0, 1, 2, 1000, time.Millisecond, 1, time.Second, 69 * time.Second, time.Hour, 1, 1 << 36, 1 << 37,
						year / 10, 1, year, 73 * year, 0, 1, 100 * year, 1, 1, 0,
					} {
						time.Sleep(d)
						for _, n := range []int{burst, burst/2 + 1, burst - r.IntN(burst), 1} {
							if l.AllowN(n) {
								events = append(events, slowEvent{at: int64(time.Since(start)), n: n})
							}
						}
						require.LessOrEqual(t, l.Tokens(), float64(burst))
						if d >= year && rate > 1 {
							require.Greater(t, len(events), 1)
							require.Equal(t, int64(time.Since(start)), events[len(events)-1].at, "none after %v", d)
						}
					}
					assert.LessOrEqual(t, excess(events), float64(burst)*1e-6)
				})
			})
		}
	}
}
