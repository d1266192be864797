package measure_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/bench/measure"
)

func TestQuantile(t *testing.T) {
	odd := []float64{1, 2, 3, 4, 100}
	assert.InDelta(t, 3, measure.Quantile(odd, 0.5), 1e-9)
	assert.InDelta(t, 1.4, measure.Quantile(odd, 0.1), 1e-9)
	assert.InDelta(t, 61.6, measure.Quantile(odd, 0.9), 1e-9)
	assert.InDelta(t, 2.5, measure.Quantile([]float64{1, 2, 3, 4}, 0.5), 1e-9)
	assert.InDelta(t, 7, measure.Quantile([]float64{7}, 0.9), 1e-9)
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs []string
		sleep := func(name string, d time.Duration) measure.Contender {
			return measure.Contender{Name: name, Note: "sleeps", Run: func() {
				runs = append(runs, name)
				time.Sleep(d)
			}}
		}
		results := measure.Run(measure.Scenario{
			Name: "sleep", Unit: "ms/task", Per: 10,
			Contenders: []measure.Contender{
				sleep("a", 40*time.Millisecond),
				sleep("b", 20*time.Millisecond),
				sleep("c", 30*time.Millisecond),
			},
		}, 1)

		require.Len(t, results, 3)
		for i, want := range []measure.Result{
			{Name: "a", Note: "sleeps", P10: 4, Median: 4, P90: 4},
			{Name: "b", Note: "sleeps", P10: 2, Median: 2, P90: 2},
			{Name: "c", Note: "sleeps", P10: 3, Median: 3, P90: 3},
		} {
			want.Allocs = results[i].Allocs // those of time.Sleep in a bubble
			assert.Equal(t, want, results[i])
		}

		// Three runs of each to calibrate, then 7 rounds. A sample is two runs.
		rounds := ""
		for _, name := range runs[9:] {
			rounds += name
		}
		assert.Equal(t, "aabbcc"+"bbccaa"+"ccaabb"+"aabbcc"+"bbccaa"+"ccaabb"+"aabbcc", rounds)
	})
}

func TestRun_repeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept []*int
		results := measure.Run(measure.Scenario{
			Name: "short", Unit: "µs/call",
			Contenders: []measure.Contender{{Run: func() {
				kept = append(kept[:0], new(int), new(int), new(int))
				time.Sleep(time.Millisecond)
			}}},
		}, 0)
		assert.InDelta(t, 1000, results[0].Median, 1e-9)
		assert.GreaterOrEqual(t, results[0].Allocs, 3.0)
		assert.Less(t, results[0].Allocs, 20.0)
	})
}

func TestRun_allocsPerCall(t *testing.T) {
	const calls = 1000
	kept := make([]*int, calls)
	results := measure.Run(measure.Scenario{
		Name: "calls", Unit: "ns/item", Per: 2 * calls, Calls: calls,
		Contenders: []measure.Contender{{Run: func() {
			for i := range kept {
				kept[i] = new(int)
			}
		}}, {Run: func() {
			for i := range kept {
				kept[i] = nil
			}
		}}},
	}, measure.MinRounds)
	assert.InDelta(t, 1, results[0].Allocs, 0.1, "one in each call, however many items that is")
	assert.InDelta(t, 0, results[1].Allocs, 0.1)
}

func TestRun_part(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := make([]*int, 1000)
		results := measure.Run(measure.Scenario{
			Name: "part", Unit: "ms/task", Per: 100, Calls: 10,
			Contenders: []measure.Contender{{Part: 5, Run: func() {
				for i := range kept {
					kept[i] = new(int)
				}
				time.Sleep(40 * time.Millisecond)
			}}},
		}, 7)
		assert.InDelta(t, 2, results[0].Median, 1e-9, "20 tasks in 40ms")
		assert.InDelta(t, 500, results[0].Allocs, 20, "1,000 in two calls")
	})
}

func TestRun_rounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := func(bound, rounds int) (n int) {
			measure.Run(measure.Scenario{
				Name: "rounds", Unit: "ms/task", Rounds: bound,
				Contenders: []measure.Contender{{Run: func() {
					n++
					time.Sleep(40 * time.Millisecond)
				}}},
			}, rounds)
			return (n - 3) / 2
		}
		assert.Equal(t, 9, runs(0, 9))
		assert.Equal(t, 8, runs(8, 9))
		assert.Equal(t, 7, runs(8, 7))
		assert.Equal(t, 7, runs(2, 9), "the least")
		assert.Equal(t, 10, runs(10, 0))
	})
}

func TestRun_memory(t *testing.T) {
	const size = 1 << 20
	var shared, kept [][]byte
	made, dropped := 0, 0
	contender := func(name string, pieces int) measure.Contender {
		return measure.Contender{Name: name, Note: "heavy", Make: func() func() {
			made++
			if shared == nil {
				shared = [][]byte{make([]byte, 5*size)}
			}
			for range pieces {
				kept = append(kept, make([]byte, size))
				_ = append([]byte(nil), kept[0]...) // garbage
			}
			return func() {
				kept = nil
				dropped++
			}
		}}
	}
	results := measure.Run(measure.Scenario{
		Name: "memory", Unit: "B/item", Per: size,
		Contenders: []measure.Contender{contender("a", 1), contender("b", 3)},
	}, 7)
	for i, pieces := range []float64{1, 3} {
		r := results[i]
		for _, figure := range []float64{r.P10, r.Median, r.P90} {
			assert.InDelta(t, pieces, figure, 0.1)
		}
		assert.GreaterOrEqual(t, r.Allocs, pieces)
	}
	assert.Equal(t, "a", results[0].Name)
	assert.Equal(t, "heavy", results[1].Note)
	assert.Equal(t, []int{7, 7}, []int{made, dropped}, "once to make what is shared")
}

func TestRun_badUnit(t *testing.T) {
	s := measure.Scenario{Name: "n", Unit: "tasks/s", Contenders: nil}
	assert.PanicsWithValue(t, "measure: n: no unit of time in tasks/s", func() { measure.Run(s, 7) })
}
