package main

import "fmt"

// judgeRatelimit judges the targets of package ratelimit.
func judgeRatelimit(f figures) []verdict {
	const limiter, keyed, bulkhead = "ratelimit.Limiter", "ratelimit.Keyed", "ratelimit.Bulkhead"
	var all []verdict

	allocs := f.find("plenty", limiter).Allocs
	all = append(all, decide("Allow, plenty: no allocations",
		fmt.Sprintf("%.2f per call", allocs), allocs, allocs < 0.01)) // the rest of the process allocates too

	inParallel := []struct{ scenario, text string }{{"", ""}, {"/parallel", ", in parallel"}}
	for _, p := range inParallel {
		r := f.ratio("plenty"+p.scenario, "x/time", limiter)
		all = append(all, decide("Allow, plenty"+p.text+": at least 2.4 times the throughput of x/time",
			fmt.Sprintf("%.2f times", r), r, r >= 2.4))
	}

	// than compares with the fastest that is not ours.
	than := func(scenario, self, text string, met func(float64) bool, byHand ...string) {
		peer := f.fastest(scenario, "ratelimit.", byHand...)
		r := f.ratio(scenario, peer.Name, self)
		all = append(all, decide(text, fmt.Sprintf("%.2f times (%s)", r, peer.Name), r, met(r)))
	}
	for _, p := range inParallel {
		than("plenty"+p.scenario, limiter, "Allow, plenty"+p.text+": at least the throughput of the fastest peer",
			func(r float64) bool { return r >= 1 }, "bucket")
	}
	than("exhausted/parallel", limiter, "Allow, exhausted, in parallel: at least 2.5 times the throughput of the fastest peer",
		func(r float64) bool { return r >= 2.5 }, "bucket")
	for _, keys := range []int{1, 1000, 1_000_000} {
		text := fmt.Sprintf("Keyed, keys=%d, in parallel: faster than the fastest other", keys)
		than(fmt.Sprintf("keyed/keys=%d", keys), keyed, text, func(r float64) bool { return r > 1 })
	}

	bytes := f.find("memory/keys=1000000", keyed).Median
	all = append(all, decide("Keyed, keys=1000000: less than 100 bytes for each",
		fmt.Sprintf("%.0f bytes", bytes), bytes, bytes < 100))

	for _, call := range []struct{ scenario, text string }{{"acquire", "Acquire"}, {"try", "TryAcquire"}} {
		for _, p := range inParallel {
			r := f.ratio("bulkhead/"+call.scenario+p.scenario, bulkhead, "semaphore")
			all = append(all, decide(call.text+" and Release"+p.text+": within 1.5 times the time of a semaphore",
				fmt.Sprintf("%.2f times", r), r, r <= 1.5))
		}
	}
	return all
}
