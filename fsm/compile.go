package fsm

import "slices"

// compile makes the table of what each event does in each leaf.
func (c *compiler[S, D]) compile() {
	d := c.d
	d.cells = make([]cell[S, D], len(d.states)*len(d.events))
	c.used = map[use]bool{}
	rules := make([][]int, len(d.events)) // of each event
	for i, r := range d.rules {
		e := d.event(r.event)
		rules[e] = append(rules[e], i)
	}
	for i := range d.states {
		s := &d.states[i]
		for e := range d.events {
			cell := d.cell(int32(i), int32(e))
			if len(s.children) == 0 && !s.final {
				cell.rows = c.rows(int32(i), rules[e])
			}
			cell.classify()
			if slices.ContainsFunc(cell.rows, func(r row[S, D]) bool { return r.outcome != OutcomeIgnore }) {
				s.permitted = append(s.permitted, d.events[e].name)
			}
		}
	}
}

// rows returns the rows of a leaf for an event, whose rules those are.
func (c *compiler[S, D]) rows(leaf int32, rules []int) []row[S, D] {
	d := c.d
	var rows []row[S, D]
	add := func(u use, from int32) (last bool) {
		r := d.rules[u.rule]
		c.used[u] = true
		rows = append(rows, d.row(r, leaf, from))
		return len(r.guards) == 0
	}
	for from := leaf; from >= 0; from = d.states[from].parent {
		for _, i := range rules {
			j := slices.Index(d.rules[i].from, d.states[from].value)
			if j >= 0 && add(use{i, j}, from) {
				return rows
			}
		}
	}
	for _, i := range rules {
		if len(d.rules[i].from) == 0 && add(use{i, -1}, leaf) {
			return rows
		}
	}
	return rows
}

// row returns the row of a rule of the state from, in a leaf.
func (d *Definition[S, D]) row(r *rule[S, D], leaf, from int32) row[S, D] {
	w := row[S, D]{rule: r, path: path[S, D]{target: leaf}}
	for _, s := range r.targets {
		target := d.index[s]
		w.indices = append(w.indices, target)
		w.choices = append(w.choices, d.path(leaf, from, target))
	}
	if r.outcome == OutcomeTo {
		w.path, w.choices = w.choices[0], nil
	}
	return w
}

// path returns the way from a leaf to target, by a rule of the state from.
func (d *Definition[S, D]) path(leaf, from, target int32) path[S, D] {
	p := path[S, D]{target: d.states[target].leaf}
	// The innermost state that is not left, or -1. If the rule is of a state
	// around the leaf and leads there, that is the leaf itself.
	top := leaf
	switch {
	case target == from:
		top = d.states[target].parent
	case target != leaf:
		for top >= 0 && !d.inside(target, top) {
			top = d.states[top].parent
		}
	}
	for s := leaf; s != top; s = d.states[s].parent {
		p.exits = append(p.exits, d.states[s].exits...)
		p.stop = append(p.stop, d.states[s].timers...)
	}
	var entered []int32
	for s := p.target; s != top; s = d.states[s].parent {
		entered = append(entered, s)
	}
	for _, s := range slices.Backward(entered) {
		p.entries = append(p.entries, d.states[s].entries...)
		p.start = append(p.start, d.states[s].timers...)
	}
	if d.states[p.target].final { // nothing happens there
		for s := top; s >= 0; s = d.states[s].parent {
			p.stop = append(p.stop, d.states[s].timers...)
		}
		p.start = nil
	}
	return p
}

// classify sets quick.
func (c *cell[S, D]) classify() {
	if len(c.rows) == 0 {
		c.quick = quickRefuse
		return
	}
	r := &c.rows[0]
	if len(r.guards)+len(r.actions) > 0 || r.choose != nil || !r.path.empty() {
		return
	}
	c.quick, c.target = quickMove, r.path.target
	if r.outcome == OutcomeIgnore {
		c.quick = quickIgnore
	}
}
