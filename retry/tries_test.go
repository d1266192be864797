package retry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/retry"
)

func TestTries_findsNil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := errors.New("stale")
		n := 0
		for range (retry.Policy{}).Tries(t.Context(), &err) {
			n++
			require.NoError(t, err)
			if n == 1 {
				err = errBoom
			}
		}
		assert.Equal(t, 2, n)
		require.NoError(t, err, "a body that leaves it alone has succeeded")
	})
}

func TestTries_left(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var err error
		n := 0
		p := retry.Policy{AttemptTimeout: time.Hour, OnRetry: func(context.Context, retry.Attempt) { n++ }}
		var attempt context.Context
		for attempt = range p.Tries(t.Context(), &err) {
			err = errBoom
			break
		}
		assert.Equal(t, errBoom, err, "as the body left it")
		require.Error(t, attempt.Err())

		for range p.Tries(t.Context(), &err) {
			err = fmt.Errorf("loading: %w", errBoom)
			if n == 1 {
				break
			}
		}
		assert.EqualError(t, err, "loading: boom")
		assert.Equal(t, 1, n)

		for range p.Tries(t.Context(), &err) {
			err = retry.Permanent(errBoom)
			break
		}
		assert.Equal(t, retry.Permanent(errBoom), err, "with the mark")

		assert.Equal(t, errBoom, func() (err error) {
			for range p.Tries(t.Context(), &err) {
				return errBoom
			}
			return nil
		}())
	})
}

func TestTries_again(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var err error
		tries := retry.Policy{}.Tries(t.Context(), &err)
		for range 2 {
			var got []int
			for ctx := range tries {
				got = append(got, retry.AttemptFrom(ctx))
				err = errBoom
			}
			assert.Equal(t, []int{1, 2, 3}, got)
			require.ErrorIs(t, err, retry.ErrExhausted)
			assert.Equal(t, repeat(errBoom, 3), failed(t, err).Errs)
		}
	})
}
