package pubsub

import (
	"context"
	"errors"
	"iter"
	"math"
	"sync/atomic"
)

// A Subscription gets the events of a [Topic], or those of a [Bus] that match a
// pattern: all whose publishing began after it was made, and before those what
// [Replay] says.
//
// One that Subscribe returned is read by [Subscription.All] or
// [Subscription.C], one that Handle returned calls its handler.
type Subscription[T any] struct {
	topic     *Topic[T]
	options   settings
	filters   []func(T) bool
	number    int64
	waitedFor bool // by Close
	oldest    bool // it loses the oldest events of the ring, that of the Topic
	errs      errlog
	ring      *ring[T]      // that of the Topic, or one of its own
	woken     chan struct{} // of capacity 1; see notify

	// cursor is the position of the next event that is to be read, or gone when
	// the subscription has ended. Its reader moves it on, by compare-and-swap, as
	// it reads: before that the event counts as unread, afterwards as read.
	cursor    atomic.Uint64
	goroutine atomic.Uint64 // the number of that which calls handle, or 0

	// reading is set while there are copied events, before the first is read: who
	// has set the cursor to gone, and finds it not set, knows that no call runs.
	reading atomic.Bool

	// Of the reader alone: copies of events, the next of which is that at the
	// cursor.
	batch []T
	next  int

	// Guarded by the Topic's mu.
	handle    Handler[T]      // nil for All
	ctx       context.Context //nolint:containedctx // that of the handler
	cancel    context.CancelFunc
	out       chan T        // of C
	done      chan struct{} // closed when the goroutine that calls handle has ended
	unwatch   func() bool   // no longer look at the context of Subscribe
	group     *group[T]     // nil if it gets no more events
	index     int           // there
	place     place[T]
	err       error // why it has ended
	missed    uint64
	told      uint64 // the most that Missed has returned
	gaps      []gap  // what it has missed by DropNewest, or Disconnect
	full      bool   // it gets no more events
	abandoned bool   // it was ended by Close, which had no time
}

// gone is the cursor of a subscription that has ended.
const gone = math.MaxUint64

// A gap is how many events were lost before the position.
type gap struct{ at, missed uint64 }

// maxBatch is how many events a reader copies at once at most.
const maxBatch = 64

// Handle subscribes h, which is then called with each event, in a goroutine of
// its own, with a context that ends with [Subscription.Stop], or when Close is
// cut short, and that carries no values of the publisher's.
//
// If the Topic is closed, the Subscription has ended, with the error
// [ErrClosed]. Handle panics if h is nil.
func (t *Topic[T]) Handle(h Handler[T], opts ...SubOption) *Subscription[T] {
	if h == nil {
		panic("pubsub: Handle with a nil function")
	}
	s := t.subscription(opts)
	s.waitedFor = true
	s.begin(t.ctx, h)
	if t.add(s) {
		go s.run()
	} else {
		s.cancel()
		close(s.done)
	}
	return s
}

// Subscribe returns a Subscription that is to be read, and that ends when ctx
// does, with its cause as the error; what it has not read by then is lost. One
// that is not read makes publishers wait in the end, unless it has another
// [Overflow] than [Block].
//
// If the Topic is closed, it has ended, with the error [ErrClosed].
func (t *Topic[T]) Subscribe(ctx context.Context, opts ...SubOption) *Subscription[T] {
	s := t.subscription(opts)
	if ctx.Done() == nil {
		t.add(s)
		return s
	}
	// The function may be called before s is added, which then is not.
	unwatch := context.AfterFunc(ctx, func() { s.end(ended(ctx), true) })
	t.mu.Lock()
	s.unwatch = unwatch
	t.mu.Unlock()
	if !t.add(s) {
		unwatch()
	}
	return s
}

func (t *Topic[T]) subscription(opts []SubOption) *Subscription[T] {
	s := &Subscription[T]{topic: t, woken: make(chan struct{}, 1)}
	for _, o := range opts {
		o.subscribe(&s.options)
	}
	s.filters = filtersOf[T](s.options.filters)
	return s
}

// begin makes what the goroutine that calls h needs.
func (s *Subscription[T]) begin(parent context.Context, h Handler[T]) {
	s.handle, s.done = h, make(chan struct{})
	s.ctx, s.cancel = context.WithCancel(parent)
}

// add reports whether s gets events.
func (t *Topic[T]) add(s *Subscription[T]) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.number = t.added.Add(1)
	if t.closed && s.cursor.Load() != gone {
		s.err = ErrClosed
		s.cursor.Store(gone)
	}
	if s.cursor.Load() == gone {
		return false
	}
	s.ring = &t.ring
	head := t.ring.head
	start := head - min(head, t.replay)
	switch overflow := s.options.overflow; {
	case overflow == Block && !s.single():
		t.blocking.add(s)
		t.limit = min(t.limit, start+t.capacity)
	case overflow == DropOldest && !s.single():
		s.oldest = true
		t.dropping.add(s)
		t.head.Store(head)
	default:
		t.queued.add(s)
		s.ring = &ring[T]{size: int(t.capacity)}
		replay := make([]T, head-start)
		t.ring.copy(replay, start)
		start = 0
		for _, v := range replay {
			s.put(v)
		}
	}
	s.cursor.Store(start)
	if s.waitedFor {
		t.handlers++
	}
	return true
}

// put gives v to a subscription that has a ring of its own.
func (s *Subscription[T]) put(v T) {
	if s.full {
		return
	}
	head := s.ring.head
	if head-s.cursor.Load() < s.topic.capacity {
		s.ring.put(v)
		s.full = s.single()
		return
	}
	s.missed++
	if s.options.overflow == Disconnect {
		s.full, s.err = true, ErrFull
		return
	}
	if n := len(s.gaps); n > 0 && s.gaps[n-1].at == head {
		s.gaps[n-1].missed++
	} else {
		s.gaps = append(s.gaps, gap{head, 1})
	}
}

