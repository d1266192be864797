package gather

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// errSettled is why the tasks that First and Quorum need no more are
// cancelled.
var errSettled = errors.New("gather: enough tasks have succeeded, or too few can")

// First runs the tasks until one succeeds and returns its value at once. The
// others are cancelled, with a cause, and not waited for; what they still
// return goes to [OnDiscard]. A failure does not end the call while another
// task may succeed: if all fail, the error is an [*Error] that lists them.
//
// If ctx ends before, First returns at once too; the error then lists those
// that failed, were not started ([ErrNotRun]) or not waited for
// ([ErrAbandoned]). Without tasks the error is no *Error but matches ErrNotRun.
//
// The context of the task that won is not cancelled: its value, such as an
// open response, may depend on it. It ends when ctx does, and holds a little
// memory until then; so under a ctx that lives long, give First one of its own
// and cancel that when done with the value.
//
// To First a task has succeeded if its error is nil. A response that only
// tells of a failure, by an HTTP status for instance, should become an error.
//
// With [Stagger], First starts the tasks one after another. It takes [Limit],
// [TaskTimeout], OnDiscard and [Repanic] too, and [Abandon], which changes
// nothing. It panics if a task is nil.
func First[T any](ctx context.Context, tasks []Task[T], opts ...Option) (T, error) {
	results, err := runRace(ctx, "First", 1, tasks, opts)
	if err == nil {
		for _, r := range results {
			if r.Err == nil {
				return r.Value, nil
			}
		}
	}
	var zero T
	return zero, err
}

// Quorum runs the tasks until need of them have succeeded and returns at
// once. Result i is that of task i. Tasks that had not ended are cancelled,
// with a cause, and not waited for; their errors match [ErrAbandoned], or
// [ErrNotRun] if they had not been started, and what they still return goes
// to [OnDiscard].
//
// The error is nil if need tasks have succeeded. Otherwise it is not nil, and
// Quorum returns as soon as too many have failed or ctx has ended: the error
// is then the [*Error] of the results. If there are fewer than need tasks,
// none is run and the error matches ErrNotRun.
//
// The contexts of the tasks that succeeded are kept as with [First]; Quorum
// takes the same options. It panics if need is less than 1 or a task is nil.
func Quorum[T any](ctx context.Context, need int, tasks []Task[T], opts ...Option) (Results[T], error) {
	if need < 1 {
		panic(fmt.Sprintf("gather: Quorum of %d, less than 1", need))
	}
	return runRace(ctx, "Quorum", need, tasks, opts)
}

func runRace[T any](ctx context.Context, call string, need int, tasks []Task[T], opts []Option) (Results[T], error) {
	c := newConfig(call, raceOptions, opts)
	checkTasks(call, tasks)
	r := &race[T]{
		config:  c,
		discard: discardOf[T](c),
		ctx:     ctx,
		tasks:   tasks,
		results: make(Results[T], len(tasks)),
		cancels: make([]context.CancelCauseFunc, 0, len(tasks)),
		out:     make(chan outcome[T]),
		left:    make(chan struct{}),
	}
	c.checkDiscards(call)
	if need > len(tasks) {
		err := &endedError{what: ErrNotRun, cause: fmt.Errorf("%s needs %d of %d tasks", call, need, len(tasks))}
		for i := range r.results {
			r.results[i].Err = err
		}
		return r.results, err
	}
	return r.run(need)
}

// A race runs tasks, each in a goroutine of its own, until enough of them
// have succeeded. Everything but the tasks happens in the caller's goroutine.
type race[T any] struct {
	*config
	discard func(T)
	ctx     context.Context //nolint:containedctx // lives as long as the call
	tasks   []Task[T]
	results Results[T]
	cancels []context.CancelCauseFunc // of the tasks started; nil once they have ended
	ended   int                       // of the tasks started
	failed  int                       // of those ended

	running sync.WaitGroup
	out     chan outcome[T] // unbuffered, see deliver; never closed
	left    chan struct{}   // closed when out is received from no more
}

