// Package retry calls a function again after it failed, politely.
//
// [Do] is for functions that return a value, [Run] for those that return only
// an error, and [Policy.Tries] for the body of a loop. [Wrap] makes a function
// that retries out of one that does not, [Until] turns a value that is not
// good enough yet into a failure.
//
// A [Policy] says how often, how long and when to try again. Its zero value
// makes three attempts and waits between them for a random time, which is up
// to 100 ms at first, then up to 200 ms. The delays come from a [Backoff],
// unless the failure says itself when to come back: an error that has a method
//
//	RetryAfter() time.Duration
//
// sets the wait before the next attempt, wherever it stands in what the
// failure wraps; see [NoHint]. [After] makes such an error, [Permanent] one
// that is not worth another attempt. A [Budget] that many calls share keeps
// them from burying a struggling server in retries.
//
// # Concurrency
//
// All attempts run in the caller's goroutine; no other is started. A Policy is
// a plain value, which any number of calls may use at once, each from its
// beginning. A Budget and the functions in a Policy are shared by these calls.
//
// A running attempt ends when the function returns: a function that ignores
// its context delays the end of the call. A panic, or [runtime.Goexit], in any
// of the caller's functions passes through unchanged and ends the call.
//
// Time is package time's, so that everything here runs in a testing/synctest
// bubble.
//
// # Errors
//
// The value of the last attempt is returned beside its error. If the first
// attempt fails with an error that is not to be retried, that error is
// returned, without the mark of Permanent, as if the function had been called
// without this package. All other failures are an [*Error].
//
// An Error matches, by [errors.Is] and [errors.As], the errors of all attempts,
// and, if the call ended because its context had, the context's error and its
// cause. So errors.Is does not tell why the call ended: an early attempt may
// have failed with what is asked for. [Error.Reason] tells that.
//
// # Not for
//
// Calls that must not happen twice: whoever retries has to know that the
// function may have succeeded before it failed. Work that should outlive the
// process: that needs a queue. For HTTP there is [httpretry].
//
// [httpretry]: https://pkg.go.dev/github.com/seed4886185c/concert/retry/httpretry
package retry

import (
	"context"
	"time"
)

// A Policy says when a failed call is tried again. It is a plain value: the
// zero value is usable, copies are independent, and any number of calls may
// use the same Policy at once.
//
// Of the durations, MaxElapsed, AttemptTimeout and MaxDelay must not be
// negative: every use of such a Policy panics.
type Policy struct { //nolint:recvcheck // Tries is for values; the other methods are called often and need no copy
	// MaxAttempts limits the number of calls, the first included. Zero means
	// 3, a negative number means no limit.
	MaxAttempts int

	// MaxElapsed limits the time in which attempts are started, counted from
	// the beginning of the call: a wait that would end later is not begun, and
	// no attempt made later. It does not interrupt an attempt. Zero means no
	// limit.
	MaxElapsed time.Duration

	// AttemptTimeout limits each attempt: after it the attempt's context has
	// ended with [context.DeadlineExceeded]. A failure for that reason is
	// retried like others. The context also ends when the attempt does, so that
	// what it returns must not need it any more. Zero means no limit, and
	// attempts get the context of the call.
	AttemptTimeout time.Duration

	// Backoff gives the delay before each attempt but the first. The zero
	// Backoff is Exponential(100*time.Millisecond, 10*time.Second).FullJitter().
	Backoff Backoff

	// MaxDelay caps every delay that Backoff gives, jitter included. A failure
	// that asks by RetryAfter for a longer wait ends the call at once, with
	// ErrElapsed. Zero means no limit, also for what a failure asks for.
	MaxDelay time.Duration

	// RetryIf reports whether to try again after an attempt failed with the
	// error. It is not asked about errors marked by [Permanent], which are
	// never retried, nor when the call's context has ended. Nil means always.
	RetryIf func(error) bool

	// Budget, if not nil, limits the retries of all calls that share it.
	Budget *Budget

	// OnRetry, if not nil, is called before each wait, also before a wait of
	// zero, in the goroutine of the call and with the call's context, in which
	// AttemptFrom knows nothing of this call. It is not called if no wait is to
	// follow. The wait begins when it returns; if the time of the call is over
	// by then, there is no further attempt.
	OnRetry func(context.Context, Attempt)
}

