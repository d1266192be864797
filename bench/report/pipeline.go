package main

import "fmt"

// judgePipeline judges the targets of package pipeline.
func judgePipeline(f figures) []verdict {
	const self = "pipeline"
	var all []verdict
	faster := func(scenario, peer, text string, least float64) {
		r := f.ratio(scenario, peer, self)
		all = append(all, decide(text, fmt.Sprintf("%.2f times", r), r, r >= least))
	}
	faster("fused", "channels", "source, map, filter and sum: at least 25 times the throughput of channels by hand", 25)
	faster("fused", "juniper", "the same: at least the throughput of juniper", 1)
	faster("workers=4", "workers", "tiny work, 4 workers: at least 4 times the throughput of workers by hand", 4)
	faster("workers=4/ordered", "futures", "the same in order: at least 6 times the throughput of channels of channels by hand", 6)
	faster("batch=100", "channels", "batches of 100 with a timer: at least 5 times the throughput of channels by hand", 5)

	r := f.ratio("sleep=1ms/workers=100/n=1000", self, "workers")
	all = append(all, decide("1,000 items of 1 ms, 100 workers: within 1.1 times the time of workers by hand",
		fmt.Sprintf("%.2f times", r), r, r <= 1.1))

	for _, path := range []struct{ scenario, text string }{
		{"fused", "source, map, filter and sum"},
		{"workers=4", "tiny work, 4 workers"},
		{"workers=4/ordered", "the same in order"},
	} {
		allocs := f.find(path.scenario, self).Allocs
		all = append(all, decide(path.text+": no allocations",
			fmt.Sprintf("%.3f per item", allocs), allocs, allocs < 0.01)) // the beginning, and the rest of the process
	}
	allocs := f.find("batch=100", self).Allocs
	return append(all, decide("batches of 100 with a timer: no allocations but the batches",
		fmt.Sprintf("%.2f per batch", allocs), allocs, allocs < 1.1))
}
