package retry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/retry"
)

// wrapper is an error type that callers may look for.
type wrapper struct{ err error }

func (w *wrapper) Error() string { return "wrapped: " + w.err.Error() }
func (w *wrapper) Unwrap() error { return w.err }

func TestPermanent_isAnError(t *testing.T) {
	assert.NoError(t, retry.Permanent(nil))
	err := retry.Permanent(&wrapper{errBoom})
	assert.EqualError(t, err, "wrapped: boom")
	require.ErrorIs(t, err, errBoom)
	var w *wrapper
	require.ErrorAs(t, err, &w)
	assert.Equal(t, w, errors.Unwrap(err))
}

func TestPermanent(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want error // nil: another with the same text
	}{
		{"bare", retry.Permanent(errBoom), errBoom},
		{"twice", retry.Permanent(retry.Permanent(errBoom)), errBoom},
		{"around a wrapper", retry.Permanent(&wrapper{errBoom}), nil},
		{"wrapped", fmt.Errorf("loading: %w", retry.Permanent(errBoom)), nil},
		{"wrapped and marked", retry.Permanent(fmt.Errorf("loading: %w", retry.Permanent(errBoom))), nil},
		{"joined", errors.Join(io.EOF, retry.Permanent(errBoom)), nil},
		{"with two %w", fmt.Errorf("%w: %w", retry.Permanent(errBoom), io.EOF), nil},
		{"with a hint", retry.After(time.Second, retry.Permanent(errBoom)), nil},
		{"behind a hint", errors.Join(retry.After(time.Second, io.EOF), &wrapper{retry.Permanent(errBoom)}), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(t *testing.T, e entry) {
				for _, before := range []int{0, 2} {
					fn, calls := failing(append(repeat(io.ErrUnexpectedEOF, before), tt.err)...)
					err := e.call(t.Context(), retry.Policy{
						MaxAttempts: 9,
						RetryIf: func(err error) bool {
							require.NotErrorIs(t, err, errBoom, "Permanent wins")
							return true
						},
					}, fn)
					assert.Equal(t, before+1, *calls)
					require.ErrorIs(t, err, errBoom)
					switch {
					case before > 0:
						re := failed(t, err)
						require.NoError(t, re.Reason)
						assert.Len(t, re.Errs, 3)
						require.ErrorIs(t, err, io.ErrUnexpectedEOF)
					case tt.want != nil:
						assert.Equal(t, tt.want, err)
					default:
						assert.EqualError(t, err, tt.err.Error())
					}
					if w, ok := errors.AsType[*wrapper](tt.err); ok {
						got, _ := errors.AsType[*wrapper](err)
						assert.Equal(t, w, got)
					}
				}
			})
		})
	}
}

// The mark is for the innermost call.
func TestPermanent_doesNotLeak(t *testing.T) {
	for _, inner := range []error{
		retry.Permanent(errBoom),
		fmt.Errorf("loading: %w", retry.Permanent(errBoom)),
		retry.After(time.Hour, retry.Permanent(errBoom)),
	} {
		for _, wrapped := range []bool{false, true} {
			each(t, func(t *testing.T, e entry) {
				innerCalls := 0
				err := e.call(t.Context(), retry.Policy{MaxAttempts: 4, Backoff: retry.Constant(0)}, func(ctx context.Context) error {
					err := e.call(ctx, retry.Policy{}, func(context.Context) error {
						innerCalls++
						return inner
					})
					if wrapped {
						err = fmt.Errorf("inner: %w", err)
					}
					return err
				})
				assert.Equal(t, 4, innerCalls, "the outer call goes on")
				require.ErrorIs(t, err, retry.ErrExhausted)
				require.ErrorIs(t, err, errBoom)
			})
		}
	}
}

// What an inner call returned may be marked for the outer one.
func TestPermanent_ofAnInnerCall(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		calls := 0
		err := e.call(t.Context(), retry.Policy{}, func(ctx context.Context) error {
			calls++
			return retry.Permanent(e.call(ctx, retry.Policy{}, func(context.Context) error { return errBoom }))
		})
		assert.Equal(t, 1, calls)
		assert.Equal(t, 3, failed(t, err).Attempts)
	})
}

// hint is an error of another package.
type hint time.Duration

func (h hint) Error() string             { return "busy" }
func (h hint) RetryAfter() time.Duration { return time.Duration(h) }

// pointerError has a RetryAfter that fails on a nil pointer.
type pointerError struct{ d time.Duration }

