package fsm

import (
	"fmt"
	"time"
)

// A Snapshot is all there is to know about a machine. It can be written to a
// wire, or a database, if S and D can.
type Snapshot[S comparable, D any] struct {
	State   S
	Data    D
	Version uint64 // how many commits there were
	Timers  []Timer[S]
}

// A Timer is a deadline that a machine has.
type Timer[S comparable] struct {
	State S // whose After it is: that of the machine, or one around it
	Event string
	At    time.Time
}

// Snapshot returns the machine as it was after the last commit. The data are
// copied shallowly. A timer is in it until its event has run.
func (m *Machine[S, D]) Snapshot() Snapshot[S, D] {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Snapshot[S, D]{State: m.def.states[m.state].value, Data: m.data, Version: m.version}
	if m.more == nil {
		return s
	}
	for i := range m.more.timers {
		if t := &m.more.timers[i]; t.armed {
			spec := m.def.timers[i]
			at := t.at.Round(0) // without the clock of this process
			s.Timers = append(s.Timers, Timer[S]{m.def.states[spec.state].value, m.def.events[spec.event].name, at})
		}
	}
	return s
}

// Restore returns a machine as the snapshot says. It calls no entry handlers.
// Timers fire at their deadlines, those whose is past at once, each once; timers
// that are not in the snapshot do not.
//
// The error tells that the Definition cannot have such a snapshot: it has no such
// state, and the error matches [ErrUnknownState]; or that has children; or there
// is no such timer around it. The options' type of states must be S: it panics
// otherwise.
func (d *Definition[S, D]) Restore(s Snapshot[S, D], opts ...Option) (*Machine[S, D], error) {
	state, err := d.state(s.State)
	if err != nil {
		return nil, err
	}
	if len(d.states[state].children) > 0 {
		return nil, fmt.Errorf("fsm: snapshot in state %v, which has children", s.State)
	}
	timers := make([]int32, len(s.Timers))
	for i, t := range s.Timers {
		if timers[i] = d.timer(state, t); timers[i] < 0 {
			return nil, fmt.Errorf("fsm: snapshot with a timer of state %v for %s, which state %v has not",
				t.State, t.Event, s.State)
		}
	}
	m := &Machine[S, D]{def: d, state: state, version: s.Version, data: s.Data}
	m.configure(opts)
	if len(d.timers) > 0 {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.extra().timers = make([]running, len(d.timers))
		for i, t := range s.Timers {
			if !m.more.timers[timers[i]].armed {
				m.arm(timers[i], t.At)
			}
		}
	}
	return m, nil
}

// timer returns the index of a timer that a machine in the state leaf may have,
// or -1.
func (d *Definition[S, D]) timer(leaf int32, t Timer[S]) int32 {
	if d.states[leaf].final {
		return -1
	}
	for i, spec := range d.timers {
		if d.states[spec.state].value == t.State && d.events[spec.event].name == t.Event &&
			d.inside(leaf, spec.state) {
			return int32(i)
		}
	}
	return -1
}
