package pipeline

import (
	"context"
	"iter"
	"slices"
)

// FlatMap returns a Stream of the items of all streams that f makes of the
// items of s, one stream after the other. With [Workers], n of them are used at
// once, and their items come as they do; with [Ordered], as without Workers,
// while the streams that come later run ahead by some items. Ahead and [ByKey]
// it does not take. The function is called, too, by the goroutine that uses the
// stream; if it returns nil, FlatMap panics.
func FlatMap[A, B any](s Stream[A], f func(context.Context, A) Stream[B], opts ...Option) Stream[B] {
	mustStage("FlatMap", s == nil, f == nil)
	o := settle[A]("FlatMap", opts)
	if o.key != nil || slices.ContainsFunc(opts, func(o Option) bool { return o.ahead > 0 }) {
		panic("pipeline: FlatMap with ByKey or Ahead")
	}
	return func(ctx context.Context) iter.Seq2[B, error] {
		return func(yield func(B, error) bool) {
			if o.workers > 0 {
				spread(ctx, s, f, o, yield)
				return
			}
			s(ctx)(func(v A, err error) bool {
				if err != nil {
					var zero B
					return yield(zero, err)
				}
				wanted := true
				made(ctx, f, v)(ctx)(func(w B, err error) bool {
					wanted = yield(w, err)
					return wanted
				})
				return wanted
			})
		}
	}
}

// made returns the stream of an item.
func made[A, B any](ctx context.Context, f func(context.Context, A) Stream[B], v A) Stream[B] {
	s := f(ctx, v)
	if s == nil {
		panic("pipeline: the function of FlatMap returned nil")
	}
	return s
}

// A spreading is workers that each use a stream at a time, and have a lane. The
// dispatcher hands the items that the streams are made of to those who are
// free.
type spreading[A, B any] struct {
	hub   *hub[B]
	free  chan int      // workers; who is free sends
	jobs  []chan job[A] // to each worker, from the dispatcher, who closes them
	order chan int      // the workers in the order of their jobs, or nil
	halt  halt
}

func spread[A, B any](ctx context.Context, s Stream[A], f func(context.Context, A) Stream[B], o settings[A], yield func(B, error) bool) {
	p := &spreading[A, B]{hub: newHub[B](ctx), free: make(chan int, o.workers)}
	p.halt.at.Store(nobody)
	if o.ordered {
		p.order = make(chan int, o.workers)
	}
	for i := range o.workers {
		p.jobs = append(p.jobs, make(chan job[A], 1))
		p.free <- i
	}
	for i := range o.workers {
		l := p.hub.lane(1, max(1, maxUnderWay/o.workers-1))
		p.hub.start(func() { p.labour(i, f, l) })
	}
	p.hub.start(func() { p.dispatch(s) })
	if o.ordered {
		p.hub.consume(func() { p.inOrder(yield) })
	} else {
		p.hub.consume(func() { p.one(-1, yield) })
	}
}

func (p *spreading[A, B]) dispatch(s Stream[A]) {
	done, ordered := p.hub.ctx.Done(), p.order != nil
	seq := int64(0)
	for v, err := range s(p.hub.ctx) {
		i, _, stopped := Recv(p.hub.ctx, p.free)
		if stopped != nil {
			return
		}
		if err != nil {
			p.halt.begin(seq, ordered)
		}
		p.jobs[i] <- job[A]{item[A]{v, err}, seq} // there is room, as it was free
		if ordered && Send(p.hub.ctx, p.order, i) != nil {
			return
		}
		seq++
		if err != nil && !p.halt.await(done, seq) {
			return
		}
	}
	for _, jobs := range p.jobs {
		close(jobs)
	}
	if p.order != nil {
		close(p.order)
	}
}

// labour uses the stream of one item after the other.
func (p *spreading[A, B]) labour(i int, f func(context.Context, A) Stream[B], l *lane[B]) {
	for {
		it, ok, stopped := Recv(p.hub.ctx, p.jobs[i])
		if !ok || stopped != nil {
			l.close()
			return
		}
		if !p.use(it, f, l) || p.order != nil && !l.enqueue(item[B]{err: errNoItem}) { // the end of this one
			return
		}
		p.free <- i // there is room for all workers
	}
}

// use puts the stream of an item, or its error, into l.
func (p *spreading[A, B]) use(it job[A], f func(context.Context, A) Stream[B], l *lane[B]) bool {
	if it.err != nil {
		var zero B
		return l.send(zero, it.err)
	}
	ctx := p.hub.ctx
	wanted := p.halt.at.Load() >= it.seq || p.halt.await(ctx.Done(), it.seq)
	if !wanted {
		return false
	}
	for v, err := range made(ctx, f, it.value)(ctx) {
		if err != nil {
			p.halt.begin(it.seq, p.order != nil)
		}
		wanted = l.send(v, err) && (p.halt.at.Load() >= it.seq || p.halt.await(ctx.Done(), it.seq))
		if !wanted {
			break
		}
	}
	return wanted
}

// inOrder yields the items of the streams, one after the other.
func (p *spreading[A, B]) inOrder(yield func(B, error) bool) {
	h := p.hub
	lanes := h.lanes
	for seq := int64(0); ; {
		h.hungry.Store(true)
		if h.failed.Load() != nil {
			fail(h, yield)
			return
		}
		select {
		case i, ok := <-p.order:
			h.hungry.Store(false)
			if !ok {
				if isDone(h.done) {
					fail(h, yield)
				}
				return
			}
			h.lanes = lanes[i : i+1]
			if !p.one(seq, yield) {
				return
			}
			seq++
		case <-h.ready:
		case <-h.done:
			fail(h, yield)
			return
		}
	}
}

// one yields the items of one stream, the next in the one lane that the hub
// looks at, or if the order is not kept, of all. It returns false if that was
// the end.
func (p *spreading[A, B]) one(seq int64, yield func(B, error) bool) bool {
	h := p.hub
	if p.order != nil {
		h.from = h.lanes[0]
	}
	for {
		it, a := h.take(nil)
		switch {
		case a == stopped:
			fail(h, yield)
			return false
		case a == noMore:
			return false
		case it.err == errNoItem: //nolint:errorlint // nobody wraps it
			h.handled()
			return true
		case !yield(it.value, it.err):
			return false
		case it.err != nil:
			p.halt.end(seq, p.order != nil)
			h.handled()
		}
	}
}
