package retry

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
)

var (
	// ErrExhausted is the reason of a call that made all attempts of its
	// Policy.
	ErrExhausted = errors.New("retry: no attempts left")

	// ErrElapsed is the reason of a call that ended because its next attempt
	// would have come too late: after MaxElapsed, at or after the deadline of
	// its context, or, if an error asked for that, after a wait longer than
	// MaxDelay. If it was the deadline, the error also matches
	// [context.DeadlineExceeded], although the context has not ended yet.
	ErrElapsed = errors.New("retry: no time left")

	// ErrBudget is the reason of a call whose [Budget] granted no retry.
	ErrBudget = errors.New("retry: no budget left")

	// ErrRejected is the error of an attempt whose value [Until] rejected.
	ErrRejected = errors.New("retry: value rejected")
)

// maxErrs is how many errors an [Error] lists at most.
const maxErrs = 16

// Error tells why a call failed. It matches, by [errors.Is] and [errors.As],
// its Reason and each of Errs; if the call ended because its context had, or
// for the deadline of that, it also matches that error of package context.
type Error struct {
	// Attempts is how often the function was called.
	Attempts int

	// Elapsed is how long the call took, but for the first attempt if the
	// Policy has neither MaxElapsed nor AttemptTimeout: a call does not read
	// the clock without need.
	Elapsed time.Duration

	// Reason tells why there was no further attempt: [ErrExhausted],
	// [ErrElapsed], [ErrBudget], the cause of the ended context, or nil if the
	// last error was not to be retried.
	Reason error

	// Errs lists the errors of the attempts in their order. If there were more
	// than 16, it lists the first 8 and the last 8; if ctx had ended before the
	// first attempt, none.
	Errs []error

	ended error // an error of package context to match, or nil
}

// Error tells the reason, the number of attempts and the last error.
func (e *Error) Error() string {
	last := e.last()
	switch {
	case last == nil && e.Reason == nil:
		return "retry: no attempt was made" // made by hand
	case last == nil:
		return "retry: " + strings.TrimPrefix(e.Reason.Error(), "retry: ") + " before the first attempt"
	case e.Reason == nil && e.Attempts == 1:
		return last.Error()
	}
	reason := "not retried"
	if e.Reason != nil {
		reason = strings.TrimPrefix(e.Reason.Error(), "retry: ")
	}
	text := fmt.Sprintf("retry: %s (attempt %d)", reason, e.Attempts)
	if last.Error() != reason {
		text += ": " + last.Error()
	}
	return text
}

// Unwrap returns the last error, the reason, the error of package context if
// there is one, and then the other errors from the last to the first: what
// [errors.As] finds is the latest of its kind.
func (e *Error) Unwrap() []error {
	errs := make([]error, 0, len(e.Errs)+2)
	errs = append(errs, e.last(), e.Reason, e.ended)
	for i := len(e.Errs) - 2; i >= 0; i-- {
		errs = append(errs, e.Errs[i])
	}
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

// Timeout reports whether the last attempt failed by a time-out, or the call
// ended for the deadline of its context. It is what those ask for who look for a
// time-out in an error, such as url.Error.
func (e *Error) Timeout() bool {
	if errors.Is(e.ended, context.DeadlineExceeded) {
		return true
	}
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](e.last())
	return ok && t.Timeout()
}

// last returns the error of the last attempt, or nil if there was none.
func (e *Error) last() error {
	if len(e.Errs) == 0 {
		return nil
	}
	return e.Errs[len(e.Errs)-1]
}

// Permanent marks err as not worth another attempt, whatever RetryIf says, and
// also if the context has ended. The returned error has the text of err and
// wraps it. Permanent(nil) is nil.
//
// The mark counts also when the marked error is wrapped, but only for the
// innermost call: what a call returns is not marked for a call around it, until
// it is marked again. (A body that leaves the loop of [Policy.Tries] keeps its
// mark, and so do wrapped errors in [Error.Errs].) If the mark of a first failure
// is deep within it, the call returns an [*Error] with the same text, as it
// cannot be taken off there.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// unmarked removes the mark of [Permanent] from err itself.
func unmarked(err error) error {
	for {
		p, ok := err.(*permanentError) //nolint:errorlint // what it is wrapped in has to stay
		if !ok {
			return err
		}
		err = p.err
	}
}

// marked reports whether err is, or wraps, an error marked by [Permanent].
func marked(err error) bool {
	permanent, _ := inspect(err)
	return permanent
}

// After returns an error that asks for a wait of d before the next attempt,
// instead of that of the Backoff. A negative d is zero, unless it is [NoHint].
// The error has the text of err and wraps it. After(d, nil) is nil.
func After(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return &afterError{d, err}
}

type afterError struct {
	delay time.Duration
	err   error
}

func (e *afterError) Error() string             { return e.err.Error() }
func (e *afterError) Unwrap() error             { return e.err }
func (e *afterError) RetryAfter() time.Duration { return e.delay }

// NoHint is what the RetryAfter method of an error returns to leave the wait to
// the Backoff, or to an error that it wraps. An error that may not know when to
// come back has to return it, as zero, and every other negative duration, means
// at once. Of several errors that know, the outermost counts. A hint gets no
// jitter, and whether to try again is still for the Policy to say.
const NoHint time.Duration = math.MinInt64

// A hinter is an error that may know when to try again.
type hinter interface{ RetryAfter() time.Duration }

// inspect reports whether err is marked as permanent, and returns the wait that
// it asks for, or [NoHint]. It looks at all that err wraps, depth first, as
// [errors.As] does. Of an [*Error], the outcome of a call within the attempt,
// only the last error is looked at and no mark counts.
func inspect(err error) (permanent bool, hint time.Duration) {
	hint = NoHint
	for err != nil && !isNil(err) {
		if h, ok := err.(hinter); ok && hint == NoHint {
			hint = h.RetryAfter()
		}
		switch e := err.(type) { //nolint:errorlint // this is the search
		case *permanentError:
			return true, hint
		case *Error:
			if hint == NoHint {
				_, hint = inspect(e.last())
			}
			return false, hint
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				p, h := inspect(err)
				if hint == NoHint {
					hint = h
				}
				permanent = permanent || p
			}
			return permanent, hint
		default:
			return false, hint
		}
	}
	return false, hint
}

// isNil reports whether err is a nil pointer, whose methods cannot be trusted.
func isNil(err error) bool {
	v := reflect.ValueOf(err)
	return v.Kind() == reflect.Pointer && v.IsNil()
}
