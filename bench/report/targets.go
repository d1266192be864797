package main

import (
	"math"
	"slices"
	"strings"

	"github.com/seed4886185c/concert/bench/measure"
)

// figures holds the results of each scenario of a package under its name.
type figures map[string][]measure.Result

// A verdict tells whether a target is met. All ratios are of medians.
type verdict struct{ target, measured, outcome string }

const notMeasured = "not measured"

// decide makes a verdict. A value that is not a number has not been measured.
func decide(target, measured string, value float64, met bool) verdict {
	switch {
	case math.IsNaN(value):
		return verdict{target, notMeasured, ""}
	case met:
		return verdict{target, measured, "met"}
	}
	return verdict{target, measured, "not met"}
}

// ratio returns the median of a divided by that of b.
func (f figures) ratio(scenario, a, b string) float64 {
	return f.find(scenario, a).Median / f.find(scenario, b).Median
}

// find returns the result of a contender, or one of NaNs.
func (f figures) find(scenario, contender string) measure.Result {
	for _, r := range f[scenario] {
		if r.Name == contender {
			return r
		}
	}
	return measure.Result{Median: math.NaN(), Allocs: math.NaN()}
}

// fastest returns the fastest contender that is neither of the package, whose
// names begin with self, nor among those written by hand, or one of NaNs.
func (f figures) fastest(scenario, self string, byHand ...string) measure.Result {
	fastest := measure.Result{Median: math.NaN()}
	for _, r := range f[scenario] {
		if strings.HasPrefix(r.Name, self) || slices.Contains(byHand, r.Name) {
			continue
		}
		if fastest.Name == "" || r.Median < fastest.Median {
			fastest = r
		}
	}
	return fastest
}
