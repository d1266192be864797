package ratelimit

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A Multi keeps to several Limiters at once, such as 10 in a second and 1000 in
// an hour. Use [All] to make one. It may be used concurrently, and so may its
// Limiters, on their own or in other Multis.
type Multi struct {
	limiters []*Limiter

	mu     sync.Mutex // guards the fields below
	queue  queue
	passed time.Time // up to when the last who had the turn needed it
}

// All returns a Multi of ls. One that is given twice counts once; if there are
// none, all events are allowed. All panics if one is nil.
func All(ls ...*Limiter) *Multi {
	m := new(Multi)
	for _, l := range ls {
		if l == nil {
			panic("ratelimit: All of a nil Limiter")
		}
		if !slices.Contains(m.limiters, l) {
			m.limiters = append(m.limiters, l)
		}
	}
	return m
}

// Allow reports whether an event may happen now, see [Multi.AllowN].
func (m *Multi) Allow() bool { return m.AllowN(1) }

// AllowN reports whether n events may happen now: if so, it has taken n tokens
// from each Limiter, otherwise none from any. While others wait at m, it is
// false.
//
// A token that it takes while another Limiter is just losing its last one is
// given back at once. In that moment, others may not find it.
func (m *Multi) AllowN(n int) bool {
	if n <= 0 {
		return n == 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.queue.empty() {
		return false
	}
	wait, err := m.take(n, time.Now())
	return wait == 0 && err == nil
}

// Wait waits until an event may happen, see [Multi.WaitN].
func (m *Multi) Wait(ctx context.Context) error { return m.WaitN(ctx, 1) }

// WaitN waits until n events may happen, takes n tokens from each Limiter and
// returns nil. Until then it holds none, so that it delays nobody who uses one of
// the Limiters alone, and may be overtaken by them. Those who wait at m are
// served in the order in which they came.
//
// The errors are those of [Limiter.WaitN]. Among those who wait, it may only turn
// out later that the deadline of one is too early.
func (m *Multi) WaitN(ctx context.Context, n int) error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	switch {
	case n == 0:
		return nil
	case n < 0:
		return errNegative
	}
	came := time.Now()
	g, err := m.join(deadline(ctx), n, came)
	if g == nil {
		return err
	}
	defer func() { m.leave(g, time.Now()) }()
	if g.wait(ctx) != nil {
		return ended(ctx)
	}
	return m.await(ctx, g, came)
}

// join queues a guest, or returns an error, or neither if the events may happen.
func (m *Multi) join(by time.Time, n int, now time.Time) (*guest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var delay time.Duration
	var err error
	if m.queue.empty() {
		delay, err = m.take(n, now)
	} else {
		delay, err = m.delay(n, m.queue.events, now)
	}
	if err == nil && (delay > 0 || !m.queue.empty()) {
		if err = tooLate(by, delay); err == nil {
			return m.queue.join(n), nil
		}
	}
	return nil, err
}

// leave is for a guest that needs the turn no longer than until the given time.
func (m *Multi) leave(g *guest, until time.Time) {
	m.mu.Lock()
	next := m.queue.leave(g)
	if next != nil {
		m.passed = until
	}
	m.mu.Unlock()
	next.call()
}

// await takes the tokens of g as soon as they are there, but not before it came,
// nor before the last who had the turn. It looks at the clock as it was when they
// were there, however late it gets to run, so that nothing is lost.
func (m *Multi) await(ctx context.Context, g *guest, came time.Time) error {
	timer := time.NewTimer(forever)
	defer timer.Stop()
	for _, l := range m.limiters {
		l.watch(timer)
		defer l.unwatch(timer)
	}
	for due := came; ctx.Err() == nil; {
		changes := m.changes()
		delay, err := m.serve(g, &due)
		if delay == 0 || err != nil {
			return err
		}
		wait := forever
		if delay < forever {
			due = due.Add(delay)
			wait = time.Until(due)
		}
		if err := tooLate(deadline(ctx), wait); err != nil {
			return err
		}
		if wait <= 0 {
			continue
		}
		timer.Reset(wait)
		if m.changes() != changes {
			timer.Reset(0) // who changed it may have done so before
		}
		select {
		case <-timer.C:
			if now := time.Now(); wait == forever || now.Before(due) {
				due = now
			}
		case <-ctx.Done():
		}
	}
	return ended(ctx)
}

