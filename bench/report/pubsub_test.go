package main

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed4886185c/concert/bench/measure"
	pubsubbench "github.com/seed4886185c/concert/bench/pubsub"
)

func TestJudgePubsub(t *testing.T) {
	f := equal(pubsubbench.Scenarios())
	assert.Equal(t, []string{
		"1.00 times", "5.000 per event", "1.00 times (libp2p)",
		"1.00 times", "5.000 per event", "1.00 times (libp2p)",
		"1.00 times", "5.000 per event", "1.00 times (libp2p)",
		"1.00 times (libp2p)", "1.00 times (libp2p)", "1.00 times (libp2p)",
	}, missed(judgePubsub(f)), "only what equals have is within reach")

	set := func(scenario, contender string, median, allocs float64) {
		for i, r := range f[scenario] {
			if r.Name == contender {
				f[scenario][i] = measure.Result{Name: r.Name, Median: median, Allocs: allocs}
			}
		}
	}
	sizes := []string{"1", "10", "100"}
	for _, n := range append(sizes, "1000") {
		set("emit/n="+n, "pubsub.Emitter", 1.5, 0)
	}
	for _, n := range sizes {
		set("queued/n="+n, "pubsub.Topic", 0.2, 0.009)
		set("queued/n="+n, "channels", 0.1, 0) // not a peer
	}
	set("queued/n=1", "channels-select", 0.8, 0)
	set("queued/n=10/parallel", "pubsub.Topic", 0.9, 0)
	set("drop/n=1000", "pubsub.Topic-stuck", 1.05, 0)
	set("round-trip", "pubsub.Topic", 1.2, 0)
	set("churn", "pubsub.Handle", 0.9, 0)
	set("churn", "pubsub.Subscribe", 0.8, 0)
	set("churn", "channels-locked", 0.1, 0) // not a peer
	set("bus", "pubsub.Bus-10000", 3, 0)
	assert.Empty(t, missed(judgePubsub(f)))

	for _, n := range append(sizes, "1000") {
		set("emit/n="+n, "pubsub.Emitter", 1.6, 0)
	}
	set("queued/n=1", "channels-select", 0.7, 0)
	set("queued/n=10", "channels-select", 0.9, 0)
	set("queued/n=100", "channels-select", 0.8, 0)
	for _, n := range sizes {
		set("queued/n="+n, "pubsub.Topic", 0.2, 0.01)
	}
	set("queued/n=1", "nats", 0.1, 0)
	set("queued/n=10", "cskr", 0.1, 0)
	set("queued/n=100", "ro", 0.2, 0)
	set("queued/n=10/parallel", "dustin", 0.45, 0)
	set("drop/n=1000", "pubsub.Topic-stuck", 1.06, 0)
	set("round-trip", "pubsub.Topic", 1.21, 0)
	set("churn", "moby", 0.4, 0)
	set("bus", "pubsub.Bus-10000", 3.1, 0)
	assert.Equal(t, []string{
		"1.60 times", "1.60 times", "1.60 times", "1.60 times",
		"3.50 times", "0.010 per event", "0.50 times (nats)",
		"4.50 times", "0.010 per event", "0.50 times (cskr)",
		"4.00 times", "0.010 per event", "1.00 times (ro)",
		"0.50 times (dustin)", "1.06 times", "1.21 times",
		"0.44 times (moby)", "0.50 times (moby)", "3.10 times",
	}, missed(judgePubsub(f)))
}
