package pubsub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/seed4886185c/concert/internal/panics"
)

var (
	// ErrClosed is the error of those who publish to, or subscribe to, a [Topic]
	// or a [Bus] that is closed.
	ErrClosed = errors.New("pubsub: closed")

	// ErrFull is the error of a subscription with [Disconnect] that was too far
	// behind.
	ErrFull = errors.New("pubsub: the subscription was full")

	// ErrReentrant is the error of a handler that would have to wait for its own
	// [Topic], or [Bus], and so maybe for itself: it publishes there, where there
	// is no room, or closes it.
	ErrReentrant = errors.New("pubsub: a handler would wait for its own topic")

	// ErrSubject is the error of a subject or a pattern that breaks the rules of
	// [Bus].
	ErrSubject = errors.New("pubsub: bad subject")

	// ErrGoexit is the error of a handler that called [runtime.Goexit], as
	// t.FailNow of package testing does.
	ErrGoexit = errors.New("pubsub: a function called runtime.Goexit")
)

// PanicError is what a panic of a handler becomes. Its fields are Value any,
// what the function panicked with, and Stack []byte, the stack of its goroutine
// at the panic. Error tells both, for a log; Unwrap returns Value if it is an
// error, so that a PanicError matches what that matches. It is the same type in
// all packages of this library.
type PanicError = panics.PanicError

// A ListenerError is the error of a handler, be it one of an [Emitter], a
// [Topic] or a [Bus].
type ListenerError struct {
	Name string // see Named
	Err  error  // what it returned, a *PanicError, or ErrGoexit
}

// Error tells the name and the error.
func (e *ListenerError) Error() string { return e.Name + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *ListenerError) Unwrap() error { return e.Err }

// A LaggedError tells that a subscription has lost events because it was too
// far behind, see [Overflow].
type LaggedError struct {
	Missed uint64 // how many, whether or not a Filter would have let them pass
}

// Error tells how many.
func (e *LaggedError) Error() string {
	if e.Missed == 1 {
		return "pubsub: missed 1 event"
	}
	return fmt.Sprintf("pubsub: missed %d events", e.Missed)
}

// keepErrs is how many of the first errors an errlog keeps, and of the last.
const keepErrs = 8

// An errlog keeps errors of which there may be any number.
type errlog struct {
	mu          sync.Mutex // guards the fields below
	first, last []error
	dropped     int // between the first and the last
}

func (l *errlog) add(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.first) < keepErrs {
		l.first = append(l.first, err)
		return
	}
	if len(l.last) == keepErrs {
		l.last = slices.Delete(l.last, 0, 1)
		l.dropped++
	}
	l.last = append(l.last, err)
}

// all returns the errors in their order.
func (l *errlog) all() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	errs := slices.Clone(l.first)
	if l.dropped > 0 {
		errs = append(errs, fmt.Errorf("pubsub: %d more errors, not kept", l.dropped))
	}
	return append(errs, l.last...)
}

// An account is what a Topic has of its own, and those of a Bus in common. A
// handler must not wait for what belongs to the same.
type account struct {
	errs  errlog       // of handlers
	added atomic.Int64 // subscriptions so far
}

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

func (e *endedError) Unwrap() []error { return []error{e.cause, e.ended} }