// serve takes the tokens of g, who then leaves the queue, given that it is as
// late as due, which it may make later. If they are not there, it returns how long
// that takes from then on.
func (m *Multi) serve(g *guest, due *time.Time) (time.Duration, error) {
	m.mu.Lock()
	if due.Before(m.passed) {
		*due = m.passed
	}
	delay, err := m.take(g.events, *due)
	var next *guest
	if delay == 0 && err == nil {
		m.passed = *due
		next = m.queue.leave(g)
	}
	m.mu.Unlock()
	next.call()
	return delay, err
}

// take takes n tokens from each Limiter, given that it is as late as now. If
// they are not there, it takes none and returns when they will be.
func (m *Multi) take(n int, now time.Time) (delay time.Duration, err error) {
	for {
		delay, err = m.delay(n, 0, now)
		if delay > 0 || err != nil || takeAll(m.limiters, n, now) {
			return delay, err
		}
	}
}

// takeAll takes n tokens from each of ls, or none.
func takeAll(ls []*Limiter, n int, now time.Time) bool {
	if len(ls) == 0 {
		return true
	}
	b, after, ok := ls[0].takeAt(n, now)
	switch {
	case !ok:
		return false
	case takeAll(ls[1:], n, now):
		return true
	}
	ls[0].undo(b, after, n)
	return false
}

// delay returns when n tokens will be there in each Limiter, if so many others
// are taken before.
func (m *Multi) delay(n int, before int64, now time.Time) (time.Duration, error) {
	longest := time.Duration(0)
	for _, l := range m.limiters {
		delay, err := l.delayAt(n, before, now)
		if err != nil {
			return 0, err
		}
		longest = max(longest, delay)
	}
	return longest, nil
}

func (m *Multi) changes() (sum uint64) {
	for _, l := range m.limiters {
		sum += l.changes.Load()
	}
	return sum
}

// takeAt takes n tokens, given that it is as late as now.
func (l *Limiter) takeAt(n int, now time.Time) (b *bucket, after int64, ok bool) {
	for {
		b, elapsed := l.at(now)
		if uint(n) > uint(b.most) {
			return b, 0, false
		}
		if after, ok := b.take(&b.spent, int64(n)*b.cost, b.earned(elapsed)); after != replaced {
			return b, after, ok
		}
	}
}

// undo gives back n tokens that were just taken from b.
func (l *Limiter) undo(b *bucket, at int64, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for now, _ := l.current(); b != now; b = b.next {
		at = b.next.carry(at, b)
	}
	units := int64(n) * b.cost
	l.line.leave(&place{at: at, units: units}, units, &b.pace, &b.spent, b.elapsed)
	l.alert()
}

// delayAt returns when n tokens will be there, if so many others are taken
// before.
func (l *Limiter) delayAt(n int, before int64, now time.Time) (time.Duration, error) {
	for {
		b, elapsed := l.at(now)
		if uint(n) > uint(b.most) {
			return 0, exceeds(n, b.burst)
		}
		need, earned, spent := int64(n)*b.cost, b.earned(elapsed), b.spent.Load()
		if spent == replaced {
			continue
		}
		from := b.from(spent, earned)
		if float64(from)+float64(before)*float64(b.cost) > maxDebt {
			return forever, nil
		}
		return b.delay(from+before*b.cost+need, elapsed), nil
	}
}

// at returns the bucket that is in force, and its time at now.
func (l *Limiter) at(now time.Time) (b *bucket, elapsed time.Duration) {
	b = l.bucket.Load()
	if elapsed = now.Sub(b.born); elapsed > b.horizon {
		b = l.renew(b)
		elapsed = now.Sub(b.born)
	}
	return b, elapsed
}
