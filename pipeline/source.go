package pipeline

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Of returns a Stream of items.
func Of[T any](items ...T) Stream[T] { return FromSlice(items) }

// FromSlice returns a Stream of the elements of items, which it does not copy.
func FromSlice[T any](items []T) Stream[T] {
	return func(ctx context.Context) iter.Seq2[T, error] {
		return func(yield func(T, error) bool) {
			for _, v := range items {
				if ctx.Err() != nil {
					end(ctx, yield)
					return
				}
				if !yield(v, nil) {
					return
				}
			}
			if ctx.Err() != nil {
				end(ctx, yield)
			}
		}
	}
}

// FromSeq returns a Stream of the values of seq. Each time the Stream is used,
// seq is. A wait within seq is not ended with the context.
func FromSeq[T any](seq iter.Seq[T]) Stream[T] {
	if seq == nil {
		panic("pipeline: FromSeq of nil")
	}
	return func(ctx context.Context) iter.Seq2[T, error] {
		return func(yield func(T, error) bool) {
			whole := wholeOf(ctx)
			for v := range seq {
				if isOver(ctx, whole) {
					break
				}
				if !yield(v, nil) {
					return
				}
				if ctx.Err() != nil {
					break
				}
			}
			if ctx.Err() != nil { // seq may have ended for that
				end(ctx, yield)
			}
		}
	}
}

// FromSeq2 returns a Stream of the values and errors of seq, of which it passes
// on, where there are both, the error. Otherwise it is like [FromSeq].
func FromSeq2[T any](seq iter.Seq2[T, error]) Stream[T] {
	if seq == nil {
		panic("pipeline: FromSeq2 of nil")
	}
	return func(ctx context.Context) iter.Seq2[T, error] {
		return func(yield func(T, error) bool) {
			whole := wholeOf(ctx)
			for v, err := range seq {
				if isOver(ctx, whole) {
					break
				}
				if err != nil {
					var zero T
					v = zero
				}
				if !yield(v, err) {
					return
				}
				if ctx.Err() != nil {
					break
				}
			}
			if ctx.Err() != nil { // seq may have ended for that
				end(ctx, yield)
			}
		}
	}
}

// FromChan returns a Stream of what is received from ch, until that is closed.
// If ch is nil, nothing ever is. Those who use the Stream again get what is
// left.
func FromChan[T any](ch <-chan T) Stream[T] {
	return func(ctx context.Context) iter.Seq2[T, error] {
		return func(yield func(T, error) bool) {
			for {
				v, ok, err := Recv(ctx, ch)
				if err != nil {
					end(ctx, yield)
					return
				}
				if !ok || !yield(v, nil) {
					return
				}
			}
		}
	}
}

// Generate returns a Stream of what f emits. Each time the Stream is used, f is
// called, in the goroutine of whoever takes the items, as is emit. When emit
// returns false, nobody wants more, and f has to return. The error of f, if it
// is not nil, comes after the items.
func Generate[T any](f func(ctx context.Context, emit func(T) bool) error) Stream[T] {
	if f == nil {
		panic("pipeline: Generate with a nil function")
	}
	return func(ctx context.Context) iter.Seq2[T, error] {
		return func(yield func(T, error) bool) {
			done, wanted := ctx.Done(), true
			whole := wholeOf(ctx)
			err := f(ctx, func(v T) bool {
				wanted = wanted && (isDone(done) && isOver(ctx, whole) || yield(v, nil))
				return wanted && !isDone(done)
			})
			switch {
			case !wanted:
			case isDone(done):
				end(ctx, yield)
			case err != nil:
				var zero T
				yield(zero, err)
			}
		}
	}
}

// Ticks returns a Stream of the times at which d has passed once more, without
// end. Who is slower than that misses some. Ticks panics if d is not positive.
func Ticks(d time.Duration) Stream[time.Time] {
	if d <= 0 {
		panic("pipeline: Ticks of no time")
	}
	return func(ctx context.Context) iter.Seq2[time.Time, error] {
		return func(yield func(time.Time, error) bool) {
			t := time.NewTicker(d)
			defer t.Stop()
			FromChan(t.C)(ctx)(yield)
		}
	}
}

// isDone reports whether done is closed.
func isDone(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// end yields the error of ctx, which has ended.
func end[T any](ctx context.Context, yield func(T, error) bool) {
	var zero T
	yield(zero, ended(ctx))
}

// Until returns a Stream of the items of s until stop ends: then the context of
// s does, and when s ends for that, so does the Stream, without an error. All
// that has come from it goes on through the stages behind: this is how a
// pipeline is shut down without a loss, where the end of the sink's own context
// would lose what is in batches and windows. Put it right behind a source; what
// stages before it have taken from one may be lost. If stop has ended, there
// are no items.
func Until[T any](stop context.Context, s Stream[T]) Stream[T] {
	mustStage("Until", s == nil, stop == nil)
	return func(ctx context.Context) iter.Seq2[T, error] {
		return func(yield func(T, error) bool) {
			if stop.Err() != nil {
				if ctx.Err() != nil {
					end(ctx, yield)
				}
				return
			}
			inner, cancel := context.WithCancelCause(context.WithValue(ctx, wholeKey{}, wholeOf(ctx)))
			defer cancel(nil)
			canceled := make(chan struct{})
			unwatch := context.AfterFunc(stop, func() {
				cancel(errStopped)
				close(canceled)
			})
			defer func() {
				if !unwatch() {
					<-canceled
				}
			}()
			s(inner)(func(v T, err error) bool {
				if err != nil && errors.Is(err, context.Canceled) && context.Cause(inner) == errStopped { //nolint:errorlint // it is as it was given
					if ctx.Err() == nil {
						return false
					}
					err = ended(ctx)
				}
				return yield(v, err)
			})
		}
	}
}

// wholeKey is the key, in the context of a stream within [Until], of that of the
// whole pipeline, which goes on when the stream has to end.
type wholeKey struct{}

func wholeOf(ctx context.Context) context.Context {
	if whole, ok := ctx.Value(wholeKey{}).(context.Context); ok {
		return whole
	}
	return ctx
}

// isOver reports whether ctx has ended, but not because of [Until] alone: then a
// source still passes on what it has.
func isOver(ctx, whole context.Context) bool {
	return ctx.Err() != nil && (whole.Err() != nil || context.Cause(ctx) != errStopped) //nolint:errorlint // it is as it was given
}

var errStopped = errors.New("pipeline: stopped")
