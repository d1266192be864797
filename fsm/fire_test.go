package fsm_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/fsm"
)

// A trace is the data of machines that tell what they do. What handlers do to it
// is kept only with a commit; log is of all that ran.
type trace struct {
	log  *[]string
	sum  int
	fail string // the handler that fails
}

var errBoom = errors.New("boom")

// traced declares a state whose handlers tell.
func traced(b *fsm.Builder[string, trace], s string, children ...string) {
	f := func(what string) fsm.Action[string, trace] {
		return func(_ context.Context, tx *fsm.Tx[string, trace]) error { return tell(tx, what+s) }
	}
	b.State(s, children...).Entry("+"+s, f("+")).Exit("-"+s, f("-"))
}

func tell(tx *fsm.Tx[string, trace], what string) error {
	*tx.Data.log = append(*tx.Data.log, what)
	tx.Data.sum++
	switch tx.Data.fail {
	case what:
		return errBoom
	case what + " panic":
		panic(errBoom)
	case what + " goexit":
		runtime.Goexit()
	}
	return nil
}

func act(_ context.Context, tx *fsm.Tx[string, trace], _ fsm.None) error {
	return tell(tx, "act "+tx.From+">"+tx.To)
}

// tree is
//
//	p: a, b
//	q: r: c, d
//	   e
//	f
func tree(rules func(b *fsm.Builder[string, trace])) *fsm.Builder[string, trace] {
	b := fsm.New[string, trace]("p")
	traced(b, "p", "a", "b")
	traced(b, "a")
	traced(b, "b")
	traced(b, "q", "r", "e")
	traced(b, "r", "c", "d")
	traced(b, "c")
	traced(b, "d")
	traced(b, "e")
	traced(b, "f")
	rules(b)
	// So that all are reached and left.
	fsm.On(b, evText).Choose(func(_ context.Context, _ *fsm.Tx[string, trace], s string) (string, error) {
		return s, nil
	}, "a", "b", "c", "d", "e", "f", "p", "q", "r")
	return b
}

// at returns a machine in a state.
func at(tb testing.TB, def *fsm.Definition[string, trace], s, fail string, opts ...fsm.Option) *fsm.Machine[string, trace] {
	tb.Helper()
	m, err := def.Restore(fsm.Snapshot[string, trace]{State: s, Data: trace{log: &[]string{}, fail: fail}, Version: 5}, opts...)
	require.NoError(tb, err)
	return m
}

