package ratelimit_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/ratelimit"
)

// What a LimitError says, and matches.
func TestLimitError(t *testing.T) {
	byHand := &ratelimit.LimitError{After: time.Second}
	require.ErrorIs(t, byHand, ratelimit.ErrLimited)
	require.NotErrorIs(t, byHand, context.DeadlineExceeded)
	require.EqualError(t, byHand, "ratelimit: limited for another 1s")
	assert.False(t, byHand.Timeout())
	assert.Equal(t, time.Second, byHand.RetryAfter())

	never := &ratelimit.LimitError{After: -1}
	require.EqualError(t, never, "ratelimit: limited for ever")
	assert.Equal(t, time.Duration(math.MinInt64), never.RetryAfter())

	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		l := ratelimit.New(ratelimit.Every(2*time.Second), 1)
		require.True(t, l.Allow())
		err := l.Wait(ctx)
		require.EqualError(t, err, "ratelimit: limited for another 2s, until the deadline or longer")
		require.ErrorIs(t, err, ratelimit.ErrLimited)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		limited, ok := errors.AsType[*ratelimit.LimitError](err)
		require.True(t, ok)
		assert.True(t, limited.Timeout())
		assert.Equal(t, 2*time.Second, limited.RetryAfter())
	})
}

// The error of a context is told with its cause, once.
func TestWait_contextError(t *testing.T) {
	cause := errors.New("gone home")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	err := ratelimit.New(1, 1).Wait(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, cause)
	require.EqualError(t, err, "ratelimit: gone home")

	ctx, stop := context.WithCancel(t.Context())
	stop()
	require.EqualError(t, ratelimit.New(1, 1).Wait(ctx), "ratelimit: context canceled")
}
