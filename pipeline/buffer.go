package pipeline

import (
	"context"
	"iter"
)

// Buffer returns a Stream of the items of s, which are taken from it in a
// goroutine of their own, up to n of them before they are asked for: what makes
// the items and what uses them run at the same time.
func Buffer[T any](s Stream[T], n int) Stream[T] {
	mustStage("Buffer", s == nil, false)
	mustCount("Buffer", n, 1)
	return merged([]Stream[T]{s}, n, n)
}

// Merge returns a Stream of the items of all ss, each of which is taken in a
// goroutine of its own: as they come, those of the same stream in their order.
// An error holds up only its own stream until it has been handled.
func Merge[T any](ss ...Stream[T]) Stream[T] {
	for _, s := range ss {
		mustStage("Merge", s == nil, false)
	}
	return merged(ss, 1, max(1, maxUnderWay/max(1, len(ss))-1))
}

// merged returns a Stream of what is in ss, each of which has a lane.
func merged[T any](ss []Stream[T], least, most int) Stream[T] {
	return func(ctx context.Context) iter.Seq2[T, error] {
		return func(yield func(T, error) bool) {
			h := newHub[T](ctx)
			for _, s := range ss {
				l := h.lane(least, most)
				h.start(func() { l.feed(s) })
			}
			h.all(yield)
		}
	}
}
