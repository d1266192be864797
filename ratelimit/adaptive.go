package ratelimit

import (
	"container/list"
	"context"
	"math"
	"sync"
	"time"
)

// AdaptiveSettings tell within what an Adaptive finds its limit. The zero value
// is usable.
type AdaptiveSettings struct {
	// Initial is the limit to begin with. Zero means 20, or Min or Max if that
	// is beyond them.
	Initial int

	// Min is the least limit. Zero means 1.
	Min int

	// Max is the greatest limit. Zero means 1000, or Min or Initial if that is
	// more.
	Max int

	// Queue is how many may wait; who finds as many waiting gets [ErrFull]. Zero
	// means that there is no bound, and negative that nobody waits, which is other
	// than with a [Bulkhead].
	Queue int
}

// An Adaptive bounds how many calls of something are under way at once, such as
// requests to a server, and finds by their latency how many are good for it. Use
// [NewAdaptive] to make one; it must not be copied. It may be used concurrently.
//
// A server that can do n things at once takes the same time for each until there
// are n; with more, they queue, and take longer by as much. So the limit grows
// while calls take as long as they do when there are few, and shrinks by the part
// of their time for which they seem to queue: it settles at about a tenth more
// than the server can do at once, or one more. It only grows while it is used up.
// Now and then, and when calls take much longer than before, fewer are let
// through for a moment, to see how long they take without a queue.
//
// What it does is of the kind of TCP Vegas (see [Brakmo and Peterson]) and of
// the gradient limit of [concurrency-limits], with a base that is measured
// rather than remembered.
//
// [Brakmo and Peterson]: https://doi.org/10.1109/49.464716
// [concurrency-limits]: https://github.com/Netflix/concurrency-limits
type Adaptive struct {
	least, most float64
	queue       int // may wait

	mu      sync.Mutex // guards the fields below
	calls   int        // under way
	waiting list.List  // of *entrant, in the order in which they came
	limit   float64
	round   round
	cut     int // the number of the first round after the last cut
	control control
}

// An Outcome tells what a call is for the limit.
type Outcome int

const (
	// Success is a call whose latency counts.
	Success Outcome = iota

	// Overloaded is a call that was refused, or timed out, because there were
	// too many. The limit shrinks at once, by a tenth, unless it has since the
	// call began: those that were too many together count once.
	Overloaded

	// Ignored is a call that says nothing about the load, such as one that
	// failed early. So is any other number.
	Ignored
)

// NewAdaptive returns an Adaptive. It panics if a number but Queue is negative,
// Min is more than Max, or Initial not between them.
func NewAdaptive(s AdaptiveSettings) *Adaptive {
	const initial, most = 20, 1000
	if s.Min == 0 {
		s.Min = 1
	}
	if s.Max == 0 {
		s.Max = max(most, s.Min, s.Initial)
	}
	if s.Initial == 0 {
		s.Initial = min(max(initial, s.Min), s.Max)
	}
	s.Min, s.Initial, s.Max = min(s.Min, math.MaxInt32), min(s.Initial, math.MaxInt32), min(s.Max, math.MaxInt32)
	if s.Min < 0 || s.Initial < s.Min || s.Max < s.Initial {
		panic("ratelimit: NewAdaptive with Min, Initial and Max out of order, or negative")
	}
	queue := max(s.Queue, 0)
	if s.Queue == 0 {
		queue = math.MaxInt
	}
	return &Adaptive{least: float64(s.Min), most: float64(s.Max), queue: queue, limit: float64(s.Initial)}
}

// Limit returns how many calls may be under way now, which is less for a moment
// while it is measured how long they take without a queue.
func (a *Adaptive) Limit() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return int(a.limit)
}

// An entrant is one who waits to be let in.
type entrant struct {
	in    chan struct{} // closed, by who lets it in, when it may go on
	let   bool          // it is in, guarded by Adaptive.mu
	start time.Time
	round int
}

// Acquire waits until a call may be made, and returns what to call at its end,
// from which on it is not under way any more. Those who wait are let in in the
// order in which they came; the time for which they wait is not counted. Only
// the first call of done has an effect; without one, the place is lost.
//
// If too many wait already, it returns [ErrFull], and if ctx ends before, an error
// that matches the context's error and its cause; done is nil then. If ctx has
// ended before, it lets nobody in.
func (a *Adaptive) Acquire(ctx context.Context) (done func(Outcome), err error) {
	if ctx.Err() != nil {
		return nil, ended(ctx)
	}
	e := &entrant{}
	place, err := a.enter(e)
	if err != nil {
		return nil, err
	}
	if place != nil {
		select {
		case <-e.in:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			a.leave(e, place)
			return nil, ended(ctx)
		}
	}
	return func(o Outcome) { a.done(e, o) }, nil
}

// enter lets e in, or returns where it waits, or an error.
func (a *Adaptive) enter(e *entrant) (place *list.Element, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.calls < int(a.limit) && a.waiting.Len() == 0 {
		a.let(e)
		return nil, nil
	}
	a.round.full = true
	if a.waiting.Len() >= a.queue {
		return nil, ErrFull
	}
	e.in = make(chan struct{})
	return a.waiting.PushBack(e), nil
}

// let requires mu.
func (a *Adaptive) let(e *entrant) {
	a.calls++
	e.let, e.start, e.round = true, time.Now(), a.round.number
	if a.calls >= int(a.limit) {
		a.round.full = true
	}
}

// leave is for one who does not wait any more.
func (a *Adaptive) leave(e *entrant, place *list.Element) {
	a.mu.Lock()
	let := e.let
	if !let {
		a.waiting.Remove(place)
	}
	a.mu.Unlock()
	if let {
		a.done(e, Ignored)
	}
}

// done ends the call of e, and lets others in.
func (a *Adaptive) done(e *entrant, o Outcome) {
	for _, next := range a.end(e, o) {
		close(next.in)
	}
}

// end returns those who are let in then.
func (a *Adaptive) end(e *entrant, o Outcome) (in []*entrant) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !e.let {
		return nil
	}
	e.let = false
	a.calls--
	switch {
	case o == Overloaded && e.round >= a.cut:
		a.shrink()
	case o == Success && e.round == a.round.number:
		a.count(time.Since(e.start))
	}
	for a.calls < int(a.limit) && a.waiting.Len() > 0 {
		next := a.waiting.Remove(a.waiting.Front()).(*entrant)
		a.let(next)
		in = append(in, next)
	}
	return in
}
