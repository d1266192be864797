package fsm

import (
	"slices"
	"sync"
	"time"
)

// A Machine is in a state and has data of type D. Use [Definition.Start] or
// [Definition.Restore] to make one. It must not be copied.
//
// A Machine with timers or observers should be closed when it is no longer
// needed; any other may just be forgotten.
type Machine[S comparable, D any] struct {
	def *Definition[S, D]

	// Who has set busy owns the machine: nobody else writes state, data, version
	// and timers, and the owner may read them without mu.
	mu      sync.Mutex // guards the fields below
	state   int32      // a leaf
	busy    bool
	closed  bool
	watched bool // by observers, a history or those who await
	version uint64
	line    line
	more    *extra[S, D] // nil if there is nothing in it
	data    D
}

// An extra is what few machines have.
type extra[S comparable, D any] struct {
	observers []observer[S] // never changes
	history   history[S]
	timers    []running // as those of the Definition
	manual    bool      // they do not fire by themselves
	awaiting  []*awaiter[S]
	idle      chan struct{} // closed when a machine that is closed is not busy
}

// Start returns a machine in the initial state of the Definition. It calls no
// entry handlers, but starts timers. The options' type of states must be S: it
// panics otherwise.
func (d *Definition[S, D]) Start(data D, opts ...Option) *Machine[S, D] {
	m := &Machine[S, D]{def: d, state: d.first, data: data}
	m.configure(opts)
	if len(d.timers) > 0 {
		m.startTimers()
	}
	return m
}

// configure is called while nobody else knows m.
func (m *Machine[S, D]) configure(opts []Option) {
	for _, o := range opts {
		x := m.extra()
		if o.observe != nil {
			f, ok := o.observe.(observer[S])
			if !ok {
				f = mustObserver[S](o.observe)
			}
			x.observers = append(x.observers, f)
			m.watched = true
		}
		x.manual = x.manual || o.manual
		if o.history > 0 {
			x.history.size = o.history
			m.watched = true
		}
	}
}

// extra requires mu.
func (m *Machine[S, D]) extra() *extra[S, D] {
	if m.more == nil {
		m.more = &extra[S, D]{}
	}
	return m.more
}

// State returns the state, which has no children.
func (m *Machine[S, D]) State() S {
	return m.def.states[m.leaf()].value
}

func (m *Machine[S, D]) leaf() int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

// In reports whether the machine is in s, or in a state inside s. In an unknown
// state it never is.
func (m *Machine[S, D]) In(s S) bool {
	i, ok := m.def.index[s]
	return ok && m.def.inside(m.leaf(), i)
}

// Data returns a shallow copy of the data.
func (m *Machine[S, D]) Data() D {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.data
}

// Permitted returns the names of the events that have a rule in the present
// state, other than Ignore, in the order in which the Definition has them.
// Guards are not asked: see [Machine.Can].
func (m *Machine[S, D]) Permitted() []string {
	return slices.Clone(m.def.states[m.leaf()].permitted)
}

// Can reports whether e would be accepted now, were it fired: guards are asked
// about the data after the last commit. If they panic, Can does. It does not
// wait for the event that is running.
func (m *Machine[S, D]) Can(e Event[None]) bool { return m.can(e.kind, nil) }

// CanWith is [Machine.Can] for an event with a payload.
func CanWith[S comparable, D, P any](m *Machine[S, D], e Event[P], p P) bool {
	return m.can(e.kind, &p)
}

func (m *Machine[S, D]) can(e *event, payload any) bool {
	i := m.def.event(e)
	if i < 0 {
		return false
	}
	m.mu.Lock()
	closed, state, data := m.closed, m.state, m.data
	m.mu.Unlock()
	if closed {
		return false
	}
	rows := m.def.cell(state, i).rows
	return slices.ContainsFunc(rows, func(r row[S, D]) bool {
		return !slices.ContainsFunc(r.guards, func(g guard[D]) bool { return !g.ok(&data, payload) })
	})
}

// Close lets no further event begin. Those who wait to fire one, or await a
// state, get [ErrClosed]; timers stop. It waits until the event that is running,
// and what that raises, has ended. State, data and snapshots can be had as
// before; deadlines of timers are kept in them.
//
// It must not be called by a handler or an observer of the machine, for it would
// wait for itself. It may be called again, and then does the same.
func (m *Machine[S, D]) Close() {
	m.mu.Lock()
	m.closed = true
	waiters := m.line.take()
	x := m.extra()
	awaiting := x.awaiting
	x.awaiting = nil
	m.watch()
	for i := range x.timers {
		x.timers[i].halt()
	}
	var idle chan struct{}
	if m.busy {
		if x.idle == nil {
			x.idle = make(chan struct{})
		}
		idle = x.idle
	}
	m.mu.Unlock()
	for _, a := range awaiting {
		close(a.ready)
	}
	for w := waiters; w != nil; {
		next := w.next // w may be gone after it is told
		w.closed = true
		w.ready <- struct{}{}
		w = next
	}
	if idle != nil {
		<-idle
	}
}

// watch sets watched. It requires mu.
func (m *Machine[S, D]) watch() {
	x := m.more
	m.watched = len(x.observers)+x.history.size+len(x.awaiting) > 0
}

// A Transition is a commit; or, if it has an Err, an event without one.
type Transition[S comparable] struct {
	From, To S // the same after Stay, and for an event that failed
	Event    string
	Version  uint64 // of the machine, which each commit makes one greater
	At       time.Time

	// Err is the error of a raised or timed event, which no caller gets, or, beside
	// what it was told, that of an observer that panicked.
	Err error
}

// A history has the last transitions.
type history[S comparable] struct {
	size int
	ring []Transition[S]
	next int // where the next goes in a full ring
}

func (h *history[S]) add(t Transition[S]) {
	switch {
	case h.size == 0:
	case len(h.ring) < h.size:
		h.ring = append(h.ring, t)
	default:
		h.ring[h.next] = t
		h.next = (h.next + 1) % h.size
	}
}

// History returns the last transitions, the oldest first, of which there are at
// most as many as [HistorySize] says.
func (m *Machine[S, D]) History() []Transition[S] {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.more == nil {
		return nil
	}
	h := &m.more.history
	return slices.Concat(h.ring[h.next:], h.ring[:h.next])
}
