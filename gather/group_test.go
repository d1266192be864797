package gather_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/gather"
)

func TestGroupTasksAddTasks(t *testing.T) {
	for _, limit := range []int{1, 2, 100} {
		synctest.Test(t, func(t *testing.T) {
			g := gather.NewGroup[int](t.Context(), gather.Limit(limit))
			var running gauge
			var visit func(depth int) gather.Task[int]
			visit = func(depth int) gather.Task[int] {
				return func(context.Context) (int, error) {
					defer running.enter()()
					if depth < 6 {
						g.Go(visit(depth + 1))
						g.Go(visit(depth + 1))
					}
					time.Sleep(time.Second)
					return 1, nil
				}
			}
			g.Go(visit(0))
			results := g.Wait()
			require.NoError(t, results.Err())
			assert.Len(t, results, 127)
			assert.LessOrEqual(t, running.peak.Load(), int64(limit))
		})
	}
}

func TestGroupResultsAreInTheOrderOfGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gather.NewGroup[int](t.Context())
		for i := range 10 {
			g.Go(func(context.Context) (int, error) {
				time.Sleep(time.Duration(10-i) * time.Second)
				return i, nil
			})
		}
		assert.Equal(t, upTo(10), g.Wait().Values())
	})
}

func TestTryGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		release := make(chan struct{})
		wait := func(context.Context) (int, error) { <-release; return 1, nil }
		g := gather.NewGroup[int](ctx, gather.Limit(2))
		assert.True(t, g.TryGo(wait))
		assert.True(t, g.TryGo(wait))
		assert.False(t, g.TryGo(wait), "at the limit")
		g.Go(wait)
		close(release)
		synctest.Wait()
		assert.True(t, g.TryGo(wait), "below it again")
		assert.Len(t, g.Wait(), 4)

		cancel()
		assert.False(t, g.TryGo(wait), "the context has ended")
		assert.Empty(t, g.Wait())

		unlimited := gather.NewGroup[int](t.Context())
		for range 100 {
			assert.True(t, unlimited.TryGo(wait))
		}
		assert.Len(t, unlimited.Wait(), 100)
	})
}

func TestGroupMayBeUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gather.NewGroup[int](t.Context(), gather.FailFast())
		assert.NotNil(t, g.Wait())
		g.Go(fail(0, errBoom))
		g.Go(func(ctx context.Context) (int, error) { return block(ctx, 0) })
		require.ErrorIs(t, g.Wait().Err(), errBoom)

		g.Go(give(1))
		g.Go(give(2))
		results := g.Wait()
		require.NoError(t, results.Err(), "no error of the last time")
		assert.Equal(t, []int{1, 2}, results.Values())
	})
}

func TestGroupWaitedForByMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gather.NewGroup[int](t.Context())
		g.Go(after(time.Second, 1, nil))
		var waits sync.WaitGroup
		for range 10 {
			waits.Go(func() { assert.Equal(t, []int{1}, g.Wait().Values()) })
		}
		waits.Wait()
	})
}

func TestGroupAfterTheEndOfItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errBoom)
		g := gather.NewGroup[int](ctx, gather.Limit(1))
		g.Go(give(1))
		g.Go(give(2))
		for _, r := range g.Wait() {
			require.ErrorIs(t, r.Err, gather.ErrNotRun)
			require.ErrorIs(t, r.Err, errBoom)
			require.ErrorIs(t, r.Err, context.Canceled)
		}
	})
}

func TestGroupUnderConcurrentUse(t *testing.T) {
	g := gather.NewGroup[int](t.Context(), gather.Limit(3))
	var added, seen, ran atomic.Int64
	var users sync.WaitGroup
	for i := range 8 {
		users.Go(func() {
			for j := range 500 {
				task := func(context.Context) (int, error) {
					ran.Add(1)
					if j%50 == 0 {
						runtime.Goexit()
					}
					return 1, nil
				}
				if i%2 == 0 {
					g.Go(task)
					added.Add(1)
				} else if g.TryGo(task) {
					added.Add(1)
				}
			}
		})
	}
	users.Wait()
	seen.Add(int64(len(g.Wait())))
	assert.Equal(t, added.Load(), seen.Load())
	assert.Equal(t, added.Load(), ran.Load())
}

func TestConcurrentWaitsDiscardOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var discarded atomic.Int64
		g := gather.NewGroup[int](t.Context(), gather.Repanic(), gather.OnDiscard(func(int) { discarded.Add(1) }))
		g.Go(give(1))
		g.Go(func(context.Context) (int, error) { time.Sleep(time.Second); panic(errBoom) })
		var waits sync.WaitGroup
		for range 5 {
			waits.Go(func() { assert.Panics(t, func() { g.Wait() }) })
		}
		waits.Wait()
		assert.EqualValues(t, 1, discarded.Load())
	})
}
