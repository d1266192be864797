package pubsub

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Topic hands each event to all of its subscriptions, in one and the same
// order, which is that of its publishers. Use [New] to make one.
type Topic[T any] struct {
	capacity uint64
	replay   uint64
	after    time.Duration
	slow     func(SlowEvent)
	unused   func() // called when a subscription has ended, or is nil
	*account

	ctx    context.Context //nolint:containedctx // the parent of those of the handlers, as long-lived as the Topic
	cancel context.CancelCauseFunc

	// gating is one of the subscriptions for which a publisher waits. After it
	// has read an event, it looks here, and whoever sets it looks at what it has
	// read then: one of the two sees the other.
	gating atomic.Pointer[Subscription[T]]

	// head is that of the ring, for those with DropOldest, who look without mu
	// whether what they have copied is still in it; it is not kept for others.
	head atomic.Uint64

	_ [64]byte // readers look at what is above for each event, publishers write what is below

	mu       sync.Mutex // guards the fields below
	closed   bool
	drained  chan struct{} // closed when the Topic is, and no handler is left
	handlers int           // goroutines of those
	ring     ring[T]       // the last events, for all but queued
	limit    uint64        // up to this many events, no subscription has to be looked at
	scan     int           // the one of blocking at which to look first
	line     line[T]       // the publishers that wait
	parked   parking[T]    // the subscriptions that wait

	// The subscriptions by what has to be done for them: nothing; a look before
	// an event is put into the ring; or to put it into a ring of their own.
	dropping, blocking, queued group[T]
}

// New returns a Topic that holds capacity events for each subscription. It
// panics if that is less than 1.
//
// What the last capacity events refer to is held until others take their place,
// and by a reader up to 64 that it has copied.
func New[T any](capacity int, opts ...TopicOption) *Topic[T] {
	return newTopic[T]("New", &account{}, capacity, opts)
}

func newTopic[T any](name string, a *account, capacity int, opts []TopicOption) *Topic[T] {
	mustCapacity(name, capacity)
	t := &Topic[T]{account: a, capacity: uint64(capacity), limit: math.MaxUint64, drained: make(chan struct{})}
	for _, o := range opts {
		t.replay = max(t.replay, uint64(o.replay))
		if o.slow != nil {
			t.after, t.slow = o.after, o.slow
		}
	}
	if t.replay > t.capacity {
		panic("pubsub: Replay of more than the capacity")
	}
	t.ring.size = capacity
	ctx, cancel := context.WithCancelCause(context.Background())
	t.ctx, t.cancel = handlerContext{ctx, a}, cancel
	return t
}

func mustCapacity(name string, capacity int) {
	if capacity < 1 {
		panic("pubsub: " + name + " with a capacity of less than 1")
	}
}

// Publish gives v to all subscriptions there are, and returns nil when each has
// it in its queue, or has missed it as its [Overflow] says. It waits while
// there is one with [Block] whose queue is full; those who wait are served in
// their order. Without subscriptions it does not wait. To publish something
// although ctx may have ended, such as the end of a request, give it one that
// goes on ([context.WithoutCancel]).
//
// Otherwise no subscription gets v, and it returns [ErrClosed], also if the
// Topic is closed while it waits; the cause of ctx, if that ends before, or had
// ended at once; or [ErrReentrant], if it would have to wait and ctx is that of
// a handler of this Topic, or made from it.
func (t *Topic[T]) Publish(ctx context.Context, v T) error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	if done, err := t.offer(v, nil); done {
		return err
	}
	if handledBy(ctx, t.account) {
		return ErrReentrant
	}
	for range patience {
		runtime.Gosched()
		if done, err := t.offer(v, nil); done {
			return err
		}
	}
	return wait(ctx, v, t)
}

// offer publishes v if there is room. If not, it puts w in the line, if there
// is one, and reports false.
func (t *Topic[T]) offer(v T, w *waiter[T]) (done bool, err error) {
	t.mu.Lock()
	switch {
	case t.closed:
		t.mu.Unlock()
		return true, ErrClosed
	case t.line.first != nil || !t.room():
		if w != nil {
			t.line.push(w)
		}
		t.mu.Unlock()
		return false, nil
	}
	t.put(v)
	parked := t.parked.take()
	t.mu.Unlock()
	wake(parked)
	return true, nil
}

