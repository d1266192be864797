package fsm

import (
	"errors"
	"fmt"
	"slices"
)

// Build checks what has been collected and returns the Definition. Its error
// joins all that is wrong:
//
//   - a state that is not declared, is declared twice, has two parents, or is
//     inside itself; one that is Final and has children;
//   - a rule with no outcome, or several; one from a Final state; one that, from
//     one of its states, is never reached, since others come first;
//   - two events with one name;
//   - a state that cannot be reached, or can never be left and is not Final;
//   - a timer whose delay is negative, or whose event has no rule in its state.
//
// The Builder may be used further, without effect on the Definition.
func (b *Builder[S, D]) Build() (*Definition[S, D], error) {
	c := &compiler[S, D]{d: &Definition[S, D]{
		initial: b.initial,
		index:   make(map[S]int32, len(b.states)),
		events:  slices.Clone(b.events),
		byName:  make(map[string]int32, len(b.events)),
		labels:  []label{labelAction: {stage: "action"}, labelChoose: {stage: "choose"}},
	}}
	c.declare(b)
	c.number()
	c.nest(b)
	c.check(b)
	if len(c.errs) == 0 { // what follows needs what has been checked
		c.compile()
		c.checkUse()
		c.checkReach()
		c.checkTimers()
	}
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	return c.d, nil
}

// A compiler makes a Definition.
type compiler[S comparable, D any] struct {
	d    *Definition[S, D]
	errs []error
	used map[use]bool
}

// A use is that of a rule from one of its states; -1 stands for all.
type use struct{ rule, from int }

func (c *compiler[S, D]) errorf(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("fsm: "+format, args...))
}

// declare takes over the states.
func (c *compiler[S, D]) declare(b *Builder[S, D]) {
	d := c.d
	for _, spec := range b.states {
		if _, ok := d.index[spec.value]; ok {
			c.errorf("state %v is declared twice", spec.value)
			continue
		}
		i := int32(len(d.states))
		d.index[spec.value] = i
		s := state[S, D]{
			value: spec.value, name: fmt.Sprint(spec.value), parent: -1, leaf: i, final: spec.final,
			entries: slices.Clone(spec.entries), exits: slices.Clone(spec.exits),
		}
		for i := range s.entries {
			d.label(&s.entries[i].label)
		}
		for i := range s.exits {
			d.label(&s.exits[i].label)
		}
		for _, a := range spec.afters {
			event := int32(slices.Index(d.events, a.event))
			if slices.ContainsFunc(s.timers, func(t int32) bool { return d.timers[t].event == event }) {
				c.errorf("state %v has two timers for %s", spec.value, a.event.name)
			}
			if a.delay < 0 {
				c.errorf("state %v has a timer with a negative delay", spec.value)
			}
			if spec.final {
				c.errorf("state %v is final and has a timer", spec.value)
			}
			s.timers = append(s.timers, int32(len(d.timers)))
			d.timers = append(d.timers, timer{i, event, a.delay})
		}
		d.states = append(d.states, s)
	}
	if _, ok := d.index[b.initial]; !ok {
		c.errorf("the initial state %v is not declared", b.initial)
	}
}

// Where the labels of functions are that have no name.
const labelAction, labelChoose = 0, 1

// label takes over a label.
func (d *Definition[S, D]) label(l *label) {
	l.id = int32(len(d.labels))
	d.labels = append(d.labels, *l)
}

// number makes the events found by their ids and names.
func (c *compiler[S, D]) number() {
	d := c.d
	if len(d.events) == 0 {
		return
	}
	byID := func(a, b *event) int { return int(int64(a.id) - int64(b.id)) } //nolint:gosec // they are small
	d.base = slices.MinFunc(d.events, byID).id
	if size := slices.MaxFunc(d.events, byID).id - d.base + 1; size <= uint64(1024+8*len(d.events)) {
		d.byID = slices.Repeat([]int32{-1}, int(size))
	} else {
		d.sparse = make(map[*event]int32, len(d.events))
	}
	for i, e := range d.events {
		if d.sparse == nil {
			d.byID[e.id-d.base] = int32(i)
		} else {
			d.sparse[e] = int32(i)
		}
		if _, ok := d.byName[e.name]; ok {
			c.errorf("two events have the name %s", e.name)
		}
		d.byName[e.name] = int32(i)
	}
}

