package pubsub

import (
	"fmt"
	"strconv"
	"time"
)

// A SubOption is what Handle and Subscribe take: an [Overflow], a [Filter], or
// a [ListenOption].
type SubOption interface {
	subscribe(*settings)
}

// A ListenOption is a [SubOption] that [Emitter.On] takes, too: [Once] or
// [Named].
type ListenOption struct {
	once bool
	name string
}

// Once ends the subscription, or removes the listener, with its first event, or
// with the first that its [Filter] lets pass: before the handler is called, so
// that it is called once even if that publishes, or others do at the same time.
// Without a Filter, a subscription takes the first event and no more, and so
// never makes publishers wait.
func Once() ListenOption { return ListenOption{once: true} }

// Named gives a name to a subscription or a listener, which errors and
// [SlowEvent] tell. Without one, it is # and a number, from 1
// on, by the order in which they were added, on a Bus over all patterns.
func Named(name string) ListenOption { return ListenOption{name: name} }

func (o ListenOption) subscribe(s *settings) {
	s.once = s.once || o.once
	if o.name != "" {
		s.name = o.name
	}
}

// Overflow is what happens when an event is published while a subscription has
// as many unread ones as the capacity of its topic. An event that a handler is
// called with, or that a loop has got, is read.
type Overflow uint8

const (
	// Block makes the publisher wait until the subscription has read one. It is
	// what a subscription does if nothing is said.
	Block Overflow = iota

	// DropOldest lets the subscription lose the oldest of its unread events.
	DropOldest

	// DropNewest lets the subscription lose the one that is published.
	DropNewest

	// Disconnect ends the subscription with the error [ErrFull]; what it has it can
	// still read. It misses the one that is published, and is not concerned with
	// what comes after.
	Disconnect
)

// String returns the name.
func (o Overflow) String() string {
	names := [...]string{"Block", "DropOldest", "DropNewest", "Disconnect"}
	if int(o) < len(names) {
		return names[o]
	}
	return "Overflow(" + strconv.Itoa(int(o)) + ")"
}

func (o Overflow) subscribe(s *settings) {
	if o > Disconnect {
		panic("pubsub: unknown Overflow")
	}
	s.overflow = o
}

type filterOption struct{ keep any }

// Filter leaves out the events for which keep returns false. It is called where
// the event would go: in the goroutine of the handler, or that of the loop.
// What is left out takes a place in the queue until then, also in one that
// nobody reads. Where it panics, so does the loop; for a handler or a channel
// the panic is a [*ListenerError] instead, and the event is left out. Of
// several filters, all have to return true. Filter panics if keep is nil, and
// so does who takes it, if its events are not of the type T.
func Filter[T any](keep func(T) bool) SubOption { //nolint:ireturn // there are several, and none to name
	if keep == nil {
		panic("pubsub: Filter with a nil function")
	}
	return filterOption{keep}
}

func (o filterOption) subscribe(s *settings) { s.filters = append(s.filters, o.keep) }

// settings are the options of a subscription or a listener.
type settings struct {
	overflow Overflow
	filters  []any // func(T) bool
	once     bool
	name     string
}

// filtersOf returns the filters, which have to be for events of the type T.
func filtersOf[T any](filters []any) []func(T) bool {
	var all []func(T) bool
	for _, f := range filters {
		keep, ok := f.(func(T) bool)
		if !ok {
			panic(fmt.Sprintf("pubsub: Filter of another type: %T, and not %T", f, keep))
		}
		all = append(all, keep)
	}
	return all
}

// A TopicOption is what [New] takes, and [NewBus], but for [Replay].
type TopicOption struct {
	replay int
	after  time.Duration
	slow   func(SlowEvent)
}

// Replay gives to each new subscription the last n events first, whether or not
// there were others when those were published. They take places in its queue,
// like others: if n is the capacity,
// the next event finds it full. Replay
// panics if n is less than 1, and New does, if it is more than its capacity.
func Replay(n int) TopicOption {
	if n < 1 {
		panic("pubsub: Replay of less than 1")
	}
	return TopicOption{replay: n}
}

// A SlowEvent tells of a subscription for which a publisher waits.
type SlowEvent struct {
	Name    string        // of the subscription, see Named
	Queued  int           // how many events it has not read
	Blocked time.Duration // for how long the publisher has waited
}

// OnSlow calls f when a publisher has waited for the given time, once for each
// call of Publish, in the goroutine of that, and so maybe several at once. If
// several subscriptions are too far behind, it tells of one of them. If f does
// not return, for a panic or [runtime.Goexit], the event is not published,
// unless there was room in the meantime. OnSlow panics if the time is not
// positive or f nil.
func OnSlow(after time.Duration, f func(SlowEvent)) TopicOption {
	if after <= 0 {
		panic("pubsub: OnSlow after no time")
	}
	if f == nil {
		panic("pubsub: OnSlow with a nil function")
	}
	return TopicOption{after: after, slow: f}
}
