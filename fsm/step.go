package fsm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// step runs the event: all of it, or, if there is an error, nothing. It must be
// called by the owner.
func (r *run[S, D]) step() error {
	m := r.m
	r.data = m.data
	w, err := r.choose()
	if err != nil || w.outcome == OutcomeIgnore {
		return err
	}
	d := m.def
	s := d.states[m.state].value
	r.tx = Tx[S, D]{s, d.states[w.path.target].value, d.events[r.event].name, &r.data, r}
	p := &w.path
	if w.choose != nil {
		if p, err = r.target(w); err != nil {
			return err
		}
		r.tx.To = d.states[p.target].value
	}
	if err := r.handle(p.exits); err != nil {
		return err
	}
	for _, f := range w.actions {
		r.label = labelAction
		if err := f(r.context(), &r.tx, r.payload); err != nil {
			return r.failed(err)
		}
	}
	if err := r.handle(p.entries); err != nil {
		return err
	}
	r.commit(p)
	return nil
}

// choose returns the row whose guards say yes.
func (r *run[S, D]) choose() (*row[S, D], error) {
	m := r.m
	c := m.def.cell(m.state, r.event)
	var guards []string // those that said no, if one is not the first of its rule
	for i := range c.rows {
		w := &c.rows[i]
		no := r.refusing(w.guards)
		if no < 0 {
			return w, nil
		}
		if no > 0 && guards == nil {
			for _, before := range c.rows[:i] {
				guards = append(guards, before.guards[0].name)
			}
		}
		if no > 0 || guards != nil {
			guards = append(guards, w.guards[no].name)
		}
	}
	if guards != nil {
		return nil, m.def.refused(m.state, r.event, guards)
	}
	return nil, m.def.refusal(m.state, r.event)
}

// refusing returns the first of the guards that says no, or -1.
func (r *run[S, D]) refusing(guards []guard[D]) int {
	for i := range guards {
		r.label = guards[i].id
		if !guards[i].ok(&r.data, r.payload) {
			return i
		}
	}
	return -1
}

var errTarget = errors.New("fsm: Choose returned a state that is not one of its targets")

// target returns the path that Choose chooses.
func (r *run[S, D]) target(w *row[S, D]) (*path[S, D], error) {
	r.label = labelChoose
	s, err := w.choose(r.context(), &r.tx, r.payload)
	if err != nil {
		return nil, r.failed(err)
	}
	i, ok := r.m.def.index[s]
	if j := slices.Index(w.indices, i); ok && j >= 0 {
		return &w.choices[j], nil
	}
	return nil, r.failed(fmt.Errorf("%w: %v", errTarget, s))
}

// handle calls exit or entry handlers.
func (r *run[S, D]) handle(handlers []handler[S, D]) error {
	for i := range handlers {
		h := &handlers[i]
		r.label = h.id
		if err := h.run(r.context(), &r.tx); err != nil {
			return r.failed(err)
		}
	}
	return nil
}

// commit makes it so. If there is nothing left to do, it hands the machine on.
func (r *run[S, D]) commit(p *path[S, D]) {
	m := r.m
	from := &m.def.states[m.state] // what is in tx, handlers may have changed
	m.mu.Lock()
	m.state, m.data = p.target, r.data
	m.version++
	if r.timer > 0 {
		m.more.timers[r.timer-1].halt()
		m.more.timers[r.timer-1].armed = false
		r.timer = 0
	}
	if len(p.stop)+len(p.start) > 0 {
		m.turn(p)
	}
	if m.watched {
		if m.told() {
			to, event := &m.def.states[p.target], m.def.events[r.event]
			r.note(Transition[S]{from.value, to.value, event.name, m.version, time.Now(), nil}, -1)
		}
		m.reached(r)
	}
	if r.after == nil {
		r.releaseLocked()
		return
	}
	m.mu.Unlock()
}

// An observer is told of transitions.
type observer[S comparable] = func(context.Context, Transition[S])

// mustObserver panics, for it is another type.
func mustObserver[S comparable](f any) observer[S] {
	panic(fmt.Sprintf("fsm: Observe has a %T, where a %T is needed", f, observer[S](nil)))
}
