package main

import (
	"testing"

	"github.com/stretchr/testify/assert"

	gatherbench "github.com/seed4886185c/concert/bench/gather"
)

func TestJudgeGather(t *testing.T) {
	f := equal(gatherbench.Scenarios())
	outcomes := map[string]int{}
	for _, v := range judgeGather(f) {
		outcomes[v.outcome]++
	}
	assert.Equal(t, map[string]int{"met": 9, "not met": 3}, outcomes, "only five times is out of reach")

	for name := range f {
		f[name][0].Median = 0.1
	}
	f["trivial/n=10000"][0].Allocs = 500
	f["cpu=10us/n=4"][0].Median = 1.11
	f["sleep=1ms/limit=100/n=1000"][0].Median = 1.04
	f["sleep=1ms/limit=100/n=1000"][2].Median = 0.9 // the better ones by hand
	assert.Equal(t, []string{"5.0 and 500.0", "1.11 times at worst (4 tasks of 10 µs)", "1.16 times"}, missed(judgeGather(f)))
}

func TestJudgeGather_notMeasured(t *testing.T) {
	f := equal(gatherbench.Scenarios())
	delete(f, "cpu=100us/n=8")
	delete(f, "trivial/n=10")
	n := 0
	for _, v := range judgeGather(f) {
		if v.measured == notMeasured {
			n++
		}
	}
	assert.Equal(t, 3, n)
}
