package pipeline

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
)

// Broadcast gives all items of s to each of the sinks, which run in a goroutine
// each, and waits for all of them. Each takes the items at its own pace, but no
// more are taken from s than the slowest takes. A sink that returns nil before
// the end just leaves; when all have, no more is taken from s. One that returns
// an error ends the contexts of the others, with that as the cause. An error of
// s goes to each sink; the first that returns it ends those that are slower.
//
// Broadcast returns the first error that a sink returned. If one panics, it
// panics; if one calls [runtime.Goexit], it returns [ErrGoexit]; both end the
// others. A sink may use its Stream once, before it returns, with the context
// that it is given or one that ends with it. All get the same items: a slice,
// for instance, is shared. Without sinks, nothing is taken from s.
func Broadcast[T any](ctx context.Context, s Stream[T], sinks ...Sink[T]) error {
	mustStage("Broadcast", s == nil, false)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	b := &broadcast[T]{group: newHub[T](ctx), cancel: cancel}
	for _, sink := range sinks {
		mustStage("Broadcast", false, sink == nil)
		b.branches = append(b.branches, newHub[T](ctx))
	}
	if len(sinks) == 0 {
		return nil
	}
	b.running.Store(int64(len(sinks)))
	for i, h := range b.branches {
		h.lane(1, max(1, maxUnderWay/len(sinks)-1))
		b.group.start(func() { b.run(ctx, sinks[i], h) })
	}
	b.group.consume(func() { b.distribute(s) })
	if err := b.first.Load(); err != nil {
		return *err
	}
	return nil
}

// A broadcast is hubs of which each has one sink as its consumer. The producer
// of all their lanes is the caller.
type broadcast[T any] struct {
	group    *hub[T] // of the sinks' goroutines; its context is that of the source
	branches []*hub[T]
	cancel   context.CancelCauseFunc // of the sinks
	running  atomic.Int64            // sinks
	first    atomic.Pointer[error]
}

var (
	errSinkFailed = errors.New("pipeline: a sink, or the source, panicked or called runtime.Goexit")
	errUsedTwice  = errors.New("pipeline: the stream of a Broadcast used twice")
)

// run runs a sink, which then leaves.
func (b *broadcast[T]) run(ctx context.Context, sink Sink[T], h *hub[T]) {
	err := ErrGoexit // stands if the sink does not return; a panic is passed on by the group
	cause := errSinkFailed
	defer func() {
		h.cancel()
		if err != nil {
			b.first.CompareAndSwap(nil, &err)
			b.cancel(cause)
		}
		if b.running.Add(-1) == 0 {
			b.group.cancel()
		}
	}()
	err = sink(ctx, b.stream(h))
	cause = err
}

// stream returns what a sink gets.
func (b *broadcast[T]) stream(h *hub[T]) Stream[T] {
	var used atomic.Bool
	return func(ctx context.Context) iter.Seq2[T, error] {
		return func(yield func(T, error) bool) {
			if used.Swap(true) {
				var zero T
				yield(zero, errUsedTwice)
				return
			}
			h.parent, h.done = ctx, ctx.Done()
			h.all(yield)
		}
	}
}

// distribute puts all of s into the lanes of those who are still there.
func (b *broadcast[T]) distribute(s Stream[T]) {
	returned := false
	defer func() {
		if !returned { // s panicked, the sinks must not wait for more
			b.cancel(errSinkFailed)
		}
		for _, h := range b.branches {
			h.lanes[0].close()
		}
		b.group.wg.Wait()
	}()
	for v, err := range s(b.group.ctx) {
		if b.running.Load() == 0 {
			break
		}
		for _, h := range b.branches {
			h.lanes[0].enqueue(item[T]{v, err})
		}
		for _, h := range b.branches {
			if l := h.lanes[0]; err != nil {
				l.flow.await(h.ctx.Done(), l.put) // until it has been handled
			}
		}
	}
	returned = true
}
