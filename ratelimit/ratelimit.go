// Package ratelimit bounds how often things happen, and how many at once.
//
//	per second, with bursts                   →  Limiter: New(10, 20)
//	several rates together                    →  Multi: All(perSecond, perHour)
//	never more than n in any span of time     →  Window: NewWindow(n, per)
//	each user, address or tenant on its own   →  Keyed: NewKeyed[string](r, burst, maxKeys)
//	how many at once, and how many wait       →  Bulkhead: NewBulkhead(max, queue)
//	… when nobody knows how many are good     →  Adaptive: NewAdaptive(AdaptiveSettings{})
//
// Those of the first four have Allow, which says at once whether an event may
// happen, and Wait, which waits until it may. [Limiter.Reserve] is for those who
// have to decide for themselves. A [Store] is the form of a Keyed that may also
// be shared by several processes. For HTTP there is [httplimit].
//
//	api := ratelimit.New(ratelimit.Per(100, time.Minute), 10)
//	if err := api.Wait(ctx); err != nil {
//		return err
//	}
//
// # Concurrency
//
// Everything may be used concurrently. Nothing starts a goroutine, and no lock is
// held while a function of the caller runs. Allow of a Limiter, and of a Keyed for
// a key that it has, takes no lock; it writes nothing when it refuses.
//
// Who waits is served in the order in which it came. If its context ends, it has
// taken nothing.
//
// Time is package time's, so that everything here runs in a testing/synctest
// bubble; do not use in one what was made outside. A step of the wall clock
// changes nothing.
//
// # Errors
//
// Who would wait for too long gets a [*LimitError], which matches [ErrLimited]
// and tells for how long: package retry of this library, and whoever else asks
// errors for a method RetryAfter() time.Duration, waits for so long. Who asks for
// more than there can ever be gets [ErrExceedsBurst], who finds a queue full,
// [ErrFull]. A wait that ends because its context has returns an error that
// matches the context's error and its cause. What cannot be meant, such as a
// negative rate, panics when the limiter is made.
//
// A limit is to be asked before what it protects is begun. Of several, ask the one
// last that gives nothing back, or all together, by [All].
//
// # Not for
//
// Stopping calls of what is down: that is a circuit breaker's task. Quotas that
// outlive the process, unless by a Store of your own.
//
// [httplimit]: https://pkg.go.dev/github.com/seed4886185c/concert/ratelimit/httplimit
package ratelimit

import (
	"sync"
	"sync/atomic"
	"time"
)

// A Limiter lets events happen at a rate, and a few at once: a token bucket. It
// holds at most burst tokens, is full at first, and gets rate more each second;
// an event takes one. In each span of time t, of whatever length, there are at
// most rate*t + burst events. Use [New] to make one; it must not be copied. It
// may be used concurrently.
//
// The algorithm is GCRA, the generic cell rate algorithm of [ITU-T I.371],
// annex A: not the tokens are stored, but what has been spent, and one number is
// all that changes.
//
// [ITU-T I.371]: https://www.itu.int/rec/T-REC-I.371
type Limiter struct {
	// What is in force. It changes only under mu.
	bucket atomic.Pointer[bucket]

	changes atomic.Uint64 // how often something came to be due at another time

	mu       sync.Mutex // guards the fields below
	line     line
	watchers map[*time.Timer]struct{} // to be set off when changes has grown

	// When the reservation that was made last, and is not canceled, is due,
	// counted in units that are earned.
	last int64
}

// A bucket is what a Limiter counts in, from one Set to the next. What it has
// earned grows with time; what is spent is at most that when an event is let
// through at once, and more if there are those who wait.
//
// Whoever takes something replaces spent, by compare-and-swap, by a number that
// follows from the old one and from the time at which it looked at the clock.
// That may have been a while ago: it then sees less earned than there is. So
// spent grows with each event by the cost of that, never falls but when
// something is given back, and never exceeds what was earned at the time of the
// event, which is what an event is dated by here. Of all events between two
// points in time, in the order of their swaps, the first finds spent at no less
// than what was earned at the first point, less the depth, and the last leaves it
// at no more than what is earned at the second.
type bucket struct {
	pace
	rate  Rate
	burst int
	born  time.Time // time is counted from it

	// Set before spent becomes replaced, then constant.
	next *bucket
	end  int64 // what was earned by then

	_     [64]byte // what is read is on another cache line than what is written
	spent atomic.Int64
	_     [64]byte
}

