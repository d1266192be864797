package breaker

import (
	"sync"
	"sync/atomic"
	"time"
)

// A gauge is the state of one rule of a [Trip] while the breaker is closed.
type gauge interface {
	// record adds a call that ended at now, counted from when the breaker
	// closed, and reports whether the rule trips. It may be called
	// concurrently.
	record(now time.Duration, failed, slow bool) bool
}

// windowParts is how many parts a window has.
const windowParts = 10

// A window counts the calls of the current part of its time and the nine
// before, without a lock. Each part is an object of its own, to which those
// before are linked, so that a late addition lands where it belongs, or in a
// part that nobody looks at any more; nothing is ever reset.
type window struct {
	rule
	part   time.Duration
	newest atomic.Pointer[part]

	// The newest part with a bad call in it. While that lies out of the
	// window, nothing can trip and a success need not look at the others.
	lastBad atomic.Int64
}

type part struct {
	index      int64 // its beginning is index times the length of a part
	calls, bad atomic.Int64
	before     atomic.Pointer[part] // the next older one that has calls; nil beyond the window
}

func newWindow(r rule) *window {
	w := &window{rule: r, part: (r.window-1)/windowParts + 1}
	w.newest.Store(new(part))
	w.lastBad.Store(-windowParts)
	return w
}

func (w *window) record(now time.Duration, failed, slow bool) bool {
	bad := failed
	if w.kind == ruleSlowRate {
		bad = slow
	}
	p := w.at(int64(now / w.part))
	// A call is in calls before it is in bad, so that the share that another
	// call sees is not greater than it ever was.
	p.calls.Add(1)
	if bad {
		p.bad.Add(1)
		for last := w.lastBad.Load(); last < p.index; last = w.lastBad.Load() {
			w.lastBad.CompareAndSwap(last, p.index)
		}
	} else if w.lastBad.Load() <= p.index-windowParts {
		return false
	}
	// Not of p: two calls in different parts that end together must not both
	// overlook the other. Each has added itself before it looks for the newest
	// part, and so the later look sees both.
	return w.trips(w.newest.Load())
}

// at returns the part with the index, which becomes the newest if it is not
// there yet. It may return a later one: another call has been quicker then.
func (w *window) at(index int64) *part {
	for {
		newest := w.newest.Load()
		if newest.index >= index {
			return newest
		}
		next := &part{index: index}
		next.before.Store(newest)
		if w.newest.CompareAndSwap(newest, next) {
			next.cut()
			return next
		}
	}
}

// cut unlinks the parts that have left the window of which p is the newest.
func (p *part) cut() {
	oldest := p.index - windowParts + 1
	for q := p; q != nil; {
		before := q.before.Load()
		if before != nil && before.index < oldest {
			q.before.Store(nil)
			return
		}
		q = before
	}
}

// trips judges the window of which p is the newest part.
func (w *window) trips(p *part) bool {
	oldest := p.index - windowParts + 1
	var calls, bad int64
	for q := p; q != nil && q.index >= oldest; q = q.before.Load() {
		bad += q.bad.Load() // before calls, see record
		calls += q.calls.Load()
	}
	return calls >= int64(w.n) && float64(bad)/float64(calls) >= w.ratio
}

// lastN remembers the last n calls.
type lastN struct {
	rule

	mu     sync.Mutex // guards the fields below
	failed []bool     // a ring
	next   int        // where the next call goes
	full   bool
	bad    int // in the ring
}

func newLastN(r rule) *lastN { return &lastN{rule: r, failed: make([]bool, r.n)} }

func (l *lastN) record(_ time.Duration, failed, _ bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed[l.next] {
		l.bad--
	}
	l.failed[l.next] = failed
	if failed {
		l.bad++
	}
	if l.next++; l.next == l.n {
		l.next, l.full = 0, true
	}
	return l.full && float64(l.bad)/float64(l.n) >= l.ratio
}
