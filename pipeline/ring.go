package pipeline

import (
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
)

// A ring holds the items that workers have made, until those before them are
// taken. The flow of the pool keeps those that are under way to its size.
type ring[T any] struct {
	ahead   int64
	slots   []slot[T]
	awaited atomic.Int64 // the place for which the consumer waits
}

// A slot is for one item at a time: one worker fills it and then sets full, the
// consumer empties it and then resets full, before the place that is next to
// use it is given to a worker.
type slot[T any] struct {
	item[T]

	full atomic.Bool
}

func newRing[T any](ahead int) *ring[T] {
	return &ring[T]{ahead: int64(ahead), slots: make([]slot[T], 1<<bits.Len(uint(ahead-1)))}
}

func (r *ring[T]) slot(seq int64) *slot[T] { return &r.slots[seq&int64(len(r.slots)-1)] }

// put fills the slot of a place. Either it sees that the consumer waits for it,
// or the consumer, who looks again after it has said so, sees the item.
func (r *ring[T]) put(seq int64, it item[T], h *hub[T]) {
	s := r.slot(seq)
	s.item = it
	s.full.Store(true)
	if r.awaited.Load() == seq {
		h.wake()
	}
}

func (r *ring[T]) has(seq int64) bool { return r.slot(seq).full.Load() }

func (r *ring[T]) take(seq int64) (it item[T], ok bool) {
	s := r.slot(seq)
	if !s.full.Load() {
		return it, false
	}
	it, s.item = s.item, it
	s.full.Store(false)
	return it, true
}

// A halt keeps workers from beginning new calls while an error is on its way to
// the sink, which may be the end of all. If the order is kept, what comes
// before the error still has to be done.
type halt struct {
	at atomic.Int64 // what comes after this place waits

	mu     sync.Mutex // guards the fields below
	places []int64    // of the errors that are on their way
	over   chan struct{}
}

// begin holds up what comes after a place, or if the order is not kept, all.
func (h *halt) begin(seq int64, ordered bool) {
	if !ordered {
		seq = -1
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.places = append(h.places, seq)
	h.at.Store(slices.Min(h.places))
	if h.over == nil {
		h.over = make(chan struct{})
	}
}

// end tells that the error at a place has been handled.
func (h *halt) end(seq int64, ordered bool) {
	if !ordered {
		seq = -1
	}
	close(h.remove(seq))
}

// remove returns the channel on which those wait who may look again.
func (h *halt) remove(seq int64) chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.Index(h.places, seq)
	h.places = slices.Delete(h.places, i, i+1)
	over := h.over
	h.over = make(chan struct{})
	h.at.Store(slices.Min(append(h.places, nobody)))
	return over
}

// await waits until the item at a place may be worked on, and returns false if
// done is closed before.
func (h *halt) await(done <-chan struct{}, seq int64) bool {
	for h.at.Load() < seq {
		h.mu.Lock()
		over, wait := h.over, h.at.Load() < seq
		h.mu.Unlock()
		if !wait {
			break
		}
		select {
		case <-over:
		case <-done:
			return false
		}
	}
	return true
}
