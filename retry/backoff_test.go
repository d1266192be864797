package retry_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/retry"
)

const forever = time.Duration(math.MaxInt64)

// noRandom is for shapes that must not ask for it.
func noRandom(uint64) uint64 { panic("random number asked for") }

// delays returns the first n delays of b.
func delays(b retry.Backoff, n int, random func(uint64) uint64) []time.Duration {
	ds := make([]time.Duration, n)
	before := time.Duration(0)
	for i := range ds {
		before = b.Delay(i+1, before, random)
		ds[i] = before
	}
	return ds
}

func TestBackoff_sequences(t *testing.T) {
	for _, tt := range []struct {
		name string
		b    retry.Backoff
		want []time.Duration // in seconds where it is a shape's
	}{
		{"Constant", retry.Constant(time.Second), seconds(1, 1, 1, 1)},
		{"Constant zero", retry.Constant(0), seconds(0, 0, 0)},
		{"Linear", retry.Linear(time.Second, 2*time.Second, 0), seconds(1, 3, 5, 7, 9)},
		{"Linear capped", retry.Linear(time.Second, 2*time.Second, 6*time.Second), seconds(1, 3, 5, 6, 6)},
		{"Linear from zero", retry.Linear(0, time.Second, 0), seconds(0, 1, 2, 3)},
		{"Linear, first beyond max", retry.Linear(9*time.Second, time.Second, time.Second), seconds(1, 1, 1)},
		{"Exponential", retry.Exponential(time.Second, 0), seconds(1, 2, 4, 8, 16, 32)},
		{"Exponential capped", retry.Exponential(time.Second, 10*time.Second), seconds(1, 2, 4, 8, 10, 10)},
		{"Exponential zero", retry.Exponential(0, time.Second), seconds(0, 0, 0)},
		{"Exponential, first beyond max", retry.Exponential(9*time.Second, time.Second), seconds(1, 1)},
		{"Fibonacci", retry.Fibonacci(time.Second, 0), seconds(1, 1, 2, 3, 5, 8, 13, 21, 34)},
		{"Fibonacci capped", retry.Fibonacci(time.Second, 6*time.Second), seconds(1, 1, 2, 3, 5, 6, 6)},
		{"Func", retry.Func(func(failed int) time.Duration { return time.Duration(failed*failed) * time.Second }), seconds(1, 4, 9, 16)},
		{"Func negative", retry.Func(func(int) time.Duration { return -time.Second }), seconds(0, 0)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, delays(tt.b, len(tt.want), noRandom))
		})
	}
}

func TestBackoff_overflow(t *testing.T) {
	for name, b := range map[string]retry.Backoff{
		"Linear":                  retry.Linear(1, forever, 0),
		"Linear, first":           retry.Linear(forever, forever, 0),
		"Linear, slowly":          retry.Linear(forever-1, 1, 0),
		"Exponential":             retry.Exponential(forever, 0),
		"Exponential, from 1":     retry.Exponential(1, 0),
		"Exponential, half":       retry.Exponential(forever/2+1, 0),
		"Fibonacci":               retry.Fibonacci(forever, 0),
		"Fibonacci, from 1":       retry.Fibonacci(1, 0),
		"capped at the last":      retry.Exponential(1, forever),
		"Constant":                retry.Constant(forever),
		"Func":                    retry.Func(func(int) time.Duration { return forever }),
		"the last but one in all": retry.Linear(forever, 0, forever),
	} {
		t.Run(name, func(t *testing.T) {
			before := time.Duration(0)
			for failed := 1; failed <= 1_000_000; failed += 1 + failed/50 {
				d := b.Delay(failed, before, noRandom)
				require.GreaterOrEqual(t, d, before, "attempt %d", failed)
				before = d
			}
			assert.Equal(t, forever, b.Delay(math.MaxInt, 0, noRandom))
		})
	}
}

