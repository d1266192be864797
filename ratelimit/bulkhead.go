package ratelimit

import (
	"container/list"
	"context"
	"math"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// A Bulkhead bounds how many are at something at once, and how many wait for
// that. Use [NewBulkhead] to make one; it must not be copied. It may be used
// concurrently.
type Bulkhead struct {
	max, bound int64

	// Those who are in, up to max, and those who wait. From max on, it changes
	// only under mu: there are as many in the queue as it is more than max.
	all atomic.Int64

	mu    sync.Mutex // guards the field below
	queue list.List  // of *guest, in the order in which they came; none has the turn
}

// NewBulkhead returns a Bulkhead for max at once, while up to queue others wait.
// A queue of 0 means that nobody waits, a negative one that it has no bound.
// NewBulkhead panics if max is less than 1.
func NewBulkhead(max, queue int) *Bulkhead {
	if max < 1 {
		panic("ratelimit: NewBulkhead for less than 1")
	}
	bound := int64(math.MaxInt64)
	if queue >= 0 && int64(queue) < bound-int64(max) {
		bound = int64(max) + int64(queue)
	}
	return &Bulkhead{max: int64(max), bound: bound}
}

// TryAcquire reports whether there is a place now. If so, it is taken until
// [Bulkhead.Release]. Those who wait come first.
func (b *Bulkhead) TryAcquire() bool {
	for {
		all := b.all.Load()
		if all >= b.max {
			return false
		}
		if b.all.CompareAndSwap(all, all+1) {
			return true
		}
	}
}

// Acquire takes a place, until [Bulkhead.Release], for which it waits if there
// is none. Those who wait are served in the order in which they came.
//
// It returns an error, and has taken nothing, at once if too many wait already
// ([ErrFull]), and when ctx ends, one that matches the context's error and its
// cause. If ctx has ended before, it takes nothing even if there is a place.
func (b *Bulkhead) Acquire(ctx context.Context) error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	if b.TryAcquire() {
		return nil
	}
	g, err := b.wait()
	if g == nil {
		return err
	}
	if g.wait(ctx) != nil {
		b.leave(g)
		return ended(ctx)
	}
	return nil
}

// wait queues a guest, or returns an error, or neither if there is a place.
func (b *Bulkhead) wait() (*guest, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		all := b.all.Load()
		switch {
		case all >= b.bound:
			return nil, ErrFull
		case !b.all.CompareAndSwap(all, all+1):
			continue
		case all < b.max:
			return nil, nil
		}
		g := &guest{turn: semaphore.NewWeighted(1)}
		g.turn.TryAcquire(1)
		g.place = b.queue.PushBack(g)
		return g, nil
	}
}

// leave is for a guest that does not wait any more. If it is in meanwhile, it
// gives its place back.
func (b *Bulkhead) leave(g *guest) {
	b.mu.Lock()
	in := g.place == nil
	if !in {
		b.queue.Remove(g.place)
		b.all.Add(-1)
	}
	b.mu.Unlock()
	if in {
		b.Release()
	}
}

// Release gives back a place. It panics if none is taken.
func (b *Bulkhead) Release() {
	for {
		all := b.all.Load()
		switch {
		case all <= 0:
			panic("ratelimit: Release of a Bulkhead that nobody has acquired")
		case all > b.max:
			if g := b.next(); g != nil {
				g.call()
				return
			}
		case b.all.CompareAndSwap(all, all-1):
			return
		}
	}
}

// next lets the first guest in, in the place of one who leaves, and returns it,
// or nil if none waits any more.
func (b *Bulkhead) next() *guest {
	b.mu.Lock()
	defer b.mu.Unlock()
	first := b.queue.Front()
	if first == nil {
		return nil
	}
	g := b.queue.Remove(first).(*guest)
	g.place = nil
	b.all.Add(-1)
	return g
}

// InUse returns how many places are taken.
func (b *Bulkhead) InUse() int { return int(min(b.all.Load(), b.max)) }

// Waiting returns how many wait for a place.
func (b *Bulkhead) Waiting() int { return int(max(0, b.all.Load()-b.max)) }

// Within calls fn with ctx in a place of b, which it gives back afterwards, also
// if fn panics or calls [runtime.Goexit]. If there is no place, it returns the
// error of [Bulkhead.Acquire], otherwise what fn returns. The deadline of ctx is
// that of both; to wait for less, use Acquire with another context.
func Within[T any](ctx context.Context, b *Bulkhead, fn func(context.Context) (T, error)) (T, error) {
	if err := b.Acquire(ctx); err != nil {
		var zero T
		return zero, err
	}
	defer b.Release()
	return fn(ctx)
}