// nest puts the children into their parents.
func (c *compiler[S, D]) nest(b *Builder[S, D]) {
	d := c.d
	for _, spec := range b.states {
		i := d.index[spec.value]
		if spec.final && len(spec.children) > 0 {
			c.errorf("state %v is final and has children", spec.value)
		}
		for _, v := range spec.children {
			child, ok := d.index[v]
			switch {
			case !ok:
				c.errorf("state %v, a child of %v, is not declared", v, spec.value)
			case d.states[child].parent >= 0:
				c.errorf("state %v has two parents, %v and %v", v, d.states[d.states[child].parent].value, spec.value)
			default:
				d.states[child].parent = i
				d.states[i].children = append(d.states[i].children, child)
			}
		}
	}
	cyclic := false
	for i := range d.states {
		s := &d.states[i]
		for p := s.parent; p >= 0; p = d.states[p].parent {
			if s.depth++; p == int32(i) || int(s.depth) > len(d.states) {
				c.errorf("state %v is inside itself, or inside one that is", s.value)
				cyclic = true
				break
			}
		}
	}
	if cyclic {
		return
	}
	for i := range d.states {
		for s := &d.states[i]; len(d.states[s.leaf].children) > 0; {
			s.leaf = d.states[s.leaf].children[0]
		}
	}
	if first, ok := d.index[d.initial]; ok {
		d.first = d.states[first].leaf
	}
}

// check checks each rule by itself, and takes it over.
func (c *compiler[S, D]) check(b *Builder[S, D]) {
	for _, r := range b.rules {
		name := ruleName(r)
		switch {
		case r.outcomes == 0:
			c.errorf("%s has no outcome", name)
		case r.outcomes > 1:
			c.errorf("%s has several outcomes", name)
		case r.outcome == OutcomeIgnore && len(r.actions) > 0:
			c.errorf("%s ignores the event and has a Do", name)
		case r.outcome == OutcomeChoose && len(r.targets) == 0:
			c.errorf("%s has no targets to choose from", name)
		}
		for _, s := range r.from {
			if i, ok := c.d.index[s]; !ok {
				c.errorf("%s: state %v is not declared", name, s)
			} else if c.d.states[i].final {
				c.errorf("%s: state %v is final", name, s)
			}
		}
		for _, s := range r.targets {
			if _, ok := c.d.index[s]; !ok {
				c.errorf("%s: target %v is not declared", name, s)
			}
		}
		own := *r
		own.from, own.targets = slices.Clone(r.from), slices.Clone(r.targets)
		own.guards, own.actions = slices.Clone(r.guards), slices.Clone(r.actions)
		for i := range own.guards {
			c.d.label(&own.guards[i].label)
		}
		c.d.rules = append(c.d.rules, &own)
	}
}

func ruleName[S comparable, D any](r *rule[S, D]) string {
	if len(r.from) == 0 {
		return fmt.Sprintf("rule on %s from any state", r.event.name)
	}
	return fmt.Sprintf("rule on %s from %v", r.event.name, r.from)
}

// checkUse finds rules that are never reached.
func (c *compiler[S, D]) checkUse() {
	for i, r := range c.d.rules {
		if len(r.from) == 0 && !c.used[use{i, -1}] {
			c.errorf("%s is never reached: others come first", ruleName(r))
		}
		for j, s := range r.from {
			if !c.used[use{i, j}] {
				c.errorf("%s is never reached from %v: others come first", ruleName(r), s)
			}
		}
	}
}

// checkReach finds states that are not reached, or never left.
func (c *compiler[S, D]) checkReach() {
	d := c.d
	reached := make([]bool, len(d.states))
	var visit func(leaf int32)
	visit = func(leaf int32) {
		if reached[leaf] {
			return
		}
		for s := leaf; s >= 0; s = d.states[s].parent {
			reached[s] = true
		}
		for e := range d.events {
			rows := d.cell(leaf, int32(e)).rows
			for i := range rows {
				if rows[i].outcome == OutcomeTo {
					visit(rows[i].path.target)
				}
				for j := range rows[i].choices {
					visit(rows[i].choices[j].target)
				}
			}
		}
	}
	visit(d.first)
	for i := range d.states {
		s := &d.states[i]
		switch {
		case !reached[i]:
			c.errorf("state %v cannot be reached", s.value)
		case len(s.children) == 0 && !s.final && len(s.permitted) == 0:
			c.errorf("state %v is not final, and has no rules", s.value)
		}
	}
}

// checkTimers finds timers whose event would be unknown when they fire.
func (c *compiler[S, D]) checkTimers() {
	d := c.d
	for _, t := range d.timers {
		for i := range d.states {
			leaf := &d.states[i]
			if len(leaf.children) == 0 && !leaf.final && d.inside(int32(i), t.state) &&
				len(d.cell(int32(i), t.event).rows) == 0 {
				c.errorf("the timer of state %v has no rule on %s in %v",
					d.states[t.state].value, d.events[t.event].name, leaf.value)
			}
		}
	}
}
