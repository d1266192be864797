package gather

import (
	"context"
	"sync"
	"sync/atomic"
)

// A batch calls fn for every item of in, all of them known from the start.
//
// Workers take the index of their next item from a counter. The first worker
// is started by the caller; each worker, when it has taken its first item and
// before it calls fn, starts the next worker, as long as there are items left
// and the limit allows. So there is always one worker that has been started
// and has no item yet (the standby), or there is nothing left to do for one:
//
//   - A call that blocks, or waits for a later one, holds up no other: the
//     standby takes the next item as soon as a processor is free.
//   - Calls that are over before the standby is even scheduled are all made
//     by the workers there are, about one to a processor, instead of in a
//     goroutine each. That is where the speed comes from.
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

	room   int    // how many workers may still be started; owned by the newest
	worker func() // b.work, bound once

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
	b.room = b.limitOf(n)
	b.worker = b.work
	b.start()
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
		repanic(b.results, b.workers.Wait)
	}
	return b.results
}

// start starts a worker.
func (b *batch[In, Out]) start() {
	b.room--
	b.workers.Add(1)
	go b.worker()
}

// work is the goroutine of the newest worker.
func (b *batch[In, Out]) work() { b.workOn(true) }

func (b *batch[In, Out]) workOn(newest bool) {
	finished := false
	defer func() {
		if finished {
			b.workers.Done()
		} else { // fn called Goexit; another goroutine goes on in place of this one
			go b.workOn(false)
		}
	}()
	for b.drain(newest) {
		newest = false
	}
	finished = true
}

// drain calls fn until no further call is to be started, or one has panicked,
// which it reports.
func (b *batch[In, Out]) drain(newest bool) (panicked bool) {
	i := -1 // the item that fn is called for
	defer func() {
		if i < 0 {
			return
		}
		if p := recover(); p != nil {
			b.failed(i, newPanicError(p))
			panicked = true
		} else {
			b.failed(i, ErrGoexit) // and the goroutine goes on exiting
		}
	}()

	// The loop reads copies: the counter shares its cache line with the batch.
	ctx, in, fn, results := b.ctx, b.in, b.fn, b.results
	done, bounded := ctx.Done(), b.bounded()
	for {
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
		if newest {
			newest = false
			if i+1 < len(in) && b.room > 0 {
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
	return attempt(b.ctx, b.config, b.discard, func(ctx context.Context) (Out, error) {
		return b.fn(ctx, b.in[i])
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
