// Package pipelinebench compares package pipeline with its peers and with code
// written by hand.
//
// Every contender of a scenario does the same work: it takes integers out of a
// slice, one by one, does something with each, and uses up what comes of them,
// one by one. In each run, it compares the sum of these with the right one, and
// where there are workers or batches, their number and, if the order is to be
// kept, a hash that depends on it.
//
// Whoever takes a context gets one that can be cancelled. What a peer does less
// than ours, or otherwise, is said in its note.
package pipelinebench

import (
	"context"
	"time"

	"github.com/seed4886185c/concert/bench/measure"
)

const (
	fusedItems = 1_000_000
	items      = 100_000
	ahead      = 64  // how far those who keep the order may be ahead of it
	buffer     = 128 // of channels that have one
	batchSize  = 100
	maxWait    = time.Second // which is never over
)

// Scenarios returns all scenarios.
func Scenarios() []measure.Scenario {
	ctx, cancel := context.WithCancel(context.Background())
	_ = cancel // ctx only has to be one that could be cancelled
	return []measure.Scenario{fused(ctx), unordered(ctx), ordered(ctx), batched(ctx), sleeping(ctx)}
}

// fused is stages one after the other which do next to nothing: a map, a filter
// that lets every other item through, and a sum.
func fused(ctx context.Context) measure.Scenario {
	j := newJob(fusedItems, 0)
	return measure.Scenario{
		Name: "fused", Unit: "ns/item", Per: fusedItems, Calls: fusedItems,
		Contenders: []measure.Contender{
			j.pipelineFused(ctx), j.juniperFused(ctx), j.roFused(ctx), j.loFused(),
			j.channelStages(ctx, "channels", 0), j.channelStages(ctx, "channels-buffered", buffer), j.loop(),
		},
	}
}

// unordered is four workers that do next to nothing.
func unordered(ctx context.Context) measure.Scenario {
	j := newJob(items, 4)
	return measure.Scenario{
		Name: "workers=4", Unit: "ns/item", Per: items, Calls: items,
		Contenders: []measure.Contender{
			j.pipelineWorkers(ctx), j.juniperMap(ctx), j.concStream(ctx), j.concPool(ctx), j.loDispatcher(),
			j.channelWorkers(ctx, "workers", 0), j.channelWorkers(ctx, "workers-buffered", buffer),
		},
	}
}

// ordered is the same where the results have to come in the order of the items.
func ordered(ctx context.Context) measure.Scenario {
	j := newJob(items, 4)
	return measure.Scenario{
		Name: "workers=4/ordered", Unit: "ns/item", Per: items, Calls: items,
		Contenders: []measure.Contender{
			j.pipelineOrdered(ctx, "pipeline"), j.juniperMap(ctx), j.concStream(ctx),
			j.channelFutures(ctx, "futures", j.workers), j.channelFutures(ctx, "futures-buffered", ahead),
		},
	}
}

// batched is batches that are passed on when they are full, or after a second,
// which it never takes. Its calls are the batches.
func batched(ctx context.Context) measure.Scenario {
	j := newJob(items, 0)
	return measure.Scenario{
		Name: "batch=100", Unit: "ns/item", Per: items, Calls: items / batchSize,
		Contenders: []measure.Contender{
			j.pipelineBatch(ctx), j.juniperBatch(ctx), j.roBatch(ctx), j.loBuffer(ctx),
			j.channelBatch(ctx, "channels", 0), j.channelBatch(ctx, "channels-buffered", buffer),
		},
	}
}

// sleeping is what calls over a network look like: 1,000 items for each of which
// a worker waits for 1 ms, 100 workers. 10 ms is the least it can take.
func sleeping(ctx context.Context) measure.Scenario {
	j := newJob(1000, 100)
	j.fn, j.plainFn = nap, plainNap
	return measure.Scenario{
		Name: "sleep=1ms/workers=100/n=1000", Unit: "ms/call",
		Contenders: []measure.Contender{
			j.pipelineWorkers(ctx), j.pipelineOrdered(ctx, "pipeline-ordered"),
			j.juniperMap(ctx), j.concStream(ctx), j.concPool(ctx),
			j.channelWorkers(ctx, "workers", 0),
		},
	}
}