func (h *pointerError) Error() string             { return "busy" }
func (h *pointerError) RetryAfter() time.Duration { return h.d }

func TestRetryAfter(t *testing.T) {
	const own = time.Minute // the Backoff's
	for _, tt := range []struct {
		name string
		err  error
		wait time.Duration
	}{
		{"none", errBoom, own},
		{"After", retry.After(3*time.Second, errBoom), 3 * time.Second},
		{"another's", hint(3 * time.Second), 3 * time.Second},
		{"zero", retry.After(0, errBoom), 0},
		{"negative", retry.After(-time.Second, errBoom), 0},
		{"the least", retry.After(math.MinInt64+1, errBoom), 0},
		{"wrapped", fmt.Errorf("asking: %w", hint(3*time.Second)), 3 * time.Second},
		{"joined", errors.Join(errBoom, hint(3*time.Second), hint(time.Hour)), 3 * time.Second},
		{"around another", retry.After(3*time.Second, hint(time.Hour)), 3 * time.Second},
		{"NoHint", hint(retry.NoHint), own},
		{"NoHint around another", retry.After(retry.NoHint, hint(3*time.Second)), 3 * time.Second},
		{"nil pointer", (*pointerError)(nil), own},
		{"nil Error", (*retry.Error)(nil), own},
		{"nil wrapper", (*wrapper)(nil), own},
		{"nothing wrapped", &wrapper{}, own},
		{"of a call within", &retry.Error{Errs: []error{hint(time.Hour), hint(3 * time.Second)}}, 3 * time.Second},
		{"of a call within, earlier", &retry.Error{Errs: []error{hint(time.Hour), errBoom}}, own},
		{"around a call within", retry.After(3*time.Second, &retry.Error{Errs: []error{hint(time.Hour)}}), 3 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			each(t, func(t *testing.T, e entry) {
				start := time.Now()
				var got []retry.Attempt
				fn, calls := failing(tt.err)
				require.NoError(t, e.call(t.Context(), retry.Policy{
					Backoff: retry.Constant(own),
					OnRetry: func(_ context.Context, a retry.Attempt) { got = append(got, a) },
				}, fn))
				assert.Equal(t, 2, *calls)
				assert.Equal(t, tt.wait, time.Since(start))
				assert.Equal(t, []retry.Attempt{{N: 1, Err: tt.err, Delay: tt.wait}}, got)
			})
		})
	}
}

func TestRetryAfter_endsTheCall(t *testing.T) {
	for _, tt := range []struct {
		name   string
		policy retry.Policy
		within time.Duration // the deadline
	}{
		{"beyond MaxDelay", retry.Policy{MaxDelay: 10 * time.Second}, 0},
		{"beyond MaxElapsed", retry.Policy{MaxElapsed: 10 * time.Second}, 0},
		{"beyond the deadline", retry.Policy{}, 10 * time.Second},
	} {
		for _, after := range []time.Duration{10*time.Second - 1, 10 * time.Second, 10*time.Second + 1, math.MaxInt64} {
			t.Run(fmt.Sprint(tt.name, after), func(t *testing.T) {
				each(t, func(t *testing.T, e entry) {
					start := time.Now()
					ctx := t.Context()
					if tt.within > 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, tt.within)
						defer cancel()
					}
					fn, calls := failing(retry.After(after, errBoom))
					err := e.call(ctx, tt.policy, fn)
					if after < 10*time.Second || after == 10*time.Second && tt.within == 0 {
						require.NoError(t, err)
						assert.Equal(t, after, time.Since(start))
						return
					}
					assert.Zero(t, time.Since(start))
					assert.Equal(t, 1, *calls)
					require.ErrorIs(t, err, retry.ErrElapsed)
					require.ErrorIs(t, err, errBoom)
					assert.Equal(t, tt.within > 0, errors.Is(err, context.DeadlineExceeded))
				})
			})
		}
	}
}

func TestAfter_isAnError(t *testing.T) {
	assert.NoError(t, retry.After(time.Second, nil))
	err := retry.After(time.Second, &wrapper{errBoom})
	assert.EqualError(t, err, "wrapped: boom")
	require.ErrorIs(t, err, errBoom)
	h, ok := errors.AsType[interface {
		error
		RetryAfter() time.Duration
	}](err)
	require.True(t, ok)
	assert.Equal(t, time.Second, h.RetryAfter())
}