// What is left and entered, and in which order.
func TestFire_order(t *testing.T) {
	for _, c := range []struct {
		from, rule, to string // "" is a rule without from
		want           []string
		state          string
	}{
		{"a", "a", "b", []string{"-a", "act a>b", "+b"}, "b"},
		{"a", "a", "a", []string{"-a", "act a>a", "+a"}, "a"},
		{"a", "", "a", []string{"-a", "act a>a", "+a"}, "a"},
		{"a", "p", "f", []string{"-a", "-p", "act a>f", "+f"}, "f"},
		{"b", "b", "q", []string{"-b", "-p", "act b>c", "+q", "+r", "+c"}, "c"},
		{"c", "q", "e", []string{"-c", "-r", "act c>e", "+e"}, "e"},
		{"c", "q", "p", []string{"-c", "-r", "-q", "act c>a", "+p", "+a"}, "a"},
		{"d", "q", "q", []string{"-d", "-r", "-q", "act d>c", "+q", "+r", "+c"}, "c"}, // its own
		{"d", "r", "r", []string{"-d", "-r", "act d>c", "+r", "+c"}, "c"},
		{"d", "d", "r", []string{"-d", "act d>c", "+c"}, "c"}, // another ancestor
		{"d", "d", "q", []string{"-d", "-r", "act d>c", "+r", "+c"}, "c"},
		{"d", "r", "q", []string{"-d", "-r", "act d>c", "+r", "+c"}, "c"},
		{"d", "", "q", []string{"-d", "-r", "act d>c", "+r", "+c"}, "c"},
		{"d", "q", "d", []string{"act d>d"}, "d"}, // where it is
		{"d", "q", "r", []string{"-d", "act d>c", "+c"}, "c"},
		{"c", "q", "r", []string{"-c", "act c>c", "+c"}, "c"},
		{"f", "f", "d", []string{"-f", "act f>d", "+q", "+r", "+d"}, "d"},
		{"c", "c", "stay", []string{"act c>c"}, "c"},
		{"c", "q", "stay", []string{"act c>c"}, "c"},
	} {
		t.Run(c.from+" by "+c.rule+" to "+c.to, func(t *testing.T) {
			b := tree(func(b *fsm.Builder[string, trace]) {
				from := []string{c.rule}
				if c.rule == "" {
					from = nil
				}
				r := fsm.On(b, evGo, from...).Do(act)
				if c.to == "stay" {
					r.Stay()
				} else {
					r.To(c.to)
				}
			})
			var seen []fsm.Transition[string]
			m := at(t, build(t, b), c.from, "", fsm.Observe(func(_ context.Context, tr fsm.Transition[string]) { seen = append(seen, tr) }))
			require.NoError(t, m.Fire(t.Context(), evGo))
			assert.Equal(t, c.want, *m.Data().log)
			assert.Equal(t, c.state, m.State())
			assert.Equal(t, len(c.want), m.Data().sum)
			require.Len(t, seen, 1)
			seen[0].At = seen[0].At.Add(-0)
			assert.Equal(t, fsm.Transition[string]{From: c.from, To: c.state, Event: "go", Version: 6, At: seen[0].At}, seen[0])
			assert.False(t, seen[0].At.IsZero())
		})
	}
}

// Whatever fails wherever: nothing has changed, and the machine goes on.
func TestFire_fails(t *testing.T) {
	def := build(t, tree(func(b *fsm.Builder[string, trace]) {
		fsm.On(b, evGo, "p").Do(act).To("d")
		fsm.On(b, evOther, "p").If("risky", func(d *trace, _ fsm.None) bool {
			return tell(&fsm.Tx[string, trace]{Data: d}, "guard") != nil
		}).Stay()
		fsm.On(b, evBack, "p").Choose(func(_ context.Context, tx *fsm.Tx[string, trace], _ fsm.None) (string, error) {
			return "b", tell(tx, "choose")
		}, "b")
	}))
	for _, c := range []struct {
		at          string
		event       fsm.Event[fsm.None]
		stage, name string
	}{
		{"-a", evGo, "exit", "-a"},
		{"-p", evGo, "exit", "-p"},
		{"act a>d", evGo, "action", ""},
		{"+q", evGo, "entry", "+q"},
		{"+d", evGo, "entry", "+d"},
		{"choose", evBack, "choose", ""},
		{"guard", evOther, "guard", "risky"},
	} {
		for _, how := range []string{"", " panic", " goexit"} {
			if c.stage == "guard" && how == "" {
				continue
			}
			t.Run(c.at+how, func(t *testing.T) {
				m := at(t, def, "a", c.at+how, fsm.Observe(func(context.Context, fsm.Transition[string]) { assert.Fail(t, "observed") }))
				var err error
				if how == " goexit" {
					returned := false
					ended := make(chan struct{})
					go func() {
						defer close(ended)
						_ = m.Fire(t.Context(), c.event)
						returned = true
					}()
					<-ended
					assert.False(t, returned)
					err = m.Send(t.Context(), c.event).Wait(t.Context())
					require.ErrorIs(t, err, fsm.ErrGoexit)
				} else {
					err = m.Fire(t.Context(), c.event)
					require.ErrorIs(t, err, errBoom)
				}
				var p *fsm.PanicError
				assert.Equal(t, how == " panic", errors.As(err, &p))
				var h *fsm.HandlerError
				require.ErrorAs(t, err, &h)
				assert.Equal(t, fsm.HandlerError{Stage: c.stage, Name: c.name, State: "a", Event: c.event.Name(), Err: h.Err}, *h)
				assert.ErrorContains(t, err, "fsm: "+c.stage)
				assert.Equal(t, "a", m.State())
				assert.Zero(t, m.Data().sum)
				assert.EqualValues(t, 5, m.Snapshot().Version)
			})
		}
	}
}

