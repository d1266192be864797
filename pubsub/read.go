package pubsub

import (
	"cmp"
	"runtime"
)

// patience is how often somebody lets others run before it sleeps: what it
// waits for often comes in the meantime.
const patience = 4

// read returns the next event; or how many were lost before it; or neither,
// when the subscription has ended.
func (s *Subscription[T]) read() (v T, missed uint64, ok bool) {
	for {
		if s.next == len(s.batch) {
			s.reading.Store(false)
			if missed, ok = s.fetch(); missed > 0 || !ok {
				return v, missed, ok
			}
			s.reading.Store(true)
		}
		at := s.cursor.Load()
		if at == gone || !s.cursor.CompareAndSwap(at, at+1) {
			return v, 0, false
		}
		if s.oldest && s.topic.head.Load()-at > s.topic.capacity {
			s.unread(at)
			continue
		}
		v = s.batch[s.next]
		s.next++
		if s.topic.gating.Load() == s {
			s.topic.advance()
		}
		return v, 0, true
	}
}

// unread gives back the event at a position, which has been lost since it was
// copied, and the copies of those after it.
func (s *Subscription[T]) unread(at uint64) {
	s.topic.mu.Lock()
	defer s.topic.mu.Unlock()
	if !s.cursor.CompareAndSwap(at+1, at) { // it has ended, and counted what comes after this one
		s.missed++
	}
	s.batch, s.next = s.batch[:0], 0
}

// fetch waits until there are events, and copies them; or until some are known
// to be lost, and returns how many; or until the subscription has ended.
func (s *Subscription[T]) fetch() (missed uint64, ok bool) {
	t := s.topic
	for try := 0; ; try++ {
		t.mu.Lock()
		at := s.cursor.Load()
		if at == gone {
			t.mu.Unlock()
			return 0, false
		}
		if missed = s.skip(at); missed > 0 || s.copy(at) {
			t.mu.Unlock()
			return missed, true
		}
		if t.closed || s.full {
			t.mu.Unlock()
			s.end(nil, false)
			return 0, false
		}
		if try < patience {
			t.mu.Unlock()
			runtime.Gosched()
			continue
		}
		clear(s.batch[:cap(s.batch)]) // what they refer to is not held longer than need be
		t.parked.add(s)
		t.mu.Unlock()
		<-s.woken
	}
}

// skip returns how many events were lost before the next one.
func (s *Subscription[T]) skip(at uint64) uint64 {
	if len(s.gaps) > 0 && s.gaps[0].at == at {
		missed := s.gaps[0].missed // they are counted
		s.gaps = append(s.gaps[:0], s.gaps[1:]...)
		return missed
	}
	lag := s.lag(at)
	if lag > 0 {
		s.missed += lag
		s.cursor.Store(at + lag) // it ends only under mu
	}
	return lag
}

// copy copies the events from at on, up to the next gap, and reports whether
// there are any.
func (s *Subscription[T]) copy(at uint64) bool {
	to := s.ring.head
	if len(s.gaps) > 0 {
		to = s.gaps[0].at
	}
	if s.batch == nil {
		s.batch = make([]T, 0, min(maxBatch, s.topic.capacity))
	}
	s.batch, s.next = s.batch[:min(to-at, uint64(cap(s.batch)))], 0
	s.ring.copy(s.batch, at)
	return len(s.batch) > 0
}

// notify wakes the reader, if it is parked.
func (s *Subscription[T]) notify() {
	select {
	case s.woken <- struct{}{}:
	default: // it has ended, and knows
	}
}

// end ends the subscription, and, if stop is set, the context of the call of
// its handler. It does nothing if it has ended.
func (s *Subscription[T]) end(err error, stop bool) {
	s.finish(stop, func(at uint64) {
		s.err = cmp.Or(s.err, err)
		if s.group != nil { // it was added before its context ended
			s.missed += s.lag(at)
		}
	})
}

// abandon ends the subscription, and counts what it has not read as missed.
func (s *Subscription[T]) abandon() {
	var unread uint64
	s.finish(false, func(at uint64) {
		unread = s.ring.head - at - s.lag(at)
		s.missed += s.ring.head - at
		s.abandoned = true
	})
	if unread > 0 {
		s.topic.errs.add(&ListenerError{Name: s.name(), Err: &LaggedError{unread}})
	}
}

// finish ends the subscription, calls note with the cursor and mu held, and does
// what has to be done when there is one less.
func (s *Subscription[T]) finish(stop bool, note func(at uint64)) {
	t := s.topic
	t.mu.Lock()
	at := s.cursor.Swap(gone)
	if at != gone {
		note(at)
	}
	if s.group != nil {
		s.group.remove(s)
	}
	if s.ring != &t.ring && s.ring != nil {
		s.ring.slots = nil
	}
	if t.gating.Load() == s {
		t.gating.Store(nil) // admit looks for another one
	}
	t.parked.remove(s)
	granted, parked := t.admit()
	cancel, unwatch := s.cancel, s.unwatch
	t.mu.Unlock()

	grant(granted)
	wake(parked)
	s.notify()
	if stop && cancel != nil {
		cancel()
	}
	if stop && unwatch != nil { // otherwise the reader does so, as its last call still has the context
		unwatch()
	}
	if t.unused != nil {
		t.unused()
	}
}
