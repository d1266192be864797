package breaker_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/breaker"
)

// playCalls makes a call for each letter: s succeeds, f fails, i is ignored, S and F
// take a second before, and a point is a second without a call. It returns how
// many were played until the breaker was open, or -1 if it never was.
func playCalls(t *testing.T, b *breaker.Breaker, calls string) int {
	t.Helper()
	ignored, cancel := context.WithCancel(t.Context())
	cancel()
	for i, c := range calls {
		switch c {
		case 's':
			require.NoError(t, breaker.Run(t.Context(), b, succeed))
		case 'f':
			require.Equal(t, errDown, breaker.Run(t.Context(), b, fail))
		case 'i':
			require.Equal(t, errDown, breaker.Run(ignored, b, fail))
		case 'S':
			require.NoError(t, breaker.Run(t.Context(), b, sleep(time.Second)))
		case 'F':
			require.Equal(t, errDown, breaker.Run(t.Context(), b, func(context.Context) error {
				time.Sleep(time.Second)
				return errDown
			}))
		case '.':
			time.Sleep(time.Second)
		}
		if b.State() != closed {
			return i + 1
		}
	}
	return -1
}

func TestTrip(t *testing.T) {
	const never = -1
	for _, tt := range []struct {
		name  string
		trip  breaker.Trip
		calls string
		opens int // after so many
	}{
		{"zero", breaker.Trip{}, "ffffsfffff", 10},
		{"consecutive", breaker.Consecutive(3), "ffsffsfff", 9},
		{"consecutive, first", breaker.Consecutive(1), "sssf", 4},
		{"consecutive, ignored between", breaker.Consecutive(3), "fifiif", 6},
		{"consecutive, slowly", breaker.Consecutive(3), "f..........f..........f", 23},

		{"rate", breaker.Rate(0.5, 4, 10*time.Second), "ssff", 4},
		{"rate, just not", breaker.Rate(0.5, 4, 10*time.Second), "sssffssff", never},
		{"rate, too few calls", breaker.Rate(0.5, 4, 10*time.Second), "fff", never},
		{"rate, by a success", breaker.Rate(0.5, 4, 10*time.Second), "fffs", 4},
		{"rate, ignored are not counted", breaker.Rate(0.5, 4, 10*time.Second), "fffiiiiif", 9},
		{"rate of all", breaker.Rate(1, 3, 10*time.Second), "sfff.........f", never},
		{"rate of all, later", breaker.Rate(1, 3, 10*time.Second), "sfff..........fff", 17},
		{"rate, exact share", breaker.Rate(0.07, 100, time.Hour), repeated("s", 93) + "fffffff", 100},
		{"rate, the window moves on", breaker.Rate(0.5, 4, 10*time.Second), "fff..........fff", never},
		{"rate, still in the window", breaker.Rate(0.5, 4, 10*time.Second), "fff.........f", 13},
		{"rate, successes leave the window", breaker.Rate(0.5, 2, 10*time.Second), "sss.....ff......s", 17},
		{"rate, a failure in the oldest part", breaker.Rate(0.5, 2, 10*time.Second), "f.........s", 11},
		{"rate, much later", breaker.Rate(0.5, 2, 10*time.Second), "f" + repeated(".", 1000) + "fs", 1003},
		{"rate, calls slower than the window", breaker.Rate(0.5, 4, 100*time.Millisecond), "FFFF", never},
		{"rate, slow calls count when they end", breaker.Rate(0.5, 4, 10*time.Second), "FFFF", 4},

		{"last", breaker.LastN(0.5, 4), "ssff", 4},
		{"last, not before there are so many", breaker.LastN(0.5, 4), "fff", never},
		{"last, by a success", breaker.LastN(0.5, 4), "fffs", 4},
		{"last, the first are forgotten", breaker.LastN(0.75, 4), "fsfsfsfssf", never},
		{"last, in the end", breaker.LastN(0.75, 4), "fsfsfsfsff", 10},
		{"last, however long ago", breaker.LastN(1, 3), "f" + repeated(".", 1000) + "ff", 1003},
		{"last, ignored are not counted", breaker.LastN(1, 3), "fififsf", 5},
		{"last one", breaker.LastN(1, 1), "sssf", 4},

		{"slow", breaker.SlowRate(0.5, 4, 20*time.Second), "ssSS", 4},
		{"slow, failures are not", breaker.SlowRate(0.5, 4, 20*time.Second), "ffffffff", never},
		{"slow, failures too", breaker.SlowRate(0.5, 4, 20*time.Second), "ssFF", 4},
		{"slow, the window moves on", breaker.SlowRate(0.5, 2, 5*time.Second), "S.....sS", 8},

		{"any, first", breaker.AnyOf(breaker.Consecutive(3), breaker.Rate(0.5, 10, time.Minute)), "fff", 3},
		{"any, second", breaker.AnyOf(breaker.Consecutive(3), breaker.Rate(0.5, 4, time.Minute)), "fsfs", 4},
		{"any, the least", breaker.AnyOf(breaker.Consecutive(9), breaker.Consecutive(2)), "ff", 2},
		{"any, zero", breaker.AnyOf(breaker.Trip{}, breaker.LastN(1, 100)), "fffff", 5},
		{"any of any", breaker.AnyOf(breaker.AnyOf(breaker.LastN(1, 3)), breaker.LastN(1, 2)), "ff", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := breaker.New(breaker.Settings{Trip: tt.trip, SlowCall: time.Second})
				assert.Equal(t, tt.opens, playCalls(t, b, tt.calls))
				b.Close()
				assert.Equal(t, tt.opens, playCalls(t, b, tt.calls), "again, after it has closed")
			})
		})
	}
}