// Choose must choose one of its targets.
func TestChoose(t *testing.T) {
	def := build(t, tree(func(*fsm.Builder[string, trace]) {}))
	m := at(t, def, "a", "")
	require.NoError(t, fsm.FireWith(t.Context(), m, evText, "q"))
	assert.Equal(t, "c", m.State())
	err := fsm.FireWith(t.Context(), m, evText, "typo")
	require.ErrorContains(t, err, "not one of its targets: typo")
	assert.Equal(t, "c", m.State())
}

// Child before parent, declaration before declaration; each guard once.
func TestGuards(t *testing.T) {
	var asked []string
	guard := func(name string, say bool) (string, func(*trace, fsm.None) bool) {
		return name, func(*trace, fsm.None) bool { asked = append(asked, name); return say }
	}
	def := build(t, tree(func(b *fsm.Builder[string, trace]) {
		fsm.On(b, evGo).If(guard("any", false)).To("f")
		fsm.On(b, evGo, "q").If(guard("q", false)).To("f")
		fsm.On(b, evGo, "r").If(guard("r1", true)).If(guard("r2", false)).To("f")
		fsm.On(b, evGo, "c").If(guard("c1", false)).If(guard("c2", false)).To("f")
		fsm.On(b, evGo, "c").If(guard("c3", false)).To("f")
		fsm.On(b, evBack, "r").If(guard("outer", true)).To("f")
		fsm.On(b, evBack, "c").If(guard("inner", false)).To("e")
		fsm.On(b, evOther, "c").Ignore() // hides what r has
		fsm.On(b, evOther, "r").To("f")
	}))
	m := at(t, def, "c", "")
	err := m.Fire(t.Context(), evGo)
	require.ErrorIs(t, err, fsm.ErrRefused)
	var refused *fsm.RefusedError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, fsm.RefusedError{State: "c", Event: "go", Guards: []string{"c1", "c3", "r2", "q", "any"}, Permitted: []string{"go", "back", "text"}}, *refused)
	assert.Equal(t, []string{"c1", "c3", "r1", "r2", "q", "any"}, asked)
	assert.Equal(t, "fsm: go refused in state c by c1, c3, r2, q, any; permitted: go, back, text", err.Error())
	assert.False(t, m.Can(evGo))

	asked = nil
	require.NoError(t, m.Fire(t.Context(), evOther))
	assert.EqualValues(t, 5, m.Snapshot().Version)
	assert.True(t, m.Can(evOther))
	assert.True(t, m.Can(evBack))
	require.NoError(t, m.Fire(t.Context(), evBack))
	assert.Equal(t, []string{"inner", "outer", "inner", "outer"}, asked)
	assert.Equal(t, "f", m.State())
	assert.True(t, fsm.CanWith(m, evText, "a"))

	err = m.Fire(t.Context(), evBack)
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, fsm.RefusedError{State: "f", Event: "back", Permitted: []string{"go", "text"}}, *refused)
	assert.Same(t, err, m.Fire(t.Context(), evBack))
	assert.True(t, m.In("f"))
	assert.False(t, m.In("q"))
	assert.False(t, m.In("typo"))
}

// A final state has no rules, also not those of the state around it.
func TestFinal(t *testing.T) {
	b := fsm.New[string, int]("p")
	b.State("p", "a", "end")
	b.State("a")
	b.State("end").Final()
	fsm.On(b, evGo, "p").To("end")
	fsm.On(b, evBack).To("a")
	m := build(t, b).Start(0)
	require.NoError(t, m.Fire(t.Context(), evGo))
	require.ErrorIs(t, m.Fire(t.Context(), evGo), fsm.ErrRefused)
	require.ErrorIs(t, m.Fire(t.Context(), evBack), fsm.ErrRefused)
	assert.True(t, m.In("p"))
	assert.Empty(t, m.Permitted())
}

