package pipelinebench_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	pipelinebench "github.com/seed4886185c/concert/bench/pipeline"
)

// Each run compares its outcome with the right one and panics if it differs.
func TestScenarios(t *testing.T) {
	for _, s := range pipelinebench.Scenarios() {
		names := map[string]bool{}
		for _, c := range s.Contenders {
			require.False(t, names[c.Name], "%s twice in %s", c.Name, s.Name)
			names[c.Name] = true
			t.Run(s.Name+"/"+c.Name, func(t *testing.T) {
				assert.NotPanics(t, c.Run)
				assert.NotPanics(t, c.Run, "second run")
			})
		}
		assert.Equal(t, "pipeline", s.Contenders[0].Name)
	}
}

func TestJob_panicsOnWrongOutcome(t *testing.T) {
	j := pipelinebench.NewJob(3) // 1, 4, 7
	assert.NotPanics(t, func() { j.Check(7, 1, 4) })
	assert.Panics(t, func() { j.Check(1, 4, 8) })
	assert.Panics(t, func() { j.Check(5, 7) })

	assert.NotPanics(t, func() { j.CheckOrder(1, 4, 7) })
	assert.Panics(t, func() { j.CheckOrder(1, 7, 4) })
	assert.Panics(t, func() { j.CheckOrder(1, 4) })

	assert.NotPanics(t, func() { j.CheckSum(4) })
	assert.Panics(t, func() { j.CheckSum(12) })
}

func TestJob_panicsOnWrongBatches(t *testing.T) {
	const n = pipelinebench.BatchSize
	j := pipelinebench.NewJob(2*n + 1)
	var all []int
	for i := range 2*n + 1 {
		all = append(all, i)
	}
	assert.NotPanics(t, func() { j.CheckBatches(all[:n], all[n:2*n], all[2*n:]) })
	assert.NotPanics(t, func() { j.CheckBatches(all[:n], all[n:2*n], all[2*n:], nil) }, "an empty one is left out")
	assert.Panics(t, func() { j.CheckBatches(all[:n], all[n:]) }, "too few")
	assert.Panics(t, func() { j.CheckBatches(all[:n], all[n:n+1], all[n+1:2*n+1], nil, all[2*n+1:], all[:1]) }, "too many")
	assert.Panics(t, func() { j.CheckBatches(all[n:2*n], all[:n], all[2*n:]) }, "another order")
}

// What is written by hand keeps its promise too.
func TestInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := make(chan int)
		start := time.Now()
		go func() {
			defer close(in)
			for i := range pipelinebench.BatchSize + 2 {
				in <- i
			}
			time.Sleep(time.Minute)
			in <- 0
		}()
		var sizes []int
		var times []time.Duration
		for items := range pipelinebench.InBatches(in) {
			sizes = append(sizes, len(items))
			times = append(times, time.Since(start))
		}
		assert.Equal(t, []int{pipelinebench.BatchSize, 2, 1}, sizes)
		assert.Equal(t, []time.Duration{0, time.Second, time.Minute}, times)
	})
}

func BenchmarkPipeline(b *testing.B) {
	for _, s := range pipelinebench.Scenarios() {
		for _, c := range s.Contenders {
			b.Run(s.Name+"/"+c.Name, func(b *testing.B) {
				b.ReportAllocs() // of a run, that is of many items
				for b.Loop() {
					c.Run()
				}
				if s.Per > 1 {
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*s.Per), "ns/item")
				}
			})
		}
	}
}
