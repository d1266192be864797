package gather

import (
	"context"

	"github.com/seed4886185c/concert/internal/panics"
)

// attempt runs one task in the calling goroutine, within its time limit. With
// [Abandon] it runs the task in a goroutine of its own instead, and returns
// when the task's context has ended. A panic or Goexit in the calling
// goroutine is left to the caller.
func attempt[T any](ctx context.Context, c *config, discard func(T), task Task[T]) (T, error) {
	if c.timed() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	if !c.has(optAbandon) {
		return task(ctx)
	}

	out := make(chan outcome[T])
	left := make(chan struct{})
	defer close(left)
	go settle(ctx, task, func(r Result[T]) { deliver(outcome[T]{Result: r}, out, left, discard) })
	select {
	case o := <-out:
		return o.Value, o.Err
	case <-ctx.Done():
		var zero T
		return zero, ended(ErrAbandoned, ctx)
	}
}

// settle runs task, unless ctx has ended, and calls report with its outcome
// exactly once, whatever the task does. If the task calls [runtime.Goexit],
// settle does not return.
func settle[T any](ctx context.Context, task Task[T], report func(Result[T])) {
	if ctx.Err() != nil {
		report(Result[T]{Err: ended(ErrNotRun, ctx)})
		return
	}
	r := Result[T]{Err: ErrGoexit} // stands if the task does not return
	defer func() {
		if p := recover(); p != nil {
			r.Err = panics.New(p)
		}
		report(r)
	}()
	r.Value, r.Err = task(ctx)
}

// An outcome is the result of the task with the given index.
type outcome[T any] struct {
	index int
	Result[T]
}

// deliver sends o to its receiver, who closes left when he leaves, after
// which he receives no more; then a value goes to discard, which may be nil.
// With an unbuffered channel no value can fall between the two; of a buffered
// one the receiver must take what is left once all have delivered.
func deliver[T any](o outcome[T], to chan<- outcome[T], left <-chan struct{}, discard func(T)) {
	select {
	case to <- o:
	case <-left:
		if o.Err == nil && discard != nil {
			discard(o.Value)
		}
	}
}
