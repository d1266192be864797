// Package breaker stops calling what is down, and tries again in time.
//
// A [Breaker] stands for one thing that may be down, such as a host; a [Group]
// makes one for each of many. [Do] is for functions that return a value, [Run]
// for those that return only an error, [Wrap] makes a function that goes
// through a breaker out of one that does not, and [Breaker.Allow] is for calls
// that cannot be put into a function. For HTTP there is [httpbreaker].
//
//	db := breaker.New(breaker.Settings{Name: "db", OpenFor: 10 * time.Second})
//	rows, err := breaker.Do(ctx, db, query)
//
// A breaker is closed at first: calls pass through it, and it watches how they
// end. So calls need a time-out: one that never ends is never counted. When its
// [Trip] says so, for instance after five failures in a row, it opens: calls are
// rejected with an [*OpenError] and cost next to nothing. After Settings.OpenFor
// it is half-open: a few calls are let through, the probes, and the others
// rejected. If the probes succeed, it closes; if one fails, it opens again.
//
// # Concurrency
//
// A Breaker may be used concurrently. It starts no goroutine, and calls run in
// the goroutine of their caller. While it is closed, a success takes no lock, but
// for that of [LastN]. Functions of the [Settings] are called without any lock
// held, and may use the breaker.
//
// A call counts only if it ends before the state changes, or is set by hand. One
// that ends later is its caller's alone.
//
// Time is package time's, so that everything here runs in a testing/synctest
// bubble; do not use a Breaker in one that was made outside. A step of the wall
// clock changes nothing.
//
// # Errors
//
// What a call returns is passed on as it is. A rejected call returns an
// [*OpenError], which matches [ErrOpen]. While the breaker is open, it tells how
// long that will be: package retry of this library, and whoever else asks errors
// for a method RetryAfter() time.Duration, waits for so long. Otherwise there is
// no such advice, see [OpenError.RetryAfter].
//
// Put a retry around the breaker: the other way round, a call with all its
// attempts is one failure. A rejection is then an attempt that failed, so limit
// the time of such a retry rather than its attempts, or have it give up at
// ErrOpen.
//
// A panic, or a call of [runtime.Goexit], in a call counts as a failure and
// passes through unchanged.
//
// # Not for
//
// Limiting the load on something that works: that is a rate limiter's or a
// bulkhead's task. One breaker for several hosts: the one that is down would
// close the way to the others.
//
// [httpbreaker]: https://pkg.go.dev/github.com/seed4886185c/concert/breaker/httpbreaker
package breaker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Settings tell how a Breaker behaves. The zero value is usable.
type Settings struct {
	// Name is for errors and changes.
	Name string

	// Trip says when a closed breaker opens. The zero Trip is Consecutive(5).
	Trip Trip

	// OpenFor is how long the breaker is open before it tries again, at least
	// 2 ns. Zero means 30 seconds.
	OpenFor time.Duration

	// MaxOpenFor lets the time grow: each opening by a failed probe lasts
	// twice as long as the one before, up to this, jitter included. When the
	// breaker closes, or is opened by hand, it begins with OpenFor again. Zero
	// means no growth.
	MaxOpenFor time.Duration

	// Jitter makes the time random: between (1 - Jitter) and (1 + Jitter) times
	// OpenFor, or what MaxOpenFor has made of that; it does not add up from
	// one opening to the next. It must be between 0 and 1; 0.2 is a good choice
	// where many have a breaker for the same thing.
	Jitter float64

	// Probes is how many calls are let through while the breaker is half-open.
	// All of them have to succeed for it to close, slow ones too; the first
	// that fails opens it. Zero means 1.
	Probes int

	// ProbeTimeout is how long a probe may take. One that has not ended by then
	// counts as failed at that moment, whenever it is noticed, so that a call
	// that never ends does not leave the breaker half-open. The call itself is
	// not interrupted. The time-out of the calls themselves, or a little more,
	// is a good choice. Zero means OpenFor.
	ProbeTimeout time.Duration

	// SlowCall is how long a call must take to be slow, see [SlowRate] and
	// Counts.Slow. Zero means that none is.
	SlowCall time.Duration

	// Classify tells what the outcome of a call is, given its context and its
	// error. If it panics, that is a failure, and the panic passes through. Nil
	// means [DefaultClassify].
	Classify func(context.Context, error) Outcome

	// OnChange, if not nil, is called after each change of the state, in the
	// order of the changes, and not concurrently. It is called in the goroutine
	// that made or noticed the change, before its call goes on; if several do so
	// at once, one of them makes all the calls. That a breaker is half-open, and
	// that a probe took too long, is noticed by whoever uses it next, by State
	// and Counts too. If OnChange panics, that caller gets the panic.
	OnChange func(Change)
}

