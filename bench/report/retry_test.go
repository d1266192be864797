package main

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed4886185c/concert/bench/measure"
	retrybench "github.com/seed4886185c/concert/bench/retry"
)

func TestJudgeRetry(t *testing.T) {
	f := equal(retrybench.Scenarios())
	assert.Equal(t, []string{"5.00 per call", "1.00 times", "1.00 times (backoff/v4)"}, missed(judgeRetry(f)),
		"only what equals have is within reach")

	set := func(scenario, contender string, median, allocs float64) {
		for i, r := range f[scenario] {
			if r.Name == contender {
				f[scenario][i] = measure.Result{Name: r.Name, Median: median, Allocs: allocs}
			}
		}
	}
	set("first-try", "retry.Do", 6, 0.001)
	for _, r := range f["first-try"][1:] {
		set("first-try", r.Name, 100, 5)
	}
	set("first-try", "retry.Run", 1, 0) // not a peer
	set("first-try", "loop", 1, 0)      // nor is this
	set("first-try", "eapache", 4, 0)
	set("first-try", "backoff/v4", 24, 2)
	set("first-try", "backoff/v4+cancel", 20, 2)
	set("three-failures", "retry.Do", 0.5, 4)
	assert.Empty(t, missed(judgeRetry(f)))
	assert.Equal(t, "1.50 times (eapache)", judgeRetry(f)[2].measured)

	set("first-try", "avast/v5", 3.9, 0)
	set("first-try", "backoff/v4", 23, 2)
	set("three-failures", "eapache", 0.9, 9)
	assert.Equal(t, []string{"1.54 times", "1.54 times (avast/v5)", "3.83 times", "0.56 times (eapache)"}, missed(judgeRetry(f)))

	set("first-try", "retry.Do", 1, 0.01)
	assert.Equal(t, []string{"0.01 per call", "0.56 times (eapache)"}, missed(judgeRetry(f)))
}
