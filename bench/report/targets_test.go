package main

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed4886185c/concert/bench/measure"
)

// equal has the same figures for all contenders there are.
func equal(scenarios []measure.Scenario) figures {
	f := figures{}
	for _, s := range scenarios {
		for _, c := range s.Contenders {
			f[s.Name] = append(f[s.Name], measure.Result{Name: c.Name, Median: 1, Allocs: 5})
		}
	}
	return f
}

// missed returns what was measured where a target is not met.
func missed(verdicts []verdict) []string {
	var all []string
	for _, v := range verdicts {
		if v.outcome != "met" {
			all = append(all, v.measured)
		}
	}
	return all
}

func TestSubjects(t *testing.T) {
	names := map[string]bool{}
	for _, pkg := range subjects() {
		assert.False(t, names[pkg.name], "%s twice", pkg.name)
		names[pkg.name] = true

		f := equal(pkg.scenarios())
		assert.Len(t, f, len(pkg.scenarios()), "two scenarios of %s have the same name", pkg.name)
		verdicts := pkg.judge(f)
		assert.NotEmpty(t, verdicts)
		for _, v := range verdicts {
			assert.NotEqual(t, notMeasured, v.measured, "a target names a contender that there is not: %s", v.target)
		}
		for _, v := range pkg.judge(figures{}) {
			assert.Equal(t, verdict{v.target, notMeasured, ""}, v)
		}
	}
}

func TestDecide(t *testing.T) {
	assert.Equal(t, verdict{"fast", "2 times", "met"}, decide("fast", "2 times", 2, true))
	assert.Equal(t, verdict{"fast", "2 times", "not met"}, decide("fast", "2 times", 2, false))
	assert.Equal(t, verdict{"fast", notMeasured, ""}, decide("fast", "NaN times", math.NaN(), false))
}
