package retry

import (
	"math"
	"math/bits"
	"time"
)

// A Backoff gives the delay before each attempt but the first: a shape, such
// as that of [Exponential], and a jitter, such as [Backoff.FullJitter]. The
// shapes are exact, the jitters random. It is a plain value without a state,
// so that calls can share it. The zero Backoff is
// Exponential(100*time.Millisecond, 10*time.Second).FullJitter().
//
// No delay is negative, or exceeds the max of its shape if it has one, after
// jitter either, for any number of attempts. Where first is greater than max,
// max counts.
type Backoff struct {
	shape  shape
	jitter jitter

	first, step time.Duration
	most        time.Duration // no delay is longer; 0: no limit
	fraction    float64       // of jitterFraction
	fn          func(int) time.Duration
}

type shape uint8

const (
	shapeDefault shape = iota
	shapeLinear        // that of Constant, too, with step 0
	shapeExponential
	shapeFibonacci
	shapeDecorrelated
	shapeFunc
)

type jitter uint8

const (
	jitterNone jitter = iota
	jitterFull
	jitterEqual
	jitterFraction
)

// Constant returns a Backoff whose delays are all d. It panics if d is
// negative.
func Constant(d time.Duration) Backoff {
	return newBackoff("Constant", shapeLinear, d, 0, 0)
}

// Linear returns a Backoff whose delays are first, first + step, first + 2 ×
// step and so on, up to max. A max of zero means no limit. It panics if an
// argument is negative.
func Linear(first, step, max time.Duration) Backoff {
	return newBackoff("Linear", shapeLinear, first, step, max)
}

// Exponential returns a Backoff whose delays are first, 2 × first, 4 × first
// and so on, up to max. A max of zero means no limit. It panics if an argument
// is negative.
func Exponential(first, max time.Duration) Backoff {
	return newBackoff("Exponential", shapeExponential, first, 0, max)
}

// Fibonacci returns a Backoff whose delays are first times 1, 1, 2, 3, 5 and so
// on, up to max. A max of zero means no limit. It panics if an argument is
// negative.
func Fibonacci(first, max time.Duration) Backoff {
	return newBackoff("Fibonacci", shapeFibonacci, first, 0, max)
}

// Decorrelated returns a Backoff whose delays are random between first and
// three times the delay before, the first of them between first and 3 × first,
// up to max. A max of zero means no limit. It panics if an argument is
// negative. Jitter is part of it: its jitter methods panic.
//
// It is the “decorrelated jitter” of [Exponential Backoff And Jitter].
//
// [Exponential Backoff And Jitter]: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
func Decorrelated(first, max time.Duration) Backoff {
	return newBackoff("Decorrelated", shapeDecorrelated, first, 0, max)
}

// Func returns a Backoff whose delays are those that delay returns for the
// number of attempts that have failed, from 1. A negative one is zero. The
// function is called in the goroutine of the call that waits. Func panics if
// delay is nil.
func Func(delay func(failed int) time.Duration) Backoff {
	if delay == nil {
		panic("retry: Func of a nil function")
	}
	return Backoff{shape: shapeFunc, fn: delay}
}

func newBackoff(name string, s shape, first, step, most time.Duration) Backoff {
	if first|step|most < 0 {
		panic("retry: " + name + " with a negative duration")
	}
	return Backoff{shape: s, first: first, step: step, most: most}
}

// FullJitter returns b with each delay d replaced by a random one between 0
// and d. It replaces another jitter of b.
func (b Backoff) FullJitter() Backoff { return b.with(jitterFull, 0) }

// EqualJitter returns b with each delay d replaced by a random one between d/2
// and d. It replaces another jitter of b.
func (b Backoff) EqualJitter() Backoff { return b.with(jitterEqual, 0) }

// Jitter returns b with each delay d replaced by a random one between
// (1 - fraction) × d and (1 + fraction) × d, or the max of the shape if that
// is less. It replaces another jitter of b. It panics unless fraction is
// between 0 and 1.
func (b Backoff) Jitter(fraction float64) Backoff {
	if !(fraction >= 0 && fraction <= 1) {
		panic("retry: Jitter with a fraction that is not between 0 and 1")
	}
	return b.with(jitterFraction, fraction)
}

func (b Backoff) with(j jitter, fraction float64) Backoff {
	b = b.orDefault()
	if b.shape == shapeDecorrelated {
		panic("retry: jitter on Decorrelated, which is jitter already")
	}
	b.jitter, b.fraction = j, fraction
	return b
}

// orDefault returns b, or what the zero Backoff stands for.
func (b Backoff) orDefault() Backoff {
	if b.shape != shapeDefault {
		return b
	}
	return Backoff{shape: shapeExponential, jitter: jitterFull, first: 100 * time.Millisecond, most: 10 * time.Second}
}

// capped returns b with no delay longer than most, if most is not 0.
func (b Backoff) capped(most time.Duration) Backoff {
	b = b.orDefault()
	if b.most == 0 || most != 0 && most < b.most {
		b.most = most
	}
	return b
}

// next returns the delay after the given number of failed attempts, where
// before is what it returned last in this call, or 0. It calls random(n) for a
// number below n. It requires orDefault.
func (b Backoff) next(failed int, before time.Duration, random func(n uint64) uint64) time.Duration {
	between := func(low, high time.Duration) time.Duration {
		return low + time.Duration(random(uint64(high-low)+1))
	}
	most := b.most
	if most == 0 {
		most = math.MaxInt64
	}

	var d time.Duration
	switch b.shape {
	case shapeLinear:
		d = plus(b.first, times(b.step, uint64(failed-1)))
	case shapeExponential:
		d = times(b.first, 1<<min(failed-1, 63))
	case shapeFibonacci:
		d = times(b.first, fibonacci(failed))
	case shapeDecorrelated:
		d = between(b.first, times(max(before, b.first), 3))
	case shapeFunc:
		d = max(b.fn(failed), 0)
	}
	d = min(d, most)

	switch b.jitter {
	case jitterFull:
		d = between(0, d)
	case jitterEqual:
		d = between(d-d/2, d)
	case jitterFraction:
		spread := d
		if f := b.fraction * float64(d); f < float64(d) { // otherwise f may not fit
			spread = time.Duration(f)
		}
		d = between(d-spread, min(plus(d, spread), most))
	}
	return d
}

// plus returns a + b, or the longest duration.
func plus(a, b time.Duration) time.Duration {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// times returns d × n, or the longest duration.
func times(d time.Duration, n uint64) time.Duration {
	high, low := bits.Mul64(uint64(d), n)
	if high != 0 || low > math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(low)
}

// fibonacci returns the number n of the sequence 1, 1, 2, 3, 5 and so on, or
// the 93rd, the last that fits, if that is less.
func fibonacci(n int) uint64 {
	a, b := uint64(0), uint64(1)
	for range min(n, 93) {
		a, b = b, a+b
	}
	return a
}