// Each delay lies in the range that its jitter states, at both of its ends, for
// 1,000 seeds and with the least and the greatest random numbers.
func TestBackoff_jitter(t *testing.T) {
	least := func(uint64) uint64 { return 0 }
	greatest := func(n uint64) uint64 { return n - 1 }
	for _, tt := range []struct {
		name      string
		b         retry.Backoff
		low, high []time.Duration
	}{
		{
			"zero Backoff",
			retry.Backoff{},
			[]time.Duration{0, 0, 0, 0, 0, 0, 0, 0, 0},
			append(milliseconds(100, 200, 400, 800, 1600, 3200, 6400), seconds(10, 10)...),
		},
		{"zero Backoff, equal", retry.Backoff{}.EqualJitter(), milliseconds(50, 100, 200), milliseconds(100, 200, 400)},
		{"full", retry.Exponential(time.Second, 6*time.Second).FullJitter(), seconds(0, 0, 0, 0), seconds(1, 2, 4, 6)},
		{"equal", retry.Exponential(2*time.Second, 12*time.Second).EqualJitter(), seconds(1, 2, 4, 6), seconds(2, 4, 8, 12)},
		{"equal, odd", retry.Constant(3).EqualJitter(), []time.Duration{2}, []time.Duration{3}},
		{"fraction", retry.Exponential(10*time.Second, 30*time.Second).Jitter(0.1), seconds(9, 18, 27, 27), seconds(11, 22, 30, 30)},
		{"fraction 0", retry.Constant(time.Second).Jitter(0), seconds(1, 1), seconds(1, 1)},
		{"fraction 1", retry.Constant(time.Second).Jitter(1), seconds(0, 0), seconds(2, 2)},
		{"fraction 1 of forever", retry.Constant(forever).Jitter(1), seconds(0), []time.Duration{forever}},
		{"fraction of nearly forever", retry.Constant(forever - 1).Jitter(0.5), []time.Duration{forever/2 + 1}, []time.Duration{forever}},
		{"full of forever", retry.Constant(forever).FullJitter(), seconds(0), []time.Duration{forever}},
		{"equal of forever", retry.Constant(forever).EqualJitter(), []time.Duration{forever/2 + 1}, []time.Duration{forever}},
		{"full of nothing", retry.Constant(0).FullJitter(), seconds(0), seconds(0)},
		{"full, Func", retry.Func(func(failed int) time.Duration { return time.Duration(failed) * time.Second }).FullJitter(), seconds(0, 0), seconds(1, 2)},
		{"the last jitter counts", retry.Constant(2 * time.Second).FullJitter().Jitter(1).EqualJitter(), seconds(1), seconds(2)},
		{"decorrelated, shortest", retry.Decorrelated(time.Second, 20*time.Second), seconds(1, 1, 1, 1), seconds(3, 9, 20, 20)},
		{"decorrelated, first beyond max", retry.Decorrelated(9*time.Second, time.Second), seconds(1, 1), seconds(1, 1)},
		{"decorrelated of forever", retry.Decorrelated(forever, 0), []time.Duration{forever, forever}, []time.Duration{forever, forever}},
		{"decorrelated without max", retry.Decorrelated(forever/4, 0), []time.Duration{forever / 4, forever / 4}, []time.Duration{forever / 4 * 3, forever}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			assertWithin := func(want, got []time.Duration) {
				for i := range want { // a fraction of a huge duration is not exact
					if want[i] < 1<<50 || want[i] == forever {
						assert.Equal(t, want[i], got[i])
					} else {
						assert.InDelta(t, float64(want[i]), float64(got[i]), float64(want[i])*1e-15)
					}
				}
			}
			assertWithin(tt.low, delays(tt.b, len(tt.low), least))
			assertWithin(tt.high, delays(tt.b, len(tt.high), greatest))
			for seed := range uint64(1000) {
				random := rand.New(rand.NewPCG(seed, 0)).Uint64N
				for i, d := range delays(tt.b, len(tt.low), random) {
					require.GreaterOrEqual(t, d, tt.low[i]-1, "seed %d", seed) // halves are not exact either
					require.GreaterOrEqual(t, d, time.Duration(0), "seed %d", seed)
					require.LessOrEqual(t, d, tt.high[i], "seed %d", seed)
				}
			}
		})
	}
}

