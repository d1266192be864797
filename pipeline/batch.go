package pipeline

import (
	"context"
	"iter"
	"time"
)

// Batch returns a Stream of slices of up to size items of s. One is passed on
// when it is full, or at most maxWait after its first item has come, or before
// an error and at the end of s, if there is something in it. While one is used,
// the next gathers; if the time of that is over by then, it is passed on with
// all that has come. To go on after errors, put [Recover] before, as each ends
// a batch.
//
// No two batches share memory. The items are taken in a goroutine of their own.
// When the context ends, those that are not passed on yet are lost: see
// [Until].
//
// Batch panics if size is less than 1 or maxWait not positive: without a time,
// that is [Chunk].
func Batch[T any](s Stream[T], size int, maxWait time.Duration) Stream[[]T] {
	mustStage("Batch", s == nil, false)
	mustCount("Batch", size, 1)
	mustTime("Batch", maxWait)
	return func(ctx context.Context) iter.Seq2[[]T, error] {
		return func(yield func([]T, error) bool) {
			h := newHub[T](ctx)
			l := h.lane(size, max(size, maxUnderWay-1))
			l.timed = true
			h.start(func() { l.feed(s) })
			h.consume(func() { gather(h, &batch[T]{size: size}, maxWait, yield) })
		}
	}
}

// mustTime panics if a duration is not positive.
func mustTime(stage string, d time.Duration) {
	if d <= 0 {
		panic("pipeline: " + stage + " of no time")
	}
}

// gather yields batches of the items of h.
func gather[T any](h *hub[T], b *batch[T], maxWait time.Duration, yield func([]T, error) bool) {
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	timer.Stop()
	overdue := false // it only takes what was there when the timer had fired
	for wanted := true; wanted; {
		if h.exhausted() && (overdue || fired(timer)) {
			if overdue || !h.refillSoon() {
				overdue = false
				wanted = b.flush(yield)
				continue
			}
			overdue = true
		}
		it, a := h.take(timer.C)
		switch {
		case a == stopped:
			fail(h, yield)
			return
		case a == noMore:
			b.flush(yield)
			return
		case a == timedOut:
			wanted = b.flush(yield)
		case it.err != nil:
			timer.Stop()
			overdue = false
			wanted = b.flush(yield) && yield(nil, it.err)
			h.handled()
		case b.add(it.value):
			timer.Stop()
			overdue = false
			wanted = b.flush(yield)
		case len(b.items) == 1: // it has come with others, of which only the first's time is known
			timer.Reset(maxWait - time.Since(h.from.first))
		}
	}
}

func fired(t *time.Timer) bool {
	select {
	case <-t.C:
		return true
	default:
		return false
	}
}

// A batch is items that are passed on together.
type batch[T any] struct {
	size  int
	items []T
	last  int // how many there were in the one before
}

// add reports whether the batch is full then.
func (b *batch[T]) add(v T) bool {
	if b.items == nil {
		b.items = make([]T, 0, min(b.size, max(8, b.last)))
	}
	b.items = append(b.items, v)
	return len(b.items) == b.size
}

// flush yields the batch, if there is something in it.
func (b *batch[T]) flush(yield func([]T, error) bool) bool {
	items := b.items
	if len(items) == 0 {
		return true
	}
	b.items, b.last = nil, len(items)
	return yield(items, nil)
}
