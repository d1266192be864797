package fsm_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/fsm"
)

// The model: a random tree of states and random rules, and an interpreter that
// looks up everything as it goes and precomputes nothing.
type (
	modelRule struct {
		event   int
		from    []int // states; none: any
		guard   int   // 0 none; otherwise: says yes if data%guard == 0
		outcome fsm.Outcome
		target  int   // of To
		targets []int // of Choose, which takes that of data%len
		fails   int   // the action fails if data%fails == 0, if not 0
		raises  int   // event+1, or 0
	}
	model struct {
		parent []int // -1
		final  []bool
		rules  []modelRule
		events int
	}
	world struct {
		state   int
		data    int // how many handlers have run and been kept
		version int
	}
)

func (m *model) children(s int) (list []int) {
	for c, p := range m.parent {
		if p == s {
			list = append(list, c)
		}
	}
	return list
}

func (m *model) leaf(s int) int {
	for c := m.children(s); len(c) > 0; c = m.children(s) {
		s = c[0]
	}
	return s
}

// up is s and all states around it.
func (m *model) up(s int) (list []int) {
	for ; s >= 0; s = m.parent[s] {
		list = append(list, s)
	}
	return list
}

// candidates returns the rules for an event in a leaf with the states that they
// are from, in order.
func (m *model) candidates(leaf, event int) (rules []modelRule, from []int) {
	if m.final[leaf] {
		return nil, nil
	}
	for _, s := range m.up(leaf) {
		for _, r := range m.rules {
			if r.event == event && slices.Contains(r.from, s) {
				rules, from = append(rules, r), append(from, s)
			}
		}
	}
	for _, r := range m.rules {
		if r.event == event && len(r.from) == 0 {
			rules, from = append(rules, r), append(from, leaf)
		}
	}
	return rules, from
}

// fire is what the event does, and appends what happens to log.
func (m *model) fire(w *world, event int, log *[]string) string {
	queue, first, n := []int{event}, "", 0
	for ; len(queue) > 0; n++ {
		e := queue[0]
		queue = queue[1:]
		known := slices.ContainsFunc(m.rules, func(r modelRule) bool { return r.event == e })
		if n > 100 && known {
			*log = append(*log, "limit")
			continue
		}
		raised, outcome := m.step(w, e, log)
		if raised >= 0 {
			queue = append(queue, raised)
		}
		if n == 0 {
			first = outcome
		} else if outcome != "ok" {
			*log = append(*log, outcome)
		}
	}
	return first
}

func (m *model) step(w *world, event int, log *[]string) (raised int, outcome string) {
	if !slices.ContainsFunc(m.rules, func(r modelRule) bool { return r.event == event }) {
		return -1, "unknown"
	}
	rules, from := m.candidates(w.state, event)
	for i, r := range rules {
		if r.guard != 0 && w.data%r.guard != 0 {
			continue
		}
		if r.outcome == fsm.OutcomeIgnore {
			return -1, "ok"
		}
		target := w.state
		var exits, entries []int
		if r.outcome == fsm.OutcomeTo || r.outcome == fsm.OutcomeChoose {
			t := r.target
			if r.outcome == fsm.OutcomeChoose {
				t = r.targets[w.data%len(r.targets)]
			}
			target = m.leaf(t)
			for _, s := range m.up(w.state) {
				if t == from[i] && slices.Contains(m.up(s), t) || // its own: with all inside
					!slices.Contains(m.up(t), s) { // not around the target
					exits = append(exits, s)
				}
			}
			for _, s := range m.up(target) {
				if !slices.Contains(m.up(w.state), s) || slices.Contains(exits, s) {
					entries = append([]int{s}, entries...)
				}
			}
		}
		// An action that fails is told of, and so are the exits before it.
		data := w.data
		for _, s := range exits {
			*log = append(*log, fmt.Sprint("exit ", s))
			data++
		}
		*log = append(*log, fmt.Sprint("act ", w.state, target))
		if r.fails != 0 && data%r.fails == 0 {
			return -1, "failed"
		}
		data++
		for _, s := range entries {
			*log = append(*log, fmt.Sprint("entry ", s))
			data++
		}
		*w = world{target, data, w.version + 1}
		*log = append(*log, fmt.Sprint("commit ", w.version))
		return r.raises - 1, "ok"
	}
	return -1, "refused"
}

var modelEvents = func() (events []fsm.Event[fsm.None]) {
	for i := range 4 {
		events = append(events, fsm.NewEvent[fsm.None](fmt.Sprint("e", i)))
	}
	return events
}()

type modelData struct {
	n   int
	log *[]string
}

