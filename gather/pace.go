package gather

import (
	"sync/atomic"
	"time"
)

// A pace keeps the workers of a batch from slowing one another down where fn
// takes next to no time.
//
// Processors that take turns on a counter and write their results side by side
// spend most of the time on passing cache lines to and fro; one of them alone
// gets ahead several times as fast. So a worker whose calls are that quick, and
// who sees that others take items too, lets the leader go first: it pauses for
// some microseconds before it takes its next item. If next to nothing was taken
// meanwhile, the leader has something longer to do, or is gone, and the worker
// becomes the leader. No worker ever waits for another one to do anything, or
// pauses while it has an item.
type pace struct {
	name    int64     // of the worker, from 1
	last    int       // the item taken last
	taken   int       // how many items the worker has taken
	since   time.Time // when taken was last a multiple of paceWindow
	quick   bool      // whether the last paceWindow calls were quick
	crowded bool      // whether they were, and others take items too
}

const (
	paceWindow = 64
	quickCall  = 150 * time.Nanosecond // with the time to take the item, which is most of it
	pauseLoops = 12000                 // about 4 µs
)

// await is to be called before the worker takes an item from next. The name of
// the leader is in leader; which one it is matters for speed only.
func (p *pace) await(next, leader *atomic.Int64) {
	if !p.crowded || leader.Load() == p.name {
		return
	}
	before := next.Load()
	for range pauseLoops { // only takes time
	}
	if next.Load()-before < paceWindow/4 {
		leader.Store(p.name)
	}
}

// step is to be called with each item that the worker has taken.
func (p *pace) step(i int) {
	p.crowded = p.quick && i != p.last+1
	p.last = i
	p.taken++
	if p.taken%paceWindow == 0 {
		now := time.Now()
		p.quick = p.taken > paceWindow && now.Sub(p.since) < paceWindow*quickCall
		p.since = now
	}
}
