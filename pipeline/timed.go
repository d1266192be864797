package pipeline

import (
	"context"
	"iter"
	"math"
	"time"
)

// Debounce returns a Stream of those items of s after which nothing has come
// for the time quiet, and of the last, for which it does not wait. The others
// are left out: all, as long as there is no pause. An error is passed on at
// once. The items are taken in a goroutine of their own. When the context ends,
// the one that waits is lost.
func Debounce[T any](s Stream[T], quiet time.Duration) Stream[T] {
	mustStage("Debounce", s == nil, false)
	mustTime("Debounce", quiet)
	return latest(s, false, func(came, _ time.Duration) time.Duration { return after(came, quiet) })
}

// Sample returns a Stream of the last item of s that has come, every so often,
// if there is a new one, and of the last of all. The others are left out. The
// time is counted from the first item that comes after one was passed on; if it
// is over before that has been used, the last that has come until then follows
// at once. An error is passed on at once. The items are taken in a goroutine of
// their own. When the context ends, the one that waits is lost.
func Sample[T any](s Stream[T], every time.Duration) Stream[T] {
	mustStage("Sample", s == nil, false)
	mustTime("Sample", every)
	return latest(s, true, func(came, due time.Duration) time.Duration {
		if due == 0 {
			return after(came, every)
		}
		return due
	})
}

// after returns came + d, or if that is too much, the greatest time.
func after(came, d time.Duration) time.Duration {
	if d > math.MaxInt64-came {
		return math.MaxInt64
	}
	return came + d
}

// latest returns a Stream of those items of s that are the last when they are
// due. When that is, due says for each item, given when it came and when the
// one before would have been due, or 0 if there is none. If conflate is set,
// what has come while one was used counts as one.
func latest[T any](s Stream[T], conflate bool, due func(came, before time.Duration) time.Duration) Stream[T] {
	return func(ctx context.Context) iter.Seq2[T, error] {
		return func(yield func(T, error) bool) {
			start := time.Now()
			h := newHub[stamped[T]](ctx)
			l := h.lane(maxUnderWay-1, maxUnderWay-1)
			h.start(func() { l.feed(stamp(s, start)) })
			h.consume(func() { pick(h, start, conflate, due, yield) })
		}
	}
}

// stamp returns a Stream of the items of s with the time, from start on, at
// which they came.
func stamp[T any](s Stream[T], start time.Time) Stream[stamped[T]] {
	return through(s, func(_ context.Context, yield func(stamped[T], error) bool) func(T, error) bool {
		return func(v T, err error) bool { return yield(stamped[T]{v, time.Since(start)}, err) }
	})
}

// stamped is a value with the time at which it came.
type stamped[T any] struct {
	value T
	at    time.Duration
}

// pick yields the items of h that are the last when they are due.
func pick[T any](h *hub[stamped[T]], start time.Time, conflate bool, due func(came, before time.Duration) time.Duration, yield func(T, error) bool) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	timer.Stop()
	var last T
	at := time.Duration(0) // when it is due, or 0 if there is none
	looks := 0             // how often it looks for what has come while one was used
	pass := func() bool {
		at = 0
		if conflate {
			looks = 2
		}
		return yield(last, nil)
	}
	for wanted := true; wanted; {
		for looks > 0 && h.exhausted() {
			if looks--; looks > 0 {
				h.refill()
			}
		}
		it, a := h.take(timer.C)
		switch {
		case a == stopped:
			fail(h, yield)
			return
		case a == noMore:
			if at > 0 {
				pass()
			}
			return
		case a == timedOut:
			wanted = pass()
			continue
		case at > 0 && it.value.at >= at && (looks == 0 || it.err != nil):
			timer.Stop()
			if wanted = pass(); !wanted {
				return
			}
		}
		if it.err != nil {
			var zero T
			wanted = yield(zero, it.err)
			h.handled()
			continue
		}
		last = it.value.value
		if next := due(it.value.at, at); next != at {
			at = next
			timer.Reset(at - time.Since(start))
		}
	}
}

// A Waiter makes those who call it wait for their turn, such as a rate limiter:
// one of package ratelimit, or of golang.org/x/time/rate.
type Waiter interface {
	Wait(ctx context.Context) error
}

// Throttle returns a Stream of the items of s, each of which waits for w before
// it is passed on. If Wait returns an error, that takes the place of the item.
func Throttle[T any](s Stream[T], w Waiter) Stream[T] {
	mustStage("Throttle", s == nil, w == nil)
	return through(s, func(ctx context.Context, yield func(T, error) bool) func(T, error) bool {
		return func(v T, err error) bool {
			if err == nil {
				err = w.Wait(ctx)
			}
			if err != nil {
				var zero T
				v = zero
			}
			return yield(v, err)
		}
	})
}
