package pipeline

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed4886185c/concert/internal/panics"
)

// An item is a value, or an error, on its way from one goroutine to another.
type item[T any] struct {
	value T
	err   error
}

// A hub is where a stage takes items that other goroutines make: the one place
// at which items cross goroutines, and goroutines are started and joined. The
// stage, the consumer, must close it. Its producers each have a lane.
type hub[T any] struct {
	parent context.Context //nolint:containedctx // a hub is as short-lived as a call
	ctx    context.Context //nolint:containedctx // that of the producers, which ends at close
	cancel context.CancelFunc
	done   <-chan struct{} // of parent
	wg     sync.WaitGroup
	failed atomic.Pointer[failure]

	// The consumer sleeps until ready, which has a capacity of 1, after it has
	// set hungry and has looked for items once more. Who has items for it then
	// resets hungry and sends.
	hungry atomic.Bool
	ready  chan struct{}

	lanes []*lane[T]
	open  atomic.Int64 // lanes that are not closed

	// Of the consumer alone: the lane from which it takes, and the one at which
	// it looks then.
	from *lane[T]
	scan int
}

// A lane is a queue from one producer to the consumer of a hub.
type lane[T any] struct {
	hub  *hub[T]
	flow *flow

	// Of the producer: how many items it has put in, and may be under way. If
	// most is more than least, that grows while items come and go quickly.
	put                int64
	limit, least, most int64
	turned             time.Time // when it last had waited for room

	// Of the consumer: what it has taken out at once, from next on.
	batch []item[T]
	next  int
	first time.Time // when the first of batch came

	timed bool        // came is wanted
	some  atomic.Bool // there are items; changes only under mu

	mu     sync.Mutex // guards the fields below
	items  []item[T]
	came   time.Time // when the first of items was put in
	closed bool      // there will be no more
}

// A failure is how a producer ended that did not return: by a panic, or by
// runtime.Goexit if there is none.
type failure struct {
	panicked *PanicError
}

// newHub returns a hub whose producers are cancelled with ctx.
func newHub[T any](ctx context.Context) *hub[T] {
	h := &hub[T]{parent: ctx, done: ctx.Done(), ready: make(chan struct{}, 1)}
	h.ctx, h.cancel = context.WithCancel(ctx)
	return h
}

// lane adds a lane, in which there may be least items under way, up to most if
// they are quick. All lanes have to be there before the first item is taken.
func (h *hub[T]) lane(least, most int) *lane[T] {
	l := &lane[T]{hub: h, flow: newFlow(), limit: int64(least), least: int64(least), most: int64(most)}
	h.add(l)
	return l
}

func (h *hub[T]) add(l *lane[T]) {
	h.lanes = append(h.lanes, l)
	h.open.Add(1)
}

// start calls produce in a goroutine of its own.
func (h *hub[T]) start(produce func()) {
	h.wg.Go(func() {
		returned := false
		defer func() {
			if returned {
				return
			}
			f := &failure{}
			if v := recover(); v != nil {
				f.panicked = panics.New(v)
			}
			if !h.failed.CompareAndSwap(nil, f) && f.panicked != nil {
				h.failed.CompareAndSwap(h.failed.Load(), f) // it tells more than a Goexit, and as much as a panic
			}
			h.wake()
		}()
		produce()
		returned = true
	})
}

// feed puts all of s into l. After an error it takes no more from s until that
// has been handled.
func (l *lane[T]) feed(s Stream[T]) {
	for v, err := range s(l.hub.ctx) {
		if !l.send(v, err) {
			break
		}
	}
	l.close()
}

// send puts an item into l and waits until there is room for more, or if it is
// an error, until that has been handled. It returns false if there is no need
// for more.
func (l *lane[T]) send(v T, err error) bool {
	return l.enqueue(item[T]{v, err}) && (err == nil || l.flow.await(l.hub.ctx.Done(), l.put))
}

// enqueue puts an item into l, and waits until there is room for more: not
// before, as it would come too late for who looks at times. It returns false if
// there is no need for more.
func (l *lane[T]) enqueue(it item[T]) bool {
	l.append(it)
	before := l.put
	l.put++
	if before-l.flow.delivered.Load() >= l.limit {
		if !l.flow.await(l.hub.ctx.Done(), before-l.limit+max(1, l.limit/2)) {
			return false
		}
		l.adapt()
	}
	return true
}

// append puts an item into l.
func (l *lane[T]) append(it item[T]) {
	l.mu.Lock()
	if l.timed && len(l.items) == 0 {
		l.came = time.Now()
	}
	l.items = append(l.items, it)
	if !l.some.Load() {
		l.some.Store(true)
	}
	l.mu.Unlock()
	if l.hub.hungry.Load() {
		l.hub.wake()
	}
}

// adapt lets as many items be under way as come and go in some microseconds, so
// that they cost little; if they take longer, so few that none waits for long.
// It is called after a wait for room.
func (l *lane[T]) adapt() {
	if l.least == l.most {
		return
	}
	now := time.Now()
	switch d := now.Sub(l.turned); {
	case d < quick:
		l.limit = min(2*l.limit, l.most)
	case d > 4*quick:
		l.limit = max(l.limit/2, l.least)
	}
	l.turned = now
}

