package breakerbench

import (
	"sync/atomic"
	"time"
)

// What one writes by hand: the least that does the job. It lets all through that
// come once it has been open for long enough.
const byHand = "by hand; no limit to probes, a panic goes unseen, no report"

// A gate is shut for a time.
type gate struct{ until atomic.Int64 } // in nanoseconds since 1970; zero while open

func (g *gate) passes() bool {
	until := g.until.Load()
	return until == 0 || time.Now().UnixNano() >= until
}

func (g *gate) shut() { g.until.Store(time.Now().Add(openFor).UnixNano()) }

// atomics does two atomic operations for a call that succeeds.
func atomics() contender {
	var g gate
	var row atomic.Int64 // failures
	return contender{name: "atomics", note: byHand, loop: func(w *work) (t tally) {
		for range w.calls {
			if !g.passes() {
				t.add(0, errDown)
				continue
			}
			v, err := w.get()
			switch {
			case err != nil:
				if row.Add(1) >= limit {
					g.shut()
				}
			case row.Swap(0) >= limit:
				g.until.Store(0)
			}
			t.add(v, err)
		}
		return t
	}}
}

// atomicsFixed forgets everything at the end of a window.
func atomicsFixed() contender {
	var g gate
	var end, ended, failed atomic.Int64 // of the window; the calls in it
	return contender{name: "atomics", note: byHand + ", a window that begins anew every ten seconds", loop: func(w *work) (t tally) {
		for range w.calls {
			if !g.passes() {
				t.add(0, errDown)
				continue
			}
			v, err := w.get()
			now := time.Now().UnixNano()
			if e := end.Load(); now >= e && end.CompareAndSwap(e, now+int64(window)) {
				ended.Store(0)
				failed.Store(0)
			}
			n := ended.Add(1)
			if err != nil && float64(failed.Add(1)) >= share*float64(n) && n >= minCalls {
				g.shut()
			}
			t.add(v, err)
		}
		return t
	}}
}
