package pubsubbench

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// A handler is what gets the events. Ours takes it as it is, as does what is
// written by hand.
type handler = func(context.Context, int) error

// sinks are the subscribers of one run after another, in each of which every
// one of them gets the values from 0 up to want.
type sinks struct {
	all  []sink
	want int
	left atomic.Int64 // how many have not got all
	bad  atomic.Int64 // how many have got something else
	done chan struct{}
}

// A sink counts its values, and sums them up. It is for one call at a time.
type sink struct {
	of     *sinks
	n, sum int

	_ [64]byte // keeps the next sink off its cache lines
}

func newSinks(n, want int) *sinks {
	s := &sinks{all: make([]sink, n), want: want, done: make(chan struct{}, 1)}
	s.left.Store(int64(n))
	for i := range s.all {
		s.all[i].of = s
	}
	return s
}

// handlers returns one for each sink.
func (s *sinks) handlers() []handler {
	all := make([]handler, len(s.all))
	for i := range s.all {
		all[i] = s.all[i].take
	}
	return all
}

func (s *sink) take(_ context.Context, v int) error {
	s.sum += v
	if s.n++; s.n == s.of.want {
		s.complete()
	}
	return nil
}

// complete begins the next run.
func (s *sink) complete() {
	if s.sum != s.n*(s.n-1)/2 {
		s.of.bad.Add(1)
	}
	s.n, s.sum = 0, 0
	if s.of.left.Add(-1) == 0 {
		s.of.left.Store(int64(len(s.of.all)))
		s.of.done <- struct{}{}
	}
}

// wait ends a run. It panics if an event is lost, or comes twice: then the sums
// are wrong, of this run or the next.
func (s *sinks) wait() {
	await(s.done)
	if n := s.bad.Load(); n > 0 {
		panic(fmt.Sprintf("pubsubbench: the events of %d subscribers are not those that were published", n))
	}
}

// patience is longer than anything takes.
const patience = time.Minute

func await[T any](ch <-chan T) T {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v := <-ch:
		return v
	case <-timer.C:
		panic("pubsubbench: events are lost")
	}
}

// An account is what one subscriber has got where it is not known beforehand how
// much that will be.
type account struct {
	n, sum, want atomic.Int64
	complete     chan struct{}
}

func newAccount() *account { return &account{complete: make(chan struct{}, 1)} }

func (a *account) take(_ context.Context, v int) error {
	a.sum.Add(int64(v))
	if a.n.Add(1) == a.want.Load() {
		a.signal()
	}
	return nil
}

func (a *account) signal() {
	select {
	case a.complete <- struct{}{}:
	default:
	}
}

// settle waits until the values from 0 up to n have come, and forgets them.
func (a *account) settle(n int) {
	a.want.Store(int64(n))
	if a.n.Load() == int64(n) {
		a.signal()
	}
	await(a.complete)
	if sum := a.sum.Load(); a.n.Load() != int64(n) || sum != int64(n)*int64(n-1)/2 {
		panic(fmt.Sprintf("pubsubbench: %d events with the sum %d have come, want %d", a.n.Load(), sum, n))
	}
	select {
	case <-a.complete: // both have seen it
	default:
	}
	a.n.Store(0)
	a.sum.Store(0)
	a.want.Store(0)
}

// A call is an event of those who call their listeners at once. Each listener
// counts in a place of its own, so that none waits for what the one before has
// written.
type call struct {
	counts []int
	_      [64]byte // keeps the next call off its cache lines
}

// A listener is to a call what a handler is to a value.
type listener = func(context.Context, *call) error

func listeners(n int) []listener {
	all := make([]listener, n)
	for i := range all {
		all[i] = func(_ context.Context, c *call) error {
			c.counts[i]++
			return nil
		}
	}
	return all
}

// check ends a run. It panics unless each listener was called as often as it
// should.
func (c *call) check(times int) {
	for i, n := range c.counts {
		if n != times {
			panic(fmt.Sprintf("pubsubbench: listener %d was called %d times, want %d", i, n, times))
		}
	}
	clear(c.counts)
}

// patterns returns n patterns that do not match subject, though they have words
// in common with it.
func patterns(n int) []string {
	forms := []string{"orders.r%d.paid", "users.u%d.*", "*.k%d.>", "orders.*.s%d"}
	all := slices.Grow([]string(nil), n)
	for i := range n {
		all = append(all, fmt.Sprintf(forms[i%len(forms)], i))
	}
	return all
}

const (
	subject = "orders.eu.paid"
	pattern = "orders.*.paid"
)

// must panics if something has failed that cannot.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