func (r *race[T]) run(need int) (Results[T], error) {
	n, limit := len(r.tasks), r.limitOf(len(r.tasks))
	allowed := n // how many tasks may have been started by now
	var timer *time.Timer
	var tick <-chan time.Time
	if r.has(optStagger) && r.stagger > 0 {
		allowed = need
		timer = time.NewTimer(r.stagger)
		defer timer.Stop()
		tick = timer.C
	}

	for r.ended-r.failed < need && n-r.failed >= need && r.ctx.Err() == nil {
		for len(r.cancels) < allowed && len(r.cancels)-r.ended < limit {
			r.start(len(r.cancels))
			if tick != nil {
				timer.Reset(r.stagger)
			}
		}
		select {
		case o := <-r.out:
			r.take(o)
			if o.Err != nil && allowed < n {
				allowed++
			}
		case <-tick:
			if allowed < n {
				allowed++
				timer.Reset(r.stagger)
			} else {
				tick = nil // all may have started
			}
		case <-r.ctx.Done():
		}
	}
	return r.finish(need)
}

// start starts task i under a context of its own, and so lets it be cancelled
// without the others.
func (r *race[T]) start(i int) {
	ctx, cancel := context.WithCancelCause(r.ctx)
	r.cancels = append(r.cancels, cancel)
	task := r.tasks[i]
	if r.timed() {
		task = r.withTimeout(task, cancel)
	}
	r.running.Go(func() {
		settle(ctx, task, func(res Result[T]) {
			deliver(outcome[T]{index: i, Result: res}, r.out, r.left, r.discard)
		})
	})
}

// withTimeout gives task a time limit, which [context.WithTimeout] cannot:
// once the task has won, its context must not end any more. A task that
// overstays is left to itself, for the others wait for its place.
func (r *race[T]) withTimeout(task Task[T], cancel context.CancelCauseFunc) Task[T] {
	return func(ctx context.Context) (T, error) {
		timer := time.NewTimer(r.timeout)
		defer timer.Stop()
		out := make(chan outcome[T])
		left := make(chan struct{})
		defer close(left)
		r.running.Go(func() {
			settle(ctx, task, func(res Result[T]) { deliver(outcome[T]{Result: res}, out, left, r.discard) })
		})
		select {
		case o := <-out:
			return o.Value, o.Err
		case <-timer.C:
			cancel(context.DeadlineExceeded)
			var zero T
			return zero, &endedError{what: ErrAbandoned, ended: context.DeadlineExceeded, cause: context.DeadlineExceeded}
		}
	}
}

// take takes in the outcome of a task.
func (r *race[T]) take(o outcome[T]) {
	r.results[o.index] = o.Result
	r.ended++
	if o.Err != nil {
		r.results[o.index].rank = r.failed
		r.failed++
		r.cancels[o.index](errSettled) // only the contexts of successes are kept
	}
	r.cancels[o.index] = nil
}

// finish leaves the tasks that have not ended to themselves.
func (r *race[T]) finish(need int) (Results[T], error) {
	enough := r.ended-r.failed >= need
	abandoned := &endedError{what: ErrAbandoned, ended: context.Canceled, cause: errSettled}
	notRun := &endedError{what: ErrNotRun, ended: context.Canceled, cause: errSettled}
	if !enough && r.ctx.Err() != nil {
		abandoned, notRun = ended(ErrAbandoned, r.ctx), ended(ErrNotRun, r.ctx)
	}
	for i := range r.results {
		res := &r.results[i]
		switch {
		case i >= len(r.cancels):
			res.Err, res.rank = notRun, r.failed
		case r.cancels[i] != nil:
			r.cancels[i](errSettled)
			res.Err, res.rank = abandoned, r.failed
		}
	}
	close(r.left)
	if r.has(optRepanic) {
		if firstPanic(r.results) != nil {
			r.running.Wait()
		}
		repanic(r.results, r.discard)
	}
	if enough {
		return r.results, nil
	}
	return r.results, r.results.Err()
}
