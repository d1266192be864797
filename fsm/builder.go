package fsm

import (
	"context"
	"slices"
	"time"
)

// A Builder collects states and rules. Its methods, and those of what they
// return, panic if a function is nil; what else is wrong, Build tells. It must
// not be used by several goroutines at a time. Use [New] to make one.
type Builder[S comparable, D any] struct {
	initial S
	states  []*StateSpec[S, D]
	rules   []*rule[S, D]
	events  []*event // in the order of their first use
}

// New returns a Builder of machines that start in the state initial, or, if
// that has children, in the first of them, and so on. S is the type of the
// states, D that of the data each machine has.
func New[S comparable, D any](initial S) *Builder[S, D] {
	return &Builder[S, D]{initial: initial}
}

// State declares a state. All states must be declared, the children, too, each
// once. The first of the children is the one that is entered with s.
func (b *Builder[S, D]) State(s S, children ...S) *StateSpec[S, D] {
	spec := &StateSpec[S, D]{b: b, value: s, children: slices.Clone(children)}
	b.states = append(b.states, spec)
	return spec
}

// event notes that e is used.
func (b *Builder[S, D]) event(where string, e *event) {
	if e == nil {
		panic("fsm: " + where + " with the zero Event")
	}
	if !slices.Contains(b.events, e) {
		b.events = append(b.events, e)
	}
}

// A StateSpec is a state that has been declared.
type StateSpec[S comparable, D any] struct {
	b              *Builder[S, D]
	value          S
	children       []S
	entries, exits []handler[S, D]
	afters         []after
	final          bool
}

// A label tells which function it is that runs.
type label struct {
	stage, name string
	id          int32 // where it is in the Definition
}

type handler[S comparable, D any] struct {
	label

	run Action[S, D]
}

type after struct {
	delay time.Duration
	event *event
}

// Entry has f called when the state is entered. Several are called in their
// order. The name is what a [HandlerError] and diagrams show.
func (s *StateSpec[S, D]) Entry(name string, f Action[S, D]) *StateSpec[S, D] {
	if f == nil {
		panic("fsm: Entry with a nil function")
	}
	s.entries = append(s.entries, handler[S, D]{label{stage: "entry", name: name}, f})
	return s
}

// Exit has f called when the state is left. Several are called in their order.
// The name is what a [HandlerError] and diagrams show.
func (s *StateSpec[S, D]) Exit(name string, f Action[S, D]) *StateSpec[S, D] {
	if f == nil {
		panic("fsm: Exit with a nil function")
	}
	s.exits = append(s.exits, handler[S, D]{label{stage: "exit", name: name}, f})
	return s
}

// After fires e once, when the machine has been in the state, or in one inside
// it, for d. The timer starts when the state is entered, and stops when it is
// left, and then never fires, however close that was. A rule that leaves and
// enters the state again starts it anew; Stay does not. An event that fails, or
// is refused, is not fired again; observers are told.
//
// Each state inside s needs a rule for e, and be it Ignore.
func (s *StateSpec[S, D]) After(d time.Duration, e Event[None]) *StateSpec[S, D] {
	s.b.event("After", e.kind)
	s.afters = append(s.afters, after{d, e.kind})
	return s
}

// Final says that machines end here: no rule holds in the state, also none of a
// state around it, and no timer runs. It must not have children.
func (s *StateSpec[S, D]) Final() *StateSpec[S, D] {
	s.final = true
	return s
}

// A Tx is what a step knows. It, and what Data points to, must not be used after
// the function that it was given to has returned: their memory is used again. A
// goroutine that goes on needs copies.
type Tx[S comparable, D any] struct {
	// From is the state, a leaf, in which the machine is, and To the one in which
	// it will be. In Choose, To is From.
	From, To S
	Event    string

	// Data points to a copy of the data, which becomes that of the machine if the
	// step succeeds. It is a shallow copy: what maps, slices and pointers in it
	// refer to is shared, and changes there are not undone if the step fails.
	Data *D

	run *run[S, D]
}

// Raise fires e after the commit of the step, if there is one, and before the
// events of others. Fire returns when it, and what it raises, has run, but with
// no error of it: those go to observers, for the commit stands. Events raised
// run in the order in which they were, whether or not the context has ended.
// After the step, Raise panics.
//
// One call of Fire runs at most 100 events that were raised; the rest are not
// run, and observers are told of each with [ErrRaiseLimit].
func (tx *Tx[S, D]) Raise(e Event[None]) { tx.raise(e.kind, nil) }