// Handlers and observers that fire with their context get an error; all else may
// be asked anywhere.
func TestReentrant(t *testing.T) {
	var m *fsm.Machine[string, trace]
	var kept context.Context
	checked := 0
	check := func(ctx context.Context, state string) {
		checked++
		kept = ctx
		within, cancel := context.WithCancel(ctx)
		defer cancel()
		assert.ErrorIs(t, m.Fire(within, evGo), fsm.ErrReentrant)
		_, err := m.Await(within, "e")
		assert.ErrorIs(t, err, fsm.ErrReentrant)
		assert.ErrorIs(t, m.Send(within, evBack).Wait(within), fsm.ErrReentrant)
		assert.Equal(t, state, m.State())
		assert.True(t, m.Can(evGo))
		_, _, _, _ = m.Data(), m.Snapshot(), m.History(), m.Permitted()
	}
	def := build(t, tree(func(b *fsm.Builder[string, trace]) {
		fsm.On(b, evGo).Do(func(ctx context.Context, tx *fsm.Tx[string, trace], _ fsm.None) error {
			check(ctx, "a")
			return nil
		}).To("f")
		fsm.On(b, evBack).Ignore()
	}))
	m = at(t, def, "a", "", fsm.Observe(func(ctx context.Context, _ fsm.Transition[string]) { check(ctx, "f") }))
	require.NoError(t, m.Fire(t.Context(), evGo))
	assert.Equal(t, 2, checked)
	m.Send(t.Context(), evBack).Wait(t.Context()) // those before have ended
	require.NoError(t, m.Fire(kept, evBack), "the context is that of nobody who is running")
	assert.Equal(t, t.Context().Value(0), kept.Value(0))
}

// What is raised runs after the commit, before outsiders, and in its order.
func TestRaise(t *testing.T) {
	later := fsm.NewEvent[int]("later")
	var order []string
	failing := false
	def := build(t, tree(func(b *fsm.Builder[string, trace]) {
		fsm.On(b, evGo).Do(func(_ context.Context, tx *fsm.Tx[string, trace], _ fsm.None) error {
			tx.Raise(evBack)
			fsm.RaiseWith(tx, later, 7)
			tx.Raise(fsm.NewEvent[fsm.None]("typo"))
			if failing {
				return errBoom
			}
			return nil
		}).To("b")
		fsm.On(b, evBack, "b").Do(func(_ context.Context, tx *fsm.Tx[string, trace], _ fsm.None) error {
			tx.Raise(evOther)
			return nil
		}).To("f")
		fsm.On(b, later, "f").If("small", func(_ *trace, n int) bool { return n < 9 }).Stay()
		fsm.On(b, evOther, "f").Do(func(_ context.Context, tx *fsm.Tx[string, trace], _ fsm.None) error {
			tx.Raise(evGo)
			return errBoom
		}).Stay()
	}))
	m := at(t, def, "a", "", fsm.HistorySize(3), fsm.Observe(func(_ context.Context, tr fsm.Transition[string]) {
		order = append(order, fmt.Sprintf("%s>%s %s %d %v", tr.From, tr.To, tr.Event, tr.Version, tr.Err))
	}))
	require.NoError(t, m.Fire(t.Context(), evGo))
	want := []string{
		"a>b go 6 <nil>", "b>f back 7 <nil>", "f>f later 8 <nil>",
		`f>f typo 8 fsm: unknown event: "typo"`,
		"f>f other 8 fsm: action, on other in state f: boom",
	}
	assert.Equal(t, want, order)
	var history []string
	for _, tr := range m.History() {
		history = append(history, tr.Event)
	}
	assert.Equal(t, []string{"later", "typo", "other"}, history)

	failing, order = true, nil
	require.ErrorIs(t, m.Fire(t.Context(), evGo), errBoom)
	assert.Empty(t, order)
}

