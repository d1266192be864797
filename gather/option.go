package gather

import (
	"fmt"
	"strings"
	"time"
)

// An Option changes how one call runs its tasks. Each function says which
// options it takes and panics when given another; of an option given twice
// the later one counts. The zero Option changes nothing.
type Option struct {
	kind options
	n    int64 // of Limit, TaskTimeout and Stagger
	f    any   // of OnDiscard: a func(T)
}

// options is a set of kinds of options.
type options uint16

const (
	optLimit options = 1 << iota
	optFailFast
	optTimeout
	optOrdered
	optStagger
	optAbandon
	optDiscard
	optRepanic

	batchOptions  = optLimit | optFailFast | optTimeout | optAbandon | optDiscard | optRepanic
	streamOptions = batchOptions | optOrdered
	raceOptions   = optLimit | optTimeout | optStagger | optAbandon | optDiscard | optRepanic
)

func (o options) String() string {
	names := [...]string{"Limit", "FailFast", "TaskTimeout", "Ordered", "Stagger", "Abandon", "OnDiscard", "Repanic"}
	var given []string
	for i, name := range names {
		if o&(1<<i) != 0 {
			given = append(given, name)
		}
	}
	return strings.Join(given, ", ")
}

// Limit lets at most n tasks run at once. It panics if n is less than 1.
func Limit(n int) Option {
	if n < 1 {
		panic(fmt.Sprintf("gather: Limit(%d), less than 1", n))
	}
	return Option{kind: optLimit, n: int64(n)}
}

// FailFast makes the first failure end the call: the context of the tasks
// that run is cancelled with that failure as its [context.Cause], and no
// further task is started. Those not started match [ErrNotRun] and that
// failure.
//
// The tasks then have a context of the call's own, which ends with the call
// in any case: a value that depends on it, such as an open response, does not
// outlive the call.
func FailFast() Option { return Option{kind: optFailFast} }

// TaskTimeout gives each task a context that ends d after the task was
// started, with [context.DeadlineExceeded]. Unless [Abandon] is given, a task
// that ignores it is waited for all the same, and has succeeded if it returns a
// nil error. The caller's own deadline looks the same in a result; after the
// call ctx.Err() tells whether it has passed. Zero means no limit of time. It
// panics if d is negative.
//
// The context ends with the task too, so that a value that depends on it does
// not outlive the task. [First] and [Quorum] differ: there a task that has not
// returned after d is abandoned, and its context, which has no deadline of its
// own, is cancelled with DeadlineExceeded as the cause. That of a task which
// succeeds within d lives on.
func TaskTimeout(d time.Duration) Option {
	if d < 0 {
		panic(fmt.Sprintf("gather: TaskTimeout(%v), less than 0", d))
	}
	return Option{kind: optTimeout, n: int64(d)}
}

// Ordered makes [Stream] report the results in the order of its input.
func Ordered() Option { return Option{kind: optOrdered} }

// Stagger makes [First] and [Quorum] start only as many tasks as have to
// succeed, and one more whenever a task has failed or d has passed since the
// last start, a hedge, but not beyond [Limit]. Zero starts all tasks at once,
// as without Stagger. It panics if d is negative.
func Stagger(d time.Duration) Option {
	if d < 0 {
		panic(fmt.Sprintf("gather: Stagger(%v), less than 0", d))
	}
	return Option{kind: optStagger, n: int64(d)}
}

// Abandon waits for a task no longer than its context lasts, be it ended by
// the caller, [FailFast] or [TaskTimeout]. A task that has not returned by
// then is left to itself: its error matches [ErrAbandoned], its goroutine
// lives for as long as it takes, it counts no more towards [Limit], and the
// value that it returns goes to [OnDiscard]. A late error or panic goes
// nowhere. A task that returns as soon as its context ends is late too.
//
// First and Quorum do so without being told.
func Abandon() Option { return Option{kind: optAbandon} }

// OnDiscard has f called with each value that a task returned, with a nil
// error, but nobody gets: it came after [Abandon], [First] or [Quorum] had
// ceased to wait, or after the loop over a [Stream] was left, or the call
// panics by [Repanic]. A value in the results is the caller's, beside the
// failures of others too. A call calls f concurrently, in the goroutines of the
// tasks or the caller's, possibly after it has returned.
//
// T must be the type of the call's values; All2 to All5 take an OnDiscard for
// each of their types. A type that the call does not have, a type given twice
// and a nil f panic. A panic in f is not recovered: in the goroutine of a task
// it ends the program.
func OnDiscard[T any](f func(T)) Option {
	if f == nil {
		panic("gather: OnDiscard(nil)")
	}
	return Option{kind: optDiscard, f: f}
}

// Repanic makes a panic in a task panic in the caller, with the [*PanicError]
// of the first task that panicked, once all have ended or are abandoned. Without
// [FailFast] the other tasks run to their end before. The values of those that
// succeeded go to [OnDiscard].
//
// To [First] and [Quorum] a panic is a failure like any other. If there was one
// when they come to their end, they cancel what still runs, wait for it and
// panic, even if enough tasks have succeeded; one that comes later they do not
// see. [Group.Wait] panics, and [Stream] where it would have reported the
// result.
func Repanic() Option { return Option{kind: optRepanic} }

// config is what the options of a call amount to; nil if there are none.
type config struct {
	given    options
	limit    int // 0: none
	timeout  time.Duration
	stagger  time.Duration
	discards []discard
}

type discard struct {
	f    any // a func(T)
	used bool
}

// newConfig puts together the options of a call of the function named call.
func newConfig(call string, takes options, opts []Option) *config {
	if len(opts) == 0 {
		return nil
	}
	c := new(config)
	for _, o := range opts {
		c.given |= o.kind
		switch o.kind {
		case optLimit:
			c.limit = int(o.n)
		case optTimeout:
			c.timeout = time.Duration(o.n)
		case optStagger:
			c.stagger = time.Duration(o.n)
		case optDiscard:
			c.discards = append(c.discards, discard{f: o.f})
		}
	}
	if wrong := c.given &^ takes; wrong != 0 {
		panic(fmt.Sprintf("gather: %s does not take %v", call, wrong))
	}
	return c
}

func (c *config) has(o options) bool { return c != nil && c.given&o != 0 }

// limitOf returns how many of n tasks may run at once.
func (c *config) limitOf(n int) int {
	if c.has(optLimit) {
		return min(n, c.limit)
	}
	return n
}

// bounded reports whether a task may end otherwise than by returning.
func (c *config) bounded() bool {
	return c.timed() || c.has(optAbandon)
}

func (c *config) timed() bool { return c.has(optTimeout) && c.timeout > 0 }

// without returns c as if the options o had not been given.
func (c *config) without(o options) *config {
	if c == nil {
		return nil
	}
	w := *c
	w.given &^= o
	return &w
}

// discardOf returns the function of the OnDiscard for T, or nil.
func discardOf[T any](c *config) func(T) {
	if c == nil {
		return nil
	}
	var found func(T)
	for i := range c.discards {
		f, ok := c.discards[i].f.(func(T))
		if !ok {
			continue
		}
		if found != nil {
			panic(fmt.Sprintf("gather: OnDiscard given twice for %T", f))
		}
		found = f
		c.discards[i].used = true
	}
	return found
}

// checkDiscards panics if discardOf was asked for none of an OnDiscard's type.
func (c *config) checkDiscards(call string) {
	if c == nil {
		return
	}
	for _, d := range c.discards {
		if !d.used {
			panic(fmt.Sprintf("gather: %s has no values for an OnDiscard of %T", call, d.f))
		}
	}
}