func milliseconds(ns ...int) []time.Duration {
	ds := make([]time.Duration, len(ns))
	for i, n := range ns {
		ds[i] = time.Duration(n) * time.Millisecond
	}
	return ds
}

// Over many draws a jitter reaches all of its range.
func TestBackoff_jitterIsUniform(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)).Uint64N
	for _, b := range []retry.Backoff{
		retry.Constant(100).FullJitter(), retry.Constant(50).Jitter(1), retry.Constant(200).EqualJitter(), retry.Decorrelated(50, 0),
	} {
		var count [101]int
		low := b.Delay(1, 0, func(uint64) uint64 { return 0 })
		for range 101_000 {
			count[b.Delay(1, 0, random)-low]++
		}
		for i, n := range count {
			assert.InDelta(t, 1000, n, 200, "value %d", i)
		}
	}
}

// Whatever the arguments, no delay is negative or beyond the cap.
func FuzzBackoff(f *testing.F) {
	f.Add(int64(time.Second), int64(time.Second), int64(time.Minute), 0.5, 3, uint64(1))
	f.Add(int64(math.MaxInt64), int64(math.MaxInt64), int64(0), 1.0, 1_000_000, uint64(math.MaxUint64))
	f.Add(int64(math.MaxInt64), int64(1), int64(math.MaxInt64), 0.1, math.MaxInt, uint64(0))
	f.Fuzz(func(t *testing.T, first, step, most int64, fraction float64, failed int, r uint64) {
		if first < 0 || step < 0 || most < 0 || failed < 1 || !(fraction >= 0 && fraction <= 1) {
			return // not for these functions
		}
		random := func(n uint64) uint64 { return r % n }
		a, s, m := time.Duration(first), time.Duration(step), time.Duration(most)
		for i, b := range []retry.Backoff{
			retry.Constant(a), retry.Linear(a, s, m), retry.Exponential(a, m), retry.Fibonacci(a, m),
			retry.Func(func(int) time.Duration { return s - a }), retry.Decorrelated(a, m),
		} {
			shapes := []retry.Backoff{b}
			if i < 5 {
				shapes = append(shapes, b.FullJitter(), b.EqualJitter(), b.Jitter(fraction))
			}
			for j, b := range shapes {
				d := b.Delay(failed, s, random)
				if d < 0 || i > 0 && i != 4 && m > 0 && d > m {
					t.Errorf("shape %d, jitter %d: %d", i, j, d)
				}
			}
		}
	})
}

func TestBackoff_panics(t *testing.T) {
	for message, make := range map[string]func(){
		"retry: Constant with a negative duration":     func() { retry.Constant(-1) },
		"retry: Linear with a negative duration":       func() { retry.Linear(0, -1, 0) },
		"retry: Exponential with a negative duration":  func() { retry.Exponential(-1, 0) },
		"retry: Fibonacci with a negative duration":    func() { retry.Fibonacci(0, -1) },
		"retry: Decorrelated with a negative duration": func() { retry.Decorrelated(-1, 1) },
		"retry: Func of a nil function":                func() { retry.Func(nil) },
	} {
		assert.PanicsWithValue(t, message, make)
	}
	for _, fraction := range []float64{-0.1, 1.1, math.NaN(), math.Inf(1)} {
		assert.PanicsWithValue(t, "retry: Jitter with a fraction that is not between 0 and 1", func() {
			retry.Constant(1).Jitter(fraction)
		}, fmt.Sprint(fraction))
	}
	d := retry.Decorrelated(1, 2)
	for _, jitter := range []func(){func() { d.FullJitter() }, func() { d.EqualJitter() }, func() { d.Jitter(0.1) }} {
		assert.PanicsWithValue(t, "retry: jitter on Decorrelated, which is jitter already", jitter)
	}
}
