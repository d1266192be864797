package ratelimit

import (
	"context"
	"sync"
	"time"
)

// A Window lets at most n events happen in each span of a length, wherever it
// begins: a sliding window that remembers when each of the last n events was.
// [Limiter] takes less memory and is faster; its burst and what it gets within
// the span can come to twice as many. Use [NewWindow] to make one; it must not be
// copied. It may be used concurrently.
type Window struct {
	n   int
	per time.Duration

	born time.Time

	mu    sync.Mutex // guards the fields below
	queue queue
	times []time.Duration // of the last events, as many as n, counted from born
	next  int             // where the oldest is, once there are n
}

// NewWindow returns a Window for n events per span: at any time t, there are at
// most n in (t-per, t]. It takes 8 bytes for each of them, once there have been
// so many. NewWindow panics if n is less than 1, or per not positive.
func NewWindow(n int, per time.Duration) *Window {
	if n < 1 || per <= 0 {
		panic("ratelimit: NewWindow of less than one event, or of no time")
	}
	return &Window{n: n, per: per, born: time.Now()}
}

// Allow reports whether an event may happen now. If so, it is counted. While
// others wait, it is false.
func (w *Window) Allow() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.queue.empty() && w.take() == 0
}

// take counts an event, if it may happen now. Otherwise it returns how long that
// will take. It requires mu.
func (w *Window) take() time.Duration {
	now := time.Since(w.born) // not before the last one, as mu is held
	if len(w.times) < w.n {
		w.times = append(w.times, now)
		return 0
	}
	if wait := w.per - (now - w.times[w.next]); wait > 0 {
		return wait
	}
	w.times[w.next] = now
	w.next = (w.next + 1) % w.n
	return 0
}

// Wait waits until an event may happen, counts it and returns nil. Those who
// wait are served in the order in which they came.
//
// It returns an error, and has counted nothing, at once if the wait would last
// until the deadline of ctx or longer (a [*LimitError]), and when ctx ends, one
// that matches the context's error and its cause. If ctx has ended before, it
// counts nothing even if an event might happen.
func (w *Window) Wait(ctx context.Context) error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	g, err := w.join(deadline(ctx))
	if g == nil {
		return err
	}
	defer w.leave(g)
	if g.wait(ctx) != nil {
		return ended(ctx)
	}
	for ctx.Err() == nil {
		wait := w.serve(g)
		if wait == 0 {
			return nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return ended(ctx)
}

// join queues a guest, or returns an error, or neither if an event may happen.
func (w *Window) join(by time.Time) (*guest, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queue.empty() && w.take() == 0 {
		return nil, nil
	}
	if err := tooLate(by, w.delay(w.queue.events)); err != nil {
		return nil, err
	}
	return w.queue.join(1), nil
}

// serve counts an event for g, who then leaves the queue, if it may happen now.
// Otherwise it returns how long that will take.
func (w *Window) serve(g *guest) time.Duration {
	w.mu.Lock()
	wait := w.take()
	var next *guest
	if wait == 0 {
		next = w.queue.leave(g)
	}
	w.mu.Unlock()
	next.call()
	return wait
}

// leave is for a guest that does not wait any more.
func (w *Window) leave(g *guest) {
	w.mu.Lock()
	next := w.queue.leave(g)
	w.mu.Unlock()
	next.call()
}

// delay returns how long it will be until an event may happen, if there are so
// many before it. It requires mu.
func (w *Window) delay(ahead int64) time.Duration {
	spans := ahead/int64(w.n) + 1
	if spans > 1 && spans > int64(forever/2/w.per) {
		return forever
	}
	oldest := w.times[(int64(w.next)+ahead)%int64(w.n)]
	return max(0, oldest+time.Duration(spans)*w.per-time.Since(w.born))
}
