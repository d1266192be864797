package gather_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/gather"
)

func give[T any](v T) gather.Task[T] {
	return func(context.Context) (T, error) { return v, nil }
}

func fail[T any](v T, err error) gather.Task[T] {
	return func(context.Context) (T, error) { return v, err }
}

func TestAll2ToAll5(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		i, s := gather.All2(ctx, give(1), fail("two", errBoom))
		assert.Equal(t, gather.Result[int]{Value: 1}, i)
		assert.Equal(t, gather.Result[string]{Value: "two", Err: errBoom}, s)

		i, s, f := gather.All3(ctx, give(1), give("two"), give(3.0))
		assert.Equal(t, 1, i.Value)
		assert.Equal(t, "two", s.Value)
		assert.InDelta(t, 3.0, f.Value, 0)

		i, s, f, b := gather.All4(ctx, give(1), give("two"), give(3.0), give(true))
		assert.Equal(t, 1, i.Value)
		assert.Equal(t, "two", s.Value)
		assert.InDelta(t, 3.0, f.Value, 0)
		assert.True(t, b.Value)

		i, s, f, b, r := gather.All5(ctx, give(1), give("two"), give(3.0), give(true), fail('5', errBoom))
		assert.Equal(t, 1, i.Value)
		assert.Equal(t, "two", s.Value)
		assert.InDelta(t, 3.0, f.Value, 0)
		assert.True(t, b.Value)
		assert.Equal(t, gather.Result[rune]{Value: '5', Err: errBoom}, r)
	})
}

func TestAll3PanicGoexitAndFailFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := gather.All3(t.Context(),
			func(context.Context) (int, error) { panic(errBoom) },
			func(context.Context) (string, error) { runtime.Goexit(); return "", nil },
			give(true))
		require.ErrorIs(t, a.Err, errBoom)
		assert.Equal(t, gather.ErrGoexit, b.Err)
		assert.Equal(t, gather.Result[bool]{Value: true}, c)

		a, b, c = gather.All3(t.Context(), fail(1, errBoom), give("two"), give(true), gather.FailFast(), gather.Limit(1))
		assert.Equal(t, gather.Result[int]{Value: 1, Err: errBoom}, a)
		require.ErrorIs(t, b.Err, gather.ErrNotRun)
		require.ErrorIs(t, c.Err, errBoom)
	})
}

func TestAll2Abandon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ints, strings := make(chan int, 2), make(chan string, 2)
		a, b := gather.All2(t.Context(),
			func(context.Context) (int, error) { time.Sleep(time.Minute); return 1, nil },
			func(context.Context) (string, error) { time.Sleep(time.Hour); return "two", nil },
			gather.TaskTimeout(time.Second), gather.Abandon(),
			gather.OnDiscard(func(v int) { ints <- v }),
			gather.OnDiscard(func(v string) { strings <- v }))
		assert.Equal(t, time.Second, time.Since(start))
		require.ErrorIs(t, a.Err, gather.ErrAbandoned)
		require.ErrorIs(t, b.Err, context.DeadlineExceeded)
		assert.Zero(t, a.Value)
		time.Sleep(2 * time.Hour)
		assert.Equal(t, 1, <-ints)
		assert.Equal(t, "two", <-strings)
	})
}

func TestAll2AbandonAtTheEndOfCtx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		a, b := gather.All2(ctx, stubborn(time.Hour, 1, nil), give("two"), gather.Abandon())
		require.ErrorIs(t, a.Err, gather.ErrAbandoned)
		assert.Equal(t, "two", b.Value)
		time.Sleep(2 * time.Hour)
		assert.Zero(t, a.Value)
	})
}

func TestAll2KeepsWhichFailedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := gather.All2(t.Context(), stubborn(2*time.Second, 1, context.Canceled), stubborn(time.Second, 2, errBoom))
		var all *gather.Error
		require.ErrorAs(t, gather.Results[int]{a, b}.Err(), &all)
		assert.Equal(t, errBoom, all.First())
	})
}

func TestAll2Repanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		discarded := make(chan string, 2)
		p := requirePanic(t, func() {
			gather.All2(t.Context(), func(context.Context) (int, error) { panic(errBoom) }, give("two"),
				gather.Repanic(), gather.OnDiscard(func(v string) { discarded <- v }))
		})
		require.ErrorIs(t, p, errBoom)
		assert.Equal(t, "two", <-discarded)

		a, b := gather.All2(t.Context(), give(1), give("two"), gather.Repanic())
		assert.Equal(t, 1, a.Value)
		assert.Equal(t, "two", b.Value)
	})
}
