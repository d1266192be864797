package pipeline

import (
	"context"
	"iter"

	"github.com/seed4886185c/concert/internal/panics"
)

// Map returns a Stream of what f makes of the items of s. An item for which f
// returns [Drop] is left out, any other error takes its place. With [Workers],
// [Ordered], [Ahead] and [ByKey]. See [Try] and [Pure] for functions of other
// forms.
func Map[A, B any](s Stream[A], f func(context.Context, A) (B, error), opts ...Option) Stream[B] {
	mustStage("Map", s == nil, f == nil)
	if o := settle[A]("Map", opts); o.workers > 0 {
		return pooled(s, o, f)
	}
	return through(s, func(ctx context.Context, yield func(B, error) bool) func(A, error) bool {
		return func(v A, err error) bool {
			var b B
			if err == nil {
				if b, err = f(ctx, v); err == Drop { //nolint:errorlint // what wraps it is an error
					return true
				}
			}
			return yield(b, err)
		}
	})
}

// through returns a Stream that hands each item of s to what stage makes of the
// function that takes its own items. All of it runs in one loop, that of the
// source.
func through[A, B any](s Stream[A], stage func(ctx context.Context, yield func(B, error) bool) func(A, error) bool) Stream[B] {
	return func(ctx context.Context) iter.Seq2[B, error] {
		return func(yield func(B, error) bool) { s(ctx)(stage(ctx, yield)) }
	}
}

// mustStage panics if a stage lacks a stream or a function.
func mustStage(stage string, noStream, noFunc bool) {
	if noStream || noFunc {
		panic("pipeline: " + stage + " of nil")
	}
}

// Filter returns a Stream of those items of s for which keep returns true. With
// [Workers], [Ordered], [Ahead] and [ByKey].
func Filter[T any](s Stream[T], keep func(context.Context, T) (bool, error), opts ...Option) Stream[T] {
	mustStage("Filter", s == nil, keep == nil)
	if o := settle[T]("Filter", opts); o.workers == 0 {
		return through(s, func(ctx context.Context, yield func(T, error) bool) func(T, error) bool {
			return func(v T, err error) bool {
				if err == nil {
					var ok bool
					if ok, err = keep(ctx, v); err == Drop || err == nil && !ok { //nolint:errorlint // what wraps it is an error
						return true
					}
				}
				return yield(v, err)
			}
		})
	}
	return Map(s, func(ctx context.Context, v T) (T, error) {
		ok, err := keep(ctx, v)
		if err == nil && !ok {
			err = Drop
		}
		return v, err
	}, opts...)
}

// Pure makes a function for [Map], or [Filter], of one that needs no context
// and cannot fail.
func Pure[A, B any](f func(A) B) func(context.Context, A) (B, error) {
	mustStage("Pure", false, f == nil)
	return func(_ context.Context, v A) (B, error) { return f(v), nil }
}

// Try makes a function for [Map], or [Filter], of one that needs no context.
func Try[A, B any](f func(A) (B, error)) func(context.Context, A) (B, error) {
	mustStage("Try", false, f == nil)
	return func(_ context.Context, v A) (B, error) { return f(v) }
}

// Tap returns a Stream of the items of s, and calls f with each before it is
// passed on.
func Tap[T any](s Stream[T], f func(T)) Stream[T] {
	mustStage("Tap", s == nil, f == nil)
	return through(s, func(_ context.Context, yield func(T, error) bool) func(T, error) bool {
		return func(v T, err error) bool {
			if err == nil {
				f(v)
			}
			return yield(v, err)
		}
	})
}

// Take returns a Stream of the first n items of s, and of the errors before the
// last of them, after which it asks s for no more.
func Take[T any](s Stream[T], n int) Stream[T] {
	mustStage("Take", s == nil, false)
	mustCount("Take", n, 0)
	return func(ctx context.Context) iter.Seq2[T, error] {
		return func(yield func(T, error) bool) {
			if n == 0 {
				return
			}
			left := n
			s(ctx)(func(v T, err error) bool {
				if err == nil {
					left--
				}
				return yield(v, err) && left > 0
			})
		}
	}
}

// mustCount panics if a number is less than it may be.
func mustCount(stage string, n, least int) {
	if n < least {
		panic("pipeline: " + stage + " of a number that is too small")
	}
}

// Skip returns a Stream of all items of s but the first n.
func Skip[T any](s Stream[T], n int) Stream[T] {
	mustStage("Skip", s == nil, false)
	mustCount("Skip", n, 0)
	return through(s, func(_ context.Context, yield func(T, error) bool) func(T, error) bool {
		left := n
		return func(v T, err error) bool {
			if err == nil && left > 0 {
				left--
				return true
			}
			return yield(v, err)
		}
	})
}