// Those who raise without end are stopped.
func TestRaise_limit(t *testing.T) {
	def := build(t, tree(func(b *fsm.Builder[string, trace]) {
		fsm.On(b, evGo).Do(func(_ context.Context, tx *fsm.Tx[string, trace], _ fsm.None) error {
			tx.Raise(evGo)
			return nil
		}).Stay()
	}))
	var last fsm.Transition[string]
	m := at(t, def, "a", "", fsm.Observe(func(_ context.Context, tr fsm.Transition[string]) { last = tr }))
	require.NoError(t, m.Fire(t.Context(), evGo))
	require.ErrorIs(t, last.Err, fsm.ErrRaiseLimit)
	assert.EqualValues(t, 5+101, m.Snapshot().Version)
}

// Goexit in a raised event, or an observer, ends the goroutine after all is done.
func TestGoexit_later(t *testing.T) {
	def := build(t, tree(func(b *fsm.Builder[string, trace]) {
		fsm.On(b, evGo).Do(func(_ context.Context, tx *fsm.Tx[string, trace], _ fsm.None) error {
			tx.Raise(evBack)
			tx.Raise(evBack)
			tx.Raise(evOther)
			return nil
		}).To("b")
		fsm.On(b, evBack).Do(func(context.Context, *fsm.Tx[string, trace], fsm.None) error {
			runtime.Goexit()
			return nil
		}).To("f")
		fsm.On(b, evOther).To("e")
	}))
	var errs []error
	m := at(t, def, "a", "", fsm.Observe(func(context.Context, fsm.Transition[string]) { panic("observer") }),
		fsm.Observe(func(_ context.Context, tr fsm.Transition[string]) { errs = append(errs, tr.Err); runtime.Goexit() }))
	ended, returned := make(chan struct{}), false
	go func() {
		defer close(ended)
		_ = m.Fire(t.Context(), evGo)
		returned = true
	}()
	<-ended
	assert.False(t, returned)
	assert.Equal(t, "e", m.State())
	var stages []string
	for _, err := range errs {
		if h, ok := errors.AsType[*fsm.HandlerError](err); ok {
			stages = append(stages, h.Stage)
		}
	}
	slices.Sort(stages)
	assert.Equal(t, []string{"action", "action", "observer", "observer", "observer", "observer"}, stages)

	require.NoError(t, m.Send(t.Context(), evOther).Wait(t.Context()), "the commit stands")
}

// Handlers that write to what they should not, harm nobody.
func TestTx_overwritten(t *testing.T) {
	var kept *fsm.Tx[string, trace]
	def := build(t, tree(func(b *fsm.Builder[string, trace]) {
		fsm.On(b, evGo, "a").Do(func(_ context.Context, tx *fsm.Tx[string, trace], _ fsm.None) error {
			tx.Data.sum = 7
			*tx = fsm.Tx[string, trace]{From: "x", To: "y", Data: tx.Data}
			return nil
		}).To("b")
		fsm.On(b, evBack, "b").Do(func(_ context.Context, tx *fsm.Tx[string, trace], _ fsm.None) error {
			assert.Equal(t, "b>b", tx.From+">"+tx.To)
			tx.Raise(evGo)
			kept = tx
			return nil
		}).Stay()
	}))
	m := at(t, def, "a", "", fsm.HistorySize(1))
	require.NoError(t, m.Fire(t.Context(), evGo))
	assert.Equal(t, "b", m.History()[0].To)
	assert.Equal(t, 8, m.Data().sum)
	require.NoError(t, m.Fire(t.Context(), evBack))
	assert.PanicsWithValue(t, "fsm: Raise outside of a step", func() { kept.Raise(evGo) })
}
