package fsm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed4886185c/concert/internal/panics"
)

var (
	// ErrRefused is what every [*RefusedError] matches.
	ErrRefused = errors.New("fsm: refused")

	// ErrReentrant is the error of a handler, or an observer, that would have to
	// wait for its own machine: it fires an event, or awaits a state, or the end of
	// an event it has sent, with the context that it was given, or one made from
	// that.
	ErrReentrant = errors.New("fsm: a handler would wait for its own machine")

	// ErrClosed is the error of those who fire an event of a machine that is
	// closed, or await a state of it.
	ErrClosed = errors.New("fsm: closed")

	// ErrUnknownEvent is the error of an event that no rule of the definition is
	// about.
	ErrUnknownEvent = errors.New("fsm: unknown event")

	// ErrUnknownState is the error of a state that the definition does not have.
	ErrUnknownState = errors.New("fsm: unknown state")

	// ErrPayload is the error of a payload that is not of the event's type, or
	// cannot be decoded.
	ErrPayload = errors.New("fsm: bad payload")

	// ErrGoexit is the error of a handler that called [runtime.Goexit], as
	// t.FailNow of package testing does.
	ErrGoexit = errors.New("fsm: a function called runtime.Goexit")

	// ErrRaiseLimit is the error of an event that did not run, because too many
	// were raised before: see [Tx.Raise].
	ErrRaiseLimit = errors.New("fsm: too many raised events")
)

// PanicError is what a panic of a handler becomes. Its fields are Value any,
// what the function panicked with, and Stack []byte, the stack of its goroutine
// at the panic. Error tells both, for a log; Unwrap returns Value if it is an
// error, so that a PanicError matches what that matches. It is the same type in
// all packages of this library.
type PanicError = panics.PanicError

// A RefusedError tells that an event has no rule in the state of the machine,
// or only such whose guards say no. It matches [ErrRefused]. It is shared, and
// must not be changed.
type RefusedError struct {
	State     string   // that of the machine
	Event     string   // the one refused
	Guards    []string // those that said no, in order: the first one of each rule
	Permitted []string // as Permitted of Machine has it
}

// Error tells all of it.
func (e *RefusedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "fsm: %s refused in state %s", e.Event, e.State)
	if len(e.Guards) > 0 {
		b.WriteString(" by " + strings.Join(e.Guards, ", "))
	}
	if len(e.Permitted) > 0 {
		b.WriteString("; permitted: " + strings.Join(e.Permitted, ", "))
	}
	return b.String()
}

// Is reports whether target is [ErrRefused].
func (e *RefusedError) Is(target error) bool { return target == ErrRefused }

// A HandlerError is the error of a function of the definition, or of an
// observer. Nothing was committed; but if it is an observer's, the commit
// stands.
type HandlerError struct {
	Stage string // guard, choose, exit, action, entry or observer
	Name  string // of a guard, an exit or an entry handler
	State string // that of the machine, which it was in before
	Event string
	Err   error // what it returned, a *PanicError, or ErrGoexit
}

// Error tells all of it.
func (e *HandlerError) Error() string {
	name := e.Name
	if name != "" {
		name = " " + name
	}
	return fmt.Sprintf("fsm: %s%s, on %s in state %s: %v", e.Stage, name, e.Event, e.State, e.Err)
}

// Unwrap returns Err.
func (e *HandlerError) Unwrap() error { return e.Err }

// An endedError is the error of what ended with a context whose cause is
// another error than its own. It matches both.
type endedError struct {
	ended, cause error
}

// ended returns the error of ctx, which has ended: its cause.
func ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return &endedError{err, cause}
}

func (e *endedError) Error() string { return e.cause.Error() }

func (e *endedError) Unwrap() []error { return slices.Clip([]error{e.cause, e.ended}) }
