package gather

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/seed4886185c/concert/internal/panics"
)

// A batch calls fn for every item of in, all of them known from the start.
//
// Workers take the index of their next item from a counter. The caller starts
// a worker for each processor and one more; a worker that takes its first item
// when no other worker is still without one starts the next before it calls
// fn. So as long as there are items left and the limit allows, there is always
// a worker that has been started and has no item yet, a standby:
//
//   - A call that blocks, or waits for a later one, holds up no other: the
//     standby takes the next item as soon as a processor is free.
//   - Calls that are over before a standby is even scheduled are all made by
//     the workers there are, about one to a processor, instead of in a
//     goroutine each. That is where the speed comes from.
//
// One worker to begin with would do for both, but not for calls that compute.
// A goroutine that was started last stays next in line on the processor that
// started it, and the scheduler lets other processors, though idle, take it
// over only after a pause, of 60 µs and more where this was measured. Those
// that the caller starts lie in the queue, free for all.
//
// It is tempting to have a worker take several items at a time, which spares
// most of the traffic on the counter, but then a call that waits for the next
// one, or never returns, would hold up the rest of its share.
type batch[In, Out any] struct {
	next    atomic.Int64    // the index of the item to be taken next; beyond the last: none
	ctx     context.Context //nolint:containedctx // lives as long as the call
	in      []In
	fn      func(context.Context, In) (Out, error)
	results Results[Out] // each is written by the worker that took the item
	workers sync.WaitGroup

	standbys atomic.Int64 // workers that have been started and had no item yet
	room     atomic.Int64 // how many workers may still be started; less than 0: none
	names    atomic.Int64 // the name given last to a worker, for its pace
	leader   atomic.Int64 // the name of the worker that the others let go first
	worker   func()       // b.work, bound once

	failures atomic.Int64
	fail     context.CancelCauseFunc // of ctx, with FailFast; otherwise nil

	*config
	discard func(Out)
}

// runBatch calls fn for every item of in on behalf of the function named call.
func runBatch[In, Out any](ctx context.Context, call string, in []In, fn func(context.Context, In) (Out, error), opts []Option) Results[Out] {
	c := newConfig(call, batchOptions, opts)
	discard := discardOf[Out](c)
	c.checkDiscards(call)
	if len(in) == 1 && c == nil {
		return runSingle(ctx, in, fn)
	}
	b := &batch[In, Out]{ctx: ctx, in: in, fn: fn, config: c, discard: discard}
	return b.run()
}

func (b *batch[In, Out]) run() Results[Out] {
	n := len(b.in)
	b.results = make(Results[Out], n)
	if n == 0 {
		return b.results
	}
	if b.has(optFailFast) {
		b.ctx, b.fail = context.WithCancelCause(b.ctx)
		defer b.fail(nil)
	}
	most, first := b.limitOf(n), 1
	if most > 1 {
		first = min(most, runtime.GOMAXPROCS(0)+1)
	}
	b.room.Store(int64(most - first))
	b.standbys.Store(int64(first))
	b.worker = b.work
	for range first {
		b.start()
	}
	b.workers.Wait()

	// Items are taken in order, so those that were not are the last ones.
	if taken := int(b.next.Load()); taken < n {
		err := ended(ErrNotRun, b.ctx)
		rank := int(b.failures.Load())
		for i := taken; i < n; i++ {
			b.results[i].Err, b.results[i].rank = err, rank
		}
	}
	if b.has(optRepanic) {
		repanic(b.results, b.discard)
	}
	return b.results
}

// start starts a worker.
func (b *batch[In, Out]) start() {
	b.workers.Add(1)
	go b.worker()
}

// work is a worker's goroutine.
func (b *batch[In, Out]) work() { b.workOn(true) }

// workOn goes on as a worker; standby tells that it has had no item yet.
func (b *batch[In, Out]) workOn(standby bool) {
	finished := false
	defer func() {
		if finished {
			b.workers.Done()
		} else { // fn called Goexit; another goroutine goes on in place of this one
			go b.workOn(false)
		}
	}()
	for b.drain(standby) {
		standby = false
	}
	finished = true
}

// drain calls fn until no further call is to be started, or one has panicked,
// which it reports.
func (b *batch[In, Out]) drain(standby bool) (panicked bool) {
	i := -1 // the item that fn is called for
	defer func() {
		if i < 0 {
			return
		}
		if p := recover(); p != nil {
			b.failed(i, panics.New(p))
		} else {
			b.failed(i, ErrGoexit) // and the goroutine goes on exiting
		}
		panicked = true
	}()

	// The loop reads copies: the counter shares its cache line with the batch.
	ctx, in, fn, results := b.ctx, b.in, b.fn, b.results
	done, bounded := ctx.Done(), b.bounded()
	p := pace{name: b.names.Add(1), last: -1}
	for {
		p.await(&b.next, &b.leader)
		select {
		case <-done:
			i = -1
			return false
		default:
		}
		i = int(b.next.Add(1) - 1)
		if i >= len(in) {
			i = -1
			return false
		}
		p.step(i)
		if standby {
			standby = false
			if b.standbys.Add(-1) == 0 && i+1 < len(in) && b.room.Add(-1) >= 0 {
				b.standbys.Add(1)
				b.start()
			}
		}
		var v Out
		var err error
		if bounded {
			v, err = b.attempt(i)
		} else {
			v, err = fn(ctx, in[i])
		}
		results[i].Value = v
		if err != nil {
			b.failed(i, err)
		}
	}
}

// attempt calls fn for item i within the limits of the options.
func (b *batch[In, Out]) attempt(i int) (Out, error) {
	item := b.in[i] // an abandoned task may begin when the caller has in back
	return attempt(b.ctx, b.config, b.discard, func(ctx context.Context) (Out, error) {
		return b.fn(ctx, item)
	})
}

// failed notes the failure of item i. The first one in is the first to have
// happened: it is counted before it cancels the others.
func (b *batch[In, Out]) failed(i int, err error) {
	rank := int(b.failures.Add(1)) - 1
	b.results[i].Err, b.results[i].rank = err, rank
	if rank == 0 && b.fail != nil {
		b.fail(err)
	}
}
