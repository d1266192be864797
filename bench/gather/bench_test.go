package gatherbench_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gatherbench "github.com/seed4886185c/concert/bench/gather"
)

// Each run compares its outcome with the right one and panics if it differs.
func TestScenarios(t *testing.T) {
	for _, s := range gatherbench.Scenarios() {
		names := map[string]bool{}
		for _, c := range s.Contenders {
			require.False(t, names[c.Name], "%s twice in %s", c.Name, s.Name)
			names[c.Name] = true
			t.Run(s.Name+"/"+c.Name, func(t *testing.T) {
				assert.NotPanics(t, c.Run)
				assert.NotPanics(t, c.Run, "second run")
			})
		}
		assert.Equal(t, "gather.Map", s.Contenders[0].Name)
	}
}

func TestJob_panicsOnWrongOutcome(t *testing.T) {
	j := gatherbench.NewTripleJob(3) // 1, 4, 7
	assert.NotPanics(t, func() { j.Consume([]int{7, 1, 4}, nil) })
	assert.Panics(t, func() { j.Consume([]int{1, 4, 8}, nil) })
	assert.Panics(t, func() { j.Consume([]int{1, 4}, nil) })
	assert.PanicsWithError(t, assert.AnError.Error(), func() { j.Consume([]int{1, 4, 7}, assert.AnError) })
}

func BenchmarkGather(b *testing.B) {
	for _, s := range gatherbench.Scenarios() {
		for _, c := range s.Contenders {
			b.Run(s.Name+"/"+c.Name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					c.Run()
				}
				if s.Per > 1 {
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*s.Per), "ns/task")
				}
			})
		}
	}
}