// TakeWhile returns a Stream of the items of s before the first for which f
// returns false, after which it asks s for no more.
func TakeWhile[T any](s Stream[T], f func(T) bool) Stream[T] {
	mustStage("TakeWhile", s == nil, f == nil)
	return through(s, func(_ context.Context, yield func(T, error) bool) func(T, error) bool {
		return func(v T, err error) bool {
			return (err != nil || f(v)) && yield(v, err)
		}
	})
}

// SkipWhile returns a Stream of the items of s from the first on for which f
// returns false. It does not call f after that.
func SkipWhile[T any](s Stream[T], f func(T) bool) Stream[T] {
	mustStage("SkipWhile", s == nil, f == nil)
	return through(s, func(_ context.Context, yield func(T, error) bool) func(T, error) bool {
		skipping := true
		return func(v T, err error) bool {
			if err == nil && skipping {
				if skipping = f(v); skipping {
					return true
				}
			}
			return yield(v, err)
		}
	})
}

// Distinct returns a Stream of those items of s whose key is not among the last
// max keys that it has passed on: without a bound, memory would have none. An
// item that is left out does not renew its key.
func Distinct[T any, K comparable](s Stream[T], key func(T) K, max int) Stream[T] {
	mustStage("Distinct", s == nil, key == nil)
	mustCount("Distinct", max, 1)
	return through(s, func(_ context.Context, yield func(T, error) bool) func(T, error) bool {
		seen := map[K]struct{}{}
		var keys []K // those that are seen; once there are max, the oldest is at next
		next := 0
		return func(v T, err error) bool {
			if err != nil {
				return yield(v, err)
			}
			k := key(v)
			if _, ok := seen[k]; ok {
				return true
			}
			if len(keys) < max {
				keys = append(keys, k)
			} else {
				delete(seen, keys[next])
				keys[next] = k
				next = (next + 1) % max
			}
			seen[k] = struct{}{}
			return yield(v, nil)
		}
	})
}

// Scan returns a Stream of what f makes of init and the first item of s, of
// that and the second, and so on.
func Scan[T, A any](s Stream[T], init A, f func(A, T) A) Stream[A] {
	mustStage("Scan", s == nil, f == nil)
	return through(s, func(_ context.Context, yield func(A, error) bool) func(T, error) bool {
		sum := init
		return func(v T, err error) bool {
			if err != nil {
				var zero A
				return yield(zero, err)
			}
			sum = f(sum, v)
			return yield(sum, nil)
		}
	})
}

// Chunk returns a Stream of slices of n items of s each, but for the last, and
// those before an error, which have what there is. No two share memory. To
// bound the time for which an item waits for others, use [Batch].
func Chunk[T any](s Stream[T], n int) Stream[[]T] {
	mustStage("Chunk", s == nil, false)
	mustCount("Chunk", n, 1)
	return func(ctx context.Context) iter.Seq2[[]T, error] {
		return func(yield func([]T, error) bool) {
			b := batch[T]{size: n}
			wanted := true
			s(ctx)(func(v T, err error) bool {
				if err != nil {
					wanted = b.flush(yield) && yield(nil, err)
				} else if b.add(v) {
					wanted = b.flush(yield)
				}
				return wanted
			})
			if wanted {
				b.flush(yield)
			}
		}
	}
}

// Concat returns a Stream of the items of the first of ss, then those of the
// second, and so on.
func Concat[T any](ss ...Stream[T]) Stream[T] {
	for _, s := range ss {
		mustStage("Concat", s == nil, false)
	}
	return func(ctx context.Context) iter.Seq2[T, error] {
		return func(yield func(T, error) bool) {
			wanted := true
			for _, s := range ss {
				s(ctx)(func(v T, err error) bool {
					wanted = yield(v, err)
					return wanted
				})
				if !wanted {
					return
				}
			}
		}
	}
}

// Zip returns a Stream of what f makes of the first items of a and b, of the
// second, and so on, until one of them ends. Errors of both are passed on; they
// do not shift what goes together. The items of b, and its functions, run in a
// coroutine.
func Zip[A, B, C any](a Stream[A], b Stream[B], f func(A, B) C) Stream[C] {
	mustStage("Zip", a == nil || b == nil, f == nil)
	return func(ctx context.Context) iter.Seq2[C, error] {
		return func(yield func(C, error) bool) {
			next, stop := iter.Pull2(withStack(b(ctx)))
			defer stop()
			var none C
			a(ctx)(func(v A, err error) bool {
				if err != nil {
					return yield(none, err)
				}
				for {
					w, err, ok := next()
					switch {
					case !ok:
						return false
					case err == nil:
						return yield(f(v, w), nil)
					case !yield(none, err):
						return false
					}
				}
			})
		}
	}
}

// withStack makes a panic in seq one that has its stack, for who calls it from
// another goroutine.
func withStack[T any](seq iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		defer func() {
			if v := recover(); v != nil {
				panic(panics.New(v))
			}
		}()
		seq(yield)
	}
}
