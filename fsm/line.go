package fsm

// A line has those who wait for the machine, in their order.
type line struct{ first, last *waiter }

// A waiter waits until it owns the machine.
type waiter struct {
	next, prev *waiter
	inLine     bool
	closed     bool          // the machine is: set before it is told, it does not own it
	ready      chan struct{} // of capacity 1: whoever takes it out of the line sends once
}

func newWaiter() *waiter { return &waiter{ready: make(chan struct{}, 1)} }

func (l *line) push(w *waiter) {
	w.inLine = true
	w.prev = l.last
	if l.last == nil {
		l.first = w
	} else {
		l.last.next = w
	}
	l.last = w
}

// remove takes w out of the line, and reports false if it is not in it.
func (l *line) remove(w *waiter) bool {
	if !w.inLine {
		return false
	}
	w.inLine = false
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
	w.next, w.prev = nil, nil
	return true
}

// take takes all out of the line, and returns the first.
func (l *line) take() *waiter {
	first := l.first
	for w := first; w != nil; w = w.next {
		w.inLine = false
	}
	*l = line{}
	return first
}
