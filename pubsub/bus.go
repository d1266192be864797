package pubsub

import (
	"cmp"
	"context"
	"errors"
	"sync"
)

// A Message is an event of a [Bus].
type Message[T any] struct {
	Subject string
	Value   T
}

// A Bus hands events to those who want their subject. Use [NewBus] to make one.
//
// A subject is words with dots between them, such as orders.eu.paid. A word is
// at least one character; it has no white space, no control characters, and
// neither * nor >. In a pattern, * stands for any one word, and > at the end
// for one or more: orders.*.paid, orders.>. This is the grammar of NATS; but
// there, * and > may be part of longer words, which is an error here.
//
// Each pattern is a [Topic] of its own: all of its subscriptions see the same
// order. Different patterns may see the events of different publishers in
// different orders; those of one publisher are in order everywhere.
type Bus[T any] struct {
	capacity int
	opts     []TopicOption
	account  account

	mu       sync.RWMutex // guards the fields below; may be held when that of a Topic is taken
	closed   bool
	patterns node[T]
}

// NewBus returns a Bus that holds capacity events for each subscription. With
// [OnSlow]. It panics if capacity is less than 1, and with [Replay].
func NewBus[T any](capacity int, opts ...TopicOption) *Bus[T] {
	for _, o := range opts {
		if o.replay > 0 {
			panic("pubsub: NewBus with Replay")
		}
	}
	mustCapacity("NewBus", capacity)
	return &Bus[T]{capacity: capacity, opts: opts}
}

// Publish gives v to all subscriptions whose pattern matches the subject, as
// [Topic.Publish] does. Those that make it wait hold up no others. In a
// handler of this Bus, whatever its pattern, it does not wait. It returns
// [ErrSubject] for a bad subject; for another error, of which there are those
// of Topic.Publish, some subscriptions may have got the event, and others not.
func (b *Bus[T]) Publish(ctx context.Context, subject string, v T) error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	if !valid(subject, false) {
		return badSubject(subject)
	}
	var few [8]*Topic[Message[T]]
	b.mu.RLock()
	closed := b.closed
	matches := b.patterns.match(subject, few[:0])
	b.mu.RUnlock()
	if closed {
		return ErrClosed
	}
	m := Message[T]{Subject: subject, Value: v}
	var err error
	full := matches[:0]
	for _, t := range matches {
		done, e := t.offer(m, nil)
		if !done {
			full = append(full, t)
		}
		err = cmp.Or(err, e)
	}
	switch {
	case len(full) == 0:
		return err
	case handledBy(ctx, &b.account):
		return ErrReentrant
	}
	return cmp.Or(err, wait(ctx, m, full...))
}

// Handle subscribes h to the subjects that match the pattern, see
// [Topic.Handle]. It returns [ErrSubject] for a bad pattern, and [ErrClosed] if
// the Bus is closed.
func (b *Bus[T]) Handle(pattern string, h Handler[Message[T]], opts ...SubOption) (*Subscription[Message[T]], error) {
	if h == nil {
		panic("pubsub: Handle with a nil function")
	}
	return b.subscribe(pattern, func(t *Topic[Message[T]]) *Subscription[Message[T]] { return t.Handle(h, opts...) })
}

// Subscribe subscribes to the subjects that match the pattern, see
// [Topic.Subscribe]. It returns [ErrSubject] for a bad pattern, and [ErrClosed]
// if the Bus is closed.
func (b *Bus[T]) Subscribe(ctx context.Context, pattern string, opts ...SubOption) (*Subscription[Message[T]], error) {
	return b.subscribe(pattern, func(t *Topic[Message[T]]) *Subscription[Message[T]] { return t.Subscribe(ctx, opts...) })
}

func (b *Bus[T]) subscribe(pattern string, add func(*Topic[Message[T]]) *Subscription[Message[T]]) (*Subscription[Message[T]], error) {
	n, err := b.acquire(pattern)
	if err != nil {
		return nil, err
	}
	defer b.release(n)
	s := add(n.topic)
	if s.reason() == ErrClosed { //nolint:errorlint // it is set as it is
		return nil, ErrClosed // in the meantime
	}
	return s, nil
}

// Close does for all subscriptions what [Topic.Close] does for those of a
// Topic.
func (b *Bus[T]) Close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	topics := b.patterns.topics(nil)
	b.mu.Unlock()
	for _, t := range topics {
		t.close()
	}
	if handledBy(ctx, &b.account) {
		return ErrReentrant
	}
	var err error
	for _, t := range topics {
		err = cmp.Or(err, t.drain(ctx)) // it is the same for all
	}
	return errors.Join(append(b.account.errs.all(), err)...)
}

// acquire returns the node of a pattern, which now has a Topic, and does not go
// until it is released.
func (b *Bus[T]) acquire(pattern string) (*node[T], error) {
	if !valid(pattern, true) {
		return nil, badSubject(pattern)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, ErrClosed
	}
	n := b.patterns.grow(pattern)
	n.users++
	if n.topic == nil {
		n.topic = newTopic[Message[T]]("NewBus", &b.account, b.capacity, b.opts)
		n.topic.unused = func() { b.prune(n) }
	}
	return n, nil
}

func (b *Bus[T]) release(n *node[T]) {
	b.mu.Lock()
	n.users--
	b.mu.Unlock()
	b.prune(n)
}

// prune takes away the Topic of a pattern that nobody uses.
func (b *Bus[T]) prune(n *node[T]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n.users == 0 && n.topic != nil && n.topic.idle() {
		n.topic = nil
		n.wither()
	}
}