// quick is how long it takes at most until as many items come and go as may be
// under way, for that to grow.
const quick = 10 * time.Microsecond

// close tells the consumer that there will be no more. A producer that panics
// does not come to it, and one that was stopped does nothing: the consumer
// learns of that instead.
func (l *lane[T]) close() {
	if isDone(l.hub.ctx.Done()) {
		return
	}
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.hub.open.Add(-1)
	l.hub.wake()
}

// wake wakes the consumer, if it sleeps.
func (h *hub[T]) wake() {
	if h.hungry.CompareAndSwap(true, false) {
		select {
		case h.ready <- struct{}{}:
		default: // one that was not needed is still there
		}
	}
}

// An arrival is what take comes back with.
type arrival int

const (
	arrived  arrival = iota // an item
	noMore                  // nothing, all lanes are closed and empty
	timedOut                // nothing, the timer has fired
	stopped                 // nothing, the context has ended, or a producer has failed
)

// take waits for an item, or if there is none, for timer. The consumer must
// call handled when it has handled it.
func (h *hub[T]) take(timer <-chan time.Time) (item[T], arrival) {
	for tries := 0; ; tries++ {
		switch l := h.from; {
		case isDone(h.done) || h.failed.Load() != nil:
			return item[T]{}, stopped
		case l != nil && l.next < len(l.batch):
			it := l.batch[l.next]
			l.next++
			l.flow.taken++
			if it.err == nil {
				h.handled()
			}
			return it, arrived
		}
		if h.refill() {
			continue
		}
		if tries < patience {
			runtime.Gosched()
			continue
		}
		h.hungry.Store(true)
		if h.refill() || h.failed.Load() != nil {
			h.hungry.Store(false)
			continue
		}
		if h.over() {
			if isDone(h.done) || h.failed.Load() != nil {
				return item[T]{}, stopped // that is why
			}
			return item[T]{}, noMore
		}
		select {
		case <-h.ready:
		case <-timer:
			return item[T]{}, timedOut
		case <-h.done:
		case <-h.ctx.Done(): // the same, but in a Broadcast, where the consumer's may never end
			return item[T]{}, stopped
		}
	}
}

// handled tells the producer that the item, if that is an error, is handled.
func (h *hub[T]) handled() { h.from.flow.deliver() }

// refill looks for a lane that has items, and takes all of them out.
func (h *hub[T]) refill() bool {
	for range h.lanes {
		l := h.lanes[h.scan%len(h.lanes)]
		h.scan = (h.scan + 1) % len(h.lanes)
		if l.next < len(l.batch) {
			h.from = l
			return true
		}
		if !l.some.Load() {
			continue
		}
		clear(l.batch)
		l.mu.Lock()
		l.batch, l.items, l.first = l.items, l.batch[:0], l.came
		l.some.Store(false)
		l.mu.Unlock()
		l.next = 0
		h.from = l
		return true
	}
	return false
}

// refillSoon is refill, but gives the producers a chance to put something in.
func (h *hub[T]) refillSoon() bool {
	for range patience {
		if h.refill() {
			return true
		}
		runtime.Gosched()
	}
	return h.refill()
}

// over reports whether there will be nothing more.
func (h *hub[T]) over() bool {
	if h.open.Load() > 0 && len(h.lanes) > 1 {
		return false
	}
	for _, l := range h.lanes {
		l.mu.Lock()
		open := !l.closed || len(l.items) > 0
		l.mu.Unlock()
		if open {
			return false
		}
	}
	return true
}

// err returns why take has stopped; nil if a producer has panicked, which close
// passes on.
func (h *hub[T]) err() error {
	f := h.failed.Load()
	switch {
	case f == nil && h.parent.Err() == nil:
		return ended(h.ctx)
	case f == nil:
		return ended(h.parent)
	case f.panicked == nil:
		return ErrGoexit
	}
	return nil
}

// consume calls body, which may call take. Then, however body ends, it cancels
// the producers and waits for them. If one of them has panicked, it panics.
func (h *hub[T]) consume(body func()) {
	returned := false
	defer func() {
		h.cancel()
		h.wg.Wait()
		if f := h.failed.Load(); returned && f != nil && f.panicked != nil {
			panic(f.panicked)
		}
	}()
	body()
	returned = true
}

// all yields all items.
func (h *hub[T]) all(yield func(T, error) bool) {
	h.consume(func() {
		for {
			it, a := h.take(nil)
			switch {
			case a == stopped:
				fail(h, yield)
				return
			case a == noMore || !yield(it.value, it.err):
				return
			case it.err != nil:
				h.handled()
			}
		}
	})
}

// fail yields the error of a hub that has stopped, if there is one.
func fail[T, U any](h *hub[T], yield func(U, error) bool) {
	if err := h.err(); err != nil {
		var zero U
		yield(zero, err)
	}
}

// exhausted reports whether the next take will look for more items than those
// that it has taken out already.
func (h *hub[T]) exhausted() bool { return h.from == nil || h.from.next == len(h.from.batch) }
