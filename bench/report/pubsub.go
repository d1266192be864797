package main

import "fmt"

// judgePubsub judges the targets of package pubsub.
func judgePubsub(f figures) []verdict {
	const emitter, topic = "pubsub.Emitter", "pubsub.Topic"
	byHand := []string{"channels-select", "channels", "channels-locked"}
	var all []verdict
	within := func(scenario, self, other, text string, most float64) {
		r := f.ratio(scenario, self, other)
		all = append(all, decide(text, fmt.Sprintf("%.2f times", r), r, r <= most))
	}
	// ahead compares with the fastest peer.
	ahead := func(scenario, self, text string) {
		peer := f.fastest(scenario, "pubsub.", byHand...)
		r := f.ratio(scenario, peer.Name, self)
		all = append(all, decide(text+": faster than the fastest peer", fmt.Sprintf("%.2f times (%s)", r, peer.Name), r, r > 1))
	}

	for _, n := range []int{1, 10, 100, 1000} {
		within(fmt.Sprintf("emit/n=%d", n), emitter, "slice",
			fmt.Sprintf("Emit, limit 1, n=%d: within 1.5 times the time of a loop by hand that recovers once", n), 1.5)
	}
	for _, q := range []struct {
		n     int
		least float64
	}{{1, 4}, {10, 5}, {100, 5}} {
		scenario, text := fmt.Sprintf("queued/n=%d", q.n), fmt.Sprintf("Topic, n=%d", q.n)
		r := f.ratio(scenario, "channels-select", topic)
		all = append(all, decide(fmt.Sprintf("%s: at least %g times the throughput of channels filled by a select", text, q.least),
			fmt.Sprintf("%.2f times", r), r, r >= q.least))
		allocs := f.find(scenario, topic).Allocs
		all = append(all, decide(text+": no allocations",
			fmt.Sprintf("%.3f per event", allocs), allocs, allocs < 0.01)) // the rest of the process, and the end of a run
		ahead(scenario, topic, text)
	}
	ahead("queued/n=10/parallel", topic, "Topic, n=10, 10 publishers")

	within("drop/n=1000", "pubsub.Topic-stuck", topic, "1,000 subscriptions that may lose something: one that is stuck slows the others by 5 % at most", 1.05)
	within("round-trip", topic, "channels", "an event and its answer: within 1.2 times the time of plain channels", 1.2)
	ahead("churn", "pubsub.Handle", "Handle and Stop while another publishes")
	ahead("churn", "pubsub.Subscribe", "Subscribe and Stop while another publishes")
	within("bus", "pubsub.Bus-10000", "pubsub.Bus-10", "Bus, 10,000 other patterns: within 3 times the time of 10", 3)
	return all
}
