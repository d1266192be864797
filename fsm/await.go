package fsm

import (
	"context"
	"slices"
)

// An awaiter waits until the machine is in one of some states.
type awaiter[S comparable] struct {
	states []int32 // none: whatever it is
	state  S       // the one that was reached
	found  bool
	ready  chan struct{} // closed when it is no longer awaiting
}

// Await returns when the machine is in one of the states, or in one inside them,
// or was, however shortly: it sees every commit. It returns the state in which
// the machine was then. Without states it waits for the next commit.
//
// The error is the cause of ctx, if that has ended; [ErrUnknownState];
// [ErrClosed], if the machine is closed, and not in one of the states; or
// [ErrReentrant], if it would have to wait for the handler whose context ctx is.
func (m *Machine[S, D]) Await(ctx context.Context, states ...S) (S, error) {
	var none S
	if ctx.Err() != nil {
		return none, ended(ctx)
	}
	a := &awaiter[S]{ready: make(chan struct{})}
	for _, s := range states {
		i, err := m.def.state(s)
		if err != nil {
			return none, err
		}
		a.states = append(a.states, i)
	}
	handler := m.handler(ctx)
	done := ctx.Done()
	m.mu.Lock()
	var err error
	switch {
	case len(states) > 0 && m.matches(a):
		s := m.def.states[m.state].value
		m.mu.Unlock()
		return s, nil
	case m.closed:
		err = ErrClosed
	case handler.running():
		err = ErrReentrant
	default:
		x := m.extra()
		x.awaiting = append(x.awaiting, a)
		m.watch()
	}
	m.mu.Unlock()
	if err != nil {
		return none, err
	}
	select {
	case <-a.ready:
	case <-done:
		if m.leave(a) {
			return none, ended(ctx)
		} // else it was reached, or the machine closed, before
	}
	if !a.found {
		return none, ErrClosed
	}
	return a.state, nil
}

// leave takes a out of those who await, and reports false if it is not there. In
// that case the fields of a are set, even if it is not ready.
func (m *Machine[S, D]) leave(a *awaiter[S]) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.Index(m.more.awaiting, a)
	if i < 0 {
		return false
	}
	m.more.awaiting = slices.Delete(m.more.awaiting, i, i+1)
	m.watch()
	return true
}

// matches reports whether the machine is where a waits for it. It requires mu.
func (m *Machine[S, D]) matches(a *awaiter[S]) bool {
	return len(a.states) == 0 || slices.ContainsFunc(a.states, func(s int32) bool {
		return m.def.inside(m.state, s)
	})
}

// reached lets r wake those who have waited for the state of the machine. It
// requires mu.
func (m *Machine[S, D]) reached(r *run[S, D]) {
	x := m.more
	x.awaiting = slices.DeleteFunc(x.awaiting, func(a *awaiter[S]) bool {
		if !m.matches(a) {
			return false
		}
		a.state, a.found = m.def.states[m.state].value, true
		woken := &r.aftermath().woken
		*woken = append(*woken, a)
		return true
	})
	m.watch()
}