// RaiseWith is [Tx.Raise] for an event with a payload.
func RaiseWith[S comparable, D, P any](tx *Tx[S, D], e Event[P], p P) {
	tx.raise(e.kind, &p)
}

func (tx *Tx[S, D]) raise(e *event, payload any) {
	if tx.run == nil {
		panic("fsm: Raise outside of a step")
	}
	x := tx.run.aftermath()
	x.raised = append(x.raised, raised{e, payload})
}

// On returns a new rule for the event e in the states from and those inside
// them. Without from, it is for all states that are not Final.
//
// Of the rules for an event in a state, the first one whose guards all say yes
// is taken: first those of the state itself in the order of On, then those of
// the state around it, and so on; then those without from. It panics if e is the
// zero Event.
func On[S comparable, D, P any](b *Builder[S, D], e Event[P], from ...S) *Rule[S, D, P] {
	b.event("On", e.kind)
	r := &rule[S, D]{event: e.kind, from: slices.Clone(from)}
	b.rules = append(b.rules, r)
	return &Rule[S, D, P]{r}
}

// A Rule tells what an event does in some states. It needs exactly one of To,
// Stay, Ignore and Choose, which are called last.
type Rule[S comparable, D, P any] struct{ *rule[S, D] }

// A rule is a [Rule] without the type of the payload.
type rule[S comparable, D any] struct {
	event    *event
	from     []S
	guards   []guard[D]
	actions  []func(ctx context.Context, tx *Tx[S, D], payload any) error
	outcomes int // how many were given
	outcome  Outcome
	targets  []S
	choose   func(ctx context.Context, tx *Tx[S, D], payload any) (S, error)
}

type guard[D any] struct {
	label

	ok func(data *D, payload any) bool
}

// If lets the rule be taken only if guard says yes. Guards are asked once each
// in their order, up to the first that says no. They must change nothing:
// [Machine.Can] asks them at any time, in any goroutine.
func (r *Rule[S, D, P]) If(name string, ok func(*D, P) bool) *Rule[S, D, P] {
	if ok == nil {
		panic("fsm: If with a nil function")
	}
	r.guards = append(r.guards, guard[D]{label{stage: "guard", name: name}, func(data *D, payload any) bool {
		return ok(data, unbox[P](payload))
	}})
	return r
}

// Do has f called, after what is left is left, and before what is entered is
// entered. Several are called in their order.
func (r *Rule[S, D, P]) Do(f func(context.Context, *Tx[S, D], P) error) *Rule[S, D, P] {
	if f == nil {
		panic("fsm: Do with a nil function")
	}
	r.actions = append(r.actions, func(ctx context.Context, tx *Tx[S, D], payload any) error {
		return f(ctx, tx, unbox[P](payload))
	})
	return r
}

// To moves the machine to the state s. If that is the state that the rule is
// for, it is left and entered again, with what is inside it. Another state
// around the present one is not left, but its first child is entered again. A
// rule of a state around the present one that leads to the present one leaves
// and enters nothing.
func (r *Rule[S, D, P]) To(s S) { r.end(OutcomeTo, s) }

// Stay leaves and enters nothing. The step is committed as any other: actions
// run, data are kept, the version grows, and observers are told.
func (r *Rule[S, D, P]) Stay() { r.end(OutcomeStay) }

// Ignore accepts the event and does nothing at all: nobody is told. The rule
// must have no Do.
func (r *Rule[S, D, P]) Ignore() { r.end(OutcomeIgnore) }

// Choose moves the machine to the state that f returns, as To does. That must
// be one of the targets. It is called before anything is left.
func (r *Rule[S, D, P]) Choose(f func(context.Context, *Tx[S, D], P) (S, error), targets ...S) {
	if f == nil {
		panic("fsm: Choose with a nil function")
	}
	r.choose = func(ctx context.Context, tx *Tx[S, D], payload any) (S, error) {
		return f(ctx, tx, unbox[P](payload))
	}
	r.end(OutcomeChoose, slices.Clone(targets)...)
}

func (r *rule[S, D]) end(o Outcome, targets ...S) {
	r.outcomes++
	r.outcome, r.targets = o, targets
}
