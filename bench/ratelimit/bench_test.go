package ratelimitbench_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/bench/measure"
	ratelimitbench "github.com/seed4886185c/concert/bench/ratelimit"
)

// Each run compares its outcome with the right one and panics if it differs.
func TestScenarios(t *testing.T) {
	for _, s := range ratelimitbench.ScenariosOf(10_000) {
		names := map[string]bool{}
		for _, c := range s.Contenders {
			require.False(t, names[c.Name], "%s twice in %s", c.Name, s.Name)
			names[c.Name] = true
			t.Run(s.Name+"/"+c.Name, func(t *testing.T) {
				run := run(c)
				assert.NotPanics(t, run)
				assert.NotPanics(t, run, "second run")
			})
		}
		assert.Contains(t, s.Contenders[0].Name, "ratelimit.")
	}
}

func run(c measure.Contender) func() {
	if c.Make != nil {
		return func() { c.Make()() }
	}
	return c.Run
}

// No contender lets more or fewer through than the others.
func TestLimited(t *testing.T) {
	const burst = 5
	for name, loop := range ratelimitbench.Limited(burst) {
		w := ratelimitbench.NewWork(2*burst, "k")
		assert.Equal(t, burst, loop(w), name)
		assert.Zero(t, loop(w), name)
	}
}

func TestKeyed(t *testing.T) {
	const burst = 5
	for name, loop := range ratelimitbench.Keyed(burst) {
		a, b := ratelimitbench.NewWork(burst-1, "a"), ratelimitbench.NewWork(2*burst, "b")
		assert.Equal(t, burst-1, loop(a), name)
		assert.Equal(t, burst, loop(b), name)
		assert.Equal(t, 1, loop(a), name)
		assert.Zero(t, loop(b), name)
	}
}

func TestWork(t *testing.T) {
	w := ratelimitbench.NewWork(1, "a", "b", "c")
	for _, want := range []string{"a", "b", "c", "a", "b"} {
		assert.Equal(t, want, w.Key())
	}
	keys := []string{"a", "b", "c", "d"}
	assert.Equal(t, keys, ratelimitbench.NewWorks(4, keys))
	assert.Equal(t, []string{"a", "c"}, ratelimitbench.NewWorks(2, keys))
	assert.Equal(t, []string{"a", "a"}, ratelimitbench.NewWorks(2, keys[:1]))
}

func TestKeyring(t *testing.T) {
	first, later := ratelimitbench.Keyring(100)
	assert.ElementsMatch(t, first, later)
	assert.NotEqual(t, first, later, "the same order")
	assert.Len(t, slices.Compact(slices.Sorted(slices.Values(first))), 100)
}

func TestCheck(t *testing.T) {
	assert.NotPanics(t, func() { ratelimitbench.Check(3, 3) })
	assert.PanicsWithValue(t, "ratelimitbench: 2 calls were let through, want 3", func() { ratelimitbench.Check(2, 3) })
}

func BenchmarkRatelimit(b *testing.B) {
	for _, s := range ratelimitbench.Scenarios() {
		for _, c := range s.Contenders {
			if c.Run == nil {
				continue // takes memory, not time
			}
			b.Run(s.Name+"/"+c.Name, func(b *testing.B) {
				b.ReportAllocs() // of a run, that is of many calls
				for b.Loop() {
					c.Run()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*s.Per), "ns/call")
			})
		}
	}
}
