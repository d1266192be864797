package main

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed4886185c/concert/bench/measure"
	ratelimitbench "github.com/seed4886185c/concert/bench/ratelimit"
)

func TestJudgeRatelimit(t *testing.T) {
	f := equal(ratelimitbench.Scenarios())
	assert.Equal(t, []string{
		"5.00 per call", "1.00 times", "1.00 times", "1.00 times (x/time)",
		"1.00 times (sethvargo)", "1.00 times (sethvargo)", "1.00 times (sethvargo)",
	}, missed(judgeRatelimit(f)), "only what equals have is within reach")

	set := func(scenario, contender string, median, allocs float64) {
		for i, r := range f[scenario] {
			if r.Name == contender {
				f[scenario][i] = measure.Result{Name: r.Name, Median: median, Allocs: allocs}
			}
		}
	}
	for _, scenario := range []string{"plenty", "plenty/parallel", "exhausted/parallel"} {
		for _, r := range f[scenario] {
			set(scenario, r.Name, 100, 5)
		}
		set(scenario, "ratelimit.Limiter", 10, 0.001)
		set(scenario, "ratelimit.Window", 1, 0) // not a peer
		set(scenario, "bucket", 1, 0)           // nor is this
		set(scenario, "x/time", 24, 0)
		set(scenario, "uber", 10, 0)
	}
	set("exhausted/parallel", "x/time", 25, 0)
	for _, scenario := range []string{"keyed/keys=1", "keyed/keys=1000", "keyed/keys=1000000"} {
		set(scenario, "ratelimit.Keyed", 0.9, 0)
	}
	set("memory/keys=1000000", "ratelimit.Keyed", 99, 0)
	for _, scenario := range []string{"acquire", "acquire/parallel", "try", "try/parallel"} {
		set("bulkhead/"+scenario, "ratelimit.Bulkhead", 1.5, 0)
	}
	assert.Empty(t, missed(judgeRatelimit(f)))

	set("plenty", "x/time", 23, 0)
	set("plenty/parallel", "x/time", 22, 0)
	set("plenty", "failsafe-bursty", 9, 0)
	set("plenty/parallel", "failsafe-smooth", 8, 0)
	set("exhausted/parallel", "sethvargo", 24, 0)
	set("keyed/keys=1", "throttled-lru", 0.45, 0)
	set("keyed/keys=1000", "x/time-map", 0.9, 0)
	set("keyed/keys=1000000", "httprate", 0.72, 0)
	set("memory/keys=1000000", "ratelimit.Keyed", 100, 0)
	for _, scenario := range []string{"acquire", "acquire/parallel", "try", "try/parallel"} {
		set("bulkhead/"+scenario, "ratelimit.Bulkhead", 1.6, 0)
	}
	assert.Equal(t, []string{
		"2.30 times", "2.20 times", "0.90 times (failsafe-bursty)", "0.80 times (failsafe-smooth)",
		"2.40 times (sethvargo)",
		"0.50 times (throttled-lru)", "1.00 times (x/time-map)", "0.80 times (httprate)",
		"100 bytes",
		"1.60 times", "1.60 times", "1.60 times", "1.60 times",
	}, missed(judgeRatelimit(f)))

	set("plenty", "ratelimit.Limiter", 1, 0.01)
	assert.Equal(t, "0.01 per call", missed(judgeRatelimit(f))[0])
}
