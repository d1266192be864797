package pipeline

import (
	"context"
	"iter"
	"slices"
	"time"
)

// Windowed is the items that came within a time, Start included and End not.
type Windowed[T any] struct {
	Start, End time.Time
	Items      []T
}

// Window returns a Stream of the items of s by the time at which they came, in
// windows of a length that follow each other from the moment on at which the
// Stream is used. One is passed on when it is over, if there is something in
// it, and at the end of s. An error is passed on at once: before the items that
// came earlier in its window, which a sink that ends with it does not get. To
// go on, put [Recover] before.
//
// The items are taken in a goroutine of their own, and are all held until their
// window is over; no two windows share memory. When the context ends, those of
// the window are lost: see [Until].
func Window[T any](s Stream[T], every time.Duration) Stream[Windowed[T]] {
	return windowed("Window", s, every, every)
}

// Sliding is [Window] with windows of the length span, of which one is over
// every so often; the first began before the Stream was used, if span is more
// than that. An item is in several of them, or if span is less, maybe in none.
// At the end of s there is one more, if something has come since the one
// before.
func Sliding[T any](s Stream[T], span, every time.Duration) Stream[Windowed[T]] {
	return windowed("Sliding", s, span, every)
}

func windowed[T any](stage string, s Stream[T], span, every time.Duration) Stream[Windowed[T]] {
	mustStage(stage, s == nil, false)
	mustTime(stage, min(span, every))
	return func(ctx context.Context) iter.Seq2[Windowed[T], error] {
		return func(yield func(Windowed[T], error) bool) {
			w := &windows[T]{start: time.Now(), span: span, every: every, end: every}
			in := stamp(s, w.start)
			h := newHub[stamped[T]](ctx)
			l := h.lane(maxUnderWay-1, maxUnderWay-1)
			h.start(func() {
				l.feed(func(ctx context.Context) iter.Seq2[stamped[T], error] {
					return func(yield func(stamped[T], error) bool) {
						in(ctx)(yield)
						w.over = time.Since(w.start)
					}
				})
			})
			h.consume(func() { w.collect(h, yield) })
		}
	}
}

// windows collects what belongs to one window, and what may belong to others.
type windows[T any] struct {
	start       time.Time // times are counted from it
	span, every time.Duration
	end         time.Duration // of the window that is over next
	armed       time.Duration // the end for which the timer is set, or 0
	items       []stamped[T]  // in the order of their times
	over        time.Duration // when the stream has ended; set before its lane is closed
}

func (w *windows[T]) collect(h *hub[stamped[T]], yield func(Windowed[T], error) bool) {
	timer := time.NewTimer(w.end)
	defer timer.Stop()
	w.arm(timer)
	for wanted := true; wanted; {
		it, a := h.take(timer.C)
		switch a {
		case stopped:
			fail(h, yield)
			return
		case noMore:
			for wanted && len(w.items) > 0 && w.over >= w.end {
				wanted = w.flush(yield)
			}
			if n := len(w.items); wanted && n > 0 && w.items[n-1].at >= w.end-w.every {
				w.flush(yield) // it has not been in one yet
			}
			return
		case timedOut:
			wanted = w.flush(yield)
		default:
			for wanted && len(w.items) > 0 && it.value.at >= w.end {
				wanted = w.flush(yield)
			}
			if it.err == nil {
				w.add(it.value)
				break
			}
			wanted = wanted && yield(Windowed[T]{}, it.err)
			h.handled()
		}
		w.arm(timer)
	}
}

// arm sets the timer for the end of the window, if there is something in it.
func (w *windows[T]) arm(timer *time.Timer) {
	switch {
	case len(w.items) == 0:
		w.armed = 0
		timer.Stop()
	case w.armed != w.end:
		w.armed = w.end
		timer.Reset(w.end - time.Since(w.start))
	}
}

// add adds an item. If its window is over already, because it was on its way
// when the timer fired, it belongs to the next.
func (w *windows[T]) add(it stamped[T]) {
	it.at = max(it.at, w.end-w.every)
	if it.at >= w.end { // there was nothing for a while
		w.end += ((it.at-w.end)/w.every + 1) * w.every
	}
	w.items = append(w.items, it)
}

// flush yields the window that is over, if there is something in it, and
// forgets what is in no other.
func (w *windows[T]) flush(yield func(Windowed[T], error) bool) bool {
	begin, end := w.end-w.span, w.end
	var items []T
	for _, it := range w.items {
		if it.at >= begin && it.at < end {
			items = append(items, it.value)
		}
	}
	w.end += w.every
	w.items = slices.DeleteFunc(w.items, func(it stamped[T]) bool { return it.at < w.end-w.span })
	return len(items) == 0 || yield(Windowed[T]{w.start.Add(begin), w.start.Add(end), items}, nil)
}

// Grouped is what was made of the items of a window, by key.
type Grouped[K comparable, A any] struct {
	Start, End time.Time
	Values     map[K]A
	Other      int // items whose key would have been one too many
}

// GroupBy returns a Stream of what f makes of the items of each window of s
// that have the same key: of the zero A and the first, of that and the second,
// and so on. There are at most max keys in a window, those that come first;
// items with further ones are only counted.
func GroupBy[T any, K comparable, A any](s Stream[Windowed[T]], key func(T) K, max int, f func(A, T) A) Stream[Grouped[K, A]] {
	mustStage("GroupBy", s == nil, key == nil || f == nil)
	mustCount("GroupBy", max, 1)
	return Map(s, func(_ context.Context, w Windowed[T]) (Grouped[K, A], error) {
		g := Grouped[K, A]{Start: w.Start, End: w.End, Values: map[K]A{}}
		for _, v := range w.Items {
			k := key(v)
			sum, ok := g.Values[k]
			if !ok && len(g.Values) == max {
				g.Other++
				continue
			}
			g.Values[k] = f(sum, v)
		}
		return g, nil
	})
}