// single reports whether it needs only one event, and so no queue.
func (s *Subscription[T]) single() bool { return s.options.once && len(s.filters) == 0 }

// All returns the events for a loop, each of which waits for the next. If some
// were lost, there is a [*LaggedError] in their place; another may follow at
// once. When the subscription has ended, so does the loop, after the error of
// that, if there is one; see [Subscription.Err]. Leaving the loop stops the
// subscription.
//
// It is for one loop at a time. All panics if the subscription has a handler or
// a channel.
func (s *Subscription[T]) All() iter.Seq2[T, error] {
	s.mustBeRead()
	return func(yield func(T, error) bool) {
		s.mustBeRead() // by now
		defer func() {
			s.Stop()
			s.batch, s.next = nil, 0
		}()
		var zero T
		for {
			v, missed, ok := s.read()
			switch {
			case missed > 0:
				if !yield(zero, &LaggedError{missed}) {
					return
				}
			case !ok:
				if err := s.reason(); err != nil {
					yield(zero, err)
				}
				return
			case s.wants(v):
				if s.options.once {
					s.end(nil, false)
				}
				if !yield(v, nil) {
					return
				}
			}
		}
	}
}

// C returns the events on a channel, which is closed when the subscription has
// ended. What was lost shows in [Subscription.Missed] only. It is for who
// has to look at other channels, too. The channel holds
// nothing, but one event is read before somebody receives it. C returns the
// same channel each time; it panics if the subscription has a handler.
//
// It starts a goroutine, which ends when all events are received, or with
// [Subscription.Stop], or with the context of Subscribe.
func (s *Subscription[T]) C() <-chan T {
	s.topic.mu.Lock()
	defer s.topic.mu.Unlock()
	if s.waitedFor {
		panic("pubsub: C of a Subscription with a handler")
	}
	if s.out == nil {
		s.out = make(chan T)
		s.begin(context.WithoutCancel(s.topic.ctx), s.send) // what is left is received after Close
		go s.run()
	}
	return s.out
}

// send is the handler of C.
func (s *Subscription[T]) send(ctx context.Context, v T) error { //nolint:unparam // as a Handler
	select {
	case s.out <- v:
	case <-ctx.Done():
	}
	return nil
}

// Stop ends the subscription. Once it has returned, its handler is called no
// more, and no call runs; it waits for one that does, but not in that very
// call, and not for one that waits itself, in Stop, for the call that it is in.
// (A call that waits for another goroutine, which calls Stop, waits for
// itself.) Its goroutine ends then, or a moment later. What was not read is
// lost. Stop may be called again.
func (s *Subscription[T]) Stop() {
	s.end(nil, true)
	s.topic.mu.Lock()
	done := s.done
	s.topic.mu.Unlock()
	if done != nil && s.reading.Load() {
		join(done, &s.goroutine)
	}
}

// Err returns why the subscription has ended: the cause of the context of
// Subscribe; [ErrFull], as soon as that is so; [ErrClosed], if it has never
// begun; or nil, if it has not ended, or was stopped, or its Topic was closed.
//
// At any time, if it has a handler, or a channel, the error
// also joins those of the handler, each a [*ListenerError] (of more than 16,
// the first 8 and the last 8), and a [*LaggedError], if it has missed events.
func (s *Subscription[T]) Err() error {
	errs := s.errs.all()
	if s.calls() {
		if n := s.Missed(); n > 0 {
			errs = append(errs, &LaggedError{n})
		}
	}
	return errors.Join(append(errs, s.reason())...)
}

// Missed returns how many events the subscription has lost so far, because it
// was too far behind, or because Close gave it no time to read them, but not
// what Stop throws away; it counts also those that a [Filter] would have left
// out.
func (s *Subscription[T]) Missed() uint64 {
	s.topic.mu.Lock()
	defer s.topic.mu.Unlock()
	// A reader takes an event that is lost for a moment before it sees that.
	s.told = max(s.told, s.missed+s.lag(s.cursor.Load()))
	return s.told
}

// Len returns how many events wait to be read.
func (s *Subscription[T]) Len() int {
	s.topic.mu.Lock()
	defer s.topic.mu.Unlock()
	at := s.cursor.Load()
	if at == gone {
		return 0
	}
	return int(min(s.ring.head-at, s.topic.capacity)) //nolint:gosec // the capacity was an int
}

// lag returns how many of the events from a position on are lost.
func (s *Subscription[T]) lag(at uint64) uint64 {
	if at == gone || !s.oldest {
		return 0
	}
	n := s.ring.head - at
	return n - min(n, s.topic.capacity)
}

func (s *Subscription[T]) calls() bool {
	s.topic.mu.Lock()
	defer s.topic.mu.Unlock()
	return s.handle != nil
}

func (s *Subscription[T]) mustBeRead() {
	if s.calls() {
		panic("pubsub: All of a Subscription with a handler or a channel")
	}
}

func (s *Subscription[T]) reason() error {
	s.topic.mu.Lock()
	defer s.topic.mu.Unlock()
	return s.err
}

func (s *Subscription[T]) name() string { return nameOf(s.options.name, s.number) }

// wants reports whether all filters let v pass, and none has stopped the
// subscription.
func (s *Subscription[T]) wants(v T) bool {
	for _, keep := range s.filters {
		if !keep(v) {
			return false
		}
	}
	if len(s.filters) == 0 || s.cursor.Load() != gone {
		return true
	}
	s.topic.mu.Lock()
	defer s.topic.mu.Unlock()
	if s.abandoned {
		s.missed++
	}
	return false
}
