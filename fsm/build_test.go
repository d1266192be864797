package fsm_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/fsm"
)

var (
	evGo    = fsm.NewEvent[fsm.None]("go")
	evBack  = fsm.NewEvent[fsm.None]("back")
	evOther = fsm.NewEvent[fsm.None]("other")
	evText  = fsm.NewEvent[string]("text")
)

func yes(*int, fsm.None) bool { return true }

func no(*int, fsm.None) bool { return false }

// What is wrong with a definition is told by Build.
func TestBuild_errors(t *testing.T) {
	type builder = fsm.Builder[string, int]
	twoWay := func(b *builder) {
		fsm.On(b, evGo, "a").To("b")
		fsm.On(b, evGo, "b").To("a")
	}
	for name, c := range map[string]struct {
		build func(b *builder)
		want  []string
	}{
		"initial":      {func(b *builder) { b.State("b").Final() }, []string{"initial state a is not declared"}},
		"twice":        {func(b *builder) { b.State("a"); b.State("a").Final() }, []string{"a is declared twice"}},
		"child":        {func(b *builder) { b.State("a", "x") }, []string{"x, a child of a, is not declared"}},
		"parents":      {func(b *builder) { b.State("a", "x"); b.State("b", "x"); b.State("x") }, []string{"x has two parents, a and b"}},
		"self":         {func(b *builder) { b.State("a", "a") }, []string{"a is inside itself"}},
		"cycle":        {func(b *builder) { b.State("a", "b"); b.State("b", "c"); b.State("c", "a") }, []string{"a is inside", "b is inside", "c is inside"}},
		"outer cycle":  {func(b *builder) { b.State("a"); b.State("b", "c", "a"); b.State("c", "b") }, []string{"a is inside"}},
		"final parent": {func(b *builder) { b.State("a", "x").Final(); b.State("x") }, []string{"a is final and has children"}},
		"final timer":  {func(b *builder) { b.State("a").Final().After(1, evGo) }, []string{"a is final and has a timer"}},
		"typo":         {func(b *builder) { b.State("a"); fsm.On(b, evGo, "a").To("typo") }, []string{"rule on go from [a]: target typo is not declared"}},
		"from":         {func(b *builder) { b.State("a"); fsm.On(b, evGo, "typo").To("a") }, []string{"rule on go from [typo]: state typo is not declared"}},
		"from final":   {func(b *builder) { b.State("a").Final(); fsm.On(b, evGo, "a").To("a") }, []string{"state a is final"}},
		"no outcome":   {func(b *builder) { b.State("a"); fsm.On(b, evGo, "a") }, []string{"rule on go from [a] has no outcome"}},
		"outcomes":     {func(b *builder) { b.State("a"); r := fsm.On(b, evGo); r.Stay(); r.To("a") }, []string{"rule on go from any state has several outcomes"}},
		"ignored do": {func(b *builder) {
			b.State("a")
			fsm.On(b, evGo).Do(func(context.Context, *fsm.Tx[string, int], fsm.None) error { return nil }).Ignore()
		}, []string{"has a Do"}},
		"nothing": {func(b *builder) {
			b.State("a")
			fsm.On(b, evGo).Choose(func(context.Context, *fsm.Tx[string, int], fsm.None) (string, error) { return "", nil })
		}, []string{"no targets"}},
		"duplicate":    {func(b *builder) { b.State("a"); b.State("b"); twoWay(b); fsm.On(b, evGo, "a").To("b") }, []string{"rule on go from [a] is never reached from a"}},
		"same from":    {func(b *builder) { b.State("a"); fsm.On(b, evGo, "a", "a").Stay() }, []string{"never reached from a"}},
		"shadowed":     {func(b *builder) { b.State("a"); b.State("b"); twoWay(b); fsm.On(b, evGo, "a").If("yes", yes).To("b") }, []string{"never reached from a"}},
		"shadowed any": {func(b *builder) { b.State("a"); b.State("b"); twoWay(b); fsm.On(b, evGo).To("b") }, []string{"rule on go from any state is never reached"}},
		"shadowed half": {func(b *builder) {
			b.State("a")
			b.State("b")
			twoWay(b)
			fsm.On(b, evOther, "a").Stay()
			fsm.On(b, evOther, "b", "a").Stay()
		}, []string{"rule on other from [b a] is never reached from a"}},
		"names":       {func(b *builder) { b.State("a"); fsm.On(b, evGo).Stay(); fsm.On(b, fsm.NewEvent[int]("go")).Stay() }, []string{"two events have the name go"}},
		"unreachable": {func(b *builder) { b.State("a"); fsm.On(b, evGo).Stay(); b.State("b") }, []string{"b cannot be reached"}},
		"dead end": {func(b *builder) {
			b.State("a")
			fsm.On(b, evGo, "a").To("b")
			b.State("b")
			fsm.On(b, evGo, "b").Ignore()
		}, []string{"b is not final, and has no rules"}},
		"negative": {func(b *builder) { b.State("a").After(-1, evGo); fsm.On(b, evGo).Stay() }, []string{"negative delay"}},
		"timers":   {func(b *builder) { b.State("a").After(1, evGo).After(2, evGo); fsm.On(b, evGo).Stay() }, []string{"two timers for go"}},
		"timer": {func(b *builder) {
			b.State("p", "a", "b").After(1, evGo)
			b.State("a")
			b.State("b")
			fsm.On(b, evGo, "a").To("b")
			fsm.On(b, evOther, "b").To("a")
		}, []string{"the timer of state p has no rule on go in b"}},
		"several": {func(b *builder) { b.State("a"); fsm.On(b, evGo, "x").To("y") }, []string{"state x", "target y"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := fsm.New[string, int]("a")
			c.build(b)
			def, err := b.Build()
			require.Error(t, err)
			assert.Nil(t, def)
			for _, want := range c.want {
				assert.ErrorContains(t, err, want)
			}
		})
	}
}