// build makes the same of the package.
func (m *model) build() (*fsm.Definition[int, modelData], error) {
	type tx = fsm.Tx[int, modelData]
	do := func(tx *tx, what string) {
		*tx.Data.log = append(*tx.Data.log, what)
		tx.Data.n++
	}
	b := fsm.New[int, modelData](0)
	for s := range m.parent {
		spec := b.State(s, m.children(s)...).
			Entry("", func(_ context.Context, tx *tx) error { do(tx, fmt.Sprint("entry ", s)); return nil }).
			Exit("", func(_ context.Context, tx *tx) error { do(tx, fmt.Sprint("exit ", s)); return nil })
		if m.final[s] {
			spec.Final()
		}
	}
	for _, r := range m.rules {
		rule := fsm.On(b, modelEvents[r.event], r.from...)
		if r.guard != 0 {
			rule.If("guard", func(d *modelData, _ fsm.None) bool { return d.n%r.guard == 0 })
		}
		if r.outcome != fsm.OutcomeIgnore {
			rule.Do(func(_ context.Context, tx *tx, _ fsm.None) error {
				if n := tx.Data.n; r.fails != 0 && n%r.fails == 0 {
					do(tx, fmt.Sprint("act ", tx.From, tx.To))
					return errBoom
				}
				do(tx, fmt.Sprint("act ", tx.From, tx.To))
				if r.raises > 0 {
					tx.Raise(modelEvents[r.raises-1])
				}
				return nil
			})
		}
		switch r.outcome {
		case fsm.OutcomeTo:
			rule.To(r.target)
		case fsm.OutcomeStay:
			rule.Stay()
		case fsm.OutcomeIgnore:
			rule.Ignore()
		case fsm.OutcomeChoose:
			rule.Choose(func(_ context.Context, tx *tx, _ fsm.None) (int, error) {
				return r.targets[tx.Data.n%len(r.targets)], nil
			}, r.targets...)
		}
	}
	return b.Build()
}

func outcomeOf(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, fsm.ErrRefused):
		return "refused"
	case errors.Is(err, errBoom):
		return "failed"
	case errors.Is(err, fsm.ErrRaiseLimit):
		return "limit"
	case errors.Is(err, fsm.ErrUnknownEvent):
		return "unknown"
	default:
		return err.Error()
	}
}

func randomModel(r *rand.Rand) *model {
	m := &model{events: 1 + r.IntN(len(modelEvents))}
	n := 2 + r.IntN(7)
	for s := range n {
		m.parent = append(m.parent, r.IntN(s+1)-1)
	}
	for s := range n {
		m.final = append(m.final, s > 0 && r.IntN(6) == 0 && len(m.children(s)) == 0)
	}
	for range 2 + r.IntN(4*n) {
		rule := modelRule{event: r.IntN(m.events), outcome: fsm.OutcomeTo, target: r.IntN(n)}
		for range r.IntN(3) {
			if s := r.IntN(n); !m.final[s] && !slices.Contains(rule.from, s) {
				rule.from = append(rule.from, s)
			}
		}
		if r.IntN(3) > 0 {
			rule.guard = 1 + r.IntN(4)
		}
		switch r.IntN(10) {
		case 0:
			rule.outcome = fsm.OutcomeStay
		case 1:
			rule.outcome = fsm.OutcomeIgnore
		case 2, 3:
			rule.outcome, rule.targets = fsm.OutcomeChoose, []int{r.IntN(n), r.IntN(n)}
		}
		if r.IntN(4) == 0 {
			rule.fails = 1 + r.IntN(4)
		}
		if r.IntN(5) == 0 {
			rule.raises = 1 + r.IntN(m.events)
		}
		m.rules = append(m.rules, rule)
	}
	return m
}

// checkModel runs commands, and reports false if the model is one that Build
// rejects.
func checkModel(tb testing.TB, r *rand.Rand, commands []byte) bool {
	tb.Helper()
	m := randomModel(r)
	def, err := m.build()
	if err != nil {
		return false
	}
	var got, want []string
	observer := fsm.Observe(func(_ context.Context, t fsm.Transition[int]) {
		if t.Err != nil {
			got = append(got, outcomeOf(t.Err))
		} else {
			got = append(got, fmt.Sprint("commit ", t.Version))
		}
	})
	w := world{state: m.leaf(0)}
	machine := def.Start(modelData{log: &got}, observer)
	for _, c := range commands {
		if c == 0xff {
			machine, err = def.Restore(machine.Snapshot(), observer)
			require.NoError(tb, err)
			continue
		}
		e := int(c) % m.events
		rules, _ := m.candidates(w.state, e)
		can := slices.ContainsFunc(rules, func(r modelRule) bool { return r.guard == 0 || w.data%r.guard == 0 })
		require.Equal(tb, can, machine.Can(modelEvents[e]))
		require.Equal(tb, m.fire(&w, e, &want), outcomeOf(machine.Fire(tb.Context(), modelEvents[e])), "%+v", m)
		require.Equal(tb, want, got, "%+v", m)
		s := machine.Snapshot()
		require.Equal(tb, w, world{s.State, s.Data.n, int(s.Version)})
		for s := range m.parent {
			require.Equal(tb, slices.Contains(m.up(w.state), s), machine.In(s))
		}
	}
	return true
}

// Random machines agree with the model.
func TestModel(t *testing.T) {
	built := 0
	for seed := range uint64(6000) {
		r := rand.New(rand.NewPCG(seed, 1))
		commands := make([]byte, 40)
		for i := range commands {
			commands[i] = byte(r.Uint32())
		}
		if checkModel(t, r, commands) {
			built++
		}
	}
	require.Greater(t, built, 50)
	t.Log(built, "machines")
}

// FuzzMachine is TestModel with whatever it is given.
func FuzzMachine(f *testing.F) {
	f.Add(uint64(1), []byte{0, 1, 2, 3, 0xff, 1, 2})
	f.Fuzz(func(t *testing.T, seed uint64, commands []byte) {
		checkModel(t, rand.New(rand.NewPCG(seed, 1)), commands[:min(len(commands), 200)])
	})
}
