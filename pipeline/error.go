package pipeline

import (
	"context"
	"errors"

	"github.com/seed4886185c/concert/internal/panics"
)

var (
	// ErrGoexit is the error of a sink, one of whose functions ended a
	// goroutine of the pipeline by [runtime.Goexit], as t.FailNow of package
	// testing does.
	ErrGoexit = errors.New("pipeline: a function called runtime.Goexit")

	// ErrClosed is the error of those who add to a [Batcher] that is closed.
	ErrClosed = errors.New("pipeline: closed")

	// Drop is what the function of a [Map] returns, as it is, to leave an item
	// out; so may those of [Filter] and [ForEach]. From there, no sink and no
	// [Recover] gets it. From elsewhere, and wrapped, it is an error like others.
	Drop = errors.New("pipeline: dropped") //nolint:errname,gochecknoglobals,staticcheck // it is no error, but like one
)

// errNoItem takes the place of an item where there is none: of one that was
// left out, or at the end of a stream of [FlatMap].
var errNoItem = errors.New("pipeline: no item")

// PanicError is what a panic in a goroutine of the pipeline becomes: the sink
// panics with it, once all goroutines have ended. Its fields are Value any,
// what the function panicked with, and Stack []byte, the stack of its goroutine
// at the panic. Error tells both, for a log; Unwrap returns Value if it is an
// error, so that a PanicError matches what that matches. It is the same type in
// all packages of this library.
type PanicError = panics.PanicError

// SkipErrors makes a function for [Map] of f that leaves out the items for
// which f returns an error, and calls report with them, in the goroutine that
// called f: with [Workers] in several at once, and in no order. It returns the
// error all the same if the context has ended. A nil report is not called.
func SkipErrors[A, B any](f func(context.Context, A) (B, error), report func(A, error)) func(context.Context, A) (B, error) {
	mustStage("SkipErrors", false, f == nil)
	return func(ctx context.Context, v A) (B, error) {
		b, err := f(ctx, v)
		if err == nil || err == Drop || ctx.Err() != nil { //nolint:errorlint // what wraps it is an error
			return b, err
		}
		if report != nil {
			report(v, err)
		}
		return b, Drop
	}
}

// Recover returns a Stream of the items of s, and of the errors that f makes of
// its errors: one for which f returns nil is left out. Among them are those of
// the source, such as that of a file that is not there. The error of an ended
// context is passed on without asking f.
func Recover[T any](s Stream[T], f func(error) error) Stream[T] {
	mustStage("Recover", s == nil, f == nil)
	return through(s, func(ctx context.Context, yield func(T, error) bool) func(T, error) bool {
		return func(v T, err error) bool {
			if err != nil && ctx.Err() == nil && err != ErrGoexit { //nolint:errorlint // the stream ends with it as it is
				if err = f(err); err == nil {
					return true
				}
			}
			return yield(v, err)
		}
	})
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
