package pipelinebench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/seed4886185c/concert/bench/measure"
)

// What one writes by hand: a goroutine for each stage, and a channel between any
// two, as in https://go.dev/blog/pipelines, with a context. It passes on no
// errors, and a panic ends the program. The goroutines are not waited for.
const byHand = "by hand; no errors, no panics, no join"

// noted is the note of what is written by hand and has such channels.
func noted(capacity int) string {
	if capacity == 0 {
		return byHand
	}
	return byHand + "; items wait in buffers"
}

// loop has no stages.
func (j *job) loop() measure.Contender {
	return measure.Contender{Name: "loop", Note: "by hand; no stages, no context, no errors", Run: func() {
		sum := 0
		for _, v := range j.in {
			if w := j.plainFn(v); j.plainKeep(w) {
				sum += w
			}
		}
		checkSum(sum, j.kept.sum)
	}}
}

// emit is the first stage.
func (j *job) emit(ctx context.Context, capacity int) <-chan int {
	out := make(chan int, capacity)
	go func() {
		defer close(out)
		for _, v := range j.in {
			select {
			case out <- v:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func (j *job) apply(ctx context.Context, in <-chan int, capacity int) <-chan int {
	out := make(chan int, capacity)
	go func() {
		defer close(out)
		for v := range in {
			select {
			case out <- j.plainFn(v):
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func (j *job) filter(ctx context.Context, in <-chan int, capacity int) <-chan int {
	out := make(chan int, capacity)
	go func() {
		defer close(out)
		for v := range in {
			if !j.plainKeep(v) {
				continue
			}
			select {
			case out <- v:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// channelStages has as many goroutines as stages.
func (j *job) channelStages(ctx context.Context, name string, capacity int) measure.Contender {
	return measure.Contender{Name: name, Note: noted(capacity), Run: func() {
		sum := 0
		for v := range j.filter(ctx, j.apply(ctx, j.emit(ctx, capacity), capacity), capacity) {
			sum += v
		}
		checkSum(sum, j.kept.sum)
	}}
}

// channelWorkers is workers that take items from one channel and send results on
// another.
func (j *job) channelWorkers(ctx context.Context, name string, capacity int) measure.Contender {
	return measure.Contender{Name: name, Note: noted(capacity), Run: func() {
		in, out := j.emit(ctx, capacity), make(chan int, capacity)
		var wg sync.WaitGroup
		for range j.workers {
			wg.Go(func() {
				for v := range in {
					select {
					case out <- j.plainFn(v):
					case <-ctx.Done():
						return
					}
				}
			})
		}
		go func() {
			wg.Wait()
			close(out)
		}()
		var t tally
		for v := range out {
			t = t.add(v)
		}
		j.check(t)
	}}
}

// channelFutures makes a channel for each result, and a channel of these, in the
// order of the items, of which so many may wait.
func (j *job) channelFutures(ctx context.Context, name string, waiting int) measure.Contender {
	type future struct {
		v   int
		out chan int
	}
	return measure.Contender{Name: name, Note: fmt.Sprintf("%s; %d ahead at most", byHand, waiting), Run: func() {
		order, todo := make(chan chan int, waiting), make(chan future)
		go func() {
			defer close(order)
			defer close(todo)
			for _, v := range j.in {
				f := future{v, make(chan int, 1)}
				select {
				case todo <- f:
				case <-ctx.Done():
					return
				}
				select {
				case order <- f.out:
				case <-ctx.Done():
					return
				}
			}
		}()
		for range j.workers {
			go func() {
				for f := range todo {
					f.out <- j.plainFn(f.v)
				}
			}()
		}
		var t tally
		for out := range order {
			t = t.add(<-out)
		}
		j.checkOrder(t)
	}}
}

// channelBatch has a goroutine that collects, with a timer that runs from the
// first item of a batch on.
func (j *job) channelBatch(ctx context.Context, name string, capacity int) measure.Contender {
	return measure.Contender{Name: name, Note: noted(capacity), Run: func() {
		var b batches
		for items := range inBatches(ctx, j.emit(ctx, capacity)) {
			b = b.add(items)
		}
		j.checkBatches(b)
	}}
}

func inBatches(ctx context.Context, in <-chan int) <-chan []int {
	out := make(chan []int)
	go func() {
		defer close(out)
		timer := time.NewTimer(maxWait)
		defer timer.Stop()
		timer.Stop()
		var batch []int
		flush := func() bool {
			timer.Stop()
			full := batch
			batch = nil
			select {
			case out <- full:
				return true
			case <-ctx.Done():
				return false
			}
		}
		for {
			select {
			case v, ok := <-in:
				if !ok {
					if len(batch) > 0 {
						flush()
					}
					return
				}
				if batch == nil {
					batch = make([]int, 0, batchSize)
					timer.Reset(maxWait)
				}
				if batch = append(batch, v); len(batch) == batchSize && !flush() {
					return
				}
			case <-timer.C:
				if !flush() {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}