// A hint is no step of the Backoff's own sequence, but the failure is.
func TestRetryAfter_countsAsFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var delays []time.Duration
		fn, _ := failing(errBoom, hint(time.Hour), errBoom)
		require.NoError(t, retry.Run(t.Context(), retry.Policy{
			MaxAttempts: 4,
			Backoff:     retry.Exponential(time.Second, 0),
			OnRetry:     func(_ context.Context, a retry.Attempt) { delays = append(delays, a.Delay) },
		}, fn))
		assert.Equal(t, []time.Duration{time.Second, time.Hour, 4 * time.Second}, delays)
	})
}

func TestError_bounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, n := range []int{retry.MaxErrs - 1, retry.MaxErrs, retry.MaxErrs + 1, 1000} {
			errs := make([]error, n)
			for i := range errs {
				errs[i] = fmt.Errorf("failure %d", i+1)
			}
			fn, _ := failing(errs...)
			err := retry.Run(t.Context(), retry.Policy{MaxAttempts: n, Backoff: retry.Constant(0)}, fn)
			re := failed(t, err)
			assert.Equal(t, n, re.Attempts)
			want := errs
			if n > retry.MaxErrs {
				want = append(errs[:8:8], errs[n-8:]...)
			}
			assert.Equal(t, want, re.Errs)
			for _, e := range want {
				require.ErrorIs(t, err, e)
			}
		}
	})
}

// The latest of a kind is found first.
func TestError_unwrap(t *testing.T) {
	first, last := &wrapper{io.EOF}, &wrapper{errBoom}
	fn, _ := failing(first, last)
	err := retry.Run(t.Context(), retry.Policy{MaxAttempts: 2, Backoff: retry.Constant(0)}, fn)
	var w *wrapper
	require.ErrorAs(t, err, &w)
	assert.Same(t, last, w)
	assert.Equal(t, []error{last, retry.ErrExhausted, first}, failed(t, err).Unwrap())
	assert.Equal(t, []error{last, first, errBoom}, (&retry.Error{Errs: []error{errBoom, first, last}}).Unwrap())

	assert.Empty(t, (&retry.Error{}).Unwrap())
	assert.Equal(t, []error{errBoom}, (&retry.Error{Errs: []error{errBoom}}).Unwrap())
}

func TestError_text(t *testing.T) {
	for want, e := range map[string]*retry.Error{
		"retry: no attempts left (attempt 3): boom":        {Attempts: 3, Elapsed: 1234400 * time.Microsecond, Reason: retry.ErrExhausted, Errs: []error{errBoom}},
		"retry: no time left (attempt 1): boom":            {Attempts: 1, Reason: retry.ErrElapsed, Errs: []error{errBoom}},
		"retry: no budget left (attempt 2): boom":          {Attempts: 2, Reason: retry.ErrBudget, Errs: []error{io.EOF, errBoom}},
		"retry: caller went home (attempt 2): boom":        {Attempts: 2, Reason: errCause, Errs: []error{io.EOF, errBoom}},
		"retry: no attempts left before the first attempt": {Reason: retry.ErrExhausted}, // that of a call around it
		"retry: context canceled before the first attempt": {Reason: context.Canceled},
		"retry: not retried (attempt 2): boom":             {Attempts: 2, Errs: []error{io.EOF, errBoom}},
		"retry: context canceled (attempt 1)":              {Attempts: 1, Reason: context.Canceled, Errs: []error{context.Canceled}},
		"boom":                                             {Attempts: 1, Errs: []error{errBoom}},
		"retry: no attempt was made":                       {},
	} {
		assert.EqualError(t, e, want)
	}
}

func TestError_timeout(t *testing.T) {
	for _, tt := range []struct {
		want bool
		err  *retry.Error
	}{
		{false, &retry.Error{}},
		{false, &retry.Error{Reason: retry.ErrExhausted, Errs: []error{context.DeadlineExceeded, errBoom}}},
		{true, &retry.Error{Reason: retry.ErrExhausted, Errs: []error{errBoom, context.DeadlineExceeded}}},
		{true, &retry.Error{Reason: retry.ErrExhausted, Errs: []error{&wrapper{context.DeadlineExceeded}}}},
		{false, &retry.Error{Reason: retry.ErrElapsed, Errs: []error{errBoom}}},
		{false, &retry.Error{Reason: context.Canceled, Errs: []error{errBoom}}},
	} {
		assert.Equal(t, tt.want, tt.err.Timeout(), "%v", tt.err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := retry.Run(ctx, retry.Policy{}, func(ctx context.Context) error {
			<-ctx.Done()
			return errBoom
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.True(t, failed(t, err).Timeout())
	})
}
