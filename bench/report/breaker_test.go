package main

import (
	"testing"

	"github.com/stretchr/testify/assert"

	breakerbench "github.com/seed4886185c/concert/bench/breaker"
	"github.com/seed4886185c/concert/bench/measure"
)

func TestJudgeBreaker(t *testing.T) {
	f := equal(breakerbench.Scenarios())
	verdicts := judgeBreaker(f)
	assert.Len(t, missed(verdicts), len(verdicts), "equals are not enough for any")

	set := func(scenario, contender string, median, allocs float64) {
		for i, r := range f[scenario] {
			if r.Name == contender {
				f[scenario][i] = measure.Result{Name: r.Name, Median: median, Allocs: allocs}
			}
		}
	}
	for _, scenario := range []string{"closed/consecutive", "closed/consecutive/parallel"} {
		set(scenario, "breaker.Do", 10, 0.001)
		set(scenario, "gobreaker/v2", 60, 0)
		set(scenario, "failsafe-permit", 11, 0)
	}
	for _, scenario := range []string{"closed/rate", "closed/rate/parallel"} {
		set(scenario, "breaker.Do", 10, 0.001)
		set(scenario, "gobreaker/v2", 25, 0)
	}
	set("open", "breaker.Do", 10, 1)
	set("open", "gobreaker/v2", 11, 0)
	assert.Empty(t, missed(judgeBreaker(f)))

	set("closed/consecutive", "gobreaker/v2", 59, 0)
	set("closed/consecutive/parallel", "gobreaker/v2", 58, 0)
	set("closed/consecutive", "failsafe-permit", 9, 0)
	set("closed/consecutive/parallel", "failsafe-permit", 8, 0)
	set("closed/rate", "gobreaker/v2", 24, 0)
	set("closed/rate/parallel", "gobreaker/v2", 23, 0)
	set("open", "gobreaker/v2", 10, 0)
	assert.Equal(t, []string{
		"5.90 times", "5.80 times", "2.40 times", "2.30 times",
		"0.90 times", "0.80 times", "1.00 times",
	}, missed(judgeBreaker(f)))

	for _, r := range []string{"closed/consecutive", "closed/rate"} {
		set(r, "breaker.Do", 1, 0.01)
	}
	assert.Equal(t, []string{"0.01 per call", "0.01 per call"}, missed(judgeBreaker(f))[:2])
}
