package retry

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// run is a whole call: it makes the first attempt, so that one which succeeds
// at once costs next to nothing, and leaves the others to [again]. Neither p
// nor attempt is stored, lest they move to the heap.
func run(ctx context.Context, p *Policy, attempt func(context.Context) error) error {
	p.check()
	if err := ctx.Err(); err != nil {
		return &Error{Reason: context.Cause(ctx), ended: err}
	}
	var start time.Time
	if p.timed() {
		start = time.Now()
	}
	if p.Budget != nil {
		p.Budget.deposit()
	}
	err := try(ctx, p.AttemptTimeout, 1, attempt)
	if err == nil {
		return nil
	}
	if !p.timed() {
		start = time.Now() // not before: it takes longer than all the rest
	}
	return again(ctx, p, start, err, attempt)
}

// again goes on after the first attempt has failed with err, and returns the
// error of the call.
func again(ctx context.Context, p *Policy, start time.Time, err error, attempt func(context.Context) error) error {
	l := &loop{Policy: *p, ctx: ctx, start: start, errs: make([]error, 0, 4)}
	l.failed(err)
	return l.run(attempt)
}

// A loop is a call whose first attempt has failed. The loop of package backoff
// drives its waits: to that it is the BackOff, the context and the Timer.
//
// The errors that backoff returns, and what it makes of contexts and marks,
// are of no account. It sees only errFailed.
type loop struct {
	Policy

	ctx   context.Context //nolint:containedctx // for backoff to ask for
	start time.Time

	attempts int     // made so far
	errs     []error // what they failed with, as failed keeps them; never empty

	delay time.Duration // what the Backoff gave last
	wait  time.Duration // before the next attempt
	timer *time.Timer   // nil until there is something to wait for
	grant grant         // of the Budget, for the next attempt

	// Why there is no next attempt: one of the sentinels, the context's cause,
	// or errRefused. Nil while there is one.
	end   error
	ended error // an error of package context that goes with end, or nil
}

var (
	errFailed  = errors.New("retry: attempt failed")          // for backoff: some attempt's error
	errRefused = errors.New("retry: error not to be retried") // becomes a nil Reason
)

// run makes the attempts that remain and returns the error of the call.
func (l *loop) run(attempt func(context.Context) error) error {
	due := false // the first attempt was made already
	succeeded := false
	_ = backoff.RetryNotifyWithTimer(func() error {
		// A wait of no time is none: the next attempt is made here. A round
		// through backoff would take longer than the rest of a failed attempt.
		for {
			if due {
				if l.late() {
					return errFailed
				}
				l.grant = grant{} // spent
				err := try(l.ctx, l.AttemptTimeout, l.attempts+1, attempt)
				if err == nil {
					succeeded = true
					return nil
				}
				l.failed(err)
			}
			due = true
			l.decide()
			if l.end != nil {
				return errFailed
			}
			if l.OnRetry != nil {
				l.OnRetry(l.ctx, Attempt{N: l.attempts, Err: l.last(), Delay: l.wait})
			}
			if l.wait > 0 {
				return errFailed
			}
		}
	}, l, nil, l)
	if succeeded {
		return nil
	}
	if l.end == nil { // backoff returned from a wait
		l.contextEnded()
	}
	return l.err()
}

// failed records the error of an attempt. Of many it keeps the first and the
// last few.
func (l *loop) failed(err error) {
	l.attempts++
	if len(l.errs) < maxErrs {
		l.errs = append(l.errs, err)
		return
	}
	recent := l.errs[maxErrs/2:]
	copy(recent, recent[1:])
	recent[len(recent)-1] = err
}

// last returns the error of the last attempt.
func (l *loop) last() error { return l.errs[len(l.errs)-1] }

// late ends the call if the next attempt must not be made, although it was
// waited for: OnRetry may have taken any time, and the context may have ended
// together with the wait.
func (l *loop) late() bool {
	switch {
	case l.ctx.Err() != nil:
		l.contextEnded()
	case l.MaxElapsed > 0 && time.Since(l.start) > l.MaxElapsed:
		l.end = ErrElapsed
	}
	return l.end != nil
}

func (l *loop) contextEnded() { l.end, l.ended = context.Cause(l.ctx), l.ctx.Err() }

// decide sets, after a failed attempt, either the wait before the next or the
// end of the call.
func (l *loop) decide() {
	permanent, hint := inspect(l.last())
	l.awaitDeadline()
	switch {
	case permanent:
		l.end = errRefused
	case l.ctx.Err() != nil:
		l.contextEnded()
	case l.RetryIf != nil && !l.RetryIf(l.last()):
		l.end = errRefused
	case l.attempts == l.maxAttempts():
		l.end = ErrExhausted
	}
	if l.end != nil {
		return
	}
	l.wait = max(hint, 0)
	if hint == NoHint {
		l.delay = l.Backoff.capped(l.MaxDelay).next(l.attempts, l.delay, rand.Uint64N)
		l.wait = l.delay
	}
	switch {
	case l.ctx.Err() != nil: // meanwhile, in one of the caller's functions
		l.contextEnded()
	case l.MaxDelay > 0 && l.wait > l.MaxDelay:
		l.end = ErrElapsed
	case l.MaxElapsed > 0 && l.wait > l.MaxElapsed-time.Since(l.start):
		l.end = ErrElapsed
	case l.beyondDeadline():
		l.end, l.ended = ErrElapsed, context.DeadlineExceeded
	case l.Budget != nil: // last: where there is another reason, that is told
		if l.grant = l.Budget.withdraw(); !l.grant.ok {
			l.end = ErrBudget
		}
	}
}

// awaitDeadline waits for the context to end, if its deadline has passed: its
// timer and that of an attempt with the same deadline fire in any order, and the
// outcome should not depend on it. A context that has a deadline but does not
// end at it is not waited for.
func (l *loop) awaitDeadline() {
	deadline, ok := l.ctx.Deadline()
	if !ok || time.Until(deadline) > 0 {
		return
	}
	select {
	case <-l.ctx.Done():
	case <-time.After(10 * time.Millisecond):
	}
}

// beyondDeadline reports whether the context will have ended after the wait.
func (l *loop) beyondDeadline() bool {
	deadline, ok := l.ctx.Deadline()
	return ok && l.wait >= time.Until(deadline)
}

// err returns the error of the call, once its end is known.
func (l *loop) err() error {
	last := &l.errs[len(l.errs)-1]
	*last = unmarked(*last)
	if l.end == errRefused { //nolint:errorlint // no other wraps it
		if l.attempts == 1 && !marked(*last) {
			return *last
		}
		l.end = nil
	}
	return &Error{
		Attempts: l.attempts, Elapsed: time.Since(l.start),
		Reason: l.end, Errs: l.errs, ended: l.ended,
	}
}

// What follows is for backoff to call.

// Reset is called before the first wait.
func (l *loop) Reset() {}

// Context returns the context that ends a wait.
func (l *loop) Context() context.Context { return l.ctx }

// NextBackOff returns what decide decided.
func (l *loop) NextBackOff() time.Duration {
	if l.end != nil {
		return backoff.Stop
	}
	return l.wait
}

// Start begins a wait.
func (l *loop) Start(wait time.Duration) {
	if l.timer == nil {
		l.timer = time.NewTimer(wait)
	} else {
		l.timer.Reset(wait)
	}
}

// C returns the channel that ends the wait.
func (l *loop) C() <-chan time.Time { return l.timer.C }

// Stop is called last, however the loop ends, by a panic too. The timer needs no
// stopping.
func (l *loop) Stop() {
	if l.grant.ok {
		l.Budget.refund(l.grant)
	}
}
