// Package gather runs tasks concurrently and keeps every outcome.
//
// A [Task] is any func(context.Context) (T, error). Choose by what is known
// and what is wanted:
//
//   - [All] runs a slice of tasks, [Keyed] a map of them, [All2] to [All5] a
//     few of different types; [Map] and [Each] call one function for every
//     item of a slice.
//   - [Stream] does so for a sequence, however long, and reports each result
//     as it comes.
//   - [Group] takes tasks that become known only while others run.
//   - [First] wants the first success, [Quorum] a number of successes.
//   - [Flight] shares one call among all who ask for the same key meanwhile.
//
// Unless an [Option] says otherwise, every task runs, as many at once as
// there are tasks, and a failure stops nothing: [Results] holds a value or an
// error for each task, in the order of the tasks. [Limit] bounds how many run
// at once, [FailFast] stops at the first failure.
//
// # Concurrency
//
// Tasks run in goroutines that the call starts, never in the caller's, and,
// but for First and Quorum, not in a goroutine each: a goroutine that has
// finished one task takes the next. A task that blocks delays no other, unless
// Limit says so. Tasks start in order, those of Keyed in any.
//
// A call returns once its goroutines have ended. The exceptions are the losers
// of First and Quorum, tasks left behind by [Abandon] and a run of a Flight
// that all its callers have left, for as long as they ignore their cancelled
// context.
//
// All functions may be called concurrently, also from within tasks. Time is
// package time's, so that everything here runs in a testing/synctest bubble.
//
// # Errors
//
// A task's own error is kept as it is. A panic becomes a [*PanicError], a
// call of [runtime.Goexit] becomes [ErrGoexit]; neither disturbs another
// task. A task that was not started, because ctx had ended or for FailFast,
// has an error that matches [ErrNotRun]; one that was started but not waited
// for matches [ErrAbandoned]. Both match the context's error and its cause
// too. [Results.Err] puts the failures together as an [*Error].
//
// To tell results apart, ask for ErrNotRun first, then for ErrAbandoned, a
// *PanicError, [context.DeadlineExceeded] and [context.Canceled]: each may
// match those after it. A task that was cancelled returns what it likes,
// often the cause, as net/http does; so under FailFast several tasks may
// return the first failure. [Error.First] is the original.
//
// When ctx ends during a call, some tasks may have succeeded, some failed and
// some not been run. Whether the call was cut short as a whole is what
// ctx.Err() tells after it.
//
// # Not for
//
// A pool that outlives a call, or one limit shared by several calls: acquire
// a semaphore in the tasks. Work of a few nanoseconds an item: split the
// slice by hand.
package gather

import (
	"context"
	"fmt"
)

// A Task is one piece of work. It should return soon after ctx has ended.
type Task[T any] = func(ctx context.Context) (T, error)

// A Result is the outcome of one task: it succeeded if Err is nil. Value is
// what the task returned, beside an error too, and zero if it did not return.
type Result[T any] struct {
	Value T
	Err   error

	// How many tasks of the call had failed before this one. It is 0 in the
	// first failure and in results made by hand, so that these compare equal.
	rank int
}

// Get returns the value and the error.
func (r Result[T]) Get() (T, error) { return r.Value, r.Err }

// Results holds one result for each task, in the order of the tasks.
type Results[T any] []Result[T]

// Values returns the values of the tasks that succeeded, in the order of the
// tasks.
func (rs Results[T]) Values() []T {
	values := make([]T, 0, len(rs))
	for _, r := range rs {
		if r.Err == nil {
			values = append(values, r.Value)
		}
	}
	return values
}

// Err returns nil if every task succeeded, and otherwise an [*Error] that
// lists every failure.
func (rs Results[T]) Err() error {
	var failed failures
	for i, r := range rs {
		if r.Err != nil {
			failed.add(TaskError{Index: i, Err: r.Err}, r.rank)
		}
	}
	return failed.err()
}

// Join returns all values if every task succeeded, and otherwise nil and
// [Results.Err]. Where values must be closed, close those of [Results.Values]
// then.
func (rs Results[T]) Join() ([]T, error) {
	if err := rs.Err(); err != nil {
		return nil, err
	}
	return rs.Values(), nil
}

// All runs the tasks and returns when they have ended. Result i is that of
// task i.
//
// All takes [Limit], [FailFast], [TaskTimeout], [Abandon], [OnDiscard] and
// [Repanic]. It panics if a task is nil.
func All[T any](ctx context.Context, tasks []Task[T], opts ...Option) Results[T] {
	checkTasks("All", tasks)
	return runBatch(ctx, "All", tasks, call[T], opts)
}

// Map calls fn for every item of in and returns when the calls have ended.
// Result i is that of item i. Without [Limit], all calls may run at once.
//
// Map takes the options of [All]. It panics if fn is nil.
func Map[In, Out any](ctx context.Context, in []In, fn func(context.Context, In) (Out, error), opts ...Option) Results[Out] {
	if fn == nil {
		panic("gather: Map of a nil function")
	}
	return runBatch(ctx, "Map", in, fn, opts)
}

// Each calls fn for every item of in and returns when the calls have ended:
// nil if all of them returned nil, and otherwise an [*Error].
//
// Each takes the options of [All] but OnDiscard. It panics if fn is nil.
func Each[In any](ctx context.Context, in []In, fn func(context.Context, In) error, opts ...Option) error {
	if fn == nil {
		panic("gather: Each of a nil function")
	}
	return runBatch(ctx, "Each", in, func(ctx context.Context, item In) (none, error) {
		return none{}, fn(ctx, item)
	}, opts).Err()
}

// none is the value of tasks that have none. No caller can name it, and so
// none can give an [OnDiscard] for it.
type none struct{}

// call calls the task.
func call[T any](ctx context.Context, task Task[T]) (T, error) { return task(ctx) }

func checkTasks[T any](call string, tasks []Task[T]) {
	for i, task := range tasks {
		if task == nil {
			panic(fmt.Sprintf("gather: %s with a nil task, at index %d", call, i))
		}
	}
}
