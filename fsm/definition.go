package fsm

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Definition is what the machines of a kind have in common. It never changes,
// and may be used by any number of goroutines. Use [Builder.Build] to make one.
type Definition[S comparable, D any] struct {
	initial S
	first   int32 // the leaf in which machines start
	states  []state[S, D]
	index   map[S]int32 // of states
	rules   []*rule[S, D]
	timers  []timer

	events []*event
	byName map[string]int32
	base   uint64           // the least id of the events
	byID   []int32          // what is at id-base is the index of the event, or -1
	sparse map[*event]int32 // instead of byID, if that were too long

	labels []label // of all functions

	runs sync.Pool // of *run[S, D], that are not in use

	cells []cell[S, D] // that of a leaf and an event is at leaf*len(events)+event
}

type state[S comparable, D any] struct {
	value          S
	name           string
	parent         int32 // or -1
	depth          int32 // how many states are around it
	leaf           int32 // the one that is entered with it
	children       []int32
	final          bool
	entries, exits []handler[S, D]
	timers         []int32
	permitted      []string // of a leaf
}

type timer struct {
	state, event int32
	delay        time.Duration
}

// A cell has the rules for an event in a leaf, in the order in which they are
// tried. What needs no look at them is in quick.
type cell[S comparable, D any] struct {
	rows    []row[S, D]
	quick   quick
	target  int32                        // of quickMove
	refused atomic.Pointer[RefusedError] // made when it is first needed
}

type quick uint8

const (
	quickNone   quick = iota
	quickMove         // the state and the version change, and nothing else
	quickIgnore       // nothing happens
	quickRefuse       // there are no rows
)

// A row is a rule as it is in a leaf.
type row[S comparable, D any] struct {
	*rule[S, D]

	path    path[S, D]
	choices []path[S, D] // of Choose, as targets has them
	indices []int32      // of targets
}

// A path is a way from one leaf to another, or the same.
type path[S comparable, D any] struct {
	target         int32 // a leaf
	exits, entries []handler[S, D]
	stop, start    []int32 // timers
}

func (p *path[S, D]) empty() bool {
	return len(p.exits)+len(p.entries)+len(p.stop)+len(p.start) == 0
}

// event returns the index of e, or -1.
func (d *Definition[S, D]) event(e *event) int32 {
	if e == nil {
		return -1
	}
	if i := e.id - d.base; i < uint64(len(d.byID)) {
		return d.byID[i]
	}
	if i, ok := d.sparse[e]; ok {
		return i
	}
	return -1
}

// named returns the index of the event with the name.
func (d *Definition[S, D]) named(name string) (int32, error) {
	if i, ok := d.byName[name]; ok {
		return i, nil
	}
	return -1, fmt.Errorf("%w: %q", ErrUnknownEvent, name)
}

func unknownEvent(e *event) error {
	if e == nil {
		return fmt.Errorf("%w: the zero Event", ErrUnknownEvent)
	}
	return fmt.Errorf("%w: %q", ErrUnknownEvent, e.name)
}

// state returns the index of s.
func (d *Definition[S, D]) state(s S) (int32, error) {
	if i, ok := d.index[s]; ok {
		return i, nil
	}
	return -1, fmt.Errorf("%w: %v", ErrUnknownState, s)
}

func (d *Definition[S, D]) cell(state, event int32) *cell[S, D] {
	return &d.cells[int(state)*len(d.events)+int(event)]
}

// inside reports whether s is, or is inside, outer.
func (d *Definition[S, D]) inside(s, outer int32) bool {
	for d.states[s].depth > d.states[outer].depth {
		s = d.states[s].parent
	}
	return s == outer
}

// refusal returns the error of an event whose rules all say no, each with its
// first guard.
func (d *Definition[S, D]) refusal(state, event int32) *RefusedError {
	c := d.cell(state, event)
	if err := c.refused.Load(); err != nil {
		return err
	}
	var guards []string
	for i := range c.rows {
		guards = append(guards, c.rows[i].guards[0].name)
	}
	err := d.refused(state, event, guards)
	c.refused.Store(err)
	return err
}

