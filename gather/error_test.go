package gather_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/gather"
)

func TestErrorListsFailuresByIndexAndFirstByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 20
		err := gather.Map(t.Context(), upTo(n), func(_ context.Context, i int) (int, error) {
			time.Sleep(time.Duration((i+7)%n) * time.Second) // 13 is the first, 12 the last
			return 0, fmt.Errorf("%w %d", errBoom, i)
		}).Err()
		var all *gather.Error
		require.ErrorAs(t, err, &all)
		require.Len(t, all.Failed, n)
		for i, f := range all.Failed {
			assert.Equal(t, i, f.Index)
			assert.Nil(t, f.Key)
		}
		require.EqualError(t, all.First(), "boom 13")

		unwrapped := all.Unwrap()
		require.Len(t, unwrapped, n)
		var first gather.TaskError
		require.ErrorAs(t, err, &first)
		assert.Equal(t, 13, first.Index, "errors.As finds the first in time")
		assert.Equal(t, all.Failed[0], unwrapped[1])
		require.EqualError(t, err, "gather: 20 failed: task 13: boom 13; task 0: boom 0; task 1: boom 1; task 2: boom 2; task 3: boom 3; and 15 more")
	})
}

func TestErrorOfASubsetOfTheResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		results := gather.Map(t.Context(), upTo(4), func(_ context.Context, i int) (int, error) {
			time.Sleep(time.Duration(4-i) * time.Second)
			return 0, fmt.Errorf("%w %d", errBoom, i)
		})
		var all *gather.Error
		require.ErrorAs(t, results[:3].Err(), &all)
		require.EqualError(t, all.First(), "boom 2")
	})
}

func TestErrorText(t *testing.T) {
	for want, e := range map[string]gather.Error{
		"gather: no task failed":          {},
		"gather: 1 failed: task 3: EOF":   {Failed: []gather.TaskError{{Index: 3, Err: io.EOF}}},
		"gather: 1 failed: task red: EOF": {Failed: []gather.TaskError{{Index: -1, Key: "red", Err: io.EOF}}},
	} {
		assert.Equal(t, want, e.Error())
	}
	require.NoError(t, new(gather.Error).First())
	assert.Empty(t, new(gather.Error).Unwrap())
}

func TestErrorTextOfTasksNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errBoom)
		notRun := gather.Map(ctx, upTo(2), square).Err()
		require.EqualError(t, notRun, "gather: 2 not run: task 0: gather: task not run: boom")

		err := gather.Map(t.Context(), upTo(2), func(context.Context, int) (int, error) { return 0, notRun }).Err()
		assert.Contains(t, err.Error(), "gather: 2 failed: ", "tasks that pass on such an error were run themselves")
	})
}

func TestPanicsDoNotFillTheText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := gather.Map(t.Context(), upTo(3), func(context.Context, int) (int, error) {
			panic("bug")
		}, gather.Limit(1), gather.FailFast()).Err()
		require.EqualError(t, err, "gather: 1 failed, 2 not run: task 0: panic: bug")
		var all *gather.Error
		require.ErrorAs(t, err, &all)
		require.EqualError(t, all.Failed[1], "task 1: gather: task not run: panic: bug")
		assert.Contains(t, all.First().Error(), "panic: bug\n\ngoroutine ", "the panic itself has the stack")
	})
}

func TestFailFastTellsWhatWasNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := gather.Map(t.Context(), upTo(9), func(_ context.Context, i int) (int, error) {
			return 0, errBoom
		}, gather.FailFast(), gather.Limit(1)).Err()
		require.EqualError(t, err, "gather: 1 failed, 8 not run: task 0: boom")
	})
}

func TestPanicErrorUnwrapsErrorsOnly(t *testing.T) {
	require.ErrorIs(t, &gather.PanicError{Value: io.EOF}, io.EOF)
	require.NoError(t, errors.Unwrap(&gather.PanicError{Value: "EOF"}))
	assert.True(t, strings.HasPrefix((&gather.PanicError{Value: 7}).Error(), "panic: 7"))
}

func TestPanicOfANestedCallIsNotRaisedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		results := gather.Map(t.Context(), upTo(1), func(ctx context.Context, _ int) (int, error) {
			return 0, gather.Each(ctx, upTo(1), func(context.Context, int) error { panic("inside") })
		}, gather.Repanic())
		var p *gather.PanicError
		require.ErrorAs(t, results.Err(), &p)
		assert.Equal(t, "inside", p.Value)
	})
}

func TestFirstOfAnErrorThatWasChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all *gather.Error
		require.ErrorAs(t, gather.All(t.Context(), []gather.Task[int]{
			after(time.Second, 0, io.EOF), after(0, 1, errBoom),
		}).Err(), &all)
		all.Failed = all.Failed[:1]
		assert.Equal(t, errBoom, all.First())
		require.ErrorIs(t, all, io.EOF)
		assert.Len(t, all.Unwrap(), 1)
		assert.Equal(t, io.EOF, (&gather.Error{Failed: all.Failed}).First())
	})
}