func repeated(s string, n int) string {
	all := ""
	for range n {
		all += s
	}
	return all
}

// The parts of a window begin when the breaker closes.
func TestRate_parts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			first, second time.Duration
			opens         bool
		}{
			{0, 10*time.Second - 1, true},
			{0, 10 * time.Second, false},
			{time.Second - 1, 10*time.Second - 1, true},
			{time.Second - 1, 10 * time.Second, false},
			{time.Second, 10*time.Second + 1, true},
			{time.Second, 11 * time.Second, false},
		} {
			b := breaker.New(breaker.Settings{Trip: breaker.Rate(1, 2, 10*time.Second)})
			time.Sleep(123 * time.Millisecond)
			b.Close()
			time.Sleep(tt.first)
			failN(t, b, 1)
			time.Sleep(tt.second - tt.first)
			failN(t, b, 1)
			assert.Equal(t, tt.opens, b.State() == open, "%v and %v", tt.first, tt.second)
		}
	})
}

// An outage of calls that time out after longer than the window opens it.
func TestRate_slowOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(breaker.Settings{Trip: breaker.Rate(0.5, 10, time.Second)})
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				_ = breaker.Run(t.Context(), b, func(context.Context) error {
					time.Sleep(time.Minute)
					return errDown
				})
			})
		}
		wg.Wait()
		assert.Equal(t, open, b.State())
	})
}

func TestSlowCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(breaker.Settings{SlowCall: time.Second, OpenFor: time.Second})
		require.NoError(t, breaker.Run(t.Context(), b, sleep(time.Second-1)))
		assert.Zero(t, b.Counts().Slow)
		require.NoError(t, breaker.Run(t.Context(), b, sleep(time.Second)))
		assert.Equal(t, 1, b.Counts().Slow)
		ignored, cancel := context.WithCancel(t.Context())
		cancel()
		_ = breaker.Run(ignored, b, func(context.Context) error {
			time.Sleep(time.Second)
			return errDown
		})
		assert.Equal(t, breaker.Counts{Successes: 2, Ignored: 1, Slow: 2, ConsecutiveSuccesses: 2}, b.Counts())
		b.Open()
		time.Sleep(time.Second)
		require.Equal(t, errDown, breaker.Run(ignored, b, func(context.Context) error {
			time.Sleep(999 * time.Millisecond)
			return errDown
		}))
		assert.Equal(t, breaker.Counts{Ignored: 1}, b.Counts())
	})
}

// However long it goes on, no more is remembered than the window.
func TestRate_forgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(breaker.Settings{Trip: breaker.Rate(1, 1000, 10*time.Second)})
		for i := range 1000 {
			require.NoError(t, breaker.Run(t.Context(), b, succeed))
			assert.LessOrEqual(t, b.Parts(), 10)
			time.Sleep(time.Duration(i%4) * time.Second)
		}
	})
}

// Many goroutines fill many parts; nothing is lost.
func TestRate_concurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const calls = 64 * 100
		b := breaker.New(breaker.Settings{Trip: breaker.Rate(1, calls, time.Second), OpenFor: time.Second})
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				for j := range 100 {
					time.Sleep(time.Duration((i*31+j*17)%10) * time.Millisecond / 10)
					_ = breaker.Run(t.Context(), b, fail)
				}
			})
		}
		wg.Wait()
		assert.Equal(t, open, b.State(), "the last of all the failures opens it")
	})
}

func TestTrip_panics(t *testing.T) {
	nan := func() float64 { var z float64; return z / z }()
	for message, trip := range map[string]func(){
		"breaker: Consecutive of less than 1":                                     func() { breaker.Consecutive(0) },
		"breaker: LastN of less than 1":                                           func() { breaker.LastN(0.5, 0) },
		"breaker: LastN with a ratio that is not greater than 0 and at most 1":    func() { breaker.LastN(0, 1) },
		"breaker: Rate with a ratio that is not greater than 0 and at most 1":     func() { breaker.Rate(1.01, 1, 1) },
		"breaker: SlowRate with a ratio that is not greater than 0 and at most 1": func() { breaker.SlowRate(nan, 1, 1) },
		"breaker: Rate with minCalls less than 1":                                 func() { breaker.Rate(0.5, 0, 1) },
		"breaker: SlowRate without a window":                                      func() { breaker.SlowRate(0.5, 1, 0) },
		"breaker: AnyOf of nothing":                                               func() { breaker.AnyOf() },
	} {
		assert.PanicsWithValue(t, message, trip)
	}
}