// New returns a Limiter for r events a second, and up to burst of them at once: 20
// a minute and a burst of 20 can come to 40 in the first minute. For those who
// count windows, choose a small burst, or [NewWindow].
//
// With a rate of 0 there are burst events, and no more until [Limiter.Set]; with
// a burst of 0 there are none; with [Inf], the burst does not matter.
//
// The rate is kept to exactly if it is a fraction such as 12.5, 1/3 or 1e9/7, and
// the burst not more than some million; otherwise to within a millionth. Times are
// whole nanoseconds, up to which they are rounded. New panics if the rate is
// negative or not a number, and if burst is negative or more than 1<<36.
func New(r Rate, burst int) *Limiter {
	l := new(Limiter)
	b := newBucket(r, burst)
	b.spent.Store(-b.depth)
	l.bucket.Store(b)
	return l
}

// newBucket returns a bucket without tokens.
func newBucket(r Rate, burst int) *bucket {
	return &bucket{pace: newPace(r, burst), rate: min(r, Inf), burst: burst, born: time.Now()}
}

// Allow reports whether an event may happen now. If so, it has taken a token.
func (l *Limiter) Allow() bool { return l.AllowN(1) }

// AllowN reports whether n events may happen now. If so, it has taken n tokens,
// otherwise none. No events are always allowed, a negative number never.
func (l *Limiter) AllowN(n int) bool {
	b := l.bucket.Load()
	for {
		if uint(n) > uint(b.most) {
			return false
		}
		need := int64(n) * b.cost
		if need == 0 {
			return true
		}
		elapsed := time.Since(b.born)
		if elapsed > b.horizon {
			b = l.renew(b)
			continue
		}
		spent, ok := b.take(&b.spent, need, b.earned(elapsed))
		if spent != replaced {
			return ok
		}
		b = b.next
	}
}

// Tokens returns how many events may happen now. It is negative if there are
// reservations or those who wait, which come first, and infinite for [Inf].
func (l *Limiter) Tokens() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, elapsed := l.current()
	earned := b.earned(elapsed)
	return b.tokens(earned - b.from(b.spent.Load(), earned))
}

// Rate returns the rate.
func (l *Limiter) Rate() Rate { return l.bucket.Load().rate }

// Burst returns the burst.
func (l *Limiter) Burst() int { return l.bucket.Load().burst }

// Set changes the rate and the burst, with the same meaning as in [New], at
// which it also panics. The tokens that there are stay, as far as the new burst
// holds them, and so do debts: those who wait, and reservations, wait for the
// same tokens, which come at the new rate, also if they are more than the new
// burst. What is owed beyond a thousand tokens, or six times the new burst if
// that is more, may be forgotten. If the rate was [Inf], the Limiter is full
// afterwards.
func (l *Limiter) Set(r Rate, burst int) {
	b := newBucket(r, burst)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.replace(b)
}

// replace puts next in force instead of what is. It requires mu.
func (l *Limiter) replace(next *bucket) {
	b := l.bucket.Load()
	next.born = time.Now()
	b.end = b.everEarned(next.born.Sub(b.born))
	b.next = next
	next.spent.Store(-next.depth)
	for b.cost > 0 {
		spent := b.spent.Load()
		next.spent.Store(max(-next.depth, next.carry(b.from(spent, b.end), b)))
		if b.spent.CompareAndSwap(spent, replaced) {
			break
		}
	}
	b.spent.Store(replaced)
	l.bucket.Store(next)
	l.last = next.carry(l.last, b)
	l.line.carry(
		func(at int64) int64 { return next.carry(at, b) },
		func(units int64) int64 { return next.scale(units, &b.pace) },
		&next.pace, 0)
	l.alert()
}

// carry returns what at, which was due in the bucket before b, is in b.
func (b *bucket) carry(at int64, before *bucket) int64 {
	return b.scale(at-before.end, &before.pace)
}

// elapsed returns the time of b.
func (b *bucket) elapsed() time.Duration { return time.Since(b.born) }

// renew replaces b, if that is in force, by one that begins now: b cannot count
// any further. It returns the one that is in force.
func (l *Limiter) renew(b *bucket) *bucket {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bucket.Load() == b {
		l.replace(newBucket(b.rate, b.burst))
	}
	return l.bucket.Load()
}

// current returns the bucket that is in force, and its time. It requires mu.
func (l *Limiter) current() (b *bucket, elapsed time.Duration) {
	b = l.bucket.Load()
	if elapsed = time.Since(b.born); elapsed > b.horizon {
		l.replace(newBucket(b.rate, b.burst))
		b, elapsed = l.bucket.Load(), 0
	}
	return b, elapsed
}
