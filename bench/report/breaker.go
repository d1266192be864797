package main

import "fmt"

// judgeBreaker judges the targets of package breaker.
func judgeBreaker(f figures) []verdict {
	const self = "breaker.Do"
	const consecutive, rate, parallel = "closed/consecutive", "closed/rate", "/parallel"
	var all []verdict

	none := func(scenario, text string) {
		allocs := f.find(scenario, self).Allocs
		all = append(all, decide(text+": no allocations",
			fmt.Sprintf("%.2f per call", allocs), allocs, allocs < 0.01)) // the rest of the process allocates too
	}
	none(consecutive, "closed, Consecutive")
	none(rate, "closed, Rate")

	atLeast := func(least float64, scenario, text string) {
		r := f.ratio(scenario, "gobreaker/v2", self)
		all = append(all, decide(fmt.Sprintf("%s: at least %v times the throughput of gobreaker/v2", text, least),
			fmt.Sprintf("%.2f times", r), r, r >= least))
	}
	atLeast(6, consecutive, "closed, Consecutive")
	atLeast(6, consecutive+parallel, "closed, Consecutive, in parallel")
	atLeast(2.5, rate, "closed, Rate")
	atLeast(2.5, rate+parallel, "closed, Rate, in parallel")

	faster := func(scenario, text, peer string) {
		r := f.ratio(scenario, peer, self)
		all = append(all, decide(fmt.Sprintf("%s: faster than %s", text, peer),
			fmt.Sprintf("%.2f times", r), r, r > 1))
	}
	faster(consecutive, "closed, Consecutive", "failsafe-permit")
	faster(consecutive+parallel, "closed, Consecutive, in parallel", "failsafe-permit")
	faster("open", "open", "gobreaker/v2")
	return all
}
