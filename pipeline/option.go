package pipeline

import "hash/maphash"

// An Option is what a stage or a sink takes, see each of them. It panics with
// one that it does not take, and with any, but without [Workers].
type Option struct {
	workers int
	ordered bool
	ahead   int
	key     any // func(T) uint64, of the T of ByKey
}

// Workers lets n goroutines of a stage, or a sink, call its function at once,
// for n items; those then arrive in no particular order, and an error may
// overtake items that came before it. Without it, the function is called in the
// goroutine of whoever takes the items. Workers panics if n is less than 1.
func Workers(n int) Option {
	if n < 1 {
		panic("pipeline: Workers of less than 1")
	}
	return Option{workers: n}
}

// Ordered makes [Workers] keep the items, and errors, in the order in which
// they came. One that takes long holds up those behind it: see [Ahead].
func Ordered() Option { return Option{ordered: true} }

// Ahead is [Ordered], and lets the workers be n items ahead of the one that is
// to be delivered next, that one included. Without it, it is 64, or four times
// the workers if that is more. The memory for n items is taken at once. Ahead
// panics if n is less than 1.
func Ahead(n int) Option {
	if n < 1 {
		panic("pipeline: Ahead of less than 1")
	}
	return Option{ordered: true, ahead: n}
}

// ByKey makes [Workers] work on items that have the same key one after the
// other, in the order in which they came. The key function is called in one
// goroutine. ByKey panics if key is nil, and the stage does, if its items are
// not of the type T.
func ByKey[T any, K comparable](key func(T) K) Option {
	if key == nil {
		panic("pipeline: ByKey with a nil function")
	}
	seed := maphash.MakeSeed()
	return Option{key: func(v T) uint64 { return maphash.Comparable(seed, key(v)) }}
}

// settings are the options of a stage whose items are of the type T.
type settings[T any] struct {
	workers int // 0 means none
	ordered bool
	ahead   int
	key     func(T) uint64
}

// settle panics if the options do not go together.
func settle[T any](stage string, opts []Option) settings[T] {
	var s settings[T]
	for _, o := range opts {
		s.workers = max(s.workers, o.workers)
		s.ahead = max(s.ahead, o.ahead)
		s.ordered = s.ordered || o.ordered
		if o.key != nil {
			key, ok := o.key.(func(T) uint64)
			if !ok {
				panic("pipeline: " + stage + " with ByKey of another type")
			}
			s.key = key
		}
	}
	if s.workers == 0 && (s.ordered || s.key != nil) {
		panic("pipeline: " + stage + " with Ordered, Ahead or ByKey, but without Workers")
	}
	if s.ahead == 0 {
		s.ahead = max(64, 4*s.workers)
	}
	return s
}
