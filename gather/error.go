package gather

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed4886185c/concert/internal/panics"
)

var (
	// ErrNotRun is matched by the error of a task that was never started.
	// That error also matches what kept it from starting: the error and the
	// cause of the ended context, which is the first failure under [FailFast].
	ErrNotRun = errors.New("gather: task not run")

	// ErrAbandoned is matched by the error of a task that was started, or about
	// to be, but not waited for, by [Abandon], [First] or [Quorum]. That error
	// also matches the error and the cause of the ended context.
	ErrAbandoned = errors.New("gather: task abandoned")

	// ErrGoexit is the error of a task that ended its goroutine by
	// [runtime.Goexit], as t.FailNow of package testing does.
	ErrGoexit = errors.New("gather: task called runtime.Goexit")
)

// Error lists the tasks of a call that failed, by index. It matches, by
// [errors.Is] and [errors.As], each of them and what they wrap.
type Error struct {
	Failed []TaskError

	first TaskError // the one of them that happened first; zero in an Error made by hand
}

// First returns the error of the task that failed first in time, as the task
// returned it. In an Error made by hand it is that of Failed[0].
func (e *Error) First() error {
	if e.first.Err != nil {
		return e.first.Err
	}
	if len(e.Failed) > 0 {
		return e.Failed[0].Err
	}
	return nil
}

// Unwrap returns the failures: the one that happened first, then the others
// in the order of Failed.
func (e *Error) Unwrap() []error {
	errs := make([]error, 0, len(e.Failed))
	for _, f := range e.Failed {
		if f.Index == e.first.Index && f.Key == e.first.Key {
			errs = slices.Insert(errs, 0, error(f))
		} else {
			errs = append(errs, f)
		}
	}
	return errs
}

// Error tells how many tasks failed or were not run, and the first few
// failures in the order of Unwrap; of panics only the value.
func (e *Error) Error() string {
	const most = 5
	var failed, skipped []string
	for _, err := range e.Unwrap() {
		f, _ := err.(TaskError)                                          //nolint:errorlint // Unwrap returns nothing else
		if end, ok := f.Err.(*endedError); ok && end.what == ErrNotRun { //nolint:errorlint // a task that passes on such an error did run
			skipped = append(skipped, f.Error())
		} else {
			failed = append(failed, f.Error())
		}
	}
	var b strings.Builder
	b.WriteString("gather: ")
	listed := failed
	switch {
	case len(failed) == 0 && len(skipped) == 0:
		b.WriteString("no task failed")
	case len(failed) == 0:
		fmt.Fprintf(&b, "%d not run: ", len(skipped))
		listed = skipped[:1] // they all say the same
	case len(skipped) == 0:
		fmt.Fprintf(&b, "%d failed: ", len(failed))
	default:
		fmt.Fprintf(&b, "%d failed, %d not run: ", len(failed), len(skipped))
	}
	b.WriteString(strings.Join(listed[:min(most, len(listed))], "; "))
	if len(listed) > most {
		fmt.Fprintf(&b, "; and %d more", len(listed)-most)
	}
	return b.String()
}

// TaskError is the failure of one task of a call.
type TaskError struct {
	Index int // in the call's tasks; -1 for Keyed
	Key   any // the task's key for Keyed, otherwise nil
	Err   error
}

// Error names the task and tells its error; of a panic only the value.
func (e TaskError) Error() string {
	if e.Key != nil {
		return fmt.Sprintf("task %v: %s", e.Key, brief(e.Err))
	}
	return fmt.Sprintf("task %d: %s", e.Index, brief(e.Err))
}

// brief is the text of err, without the stack if it is a panic.
func brief(err error) string {
	if p, ok := err.(*PanicError); ok { //nolint:errorlint // what wraps one has a text of its own
		return fmt.Sprintf("panic: %v", p.Value)
	}
	return fmt.Sprint(err)
}

// Unwrap returns Err.
func (e TaskError) Unwrap() error { return e.Err }

// failures collects what an [Error] is made of.
type failures struct {
	failed []TaskError
	ranks  []int // beside failed: how many had failed before
}

func (f *failures) add(e TaskError, rank int) {
	f.failed = append(f.failed, e)
	f.ranks = append(f.ranks, rank)
}

func (f *failures) err() error {
	if len(f.failed) == 0 {
		return nil
	}
	first := 0
	for i, rank := range f.ranks {
		if rank < f.ranks[first] {
			first = i
		}
	}
	return &Error{Failed: f.failed, first: f.failed[first]}
}

func (f *failures) Len() int           { return len(f.failed) }
func (f *failures) Less(i, j int) bool { return f.ranks[i] < f.ranks[j] }
func (f *failures) Swap(i, j int) {
	f.failed[i], f.failed[j] = f.failed[j], f.failed[i]
	f.ranks[i], f.ranks[j] = f.ranks[j], f.ranks[i]
}

// PanicError is the error of a task that panicked. Its fields are Value any, what
// the task panicked with, and Stack []byte, the stack of the task's goroutine at
// the panic. Error tells both, for a log; Unwrap returns Value if it is an error,
// so that a PanicError matches what that matches. It is the same type in all
// packages of this library.
type PanicError = panics.PanicError

// repanic panics with the first [*PanicError] among the results, if there is
// one. As nobody gets the results then, the values in them are discarded.
func repanic[T any](rs Results[T], discard func(T)) {
	p := firstPanic(rs)
	if p == nil {
		return
	}
	if discard != nil {
		for _, v := range rs.Values() {
			defer discard(v) // deferred, so that a panic keeps none from its turn
		}
	}
	panic(p)
}

func firstPanic[T any](rs Results[T]) *PanicError {
	var first *PanicError
	rank := 0
	for _, r := range rs {
		if p, ok := r.Err.(*PanicError); ok && (first == nil || r.rank < rank) { //nolint:errorlint // only the task's own panic, not one that it wrapped
			first, rank = p, r.rank
		}
	}
	return first
}

// endedError is the error of what did not come about because a context ended.
type endedError struct {
	what  error // a sentinel of this package, or nil
	ended error // the context's Err, or nil if it was not a context
	cause error // the context's Cause
}

// ended returns the error for what, which may be nil, given that ctx has
// ended: it matches what, ctx.Err() and context.Cause(ctx).
func ended(what error, ctx context.Context) *endedError { //nolint:revive // what comes first, as with errors.Is
	return &endedError{what: what, ended: ctx.Err(), cause: context.Cause(ctx)}
}

func (e *endedError) Error() string {
	if e.what == nil {
		return "gather: " + brief(e.cause)
	}
	return e.what.Error() + ": " + brief(e.cause)
}

func (e *endedError) Unwrap() []error {
	errs := []error{e.what, e.ended, e.cause}
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}