// Do calls fn until it succeeds or p says that there is to be no further
// attempt. It returns what the last call of fn returned: its value, beside an
// error too, and its error as the package comment says. If ctx has ended
// beforehand, it does not call fn.
//
// When ctx ends during a wait, Do returns at once. A wait that would last
// until the deadline of ctx, or beyond, is not begun: Do returns at once then,
// too, before ctx has ended.
//
// It panics if fn is nil or p is not valid.
func Do[T any](ctx context.Context, p Policy, fn func(context.Context) (T, error)) (T, error) {
	if fn == nil {
		panic("retry: Do of a nil function")
	}
	var v T
	var err error
	if p.plain() && ctx.Err() == nil && AttemptFrom(ctx) == 1 {
		if v, err = fn(ctx); err == nil {
			return v, nil
		}
	}
	return finish(ctx, &p, fn, v, err)
}

// finish is the rest of [Do], after the first attempt has failed with err, or
// all of it if err is nil. It stands apart to keep Do short: what most calls
// need of that takes less time than it takes to read the clock.
func finish[T any](ctx context.Context, p *Policy, fn func(context.Context) (T, error), v T, err error) (T, error) {
	attempt := func(ctx context.Context) error {
		var err error
		v, err = fn(ctx)
		return err
	}
	if err == nil {
		err = run(ctx, p, attempt)
	} else {
		err = again(ctx, p, time.Now(), err, attempt)
	}
	return v, err
}

// Run is [Do] for a function that returns no value. It panics as Do does.
func Run(ctx context.Context, p Policy, fn func(context.Context) error) error {
	if fn == nil {
		panic("retry: Run of a nil function")
	}
	if p.plain() && ctx.Err() == nil && AttemptFrom(ctx) == 1 {
		err := fn(ctx)
		if err == nil {
			return nil
		}
		return again(ctx, &p, time.Now(), err, fn)
	}
	return run(ctx, &p, fn)
}

// Wrap returns a function that calls fn as [Do] does with p. It may be called
// concurrently if fn may. Wrap panics if fn is nil or p is not valid.
func Wrap[T any](p Policy, fn func(context.Context) (T, error)) func(context.Context) (T, error) {
	if fn == nil {
		panic("retry: Wrap of a nil function")
	}
	p.check()
	return func(ctx context.Context) (T, error) { return Do(ctx, p, fn) }
}

// Until returns a function that calls fn and fails with [ErrRejected], beside
// the value, if fn succeeds with a value that accept returns false for. An
// error of fn is returned without asking accept. Under [Do], such a function
// is called until its value is accepted; RetryIf, if there is one, has to agree
// to ErrRejected:
//
//	poll := retry.Policy{MaxAttempts: -1, MaxElapsed: time.Hour, Backoff: retry.Constant(time.Minute)}
//	job, err := retry.Do(ctx, poll, retry.Until(Job.Done, fetchJob))
//
// Until panics if accept or fn is nil.
func Until[T any](accept func(T) bool, fn func(context.Context) (T, error)) func(context.Context) (T, error) {
	if accept == nil || fn == nil {
		panic("retry: Until of a nil function")
	}
	return func(ctx context.Context) (T, error) {
		v, err := fn(ctx)
		if err == nil && !accept(v) {
			err = ErrRejected
		}
		return v, err
	}
}

// check panics if p cannot be meant.
func (p *Policy) check() {
	switch {
	case p.MaxElapsed|p.AttemptTimeout|p.MaxDelay >= 0: // no sign bit is set
	case p.MaxElapsed < 0:
		panic("retry: Policy with a negative MaxElapsed")
	case p.AttemptTimeout < 0:
		panic("retry: Policy with a negative AttemptTimeout")
	default:
		panic("retry: Policy with a negative MaxDelay")
	}
}

// timed reports whether a call has to know when it began.
func (p *Policy) timed() bool { return p.MaxElapsed > 0 || p.AttemptTimeout > 0 }

// maxAttempts returns the number of attempts to make, or a negative number.
func (p *Policy) maxAttempts() int {
	if p.MaxAttempts == 0 {
		return 3
	}
	return p.MaxAttempts
}

// plain reports whether a call begins with a bare call of the function, unless
// its context is special.
func (p *Policy) plain() bool {
	return p.MaxElapsed|p.AttemptTimeout == 0 && p.MaxDelay >= 0 && p.Budget == nil
}
