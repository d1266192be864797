package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

var (
	// ErrLimited is matched by a [LimitError].
	ErrLimited = errors.New("ratelimit: limited")

	// ErrExceedsBurst is the error of those who want more at once than there
	// can ever be: waiting would not help.
	ErrExceedsBurst = errors.New("ratelimit: more than the burst")

	// ErrFull is the error of those who find the queue of a [Bulkhead], or an
	// [Adaptive], full.
	ErrFull = errors.New("ratelimit: queue full")

	errNegative = errors.New("ratelimit: a negative number of events")
)

// A LimitError is the error of those who would have to wait for too long. It
// matches [ErrLimited], and where it was the deadline of their context that
// would have come first, [context.DeadlineExceeded]. Those who do not wait can
// make one of [Result.RetryAfter], for others to wait.
type LimitError struct {
	// After is how long it would have been. It is negative if it would never
	// be, as with a rate of 0.
	After time.Duration

	deadline bool
}

// Error tells how long the wait would have been.
func (e *LimitError) Error() string {
	switch {
	case e.After < 0:
		return "ratelimit: limited for ever"
	case e.deadline:
		return fmt.Sprintf("ratelimit: limited for another %v, until the deadline or longer", e.After)
	}
	return fmt.Sprintf("ratelimit: limited for another %v", e.After)
}

// Timeout reports whether it was a deadline that would have come first. It is what
// those ask for who look for a time-out in an error, such as url.Error.
func (e *LimitError) Timeout() bool { return e.deadline }

// Is reports whether target is what the error matches.
func (e *LimitError) Is(target error) bool {
	return target == ErrLimited || e.deadline && target == context.DeadlineExceeded
}

// RetryAfter returns After, which is how long package retry of this library
// then waits. If that is negative, it returns what means that there is no such
// advice, math.MinInt64.
func (e *LimitError) RetryAfter() time.Duration {
	if e.After < 0 {
		return math.MinInt64
	}
	return e.After
}

// deadline returns that of ctx, or the zero time. It has to be called without a
// lock: a context may be the caller's own.
func deadline(ctx context.Context) time.Time {
	d, _ := ctx.Deadline()
	return d
}

// tooLate returns the error of a wait that would not end before a deadline, or
// nil. A wait of forever has no end.
func tooLate(deadline time.Time, wait time.Duration) error {
	if deadline.IsZero() || wait < time.Until(deadline) {
		return nil
	}
	return limited(wait, true)
}

// limited returns a LimitError.
func limited(wait time.Duration, deadline bool) *LimitError {
	if wait == forever {
		wait = -1
	}
	return &LimitError{After: wait, deadline: deadline}
}

// exceeds returns the error for n, which is less than 0 or more than most.
func exceeds(n, most int) error {
	if n < 0 {
		return errNegative
	}
	return fmt.Errorf("%w: %d of %d", ErrExceedsBurst, n, most)
}

// An endedError is the error of what did not come about because a context
// ended. It matches the context's error and its cause.
type endedError struct {
	ended, cause error
}

func ended(ctx context.Context) error {
	return &endedError{ctx.Err(), context.Cause(ctx)}
}

func (e *endedError) Error() string { return "ratelimit: " + e.cause.Error() }

func (e *endedError) Unwrap() []error {
	return slices.Compact([]error{e.ended, e.cause})
}
