package ratelimit_test

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/ratelimit"
)

// The tests of golang.org/x/time/rate, by their names, for a Limiter. Four are
// left out, as they encode that x/time turns its clock back, so that there are
// more events than rate*t + burst: LimiterJumpBackwards, ReserveJumpBack,
// ReserveJumpBackCancel and ReserveSetBurst. What holds without that is in
// Test_xtime_ReserveJumpBack and Test_xtime_ReserveSetBurst.

// tick is the unit of all times below.
const tick = 100 * time.Millisecond

// An xtimeLimiter acts at times that count from when it was made.
type xtimeLimiter struct {
	*ratelimit.Limiter
	t     *testing.T
	start time.Time
}

// xtime runs test in a bubble.
func xtime(t *testing.T, r ratelimit.Rate, burst int, test func(t *testing.T, l *xtimeLimiter)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t, &xtimeLimiter{ratelimit.New(r, burst), t, time.Now()})
	})
}

// at sleeps until so many ticks after the start.
func (l *xtimeLimiter) at(ticks int) {
	time.Sleep(time.Until(l.start.Add(time.Duration(ticks) * tick)))
}

// An xtimeAllow is one AllowN, and what Tokens says before.
type xtimeAllow struct {
	at     int
	tokens float64
	n      int
	ok     bool
}

func (l *xtimeLimiter) requireAllows(steps ...xtimeAllow) {
	l.t.Helper()
	for i, s := range steps {
		l.at(s.at)
		require.InDelta(l.t, s.tokens, l.Tokens(), 1e-9, "step %d: %+v", i, s)
		require.Equal(l.t, s.ok, l.AllowN(s.n), "step %d: %+v", i, s)
	}
}

// requireReserve reserves n and requires that they may happen when due.
func (l *xtimeLimiter) requireReserve(at, n, due int) *ratelimit.Reservation {
	l.t.Helper()
	l.at(at)
	r, ok := l.Reserve(n)
	require.True(l.t, ok)
	require.Equal(l.t, time.Duration(due-at)*tick, r.Delay())
	return r
}

// requireNoReserve requires that n cannot be reserved, and nothing is changed.
func (l *xtimeLimiter) requireNoReserve(at, n int) {
	l.t.Helper()
	l.at(at)
	tokens := l.Tokens()
	r, ok := l.Reserve(n)
	require.False(l.t, ok)
	require.Nil(l.t, r)
	require.InDelta(l.t, tokens, l.Tokens(), 0)
}

// reserveSoon reserves n if they may happen within a tick. If not, nothing is
// changed.
func (l *xtimeLimiter) reserveSoon(at, n int) bool {
	l.t.Helper()
	l.at(at)
	tokens := l.Tokens()
	r, ok := l.Reserve(n)
	if ok && r.Delay() > tick {
		r.Cancel()
		ok = false
	}
	if !ok {
		require.InDelta(l.t, tokens, l.Tokens(), 1e-9)
	}
	return ok
}

// requireWait calls WaitN, requires that it takes that long, and returns its
// error.
func (l *xtimeLimiter) requireWait(ctx context.Context, n, ticks int) error {
	l.t.Helper()
	start := time.Now()
	err := l.WaitN(ctx, n)
	require.Equal(l.t, time.Duration(ticks)*tick, time.Since(start))
	return err
}

func Test_xtime_Limit(t *testing.T) {
	assert.NotEqual(t, ratelimit.Inf, ratelimit.Rate(10))
}

func Test_xtime_Every(t *testing.T) {
	for interval, want := range map[time.Duration]ratelimit.Rate{
		0:                       ratelimit.Inf,
		-1:                      ratelimit.Inf,
		math.MinInt64:           ratelimit.Inf,
		time.Nanosecond:         1e9,
		time.Microsecond:        1e6,
		time.Millisecond:        1000,
		10 * time.Millisecond:   100,
		100 * time.Millisecond:  10,
		time.Second:             1,
		2 * time.Second:         0.5,
		2500 * time.Millisecond: 0.4,
		4 * time.Second:         0.25,
		10 * time.Second:        0.1,
		math.MaxInt64:           1e9 / math.MaxInt64,
	} {
		assert.InEpsilon(t, float64(want), float64(ratelimit.Every(interval)), 1e-12, interval)
	}
}

func Test_xtime_LimiterBurst1(t *testing.T) {
	xtime(t, 10, 1, func(t *testing.T, l *xtimeLimiter) {
		l.requireAllows([]xtimeAllow{
			{0, 1, 1, true},
			{0, 0, 1, false},
			{0, 0, 1, false},
			{1, 1, 1, true},
			{1, 0, 1, false},
			{1, 0, 1, false},
			{2, 1, 2, false}, // more than the burst
			{2, 1, 1, true},
			{2, 0, 1, false},
		}...)
	})
}

