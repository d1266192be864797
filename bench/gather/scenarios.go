// Package gatherbench compares package gather with its peers and with code
// written by hand.
//
// Every contender of a scenario does the same work: it calls a function for
// each of n integers and has n integers at the end, which it sums up and
// compares with the right sum, in each run. What a peer does not do, such as
// to pass on errors, is said in its note.
package gatherbench

import (
	"context"
	"fmt"
	"time"

	"github.com/alitto/pond/v2"
	"github.com/panjf2000/ants/v2"

	"github.com/seed4886185c/concert/bench/measure"
)

// Scenarios returns all scenarios. The pools of pond and ants are made here,
// are shared by the scenarios, and are never closed.
func Scenarios() []measure.Scenario {
	var all []measure.Scenario
	all = append(all, trivial()...)
	all = append(all, limited())
	all = append(all, cpuBound()...)
	return append(all, sleeping())
}

// trivial is nothing but overhead: unlimited tasks that take a nanosecond.
func trivial() []measure.Scenario {
	pondPool, antsPool := pond.NewResultPool[int](0), newAnts(-1)
	var all []measure.Scenario
	for _, n := range []int{1, 10, 100, 1000, 10000} {
		j := newJob(n, 0, triple)
		all = append(all, measure.Scenario{
			Name: fmt.Sprintf("trivial/n=%d", n), Unit: "ns/task", Per: n,
			Contenders: []measure.Contender{
				j.gatherMap(), j.gatherAll(), j.errGroup(), j.errGroupContext(), j.concResults(),
				j.concPool(), j.pond(pondPool), j.ants(antsPool), j.lo(), j.goroutines(),
			},
		})
	}
	return all
}

// limited is a long slice of trivial tasks, eight at once.
func limited() measure.Scenario {
	const n, limit = 100_000, 8
	ctx, cancel := context.WithCancel(context.Background())
	_ = cancel // ctx only has to be one that could be cancelled
	j := newJob(n, limit, triple)
	cancellable := j.gatherMapContext(ctx)
	cancellable.Name, cancellable.Note = "gather.Map+cancel", "the context can be cancelled"
	return measure.Scenario{
		Name: "limit=8/n=100000", Unit: "ns/task", Per: n,
		Contenders: []measure.Contender{
			j.gatherMap(), cancellable, j.concIter(), j.errGroup(), j.workers(),
			j.pond(pond.NewResultPool[int](limit)), j.concResults(), j.ants(newAnts(limit)),
		},
	}
}

// cpuBound is a few tasks that compute for 10 or 100 µs. There the question
// is whether all processors are at work in time.
func cpuBound() []measure.Scenario {
	var all []measure.Scenario
	step := hashStep()
	for _, d := range []time.Duration{10 * time.Microsecond, 100 * time.Microsecond} {
		fn := compute(d, step)
		for _, n := range []int{2, 4, 8} {
			j := newJob(n, 0, fn)
			all = append(all, measure.Scenario{
				Name: fmt.Sprintf("cpu=%dus/n=%d", d.Microseconds(), n), Unit: "µs/call",
				Contenders: []measure.Contender{j.gatherMap(), j.goroutines(), j.errGroup()},
			})
		}
	}
	return all
}

// sleeping is what calls over a network look like: 1,000 tasks that wait for
// 1 ms, 100 at once. 10 ms is the least it can take.
func sleeping() measure.Scenario {
	const n, limit = 1000, 100
	j := newJob(n, limit, triple)
	j.fn = nap
	return measure.Scenario{
		Name: "sleep=1ms/limit=100/n=1000", Unit: "ms/call",
		Contenders: []measure.Contender{
			j.gatherMap(), j.workers(), j.channelWorkers(), j.errGroup(), j.concIter(),
			j.pond(pond.NewResultPool[int](limit)), j.ants(newAnts(limit)),
		},
	}
}

func newAnts(size int) *ants.Pool {
	pool, err := ants.NewPool(size)
	must(err)
	return pool
}
