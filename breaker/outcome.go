package breaker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// A State is one of the three that a Breaker can be in.
type State int

// The states.
const (
	Closed   State = iota // calls are let through
	HalfOpen              // a few calls are let through, as probes
	Open                  // calls are rejected
)

// String returns "closed", "half-open" or "open".
func (s State) String() string { return name(int(s), "State", "closed", "half-open", "open") }

// An Outcome is what a call was to the breaker.
type Outcome int

// The outcomes.
const (
	Success Outcome = iota
	Failure
	Ignored // neither; if it was a probe, another may take its place
)

// String returns "success", "failure" or "ignored".
func (o Outcome) String() string { return name(int(o), "Outcome", "success", "failure", "ignored") }

// A Mode tells who decides about the state, see [Breaker.Force].
type Mode int

// The modes.
const (
	Auto     Mode = iota // the outcomes of calls
	Isolated             // nobody: the breaker is open
	Disabled             // nobody: the breaker is closed
)

// String returns "auto", "isolated" or "disabled".
func (m Mode) String() string { return name(int(m), "Mode", "auto", "isolated", "disabled") }

func name(i int, kind string, names ...string) string {
	if i < 0 || i >= len(names) {
		return fmt.Sprintf("%s(%d)", kind, i)
	}
	return names[i]
}

// DefaultClassify returns Success if err is nil; Ignored if ctx was cancelled,
// for then the caller does not want to know any more; and otherwise Failure. A
// deadline of ctx that has passed is a failure, and so is a cancellation whose
// cause matches [context.DeadlineExceeded], as it is somebody's deadline too. An
// error that says nothing about what was called, such as that of a missing row,
// is for a Classify of one's own to call a success before it asks this one.
func DefaultClassify(ctx context.Context, err error) Outcome {
	switch {
	case err == nil:
		return Success
	case errors.Is(ctx.Err(), context.Canceled) && !errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return Ignored
	}
	return Failure
}

// Counts tells how the calls ended that began since the state last changed, or
// since Open, Close or Force made it begin anew; it is not for running totals.
// Those in flight are not in it. While calls end concurrently, it is not the
// picture of one moment.
type Counts struct {
	Successes, Failures, Ignored int

	Slow     int // those, of any outcome, that took Settings.SlowCall or longer
	Rejected int // calls that were not let through

	ConsecutiveFailures  int // since the last success
	ConsecutiveSuccesses int // since the last failure
}

// A Change is one of the state.
type Change struct {
	Name     string // of the breaker
	From, To State
	Counts   Counts    // of the time in From
	Err      error     // what the call that decided it returned, or that it panicked or was a probe too late; nil if no call did
	At       time.Time // when it took effect: to be half-open does when it is noticed
}

// The errors of a Change that no call returned.
var (
	errNotReturned = errors.New("breaker: call ended by a panic or runtime.Goexit")
	errNoAnswer    = errors.New("breaker: probe did not end in time")
)

// ErrOpen is matched by the error of a rejected call.
var ErrOpen = errors.New("breaker: open")

// An OpenError is the error of a rejected call. It matches [ErrOpen].
type OpenError struct {
	Name  string // of the breaker
	State State  // Open or HalfOpen

	// After is how long the breaker will stay open or, while it is half-open,
	// how long the first of its probes still has. It is zero if nobody knows:
	// the breaker is isolated.
	After time.Duration
}

// Error tells the name, the state and the time.
func (e *OpenError) Error() string {
	text := "breaker: "
	if e.Name != "" {
		text += e.Name + " is "
	}
	text += e.State.String()
	if e.After > 0 {
		text += fmt.Sprintf(", try again in %v", e.After.Round(time.Millisecond))
	}
	return text
}

// Is reports whether target is [ErrOpen].
func (e *OpenError) Is(target error) bool { return target == ErrOpen }

// RetryAfter returns After while the breaker is open. While it is half-open or
// isolated, nobody knows when it will be closed: then RetryAfter returns the
// least duration, math.MinInt64, which package retry takes for no advice, and
// others have to.
func (e *OpenError) RetryAfter() time.Duration {
	if e.State != Open || e.After <= 0 {
		return math.MinInt64
	}
	return e.After
}
