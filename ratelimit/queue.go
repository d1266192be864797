package ratelimit

import (
	"container/list"
	"context"

	"golang.org/x/sync/semaphore"
)

// A queue is of those who wait for their turn: it is that of the first. Its
// methods require the lock of its owner.
type queue struct {
	guests list.List // of *guest, in the order in which they came
	events int64     // they wait for
}

// A guest is one who waits, until who is before it releases its turn.
type guest struct {
	turn   *semaphore.Weighted
	events int
	place  *list.Element // in the queue; nil once it has left
}

// join puts a guest, who waits for n events, at the end.
func (q *queue) join(n int) *guest {
	g := &guest{turn: semaphore.NewWeighted(1), events: n}
	if q.guests.Len() > 0 {
		g.turn.TryAcquire(1)
	}
	g.place = q.guests.PushBack(g)
	q.events += int64(n)
	return g
}

// empty reports whether nobody waits.
func (q *queue) empty() bool { return q.guests.Len() == 0 }

// leave takes g out of the queue, if it is still there, and returns the one whose
// turn has come by that, or nil.
func (q *queue) leave(g *guest) (next *guest) {
	if g.place == nil {
		return nil
	}
	first := q.guests.Front() == g.place
	q.guests.Remove(g.place)
	g.place = nil
	q.events -= int64(g.events)
	if e := q.guests.Front(); first && e != nil {
		return e.Value.(*guest)
	}
	return nil
}

// wait waits until it is the turn of g.
func (g *guest) wait(ctx context.Context) error { return g.turn.Acquire(ctx, 1) }

// call tells g, if there is one, that it is its turn.
func (g *guest) call() {
	if g != nil {
		g.turn.Release(1)
	}
}