// What must not be done with a Builder panics at once.
func TestBuilder_panics(t *testing.T) {
	b := fsm.New[string, int]("a")
	s := b.State("a")
	r := fsm.On(b, evGo)
	for want, f := range map[string]func(){
		"fsm: NewEvent without a name":     func() { fsm.NewEvent[int]("") },
		"fsm: On with the zero Event":      func() { fsm.On(b, fsm.Event[int]{}) },
		"fsm: After with the zero Event":   func() { s.After(1, fsm.Event[fsm.None]{}) },
		"fsm: Entry with a nil function":   func() { s.Entry("x", nil) },
		"fsm: Exit with a nil function":    func() { s.Exit("x", nil) },
		"fsm: If with a nil function":      func() { r.If("x", nil) },
		"fsm: Do with a nil function":      func() { r.Do(nil) },
		"fsm: Choose with a nil function":  func() { r.Choose(nil) },
		"fsm: Observe with a nil function": func() { fsm.Observe[string](nil) },
		"fsm: HistorySize of less than 0":  func() { fsm.HistorySize(-1) },
		"fsm: Raise outside of a step":     func() { new(fsm.Tx[string, int]).Raise(evGo) },
	} {
		assert.PanicsWithValue(t, want, f)
	}
	assert.Empty(t, fsm.Event[int]{}.Name())
	assert.Equal(t, "go", evGo.Name())

	r.Stay()
	def := build(t, b)
	wrong := fsm.Observe(func(context.Context, fsm.Transition[int]) {})
	assert.Panics(t, func() { def.Start(0, wrong) })
	assert.Panics(t, func() { def.Restore(fsm.Snapshot[string, int]{State: "a"}, wrong) })
}

// A Definition does not change when its Builder does.
func TestBuild_copies(t *testing.T) {
	b := fsm.New[string, int]("a")
	s := b.State("a")
	r := fsm.On(b, evGo)
	r.Stay()
	def := build(t, b)
	boom := func(context.Context, *fsm.Tx[string, int]) error { panic("boom") }
	s.Entry("boom", boom).Exit("boom", boom)
	r.If("no", no)
	r.To("a")
	require.NoError(t, def.Start(0).Fire(t.Context(), evGo))
}

// Events that are far apart are found, too.
func TestBuild_sparse(t *testing.T) {
	first := fsm.NewEvent[fsm.None]("first")
	for range 5000 {
		fsm.NewEvent[fsm.None]("many")
	}
	last := fsm.NewEvent[fsm.None]("last")
	b := fsm.New[string, int]("a")
	b.State("a")
	fsm.On(b, first).Stay()
	fsm.On(b, last).Stay()
	m := build(t, b).Start(0)
	require.NoError(t, m.Fire(t.Context(), first))
	require.NoError(t, m.Fire(t.Context(), last))
	require.ErrorIs(t, m.Fire(t.Context(), evGo), fsm.ErrUnknownEvent)
	assert.False(t, m.Can(evGo))
}

