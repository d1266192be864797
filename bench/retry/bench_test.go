package retrybench_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	retrybench "github.com/seed4886185c/concert/bench/retry"
)

// Each run compares its outcome with the right one and panics if it differs.
func TestScenarios(t *testing.T) {
	for _, s := range retrybench.Scenarios() {
		names := map[string]bool{}
		for _, c := range s.Contenders {
			require.False(t, names[c.Name], "%s twice in %s", c.Name, s.Name)
			names[c.Name] = true
			t.Run(s.Name+"/"+c.Name, func(t *testing.T) {
				assert.NotPanics(t, c.Run)
				assert.NotPanics(t, c.Run, "second run")
			})
		}
		assert.Equal(t, "retry.Do", s.Contenders[0].Name)
	}
}

// No contender is spared an attempt, or makes one more.
func TestContenders_giveUp(t *testing.T) {
	for name, loop := range retrybench.Loops() {
		w := retrybench.NewWork(retrybench.Attempts)
		assert.Panics(t, func() { loop(w) }, name)
		assert.Equal(t, retrybench.Attempts, w.Made(), name)

		w = retrybench.NewWork(retrybench.Attempts - 1)
		assert.NotPanics(t, func() { loop(w) }, name)
	}
}

func TestWork(t *testing.T) {
	for i := range retrybench.NewWork(2).Forms() {
		w := retrybench.NewWork(2)
		for range 3 {
			require.Error(t, w.Forms()[i]())
			require.Error(t, w.Forms()[i]())
			require.NoError(t, w.Forms()[i]())
		}
		assert.Equal(t, 9, w.Made())
	}
}

func TestWork_panicsOnWrongOutcome(t *testing.T) {
	w := retrybench.NewWork(0)
	loop := func(calls, extra int) {
		sum := 0
		for range calls {
			v, err := w.Get()
			require.NoError(t, err)
			sum += v
		}
		w.Done(sum + extra)
	}
	assert.NotPanics(t, func() { loop(retrybench.Calls, 0) })
	assert.NotPanics(t, func() { loop(retrybench.Calls, 0) }, "second loop")
	assert.Panics(t, func() { loop(retrybench.Calls, 1) })
	w = retrybench.NewWork(0)
	assert.Panics(t, func() { loop(retrybench.Calls-1, retrybench.Calls) }, "the right sum of too few")
}

func BenchmarkRetry(b *testing.B) {
	for _, s := range retrybench.Scenarios() {
		for _, c := range s.Contenders {
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
