package ratelimit

import (
	"context"
	"time"
)

// Wait waits until an event may happen, see [Limiter.WaitN].
func (l *Limiter) Wait(ctx context.Context) error { return l.WaitN(ctx, 1) }

// WaitN waits until n events may happen, takes as many tokens and returns nil.
// Those who wait are served in the order in which they came, before those who
// ask [Limiter.Allow]. [Limiter.Set] changes how long they wait.
//
// It returns an error, and has taken nothing, if n is more than the burst
// ([ErrExceedsBurst]) or negative; at once, if the wait would last until the
// deadline of ctx or longer, or behind more tokens than can be counted, a thousand
// and six times the burst at least (a [*LimitError]); and when ctx ends, one that
// matches the context's error and its cause. Those who came later then wait for
// less. If ctx has ended before, it takes nothing even if there are tokens.
func (l *Limiter) WaitN(ctx context.Context, n int) error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	if l.AllowN(n) {
		return nil
	}
	w, err := l.join(deadline(ctx), n)
	if w == nil {
		return err
	}
	return w.await(ctx, l.arrive, l.leave)
}

func (l *Limiter) join(by time.Time, n int) (*place, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, elapsed := l.current()
	if uint(n) > uint(b.most) {
		return nil, exceeds(n, b.burst)
	}
	return l.line.join(by, &b.pace, &b.spent, n, elapsed)
}

func (l *Limiter) arrive(w *place) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, elapsed := l.current()
	return l.line.arrive(w, &b.pace, elapsed)
}

func (l *Limiter) leave(w *place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, _ := l.current()
	l.line.leave(w, w.units, &b.pace, &b.spent, b.elapsed)
	l.alert()
}

// alert sets off the timers of those who watch. It requires mu.
func (l *Limiter) alert() {
	l.changes.Add(1)
	for t := range l.watchers {
		t.Reset(0)
	}
}

// watch lets t go off whenever changes has grown, until unwatch.
func (l *Limiter) watch(t *time.Timer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watchers == nil {
		l.watchers = map[*time.Timer]struct{}{}
	}
	l.watchers[t] = struct{}{}
}

func (l *Limiter) unwatch(t *time.Timer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.watchers, t)
}
