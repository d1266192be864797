package main

import (
	"fmt"
	"math"
)

// judgeGather judges the targets of package gather.
func judgeGather(f figures) []verdict {
	var all []verdict
	faster := func(scenario, peer, text string, least float64) {
		r := f.ratio(scenario, peer, "gather.Map")
		all = append(all, decide(text, fmt.Sprintf("%.2f times", r), r, r >= least))
	}
	for _, n := range []int{100, 1000, 10000} {
		text := fmt.Sprintf("trivial tasks, n=%d: at least 5 times the throughput of errgroup", n)
		faster(fmt.Sprintf("trivial/n=%d", n), "errgroup", text, 5)
	}
	few, many := f.find("trivial/n=100", "gather.Map").Allocs, f.find("trivial/n=10000", "gather.Map").Allocs
	all = append(all, decide("trivial tasks: the same allocations per call for n=100 as for n=10000",
		fmt.Sprintf("%.1f and %.1f", few, many), many-few, math.Abs(many-few) <= 1))
	for _, n := range []int{1, 10} {
		for _, peer := range []string{"errgroup.WithContext", "errgroup"} {
			text := fmt.Sprintf("trivial tasks, n=%d: at least the throughput of %s", n, peer)
			faster(fmt.Sprintf("trivial/n=%d", n), peer, text, 1)
		}
	}

	slower := func(text, where string, r, most float64) {
		all = append(all, decide(text, fmt.Sprintf("%.2f times%s", r, where), r, r <= most))
	}
	const limited = "limit=8/n=100000"
	slower("100,000 trivial tasks, 8 at once: within 1.2 times the time of conc.iter.MapErr", "",
		f.ratio(limited, "gather.Map", "conc.iter.MapErr"), 1.2)
	slower("the same with a context that can be cancelled", "",
		f.ratio(limited, "gather.Map+cancel", "conc.iter.MapErr"), 1.2)

	worst, where := 0.0, ""
	for _, us := range []int{10, 100} {
		for _, n := range []int{2, 4, 8} {
			r := f.ratio(fmt.Sprintf("cpu=%dus/n=%d", us, n), "gather.Map", "goroutines")
			if !(r <= worst) { // also if r is not a number
				worst, where = r, fmt.Sprintf(" at worst (%d tasks of %d µs)", n, us)
			}
		}
	}
	slower("2 to 8 tasks that compute for 10 or 100 µs: within 1.1 times the time of a goroutine each", where, worst, 1.1)

	const sleep = "sleep=1ms/limit=100/n=1000"
	byCounter := f.ratio(sleep, "gather.Map", "workers.counter")
	byChannel := f.ratio(sleep, "gather.Map", "workers.channel")
	slower("1,000 tasks of 1 ms, 100 at once: within 1.05 times the time of workers written by hand", "",
		math.Max(byCounter, byChannel), 1.05)
	return all
}
