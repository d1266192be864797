package gatherbench

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/seed4886185c/concert/bench/measure"
)

// What one writes by hand keeps values and errors in two slices. It knows
// nothing of cancellation, and a panic ends the program.
const byHand = "by hand; no cancellation, no panics"

// goroutines is one goroutine for each task, for jobs without a limit.
func (j *job) goroutines() measure.Contender {
	return measure.Contender{Name: "goroutines", Note: byHand, Run: func() {
		out, errs := make([]int, len(j.in)), make([]error, len(j.in))
		var wg sync.WaitGroup
		wg.Add(len(j.in))
		for i, v := range j.in {
			go func() {
				defer wg.Done()
				out[i], errs[i] = j.fn(context.Background(), v)
			}()
		}
		wg.Wait()
		j.consume(out, errors.Join(errs...))
	}}
}

// workers is as many goroutines as the limit allows, which take the index of
// their next item from a counter.
func (j *job) workers() measure.Contender {
	return measure.Contender{Name: "workers.counter", Note: byHand, Run: func() {
		out, errs := make([]int, len(j.in)), make([]error, len(j.in))
		var wg sync.WaitGroup
		var next atomic.Int64
		for range j.limit {
			wg.Go(func() {
				for i := int(next.Add(1) - 1); i < len(j.in); i = int(next.Add(1) - 1) {
					out[i], errs[i] = j.fn(context.Background(), j.in[i])
				}
			})
		}
		wg.Wait()
		j.consume(out, errors.Join(errs...))
	}}
}

// channelWorkers is workers fed by a channel without a buffer.
func (j *job) channelWorkers() measure.Contender {
	return measure.Contender{Name: "workers.channel", Note: byHand, Run: func() {
		out, errs := make([]int, len(j.in)), make([]error, len(j.in))
		var wg sync.WaitGroup
		next := make(chan int)
		for range j.limit {
			wg.Go(func() {
				for i := range next {
					out[i], errs[i] = j.fn(context.Background(), j.in[i])
				}
			})
		}
		for i := range j.in {
			next <- i
		}
		close(next)
		wg.Wait()
		j.consume(out, errors.Join(errs...))
	}}
}