// A Breaker lets calls through while they succeed. Use [New] to make one; it
// must not be copied.
type Breaker struct {
	settings Settings
	born     time.Time // what times are counted from: that takes half of the time of time.Now

	current atomic.Pointer[stay] // changes only under mu

	mu        sync.Mutex // guards the fields below
	engine    *engine
	spare     *engine  // one that is open already, while half-open
	reopened  int      // openings by a failed probe since the breaker was closed
	changes   []Change // not reported yet
	reporting bool     // some goroutine is at it
}

// New returns a closed Breaker.
//
// It panics if a number or duration is negative, Jitter is not between 0 and 1,
// MaxOpenFor is not 0 but less than OpenFor or its default, or SlowRate is used
// without SlowCall.
func New(s Settings) *Breaker {
	s = s.orDefault()
	b := &Breaker{settings: s, born: time.Now()}
	b.engine = b.newEngine()
	b.current.Store(b.newStay(Closed, 0))
	return b
}

func (s Settings) orDefault() Settings {
	if s.OpenFor|s.MaxOpenFor|s.ProbeTimeout|s.SlowCall < 0 || s.Probes < 0 {
		panic("breaker: Settings with a negative number or duration")
	}
	if !(s.Jitter >= 0 && s.Jitter <= 1) {
		panic("breaker: Settings with a Jitter that is not between 0 and 1")
	}
	if s.OpenFor == 0 {
		s.OpenFor = 30 * time.Second
	}
	if s.MaxOpenFor != 0 && s.MaxOpenFor < s.OpenFor {
		panic("breaker: Settings with a MaxOpenFor less than OpenFor")
	}
	if s.Probes == 0 {
		s.Probes = 1
	}
	if s.ProbeTimeout == 0 {
		s.ProbeTimeout = s.OpenFor
	}
	s.Trip = s.Trip.orDefault()
	for _, r := range s.Trip.rules {
		if r.kind == ruleSlowRate && s.SlowCall == 0 {
			panic("breaker: Settings with SlowRate but without SlowCall")
		}
	}
	return s
}

// Do calls fn, unless b rejects the call, and returns what fn returned. A
// rejected call returns the zero value and an [*OpenError]. Whether ctx has
// ended is for fn and Classify to see. Do panics if fn is nil.
func Do[T any](ctx context.Context, b *Breaker, fn func(context.Context) (T, error)) (T, error) {
	if fn == nil {
		panic("breaker: Do of a nil function")
	}
	var c call
	defer c.leave()
	if err := c.enter(b); err != nil {
		var zero T
		return zero, err
	}
	v, err := fn(ctx)
	c.end(ctx, err)
	return v, err
}

// Run is [Do] for a function that returns no value.
func Run(ctx context.Context, b *Breaker, fn func(context.Context) error) error {
	if fn == nil {
		panic("breaker: Run of a nil function")
	}
	var c call
	defer c.leave()
	if err := c.enter(b); err != nil {
		return err
	}
	err := fn(ctx)
	c.end(ctx, err)
	return err
}

// Wrap returns a function that calls fn through b. It panics if fn is nil.
func Wrap[T any](b *Breaker, fn func(context.Context) (T, error)) func(context.Context) (T, error) {
	if fn == nil {
		panic("breaker: Wrap of a nil function")
	}
	return func(ctx context.Context) (T, error) { return Do(ctx, b, fn) }
}

// Allow asks b to let a call through that cannot be put into a function. If it
// does, the caller must call done with the call's error once it has ended; done
// may be called from any goroutine, and a second time without effect. If b
// rejects the call, done is nil and the error an [*OpenError].
//
// ctx is for Classify. A call whose done is never called is not counted, unless
// it is a probe: that fails after ProbeTimeout. For a stream that lives for long
// call done when it is established.
func (b *Breaker) Allow(ctx context.Context) (done func(error), err error) {
	p := &permit{ctx: ctx}
	if err := p.enter(b); err != nil {
		return nil, err
	}
	return p.done, nil
}

// State returns the state, after it has changed if that was due.
func (b *Breaker) State() State { return b.settled().state }

// Counts returns what has been counted since the state last changed.
func (b *Breaker) Counts() Counts { return b.settled().counts() }

// Mode returns what b was last forced to, which is Auto at first.
func (b *Breaker) Mode() Mode { return b.current.Load().mode }

// Name returns Settings.Name.
func (b *Breaker) Name() string { return b.settings.Name }