// Tools see all there is.
func TestDefinition_tools(t *testing.T) {
	f := func(context.Context, *fsm.Tx[string, int]) error { return nil }
	b := fsm.New[string, int]("on")
	b.State("on", "idle", "busy").Entry("light", f).Exit("dark", f).After(time.Minute, evBack)
	b.State("idle")
	b.State("busy")
	b.State("off").Final()
	fsm.On(b, evGo, "idle").If("yes", yes).To("busy")
	fsm.On(b, evBack, "on").Choose(func(context.Context, *fsm.Tx[string, int], fsm.None) (string, error) { return "off", nil }, "off", "idle")
	fsm.On(b, evText).Stay()
	fsm.On(b, evOther).Ignore()
	def := build(t, b)

	assert.Equal(t, "on", def.Initial())
	assert.Equal(t, []string{"back", "go", "text", "other"}, def.Events())
	assert.Equal(t, []fsm.StateInfo[string]{
		{
			State: "on", Name: "on", Children: []string{"idle", "busy"}, Initial: true, Entries: []string{"light"}, Exits: []string{"dark"},
			Timers: []fsm.TimerInfo{{Delay: time.Minute, Event: "back"}},
		},
		{State: "idle", Name: "idle", Parent: "on", HasParent: true, Initial: true},
		{State: "busy", Name: "busy", Parent: "on", HasParent: true},
		{State: "off", Name: "off", Final: true},
	}, def.States())
	assert.Equal(t, []fsm.RuleInfo[string]{
		{Event: "go", From: []string{"idle"}, Guards: []string{"yes"}, Outcome: fsm.OutcomeTo, Targets: []string{"busy"}},
		{Event: "back", From: []string{"on"}, Outcome: fsm.OutcomeChoose, Targets: []string{"off", "idle"}},
		{Event: "text", Outcome: fsm.OutcomeStay},
		{Event: "other", Outcome: fsm.OutcomeIgnore},
	}, def.Rules())
	assert.Equal(t, "To Stay Ignore Choose", fsm.OutcomeTo.String()+" "+fsm.OutcomeStay.String()+" "+
		fsm.OutcomeIgnore.String()+" "+fsm.OutcomeChoose.String())
	m := def.Start(0)
	defer m.Close()
	assert.Equal(t, []string{"back", "go", "text"}, m.Permitted())
}

// A payload comes from a wire by the name of its event.
func TestDefinition_Decode(t *testing.T) {
	b := fsm.New[string, string]("a")
	b.State("a")
	fsm.On(b, evText).Do(func(_ context.Context, tx *fsm.Tx[string, string], text string) error {
		*tx.Data = text
		return nil
	}).Stay()
	fsm.On(b, evGo).Stay()
	anything := fsm.NewEvent[any]("anything")
	fsm.On(b, anything).Stay()
	def := build(t, b)
	m := def.Start("")
	ctx := t.Context()
	wire := func(s string) func(any) error {
		return func(into any) error { return json.Unmarshal([]byte(s), into) }
	}

	p, err := def.Decode("text", wire(`"hello"`))
	require.NoError(t, err)
	require.NoError(t, m.FireNamed(ctx, "text", p))
	assert.Equal(t, "hello", m.Data())

	_, err = def.Decode("text", wire(`7`))
	require.ErrorIs(t, err, fsm.ErrPayload)
	var wrong *json.UnmarshalTypeError
	require.ErrorAs(t, err, &wrong)
	_, err = def.Decode("typo", wire(`7`))
	require.ErrorIs(t, err, fsm.ErrUnknownEvent)
	p, err = def.Decode("go", nil)
	require.NoError(t, err)
	require.NoError(t, m.FireNamed(ctx, "go", p))
	require.NoError(t, m.FireNamed(ctx, "go", nil))
	require.NoError(t, m.FireNamed(ctx, "anything", nil))

	require.ErrorIs(t, m.FireNamed(ctx, "typo", nil), fsm.ErrUnknownEvent)
	require.ErrorIs(t, m.FireNamed(ctx, "text", nil), fsm.ErrPayload)
	require.ErrorIs(t, m.FireNamed(ctx, "text", 7), fsm.ErrPayload)
	require.ErrorIs(t, m.FireNamed(ctx, "go", 7), fsm.ErrPayload)
	require.ErrorIs(t, m.Fire(ctx, fsm.Event[fsm.None]{}), fsm.ErrUnknownEvent)
	assert.EqualValues(t, 4, m.Snapshot().Version)
}