func Test_xtime_LimiterBurst3(t *testing.T) {
	xtime(t, 10, 3, func(t *testing.T, l *xtimeLimiter) {
		l.requireAllows([]xtimeAllow{
			{0, 3, 2, true},
			{0, 1, 2, false},
			{0, 1, 1, true},
			{0, 0, 1, false},
			{1, 1, 4, false},
			{2, 2, 1, true},
			{3, 2, 1, true},
			{4, 2, 1, true},
			{4, 1, 1, true},
			{4, 0, 1, false},
			{4, 0, 1, false},
			{9, 3, 3, true},
			{9, 0, 0, true},
		}...)
	})
}

func Test_xtime_Limiter_noTruncationErrors(t *testing.T) {
	xtime(t, 0.7692307692307693, 1, func(t *testing.T, l *xtimeLimiter) { assert.True(t, l.Allow()) })
}

func Test_xtime_SimultaneousRequests(t *testing.T) {
	xtime(t, 1, 5, func(t *testing.T, l *xtimeLimiter) {
		var wg sync.WaitGroup
		var allowed atomic.Int64
		for range 15 {
			wg.Go(func() {
				if l.Allow() {
					allowed.Add(1)
				}
			})
		}
		wg.Wait()
		assert.EqualValues(t, 5, allowed.Load())
	})
}

func Test_xtime_LongRunningQPS(t *testing.T) {
	xtime(t, 100, 100, func(t *testing.T, l *xtimeLimiter) {
		const d = 5 * time.Second
		allowed := 0
		for time.Since(l.start) < d {
			if l.Allow() {
				allowed++
			}
			time.Sleep(2 * time.Millisecond)
		}
		// The last one was asked for 2ms before the end.
		assert.Equal(t, 100+499, allowed)
	})
}

func Test_xtime_SimpleReserve(t *testing.T) {
	xtime(t, 10, 2, func(t *testing.T, l *xtimeLimiter) {
		l.requireReserve(0, 2, 0)
		l.requireReserve(0, 2, 2)
		l.requireReserve(3, 2, 4)
	})
}

func Test_xtime_Mix(t *testing.T) {
	xtime(t, 10, 2, func(t *testing.T, l *xtimeLimiter) {
		l.requireNoReserve(0, 3)
		l.requireReserve(0, 2, 0)
		l.requireAllows(xtimeAllow{1, 1, 2, false})
		l.requireReserve(1, 2, 2)
		l.requireAllows(xtimeAllow{1, -1, 1, false})
		l.requireAllows(xtimeAllow{3, 1, 1, true})
	})
}

func Test_xtime_CancelInvalid(t *testing.T) {
	xtime(t, 10, 2, func(t *testing.T, l *xtimeLimiter) {
		l.requireReserve(0, 2, 0)
		l.requireNoReserve(0, 3) // there is nothing to cancel
		l.requireReserve(0, 2, 2)
	})
}

func Test_xtime_CancelLast(t *testing.T) {
	xtime(t, 10, 2, func(t *testing.T, l *xtimeLimiter) {
		l.requireReserve(0, 2, 0)
		r := l.requireReserve(0, 2, 2)
		l.at(1)
		r.Cancel() // gives back both
		l.requireReserve(1, 2, 2)
	})
}

func Test_xtime_CancelTooLate(t *testing.T) {
	xtime(t, 10, 2, func(t *testing.T, l *xtimeLimiter) {
		l.requireReserve(0, 2, 0)
		r := l.requireReserve(0, 2, 2)
		l.at(3)
		r.Cancel()
		l.requireReserve(3, 2, 4)
	})
}

func Test_xtime_Cancel0Tokens(t *testing.T) {
	xtime(t, 10, 2, func(t *testing.T, l *xtimeLimiter) {
		l.requireReserve(0, 2, 0)
		r := l.requireReserve(0, 1, 1)
		l.requireReserve(0, 1, 2)
		r.Cancel() // another one was reserved afterwards
		l.requireReserve(0, 1, 3)
	})
}

func Test_xtime_Cancel1Token(t *testing.T) {
	xtime(t, 10, 2, func(t *testing.T, l *xtimeLimiter) {
		l.requireReserve(0, 2, 0)
		r := l.requireReserve(0, 2, 2)
		l.requireReserve(0, 1, 3)
		l.at(2)
		r.Cancel() // just in time, gives back one of two
		l.requireReserve(2, 2, 4)
	})
}

func Test_xtime_CancelMulti(t *testing.T) {
	xtime(t, 10, 4, func(t *testing.T, l *xtimeLimiter) {
		l.requireReserve(0, 4, 0)
		a := l.requireReserve(0, 3, 3)
		l.requireReserve(0, 1, 4)
		c := l.requireReserve(0, 1, 5)
		l.at(1)
		c.Cancel() // gives it back
		a.Cancel() // gives 2 back, as if the last had never been
		l.requireReserve(1, 3, 5)
	})
}

