package main

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed4886185c/concert/bench/measure"
	pipelinebench "github.com/seed4886185c/concert/bench/pipeline"
)

func TestJudgePipeline(t *testing.T) {
	f := equal(pipelinebench.Scenarios())
	assert.Equal(t, []string{
		"1.00 times", "1.00 times", "1.00 times", "1.00 times",
		"5.000 per item", "5.000 per item", "5.000 per item", "5.00 per batch",
	}, missed(judgePipeline(f)), "only what equals have is within reach")

	set := func(scenario, contender string, median, allocs float64) {
		for i, r := range f[scenario] {
			if r.Name == contender {
				f[scenario][i] = measure.Result{Name: r.Name, Median: median, Allocs: allocs}
			}
		}
	}
	const sleep = "sleep=1ms/workers=100/n=1000"
	set("fused", "pipeline", 10, 0.009)
	set("fused", "channels", 250, 0)
	set("fused", "juniper", 10, 0)
	set("workers=4", "pipeline", 10, 0.009)
	set("workers=4", "workers", 40, 0)
	set("workers=4/ordered", "pipeline", 10, 0.009)
	set("workers=4/ordered", "futures", 60, 0)
	set("batch=100", "pipeline", 10, 1.09)
	set("batch=100", "channels", 50, 0)
	set(sleep, "pipeline", 11, 0)
	set(sleep, "workers", 10, 0)
	assert.Empty(t, missed(judgePipeline(f)))

	set("fused", "pipeline", 10, 0.01)
	set("fused", "channels", 249, 0)
	set("fused", "juniper", 9, 0)
	set("workers=4", "pipeline", 10, 0.02)
	set("workers=4", "workers", 39, 0)
	set("workers=4/ordered", "pipeline", 10, 0.03)
	set("workers=4/ordered", "futures", 59, 0)
	set("batch=100", "pipeline", 10, 1.1)
	set("batch=100", "channels", 49, 0)
	set(sleep, "pipeline", 11.2, 0)
	assert.Equal(t, []string{
		"24.90 times", "0.90 times", "3.90 times", "5.90 times", "4.90 times", "1.12 times",
		"0.010 per item", "0.020 per item", "0.030 per item", "1.10 per batch",
	}, missed(judgePipeline(f)))
}
