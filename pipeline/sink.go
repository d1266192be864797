package pipeline

import (
	"context"
	"errors"
	"iter"
)

// All returns what is in s for a loop: the items, and the first error, which is
// the last. Once the loop is left, all goroutines of the pipeline have ended.
func (s Stream[T]) All(ctx context.Context) iter.Seq2[T, error] {
	mustStage("All", s == nil, false)
	return func(yield func(T, error) bool) {
		s(ctx)(func(v T, err error) bool {
			return yield(v, final(ctx, err)) && err == nil
		})
	}
}

// final returns what a sink returns for the first error, which if ctx has ended
// matches also the error of that and its cause.
func final(ctx context.Context, err error) error {
	switch {
	case err == nil || ctx.Err() == nil || errors.Is(err, ctx.Err()) && errors.Is(err, context.Cause(ctx)):
		return err
	case err == ctx.Err(): //nolint:errorlint // what wraps it tells more
		return ended(ctx)
	}
	return &endedError{ended: ended(ctx), cause: err}
}

// Run takes all items of s and returns the first error.
func Run[T any](ctx context.Context, s Stream[T]) error {
	_, err := Count(ctx, s)
	return err
}

// Count returns the number of the items of s, or of those before the first
// error, and that.
func Count[T any](ctx context.Context, s Stream[T]) (int, error) {
	return Fold(ctx, s, 0, func(n int, _ T) int { return n + 1 })
}

// Collect returns the items of s, or those before the first error, and that.
func Collect[T any](ctx context.Context, s Stream[T]) ([]T, error) {
	return Fold(ctx, s, nil, func(all []T, v T) []T { return append(all, v) })
}

// Fold returns what f makes of init and the first item of s, of that and the
// second, and so on, up to the first error, and that.
func Fold[T, A any](ctx context.Context, s Stream[T], init A, f func(A, T) A) (A, error) {
	mustStage("Fold", s == nil, f == nil)
	var first error
	for v, err := range s(ctx) {
		if err != nil {
			first = final(ctx, err)
			break
		}
		init = f(init, v)
	}
	return init, first
}

// First returns the first item of s, or false if there is none, or the error
// that comes before it.
func First[T any](ctx context.Context, s Stream[T]) (v T, ok bool, err error) {
	mustStage("First", s == nil, false)
	for v, err := range s(ctx) {
		return v, err == nil, final(ctx, err)
	}
	return v, false, nil
}

// ForEach calls f with each item of s, and returns the first error, after which
// it calls f no more. With [Workers], [Ordered] (of which only the errors
// show), and [ByKey].
func ForEach[T any](ctx context.Context, s Stream[T], f func(context.Context, T) error, opts ...Option) error {
	mustStage("ForEach", s == nil, f == nil)
	return Run(ctx, Map(s, func(ctx context.Context, v T) (struct{}, error) {
		return struct{}{}, f(ctx, v)
	}, opts...))
}

// A Sink uses the items of a Stream, and returns when it has, or at the first
// error.
type Sink[T any] func(context.Context, Stream[T]) error

// Into returns a Sink that calls f with each item, as [ForEach] does.
func Into[T any](f func(context.Context, T) error, opts ...Option) Sink[T] {
	mustStage("Into", false, f == nil)
	settle[T]("Into", opts)
	return func(ctx context.Context, s Stream[T]) error { return ForEach(ctx, s, f, opts...) }
}

// Reduce returns what f makes of the first two items of s, of that and the
// third, and so on; false if there are none; or the first error. With
// [Workers], f is called for neighbours first, and then for what has come of
// them, in the order of the items: f has to be associative, but need not be
// commutative. [Ahead] counts groups of 16 or more then, and [ByKey] does not
// matter.
func Reduce[T any](ctx context.Context, s Stream[T], f func(context.Context, T, T) (T, error), opts ...Option) (T, bool, error) {
	mustStage("Reduce", s == nil, f == nil)
	if o := settle[T]("Reduce", opts); o.workers > 0 {
		s = Map(Chunk(s, max(16, 2*o.workers)), func(ctx context.Context, vs []T) (T, error) {
			v, _, err := Reduce(ctx, FromSlice(vs), f)
			if err == Drop { //nolint:errorlint // what wraps it is an error
				err = errors.Join(err) // as one it has no meaning here
			}
			return v, err
		}, Workers(o.workers), Ahead(o.ahead))
	}
	var sum T
	any := false
	for v, err := range s(ctx) {
		if err == nil && any {
			v, err = f(ctx, sum, v)
		}
		if err != nil {
			var zero T
			return zero, false, final(ctx, err)
		}
		sum, any = v, true
	}
	return sum, any, nil
}

// Chan sends the items of s on a channel, which it closes at the end of s, at
// the first error, or when ctx ends. The function that it returns stops that,
// if it has not ended yet, waits until all goroutines have, and returns the
// error. It must be called; it may be called again, and panics if a function of
// the pipeline has.
func Chan[T any](ctx context.Context, s Stream[T]) (<-chan T, func() error) {
	mustStage("Chan", s == nil, false)
	out := make(chan T)
	h := newHub[T](ctx)
	var err error // of the goroutine, until it has ended
	h.start(func() {
		defer close(out)
		for v, e := range s(h.ctx) { //nolint:contextcheck // it comes from ctx
			if e == nil {
				e = Send(h.ctx, out, v) //nolint:contextcheck // it comes from ctx
			}
			switch {
			case e == nil:
				continue
			case !errors.Is(e, context.Canceled) || h.ctx.Err() == nil: // it is not for that it was stopped
				err = final(ctx, e)
			case ctx.Err() != nil && e == context.Canceled: //nolint:errorlint // what wraps it tells more
				err = ended(ctx)
			case ctx.Err() != nil:
				err = final(ctx, e)
			}
			return
		}
	})
	return out, func() error {
		h.consume(func() {})
		if h.failed.Load() != nil {
			return ErrGoexit
		}
		return err
	}
}
