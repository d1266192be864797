package ratelimit_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/ratelimit"
)

// A Store of a Keyed tells what the Keyed would, also when it is asked by turns.
func TestStoreOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, alone := ratelimit.NewKeyed[string](2, 3, 2), ratelimit.NewKeyed[string](2, 3, 2)
		s := ratelimit.StoreOf(k)
		for i, n := range []int{1, 0, 2, 1, 3, 4, -1, 0, 1} {
			for _, key := range []string{"a", "b", "c", ""} {
				want := alone.Take(key, n)
				if (i+len(key))%3 == 0 {
					require.Equal(t, want, k.Take(key, n))
				} else {
					got, err := s.Take(t.Context(), key, n)
					require.NoError(t, err)
					require.Equal(t, want, got)
				}
			}
			time.Sleep(200 * time.Millisecond)
		}
		assert.Equal(t, alone.Len(), k.Len())
	})
}

func TestStoreOf_looksAtNoContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ratelimit.StoreOf(ratelimit.NewKeyed[string](1, 1, 1))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		res, err := s.Take(ctx, "a", 1)
		require.NoError(t, err)
		assert.True(t, res.OK)
		ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		res, err = s.Take(ctx, "a", 1)
		require.NoError(t, err)
		assert.Equal(t, ratelimit.Result{
			Limit: 1, RetryAfter: time.Second, ResetAfter: time.Second, Window: time.Second,
		}, res)
	})
}
