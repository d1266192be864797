package pubsub

import (
	"cmp"
	"context"
	"time"
)

// wait publishes v to topics that were full, to each when it has room. They
// have the same options.
func wait[T any](ctx context.Context, v T, topics ...*Topic[T]) (err error) {
	a := alarm[T]{topics: topics}
	a.arm()
	defer a.stop()
	for _, t := range topics {
		w := &waiter[T]{value: v, ready: make(chan struct{}, 1)}
		if done, err := t.offer(v, w); done {
			w.err = err
			w.ready <- struct{}{}
		}
		a.waiters = append(a.waiters, w)
	}
	for i, t := range topics {
		err = cmp.Or(err, t.await(ctx, a.waiters[i], &a))
	}
	return err
}

// await waits until w has had its turn, or ctx ends.
func (t *Topic[T]) await(ctx context.Context, w *waiter[T], a *alarm[T]) error {
	for {
		select {
		case <-w.ready:
			return w.err
		case <-ctx.Done():
			if t.leave(w) {
				return ended(ctx)
			}
			<-w.ready // it had its turn before
			return w.err
		case <-a.rings:
			a.rings = nil
			a.tell()
		}
	}
}

// leave takes w out of the line, and reports false if it had its turn already.
func (t *Topic[T]) leave(w *waiter[T]) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.line.remove(w)
}

// An alarm rings when OnSlow says so, if it does.
type alarm[T any] struct {
	topics  []*Topic[T]
	waiters []*waiter[T] // one for each
	set     time.Time
	timer   *time.Timer
	rings   <-chan time.Time
}

func (a *alarm[T]) arm() {
	if t := a.topics[0]; t.slow != nil {
		a.set, a.timer = time.Now(), time.NewTimer(t.after)
		a.rings = a.timer.C
	}
}

// tell tells of one of the subscriptions for which the publisher waits.
func (a *alarm[T]) tell() {
	for i, t := range a.topics {
		t.mu.Lock()
		var s *Subscription[T]
		if a.waiters[i].inLine { // and so there is one
			s = t.gating.Load()
		}
		t.mu.Unlock()
		if s != nil {
			t.slow(SlowEvent{Name: s.name(), Queued: s.Len(), Blocked: time.Since(a.set)})
			return
		}
	}
}

// stop ends the alarm. If the function of OnSlow did not return, there are
// still some who wait.
func (a *alarm[T]) stop() {
	if a.timer == nil {
		return
	}
	a.timer.Stop()
	for i, w := range a.waiters {
		a.topics[i].leave(w)
	}
}
