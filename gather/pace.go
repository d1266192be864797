package gather

import "time"

// A pace keeps the workers of a batch from slowing one another down where fn
// takes next to no time.
//
// Two processors that take turns on a counter and write their results side by
// side spend most of the time on passing cache lines to and fro; one of them
// alone would get ahead several times as fast. So a worker whose calls are that
// quick, when it sees that others take items too, pauses before its call: the
// later it was started, the longer. The items stay in order, and no worker is
// kept from taking one for longer than some microseconds.
type pace struct {
	rank  int       // how many workers were started before
	last  int       // the item taken last
	taken int       // how many items the worker has taken
	since time.Time // when taken was last a multiple of paceWindow
	quick bool      // whether the last paceWindow calls were quick
}

const (
	paceWindow = 64
	quickCall  = 150 * time.Nanosecond // with the time to take the item, which is most of it
	pauseLoops = 3000                  // about a microsecond
	maxPauses  = 8
)

// step is to be called with each item that the worker takes.
func (p *pace) step(i int) {
	if p.quick && i != p.last+1 {
		for range pauseLoops * min(p.rank, maxPauses) { // only takes time
		}
	}
	p.last = i
	p.taken++
	if p.taken%paceWindow == 0 {
		now := time.Now()
		p.quick = p.taken > paceWindow && now.Sub(p.since) < paceWindow*quickCall
		p.since = now
	}
}