func Test_xtime_ReserveJumpBack(t *testing.T) {
	xtime(t, 10, 2, func(t *testing.T, l *xtimeLimiter) {
		l.requireReserve(1, 2, 1)
		l.requireReserve(2, 2, 3)
		l.requireNoReserve(2, 3)
		l.requireReserve(2, 1, 4)
		require.False(t, l.reserveSoon(2, 2))
		l.requireReserve(2, 1, 5)
	})
}

func Test_xtime_ReserveSetLimit(t *testing.T) {
	xtime(t, 5, 2, func(t *testing.T, l *xtimeLimiter) {
		l.requireReserve(0, 2, 0)
		r := l.requireReserve(0, 2, 4)
		l.at(2)
		l.Set(10, 2)
		assert.Equal(t, tick, r.Delay())
		l.requireReserve(2, 1, 4)
	})
}

func Test_xtime_ReserveSetBurst(t *testing.T) {
	xtime(t, 5, 2, func(t *testing.T, l *xtimeLimiter) {
		l.requireReserve(0, 2, 0)
		l.requireReserve(0, 2, 4)
		l.requireNoReserve(3, 4)
		l.Set(5, 4)
		l.requireReserve(3, 4, 12)
	})
}

func Test_xtime_ReserveSetLimitCancel(t *testing.T) {
	xtime(t, 5, 2, func(t *testing.T, l *xtimeLimiter) {
		l.requireReserve(0, 2, 0)
		r := l.requireReserve(0, 2, 4)
		l.at(2)
		l.Set(10, 2)
		r.Cancel() // gives back both
		l.requireReserve(2, 2, 3)
	})
}

func Test_xtime_ReserveMax(t *testing.T) {
	xtime(t, 10, 2, func(t *testing.T, l *xtimeLimiter) {
		assert.True(t, l.reserveSoon(0, 2))
		assert.True(t, l.reserveSoon(0, 1))
		assert.False(t, l.reserveSoon(0, 1))
		assert.True(t, l.reserveSoon(1, 1))
	})
}

func Test_xtime_WaitSimple(t *testing.T) {
	xtime(t, 10, 3, func(t *testing.T, l *xtimeLimiter) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, l.requireWait(ctx, 1, 0), context.Canceled)
		require.ErrorIs(t, l.requireWait(t.Context(), 4, 0), ratelimit.ErrExceedsBurst)
		require.NoError(t, l.requireWait(t.Context(), 2, 0))
		require.NoError(t, l.requireWait(t.Context(), 3, 2))
	})
}

func Test_xtime_WaitCancel(t *testing.T) {
	xtime(t, 10, 3, func(t *testing.T, l *xtimeLimiter) {
		ctx, cancel := context.WithCancel(t.Context())
		require.NoError(t, l.requireWait(ctx, 2, 0))
		time.AfterFunc(tick, cancel)
		require.ErrorIs(t, l.requireWait(ctx, 3, 1), context.Canceled)
		require.InDelta(t, 2, l.Tokens(), 1e-9)
		require.NoError(t, l.requireWait(t.Context(), 2, 0))
	})
}

func Test_xtime_WaitTimeout(t *testing.T) {
	xtime(t, 10, 3, func(t *testing.T, l *xtimeLimiter) {
		ctx, cancel := context.WithTimeout(t.Context(), tick)
		defer cancel()
		require.NoError(t, l.requireWait(ctx, 2, 0))
		err := l.requireWait(ctx, 3, 0)
		require.ErrorIs(t, err, ratelimit.ErrLimited)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.InDelta(t, 1, l.Tokens(), 1e-9)
	})
}

func Test_xtime_WaitInf(t *testing.T) {
	xtime(t, ratelimit.Inf, 0, func(t *testing.T, l *xtimeLimiter) {
		require.NoError(t, l.requireWait(t.Context(), 3, 0))
	})
}

func Test_xtime_ZeroLimit(t *testing.T) {
	xtime(t, 0, 1, func(t *testing.T, l *xtimeLimiter) {
		assert.True(t, l.Allow())
		assert.False(t, l.Allow())
	})
}

func Test_xtime_SetAfterZeroLimit(t *testing.T) {
	xtime(t, 0, 1, func(t *testing.T, l *xtimeLimiter) {
		require.True(t, l.Allow())
		require.False(t, l.Allow())
		l.Set(10, 1)
		require.NoError(t, l.requireWait(t.Context(), 1, 1))
	})
}

func Test_xtime_TinyLimit(t *testing.T) {
	xtime(t, 1e-10, 1, func(t *testing.T, l *xtimeLimiter) {
		assert.True(t, l.Allow())
		assert.False(t, l.Allow())
	})
}
