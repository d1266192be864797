package gather_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/gather"
)

var errBoom = errors.New("boom")

// An engine is a way to run fn for 0 to n−1 and get all results.
type engine func(ctx context.Context, n int, fn func(context.Context, int) (int, error), opts ...gather.Option) gather.Results[int]

// engines are the functions that run every task, behind one signature, for
// what all of them promise.
var engines = map[string]engine{
	"All":            runAll,
	"Map":            runMap,
	"Keyed":          runKeyed,
	"Group":          runGroup,
	"Stream":         runStream,
	"Stream/Ordered": runStreamOrdered,
}

func runAll(ctx context.Context, n int, fn func(context.Context, int) (int, error), opts ...gather.Option) gather.Results[int] {
	tasks := make([]gather.Task[int], n)
	for i := range tasks {
		tasks[i] = func(ctx context.Context) (int, error) { return fn(ctx, i) }
	}
	return gather.All(ctx, tasks, opts...)
}

func runMap(ctx context.Context, n int, fn func(context.Context, int) (int, error), opts ...gather.Option) gather.Results[int] {
	return gather.Map(ctx, upTo(n), fn, opts...)
}

func runKeyed(ctx context.Context, n int, fn func(context.Context, int) (int, error), opts ...gather.Option) gather.Results[int] {
	tasks := make(map[int]gather.Task[int], n)
	for i := range n {
		tasks[i] = func(ctx context.Context) (int, error) { return fn(ctx, i) }
	}
	keyed := gather.Keyed(ctx, tasks, opts...)
	results := make(gather.Results[int], n)
	for i := range results {
		results[i] = keyed[i]
	}
	return results
}

func runGroup(ctx context.Context, n int, fn func(context.Context, int) (int, error), opts ...gather.Option) gather.Results[int] {
	g := gather.NewGroup[int](ctx, opts...)
	for i := range n {
		g.Go(func(ctx context.Context) (int, error) { return fn(ctx, i) })
	}
	return g.Wait()
}

func runStream(ctx context.Context, n int, fn func(context.Context, int) (int, error), opts ...gather.Option) gather.Results[int] {
	results := make(gather.Results[int], n)
	seen := make([]bool, n)
	var last gather.Result[int]
	for i, r := range gather.Stream(ctx, slices.Values(upTo(n)), fn, opts...) {
		if seen[i] {
			panic(fmt.Sprintf("two results of %d", i))
		}
		seen[i], results[i], last = true, r, r
	}
	for i := range results {
		if !seen[i] { // only after a last pair that says so
			if !errors.Is(last.Err, gather.ErrNotRun) {
				panic(fmt.Sprintf("no result of %d", i))
			}
			results[i] = last
		}
	}
	return results
}

func runStreamOrdered(ctx context.Context, n int, fn func(context.Context, int) (int, error), opts ...gather.Option) gather.Results[int] {
	return runStream(ctx, n, fn, append(slices.Clip(opts), gather.Ordered())...)
}

// forEngines runs test in a bubble, which fails it if a goroutine is left.
func forEngines(t *testing.T, test func(t *testing.T, run engine)) {
	for name, run := range engines {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, run) })
		})
	}
}

func upTo(n int) []int {
	in := make([]int, n)
	for i := range in {
		in[i] = i
	}
	return in
}

func square(_ context.Context, i int) (int, error) { return i * i, nil }

// block waits for the end of ctx and returns why.
func block(ctx context.Context, _ int) (int, error) {
	<-ctx.Done()
	return 0, context.Cause(ctx)
}

// A gauge measures how many are inside at once.
type gauge struct{ now, peak atomic.Int64 }

func (g *gauge) enter() (leave func()) {
	now := g.now.Add(1)
	for peak := g.peak.Load(); now > peak && !g.peak.CompareAndSwap(peak, now); peak = g.peak.Load() {
	}
	return func() { g.now.Add(-1) }
}

// requirePanic runs f, which must panic with an error, and returns it.
func requirePanic(t *testing.T, f func()) *gather.PanicError {
	t.Helper()
	var p any
	func() {
		defer func() { p = recover() }()
		f()
	}()
	require.NotNil(t, p, "no panic")
	err, ok := p.(*gather.PanicError)
	require.True(t, ok, "%T", p)
	return err
}
