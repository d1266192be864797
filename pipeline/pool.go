package pipeline

import (
	"context"
	"iter"
	"sync/atomic"
	"time"
)

// A pool is workers that share the items of a stream. One goroutine, the
// feeder, takes these from the stream and queues them; a worker takes some of
// them at once, calls the function for each, and puts what comes of it into its
// lane of the hub, or if the order is kept, into the slot of a ring.
//
// How many a worker takes at once, and so how many are under way, grows while
// that many take no longer than some microseconds, and falls when they do:
// calls that are quick cost little that way, and others do not wait for each
// other.
type pool[A, B any] struct {
	call func(context.Context, A) (B, error)
	hub  *hub[B]
	flow *flow // from the feeder to the consumer
	n    int

	grain atomic.Int64 // how many a worker takes at once
	ring  *ring[B]     // nil if the order is not kept
	halt  halt

	key    func(A) uint64 // nil if there is no key
	queues []*queue[A]    // one for all workers, or if there is a key, one for each
	fed    atomic.Int64   // how many items there are; nobody, until that is known
}

// pooled returns a Stream of what call makes of the items of s, by workers.
func pooled[A, B any](s Stream[A], o settings[A], call func(context.Context, A) (B, error)) Stream[B] {
	return func(ctx context.Context) iter.Seq2[B, error] {
		return func(yield func(B, error) bool) {
			p := &pool[A, B]{call: call, hub: newHub[B](ctx), flow: newFlow(), n: o.workers, key: o.key}
			p.fed.Store(nobody)
			p.grain.Store(1)
			p.halt.at.Store(nobody)
			if o.ordered {
				p.ring = newRing[B](o.ahead)
			}
			p.queues = []*queue[A]{newQueue[A]()}
			for p.key != nil && len(p.queues) < p.n {
				p.queues = append(p.queues, newQueue[A]())
			}
			for range p.n {
				p.hub.add(&lane[B]{hub: p.hub, flow: p.flow})
			}
			hands := make([]*hand[A], p.n)
			for i := range hands {
				hands[i] = p.queues[i%len(p.queues)].hand()
			}
			for i, l := range p.hub.lanes {
				p.hub.start(func() { p.labour(p.queues[i%len(p.queues)], hands[i], l) })
			}
			p.hub.start(func() { p.feed(s) })
			p.hub.consume(func() { p.deliver(yield) })
		}
	}
}

// limit returns how many items may be under way: as many as the workers have,
// and as many again waiting for them, and for the consumer.
func (p *pool[A, B]) limit() int64 {
	if p.ring != nil {
		return p.ring.ahead
	}
	return 3 * p.grain.Load() * int64(p.n)
}

// feed queues the items of s. After an error it goes on when that, and all
// before it, has been handled.
func (p *pool[A, B]) feed(s Stream[A]) {
	seq := int64(0)
	done := p.hub.ctx.Done()
	for v, err := range s(p.hub.ctx) {
		if limit := p.limit(); seq-p.flow.delivered.Load() >= limit {
			room := max(1, min(limit/2, p.grain.Load()*int64(p.n)))
			if p.ring != nil && p.grain.Load() == 1 {
				room = 1 // no worker waits while it may go on
			}
			if !p.flow.await(done, seq-limit+room) {
				return
			}
		}
		q := p.queues[0]
		if p.key != nil && err == nil {
			q = p.queues[p.key(v)%uint64(p.n)]
		}
		q.push(job[A]{item[A]{v, err}, seq})
		seq++
		if err != nil && !p.flow.await(done, seq) {
			return
		}
	}
	p.fed.Store(seq)
	for _, q := range p.queues {
		q.close()
	}
	p.hub.wake()
}

// labour does the jobs of q until there are no more.
func (p *pool[A, B]) labour(q *queue[A], h *hand[A], l *lane[B]) {
	done := p.hub.ctx.Done()
	for q.take(done, int(p.grain.Load()), h) {
		began := time.Now()
		did := int64(0)
		for j := h.next(); j != nil; j = h.next() {
			if !p.do(j, l) {
				return
			}
			did++
		}
		p.adapt(time.Since(began), did)
	}
	l.close()
}

// do does a job, unless there is no need for it any more.
func (p *pool[A, B]) do(j *job[A], l *lane[B]) bool {
	done := p.hub.ctx.Done()
	if p.halt.at.Load() < j.seq && !p.halt.await(done, j.seq) || isDone(done) {
		return false
	}
	out := item[B]{err: j.err}
	if j.err == nil {
		if out.value, out.err = p.call(p.hub.ctx, j.value); out.err == Drop { //nolint:errorlint // what wraps it is an error
			out.err = errNoItem
		}
	}
	if out.err != nil && out.err != errNoItem { //nolint:errorlint // nobody wraps it
		p.halt.begin(j.seq, p.ring != nil)
	}
	if p.ring != nil {
		p.ring.put(j.seq, out, p.hub)
	} else {
		l.append(out)
	}
	return true
}

const (
	maxGrain    = 256
	maxUnderWay = 4096 - 2
)

// adapt changes the grain, by how long it took for n jobs.
func (p *pool[A, B]) adapt(took time.Duration, n int64) {
	grain := p.grain.Load()
	switch {
	case took < quick && n == grain && grain < maxGrain && 6*grain*int64(p.n) <= maxUnderWay:
		p.grain.CompareAndSwap(grain, 2*grain)
	case took > 4*quick && grain > 1:
		p.grain.CompareAndSwap(grain, max(1, min(grain/2, n*int64(quick)/int64(took))))
	}
}

// deliver yields what the workers have made.
func (p *pool[A, B]) deliver(yield func(B, error) bool) {
	for seq := int64(0); ; seq++ {
		var it item[B]
		var a arrival
		if p.ring != nil {
			it, a = p.takeNext(seq)
		} else {
			it, a = p.hub.take(nil)
		}
		switch {
		case a == stopped:
			fail(p.hub, yield)
			return
		case a == noMore:
			return
		case it.err == errNoItem: //nolint:errorlint // nobody wraps it
			p.flow.deliver()
		case !yield(it.value, it.err):
			return
		case it.err != nil:
			p.halt.end(seq, p.ring != nil)
			p.flow.deliver()
		}
	}
}

// takeNext takes the item with the given place out of the ring.
func (p *pool[A, B]) takeNext(seq int64) (item[B], arrival) {
	for {
		if isDone(p.hub.done) || p.hub.failed.Load() != nil {
			return item[B]{}, stopped
		}
		if it, ok := p.ring.take(seq); ok {
			p.flow.taken++
			if it.err == nil {
				p.flow.deliver()
			}
			return it, arrived
		}
		p.ring.awaited.Store(seq)
		p.hub.hungry.Store(true)
		if p.ring.has(seq) || p.hub.failed.Load() != nil {
			p.hub.hungry.Store(false)
			continue
		}
		if p.fed.Load() == seq {
			if isDone(p.hub.done) {
				return item[B]{}, stopped
			}
			return item[B]{}, noMore
		}
		select {
		case <-p.hub.ready:
		case <-p.hub.done:
		}
	}
}