// room reports whether one more event can be put into the ring. If not, gating
// is one of the subscriptions that have to read one before.
func (t *Topic[T]) room() bool {
	head := t.ring.head
	for head >= t.limit {
		if len(t.blocking) == 0 {
			t.limit = math.MaxUint64
			break
		}
		least := uint64(math.MaxUint64)
		for range t.blocking {
			t.scan = (t.scan + 1) % len(t.blocking)
			at := t.blocking[t.scan].cursor.Load()
			if least = min(least, at); head-at >= t.capacity {
				break
			}
		}
		if t.limit = least + t.capacity; head < t.limit {
			break
		}
		s := t.blocking[t.scan]
		t.gating.Store(s)
		if s.cursor.Load() == least {
			return false
		}
	}
	if t.gating.Load() != nil {
		t.gating.Store(nil)
	}
	return true
}

// put publishes v, for which there is room.
func (t *Topic[T]) put(v T) {
	t.ring.put(v)
	if len(t.dropping) > 0 {
		t.head.Store(t.ring.head)
	}
	for _, s := range t.queued {
		s.put(v)
	}
}

// admit publishes what is in the line, as far as there is room. It returns
// those whose turn it was, and the subscriptions to wake.
func (t *Topic[T]) admit() (granted *waiter[T], parked *Subscription[T]) {
	var l line[T]
	for t.line.first != nil && t.room() {
		w := t.line.first
		t.line.remove(w)
		t.put(w.value)
		l.push(w)
		w.inLine = false // in that of those who wait
	}
	if l.first != nil {
		parked = t.parked.take()
	}
	return l.first, parked
}

// advance is called by the subscription that was gating, when it has read an
// event.
func (t *Topic[T]) advance() {
	t.mu.Lock()
	if t.line.first == nil {
		t.gating.Store(nil)
	}
	granted, parked := t.admit()
	t.mu.Unlock()
	grant(granted)
	wake(parked)
}

// Len returns the number of subscriptions that have not ended, those included
// that only have something left to read.
func (t *Topic[T]) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.dropping) + len(t.blocking) + len(t.queued)
}

// idle reports whether the Topic has neither subscriptions nor handlers at
// work.
func (t *Topic[T]) idle() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.dropping)+len(t.blocking)+len(t.queued)+t.handlers == 0
}

// Close refuses further events and subscriptions, waits until the handlers have
// been called with all events that are published, and returns their errors
// joined, those of subscriptions that have ended before included; of more than
// 16, the first 8 and the last 8. Those who wait in Publish get [ErrClosed].
// Subscriptions without a handler are not waited for: they can read what is
// left, and then end.
//
// If ctx ends before, the handlers are called no more, their contexts end, and
// events that they have not got are counted as missed. Then Close returns the
// cause of ctx, and for each such handler a [*ListenerError] with a
// [*LaggedError], too, without waiting for the calls that have begun.
//
// With the context of one of its own handlers, Close returns [ErrReentrant] at
// once, but closes all the same; with another one, in a handler, it waits for
// itself until that ends. It may be called again, and then does the
// same.
func (t *Topic[T]) Close(ctx context.Context) error {
	t.close()
	if handledBy(ctx, t.account) {
		return ErrReentrant
	}
	err := t.drain(ctx)
	return errors.Join(append(t.errs.all(), err)...)
}

// close refuses further events and subscriptions.
func (t *Topic[T]) close() {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return
	}
	t.closed = true
	if t.handlers == 0 {
		close(t.drained)
	}
	for w := t.line.first; w != nil; w = w.next {
		w.err, w.inLine = ErrClosed, false
	}
	refused := t.line.first
	t.line = line[T]{}
	parked := t.parked.take()
	t.mu.Unlock()
	grant(refused)
	wake(parked)
}

// drain waits until no handler is left, or ctx ends; then it stops them.
func (t *Topic[T]) drain(ctx context.Context) error {
	select {
	case <-t.drained:
		return nil
	default:
	}
	select {
	case <-t.drained:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	rest := slices.Concat(t.dropping, t.blocking, t.queued)
	t.mu.Unlock()
	for _, s := range rest {
		if s.waitedFor {
			s.abandon()
		}
	}
	err := ended(ctx)
	t.cancel(err)
	return err
}
