package main

import "fmt"

// judgeRetry judges the targets of package retry.
func judgeRetry(f figures) []verdict {
	const first, failures, self = "first-try", "three-failures", "retry.Do"
	var all []verdict

	allocs := f.find(first, self).Allocs
	all = append(all, decide("the first try succeeds: no allocations",
		fmt.Sprintf("%.2f per call", allocs), allocs, allocs < 0.01)) // the rest of the process allocates too

	toFastest := func(scenario, text string, most float64) {
		peer := f.fastest(scenario, "retry.", "loop")
		r := f.ratio(scenario, self, peer.Name)
		all = append(all, decide(text, fmt.Sprintf("%.2f times (%s)", r, peer.Name), r, r <= most))
	}
	r := f.ratio(first, self, "avast/v5")
	all = append(all, decide("the first try succeeds: within 1.5 times the time of avast/v5",
		fmt.Sprintf("%.2f times", r), r, r <= 1.5))
	toFastest(first, "the first try succeeds: within 1.5 times the time of the fastest peer", 1.5)

	r = f.ratio(first, "backoff/v4", self)
	all = append(all, decide("the first try succeeds: at least 4 times the throughput of backoff/v4",
		fmt.Sprintf("%.2f times", r), r, r >= 4))

	toFastest(failures, "three failures, no delay: at most half the time of the fastest peer", 0.5)
	return all
}
