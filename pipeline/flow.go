package pipeline

import (
	"math"
	"sync/atomic"
)

// A flow bounds how many items are between a producer and a consumer, in
// different goroutines. Both count them: the producer waits until the consumer
// has come to a number.
type flow struct {
	taken int64 // by the consumer, who alone looks at it

	_         [64]byte // the two write on different cache lines
	delivered atomic.Int64

	_      [64]byte
	resume atomic.Int64  // the number for which the producer waits, or nobody
	room   chan struct{} // of capacity 1; the consumer sends when it is there

	_ [64]byte
}

// nobody waits for this number.
const nobody = math.MaxInt64

func newFlow() *flow {
	f := &flow{room: make(chan struct{}, 1)}
	f.resume.Store(nobody)
	return f
}

// deliver tells the producer how many items are taken. Either the consumer sees
// that the producer waits, or the producer, which looks again after it has said
// so, sees the number.
func (f *flow) deliver() {
	f.delivered.Store(f.taken)
	if r := f.resume.Load(); f.taken >= r && f.resume.CompareAndSwap(r, nobody) {
		select {
		case f.room <- struct{}{}:
		default: // one that was not needed is still there
		}
	}
}

// await waits until n items are delivered, and returns false if done is closed
// before.
func (f *flow) await(done <-chan struct{}, n int64) bool {
	for f.delivered.Load() < n {
		f.resume.Store(n)
		if f.delivered.Load() >= n {
			break
		}
		select {
		case <-f.room:
		case <-done:
			return false
		}
	}
	return true
}
