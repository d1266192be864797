package pubsub

// A ring holds the last events that were put into it, size of them. The
// position of an event is how many there were before it.
type ring[T any] struct {
	size  int
	slots []T    // grows up to size, and then is written over
	next  int    // the slot of the next event, from then on
	head  uint64 // its position
}

func (r *ring[T]) put(v T) {
	if len(r.slots) < r.size {
		r.slots = append(r.slots, v)
	} else {
		r.slots[r.next] = v
		if r.next++; r.next == r.size {
			r.next = 0
		}
	}
	r.head++
}

// copy copies the events from a position on into dst, which has no room for
// more than there are.
func (r *ring[T]) copy(dst []T, at uint64) {
	if len(dst) == 0 {
		return
	}
	n := copy(dst, r.slots[at%uint64(r.size):]) //nolint:gosec // the size is positive
	copy(dst[n:], r.slots)
}

// A group is subscriptions in no particular order, each of which knows its
// index.
type group[T any] []*Subscription[T]

func (g *group[T]) add(s *Subscription[T]) {
	s.group, s.index = g, len(*g)
	*g = append(*g, s)
}

func (g *group[T]) remove(s *Subscription[T]) {
	all := *g
	last := len(all) - 1
	all[s.index], all[last].index = all[last], s.index
	all[last] = nil
	*g = all[:last]
	s.group = nil
}

// A waiter is a publisher that waits for room.
type waiter[T any] struct {
	value  T
	ready  chan struct{} // of capacity 1; whoever takes the waiter out of the line sends, but for leave
	err    error         // set before that
	inLine bool

	prev, next *waiter[T]
}

// A line is waiters in the order in which they came.
type line[T any] struct{ first, last *waiter[T] }

func (l *line[T]) push(w *waiter[T]) {
	w.inLine, w.prev, w.next = true, l.last, nil
	if l.last == nil {
		l.first = w
	} else {
		l.last.next = w
	}
	l.last = w
}

// remove reports false if w is not in the line any more.
func (l *line[T]) remove(w *waiter[T]) bool {
	if !w.inLine {
		return false
	}
	if w.prev == nil {
		l.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.inLine, w.prev, w.next = false, nil, nil
	return true
}

// grant tells the waiters from w on that they have had their turn.
func grant[T any](w *waiter[T]) {
	for w != nil {
		next := w.next // afterwards w is its owner's
		w.ready <- struct{}{}
		w = next
	}
}

// A parking is the subscriptions that wait for events. Who takes all of them
// wakes each, after it has released the Topic's mu: until then those are
// linked, but belong to an earlier turn.
type parking[T any] struct {
	first *Subscription[T]
	turn  uint64
}

// A place is where a subscription is in a parking.
type place[T any] struct {
	prev, next *Subscription[T]
	turn       uint64 // 1 + that in which it was added
}

func (p *parking[T]) add(s *Subscription[T]) {
	s.place = place[T]{next: p.first, turn: p.turn + 1}
	if p.first != nil {
		p.first.place.prev = s
	}
	p.first = s
}

// remove takes s out, if it is in.
func (p *parking[T]) remove(s *Subscription[T]) {
	if s.place.turn != p.turn+1 {
		return
	}
	if s.place.prev == nil {
		p.first = s.place.next
	} else {
		s.place.prev.place.next = s.place.next
	}
	if s.place.next != nil {
		s.place.next.place.prev = s.place.prev
	}
	s.place = place[T]{}
}

func (p *parking[T]) take() *Subscription[T] {
	first := p.first
	if first != nil {
		p.first = nil
		p.turn++
	}
	return first
}

// wake wakes the subscriptions from s on, which were parked.
func wake[T any](s *Subscription[T]) {
	for s != nil {
		next := s.place.next
		s.place.prev, s.place.next = nil, nil
		s.notify() // then s may park again
		s = next
	}
}
