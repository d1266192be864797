package gather_test

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/gather"
)

func TestOptionsOutOfRangePanic(t *testing.T) {
	for want, f := range map[string]func(){
		"gather: Limit(0), less than 1":          func() { gather.Limit(0) },
		"gather: Limit(-1), less than 1":         func() { gather.Limit(-1) },
		"gather: TaskTimeout(-1ns), less than 0": func() { gather.TaskTimeout(-1) },
		"gather: Stagger(-1s), less than 0":      func() { gather.Stagger(-time.Second) },
		"gather: OnDiscard(nil)":                 func() { gather.OnDiscard[int](nil) },
	} {
		assert.PanicsWithValue(t, want, f)
	}
}

func TestOptionsThatAFunctionDoesNotTakePanic(t *testing.T) {
	ctx := t.Context()
	ok := func(context.Context) (int, error) { return 0, nil }
	tasks := []gather.Task[int]{ok}
	for want, f := range map[string]func(){
		"gather: All does not take Ordered":            func() { gather.All(ctx, tasks, gather.Ordered()) },
		"gather: Map does not take Stagger":            func() { gather.Map(ctx, []int{1}, square, gather.Stagger(1)) },
		"gather: Keyed does not take Ordered, Stagger": func() { gather.Keyed(ctx, map[int]gather.Task[int]{}, gather.Stagger(1), gather.Ordered()) },
		"gather: All2 does not take Ordered":           func() { gather.All2(ctx, ok, ok, gather.Ordered()) },
		"gather: Stream does not take Stagger":         func() { gather.Stream(ctx, func(func(int) bool) {}, square, gather.Stagger(1)) },
		"gather: First does not take FailFast":         func() { _, _ = gather.First(ctx, tasks, gather.FailFast()) },
		"gather: Quorum does not take FailFast":        func() { _, _ = gather.Quorum(ctx, 1, tasks, gather.FailFast()) },
		"gather: NewGroup does not take Ordered":       func() { gather.NewGroup[int](ctx, gather.Ordered()) },
	} {
		assert.PanicsWithValue(t, want, f)
	}
}

func TestZeroOptionChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		require.NoError(t, gather.Map(t.Context(), upTo(3), square, gather.Option{}).Err())
	})
}

func TestTheLaterOptionCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		gather.Map(t.Context(), upTo(4), func(context.Context, int) (int, error) {
			time.Sleep(time.Second)
			return 0, nil
		}, gather.Limit(1), gather.Limit(2))
		assert.Equal(t, 2*time.Second, time.Since(start))
	})
}

func TestOnDiscardMustMatchAType(t *testing.T) {
	ctx := t.Context()
	i := func(context.Context) (int, error) { return 0, nil }
	s := func(context.Context) (string, error) { return "", nil }
	ints, strings := gather.OnDiscard(func(int) {}), gather.OnDiscard(func(string) {})

	assert.NotPanics(t, func() { gather.All2(ctx, i, s, ints, strings) })
	assert.NotPanics(t, func() { gather.All2(ctx, i, i, ints) })
	assert.NotPanics(t, func() { gather.Map(ctx, nil, square, ints) })
	for want, f := range map[string]func(){
		"gather: Map has no values for an OnDiscard of func(string)":       func() { gather.Map(ctx, []int{1}, square, strings) },
		"gather: Map has no values for an OnDiscard of func(interface {})": func() { gather.Map(ctx, []int{1}, square, gather.OnDiscard(func(any) {})) },
		"gather: All2 has no values for an OnDiscard of func(string)":      func() { gather.All2(ctx, i, i, ints, strings) },
		"gather: Each has no values for an OnDiscard of func(struct {})": func() {
			_ = gather.Each(ctx, []int{1}, func(context.Context, int) error { return nil }, gather.OnDiscard(func(struct{}) {}))
		},
		"gather: OnDiscard given twice for func(int)": func() { gather.Map(ctx, []int{1}, square, ints, ints) },
	} {
		assert.PanicsWithValue(t, want, f)
	}
}

// TestPanicInOnDiscardEndsTheProgram runs itself in a process of its own.
func TestPanicInOnDiscardEndsTheProgram(t *testing.T) {
	const env = "GATHER_PANIC_IN_ON_DISCARD"
	if os.Getenv(env) != "" {
		started, left := make(chan struct{}), make(chan struct{})
		tasks := []gather.Task[int]{
			func(context.Context) (int, error) { <-started; return 1, nil },
			func(context.Context) (int, error) { close(started); <-left; return 2, nil },
		}
		_, err := gather.First(t.Context(), tasks, gather.OnDiscard(func(int) { panic("in OnDiscard") }))
		require.NoError(t, err)
		close(left)
		select {}
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), env+"=1")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Contains(t, string(out), "panic: in OnDiscard")
}