func (d *Definition[S, D]) refused(state, event int32, guards []string) *RefusedError {
	s := &d.states[state]
	return &RefusedError{s.name, d.events[event].name, guards, s.permitted}
}

// Decode returns a payload for [Machine.FireNamed] that comes from a wire, such
// as JSON. It calls decode with a pointer to a zero payload of the event's type;
// but not if that is [None]. The error of decode matches [ErrPayload], too; if
// there is no such event, it matches [ErrUnknownEvent].
func (d *Definition[S, D]) Decode(event string, decode func(into any) error) (payload any, err error) { //nolint:ireturn // payloads have all types
	i, err := d.named(event)
	if err != nil {
		return nil, err
	}
	return d.events[i].decode(decode)
}

// Initial returns the state given to [New].
func (d *Definition[S, D]) Initial() S { return d.initial }

// Events returns the names of the events, in the order of their first use.
func (d *Definition[S, D]) Events() []string {
	names := make([]string, len(d.events))
	for i, e := range d.events {
		names[i] = e.name
	}
	return names
}

// A StateInfo describes a state, for tools.
type StateInfo[S comparable] struct {
	State          S
	Name           string // as errors have it
	Parent         S      // if there is one
	HasParent      bool
	Children       []S
	Initial        bool // it was given to New, or is the first child
	Final          bool
	Entries, Exits []string // names of handlers
	Timers         []TimerInfo
}

// A TimerInfo describes an After.
type TimerInfo struct {
	Delay time.Duration
	Event string
}

// States describes the states in the order of their declaration, for tools.
func (d *Definition[S, D]) States() []StateInfo[S] {
	infos := make([]StateInfo[S], 0, len(d.states))
	for i := range d.states {
		s := &d.states[i]
		info := StateInfo[S]{
			State: s.value, Name: s.name, Initial: s.value == d.initial, Final: s.final,
			Entries: names(s.entries), Exits: names(s.exits),
		}
		if s.parent >= 0 {
			p := &d.states[s.parent]
			info.Parent, info.HasParent = p.value, true
			info.Initial = info.Initial || p.children[0] == int32(i)
		}
		for _, c := range s.children {
			info.Children = append(info.Children, d.states[c].value)
		}
		for _, t := range s.timers {
			info.Timers = append(info.Timers, TimerInfo{d.timers[t].delay, d.events[d.timers[t].event].name})
		}
		infos = append(infos, info)
	}
	return infos
}

func names[S comparable, D any](handlers []handler[S, D]) (list []string) {
	for _, h := range handlers {
		list = append(list, h.name)
	}
	return list
}

// An Outcome is what a rule does.
type Outcome int

// The outcomes are named after the methods of [Rule].
const (
	OutcomeTo Outcome = iota
	OutcomeStay
	OutcomeIgnore
	OutcomeChoose
)

// String returns the name of the method of [Rule].
func (o Outcome) String() string {
	return [...]string{"To", "Stay", "Ignore", "Choose"}[o]
}

// A RuleInfo describes a rule, for tools.
type RuleInfo[S comparable] struct {
	Event   string
	From    []S      // none: all states that are not Final
	Guards  []string // their names
	Outcome Outcome
	Targets []S // of To, one, and of Choose
}

// Rules describes the rules in the order of their declaration, for tools.
func (d *Definition[S, D]) Rules() []RuleInfo[S] {
	infos := make([]RuleInfo[S], 0, len(d.rules))
	for _, r := range d.rules {
		info := RuleInfo[S]{
			Event: r.event.name, From: slices.Clone(r.from),
			Outcome: r.outcome, Targets: slices.Clone(r.targets),
		}
		for _, g := range r.guards {
			info.Guards = append(info.Guards, g.name)
		}
		infos = append(infos, info)
	}
	return infos
}
