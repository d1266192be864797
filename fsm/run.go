package fsm

import (
	"context"
	"time"

	"github.com/seed4886185c/concert/internal/panics"
)

// maxRaised is how many raised events one run has at most.
const maxRaised = 100

// A run is what an owner of the machine does: a step, and then those of the
// events that were raised, and what there is to tell of them.
//
// Any of those may end in the middle. So it is all written down what has been
// begun, and work goes on from there.
type run[S comparable, D any] struct {
	m      *Machine[S, D]
	caller context.Context       //nolint:containedctx // for the time of the call
	ctx    *handlerContext[S, D] // nil until it is needed
	err    error                 // of the first event, for its caller
	done   bool                  // the machine was handed on

	stepping bool  // the event is not done
	orphan   bool  // no caller gets the error of the first event
	event    int32 // its index
	timer    int32 // that has fired and is armed, plus 1, or 0
	payload  any
	label    int32 // what is running
	tx       Tx[S, D]
	data     D
	after    *aftermath[S] // nil if there is nothing in it
	spare    *aftermath[S] // for after
}

// An aftermath is what few steps have.
type aftermath[S comparable] struct {
	raised []raised // that are still to be run
	kept   int      // of those, how many the step has not raised
	steps  int      // of raised events

	notes []note[S]  // to be told
	one   [1]note[S] // mostly, notes is in it
	to    int        // the observer to tell the first of the notes
	woken []*awaiter[S]
}

func (r *run[S, D]) aftermath() *aftermath[S] {
	if r.after == nil {
		if r.spare == nil {
			r.spare = &aftermath[S]{}
		}
		r.after = r.spare
		r.after.notes = r.after.one[:0]
	}
	return r.after
}

// A raised event.
type raised struct {
	kind    *event
	payload any
}

// A note is what observers are told.
type note[S comparable] struct {
	Transition[S]

	except int // the observer who is not told, or -1
}

func newRun[S comparable, D any](ctx context.Context, m *Machine[S, D], event int32, payload any) *run[S, D] {
	r, _ := m.def.runs.Get().(*run[S, D])
	if r == nil {
		r = &run[S, D]{}
	}
	r.caller, r.m, r.event, r.payload, r.stepping = ctx, m, event, payload, true
	return r
}

// free returns the error, and lets r be used again. What is not needed for that
// it leaves as it is, until it is overwritten, or the pool cleared. It is not
// called if the goroutine has ended.
func (r *run[S, D]) free() error {
	err := r.err
	r.ctx, r.err, r.payload, r.done, r.timer, r.orphan = nil, nil, nil, false, 0, false
	r.m.def.runs.Put(r)
	return err
}

// context returns what handlers are called with.
func (r *run[S, D]) context() *handlerContext[S, D] {
	if r.ctx == nil {
		r.ctx = &handlerContext[S, D]{Context: r.caller, m: r.m}
	}
	return r.ctx
}

// work does all there is to do, and hands the machine on, also if a function
// that it calls panics, which ends there, or calls runtime.Goexit, which ends the
// goroutine after that.
func (r *run[S, D]) work() {
	finished := false
	defer func() {
		if finished {
			return
		}
		err := ErrGoexit
		if v := recover(); v != nil {
			err = panics.New(v)
		}
		r.interrupted(err)
		r.work()
	}()
	for r.next() {
	}
	finished = true
}

// next does one thing, and reports false if there was none left.
func (r *run[S, D]) next() bool {
	x := r.after
	switch {
	case r.done:
		return false
	case r.stepping:
		r.settle(r.step())
	case x == nil:
		r.m.mu.Lock()
		r.releaseLocked()
		return false
	case len(x.notes) > 0:
		r.tell()
	case len(x.woken) > 0:
		for _, a := range x.woken {
			close(a.ready)
		}
		x.woken = nil
	case len(x.raised) > 0:
		r.shift()
	default:
		*x = aftermath[S]{}
		r.after = nil
	}
	return true
}

// releaseLocked hands the machine on. It requires mu, and unlocks it.
func (r *run[S, D]) releaseLocked() {
	r.done = true
	if r.ctx != nil {
		r.ctx.over = true
	}
	r.m.passLocked()
}

// interrupted notes that a function did not return.
func (r *run[S, D]) interrupted(err error) {
	if r.stepping {
		r.settle(r.failed(err))
		return
	}
	n := &r.after.notes[0]
	if n.except >= 0 {
		return // it was about one that failed already
	}
	t := n.Transition
	t.Err = &HandlerError{Stage: "observer", State: r.name(), Event: t.Event, Err: err}
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	r.note(t, r.after.to-1)
}

func (r *run[S, D]) name() string { return r.m.def.states[r.m.state].name }

// failed returns the error of the function that is running.
func (r *run[S, D]) failed(err error) error {
	l := &r.m.def.labels[r.label]
	return &HandlerError{l.stage, l.name, r.name(), r.m.def.events[r.event].name, err}
}

// settle ends the step.
func (r *run[S, D]) settle(err error) {
	r.stepping = false
	r.tx.Data, r.tx.run = nil, nil // who has kept it shall know
	if r.timer > 0 {
		r.m.spent(r.timer - 1)
	}
	if err == nil {
		return
	}
	if x := r.after; x != nil {
		clear(x.raised[x.kept:])
		x.raised = x.raised[:x.kept]
	}
	if !r.orphan && (r.after == nil || r.after.steps == 0) {
		r.err = err
	} else {
		r.report(r.m.def.events[r.event].name, err)
	}
}

// shift begins the first of the raised events.
func (r *run[S, D]) shift() {
	x := r.after
	e := x.raised[0]
	x.raised = x.raised[1:]
	x.kept = len(x.raised)
	x.steps++
	r.event = r.m.def.event(e.kind)
	switch {
	case r.event < 0:
		r.report(Event[None]{e.kind}.Name(), unknownEvent(e.kind))
	case x.steps > maxRaised:
		r.report(e.kind.name, ErrRaiseLimit)
	default:
		r.payload, r.stepping, r.timer = e.payload, true, 0
	}
}

// report tells of the error of an event that has no caller.
func (r *run[S, D]) report(event string, err error) {
	m := r.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.def.states[m.state].value; m.told() {
		r.note(Transition[S]{s, s, event, m.version, time.Now(), err}, -1)
	}
}

// told reports whether there is anybody to tell. It requires mu.
func (m *Machine[S, D]) told() bool {
	return m.more != nil && len(m.more.observers)+m.more.history.size > 0
}

// note writes down what observers have to be told. It requires mu.
func (r *run[S, D]) note(t Transition[S], except int) {
	r.m.more.history.add(t)
	if len(r.m.more.observers) > 0 {
		x := r.aftermath()
		x.notes = append(x.notes, note[S]{t, except})
	}
}

// tell tells one observer of the first note.
func (r *run[S, D]) tell() {
	x, observers := r.after, r.m.more.observers
	if x.to < len(observers) {
		n := &x.notes[0]
		x.to++
		if x.to-1 != n.except {
			observers[x.to-1](r.context(), n.Transition)
		}
		return
	}
	x.to = 0
	if x.notes = x.notes[1:]; len(x.notes) == 0 {
		x.notes = x.one[:0]
	}
}
