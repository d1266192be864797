package pubsub

import (
	"cmp"
	"context"
	"time"
)

// wait publishes v to topics that were full, to each when it has room. They
// have the same options.
func wait[T any](ctx context.Context, v T, topics ...*Topic[T]) (err error) {
	var few [1]*waiter[T]
	waiters := few[:0]
	a := newAlarm(topics)
	defer func() {
		a.stop()
		for i, w := range waiters { // there are some if the function of OnSlow did not return
			if w != nil {
				topics[i].leave(w)
			}
		}
	}()
	for _, t := range topics {
		w, _ := t.waiters.Get().(*waiter[T])
		if w == nil {
			w = &waiter[T]{ready: make(chan struct{}, 1)}
		}
		w.value = v
		done, e := t.offer(v, w)
		if done {
			w = nil
		}
		err = cmp.Or(err, e)
		waiters = append(waiters, w)
	}
	for i, t := range topics {
		if w := waiters[i]; w != nil {
			e := t.await(ctx, w, a)
			err = cmp.Or(err, e)
			waiters[i] = nil
			*w = waiter[T]{ready: w.ready}
			t.waiters.Put(w)
		}
	}
	return err
}

// await waits until w, which is in the line, has had its turn, or ctx ends.
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
	topics []*Topic[T] // for which the publisher waits
	set    time.Time
	timer  *time.Timer
	rings  <-chan time.Time
}

func newAlarm[T any](topics []*Topic[T]) *alarm[T] {
	a := &alarm[T]{topics: topics}
	if topics[0].slow != nil {
		a.set, a.timer = time.Now(), time.NewTimer(topics[0].after)
		a.rings = a.timer.C
	}
	return a
}

// tell tells of one of the subscriptions that are too far behind.
func (a *alarm[T]) tell() {
	for _, t := range a.topics {
		if s := t.gating.Load(); s != nil {
			t.slow(SlowEvent{Name: s.name(), Queued: s.Len(), Blocked: time.Since(a.set)})
			return
		}
	}
}

func (a *alarm[T]) stop() {
	if a.timer != nil {
		a.timer.Stop()
	}
}
