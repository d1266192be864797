package gather_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/gather"
)

func TestKeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		after := func(d time.Duration, v int, err error) gather.Task[int] {
			return func(context.Context) (int, error) {
				time.Sleep(d * time.Second)
				return v, err
			}
		}
		results := gather.Keyed(t.Context(), map[string]gather.Task[int]{
			"a": after(3, 1, nil),
			"b": after(2, 2, errBoom),
			"c": after(1, 3, context.Canceled),
			"d": after(0, 4, nil),
		})
		assert.Len(t, results, 4)
		assert.Equal(t, map[string]int{"a": 1, "d": 4}, results.Values())
		assert.Equal(t, 2, results["b"].Value)
		assert.Equal(t, errBoom, results["b"].Err)

		var all *gather.Error
		require.ErrorAs(t, results.Err(), &all)
		assert.Equal(t, []gather.TaskError{
			{Index: -1, Key: "c", Err: context.Canceled},
			{Index: -1, Key: "b", Err: errBoom},
		}, all.Failed, "in the order in which they happened")
		assert.Equal(t, context.Canceled, all.First())
		require.EqualError(t, all, "gather: 2 failed: task c: context canceled; task b: boom")
	})
}

func TestKeyedWithoutFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		results := gather.Keyed(t.Context(), map[int]gather.Task[int]{})
		assert.NotNil(t, results)
		assert.Empty(t, results)
		require.NoError(t, results.Err())
		assert.Empty(t, results.Values())
	})
}
