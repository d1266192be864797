package retry

import (
	"math"
	"sync"
	"time"
)

// A Budget limits the retries of all calls that share it, so that they do not
// multiply the load of a server that is down: to a share of the calls that
// there were lately, and a reserve for times of few calls.
//
// A Budget is made by [NewBudget] and may be used concurrently; the zero Budget
// grants nothing. It begins anew in a testing/synctest bubble, and after it.
//
// The source of the idea is the chapter [Handling Overload] of Site Reliability
// Engineering.
//
// [Handling Overload]: https://sre.google/sre-book/handling-overload/
type Budget struct {
	ratio float64
	floor float64 // retries in a window without any calls
	epoch time.Time

	mu      sync.Mutex // guards the fields below
	second  int64      // the newest, counted from epoch
	calls   [window]int64
	retries [window]int64 // both by slot
}

// window is the number of seconds that a Budget looks back.
const window = 10

// NewBudget returns a Budget that grants, in ten seconds, ratio retries for each
// call begun in these ten seconds, and minPerSecond × 10 retries more. With
// NewBudget(0.1, 0), a server that is down gets 1.1 times the requests that it
// would get without retries; with NewBudget(0.1, 1), ten in ten seconds more.
//
// The ten seconds are whole ones, the current one and the nine before it. Their
// retries may all be made at once, at the end of them and at the beginning of
// the next. A retry belongs to the second in which its wait begins; one that is
// not made, because the context ended during the wait, is given back. If
// minPerSecond is zero, calls alone bring retries; the first calls, fewer than
// 1/ratio, then have none.
//
// NewBudget panics if ratio or minPerSecond is negative, if ratio is infinite
// or not a number, and if both are zero.
func NewBudget(ratio float64, minPerSecond int) *Budget {
	switch {
	case !(ratio >= 0) || math.IsInf(ratio, 1):
		panic("retry: NewBudget with a ratio that is negative, infinite or not a number")
	case minPerSecond < 0:
		panic("retry: NewBudget with a negative minPerSecond")
	case ratio == 0 && minPerSecond == 0:
		panic("retry: NewBudget that grants nothing")
	}
	return &Budget{ratio: ratio, floor: float64(minPerSecond) * window, epoch: time.Now()}
}

// A grant is the permission for one retry, taken from the count of a second.
type grant struct {
	ok     bool
	second int64
}

// deposit counts a call.
func (b *Budget) deposit() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advanceLocked()
	b.calls[slot(b.second)]++
}

// withdraw grants a retry, or does not.
func (b *Budget) withdraw() grant {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advanceLocked()
	var calls, retries int64
	for i := range window {
		calls += b.calls[i]
		retries += b.retries[i]
	}
	if float64(retries+1) > b.ratio*float64(calls)+b.floor {
		return grant{}
	}
	b.retries[slot(b.second)]++
	return grant{ok: true, second: b.second}
}

// refund takes back a grant that was not used.
func (b *Budget) refund(g grant) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advanceLocked()
	if g.second <= b.second && b.second-g.second < window {
		b.retries[slot(g.second)]--
	}
}

// advanceLocked forgets the seconds that have left the window. It forgets all of
// them where time goes backwards, from the outside of a test's bubble to its
// inside.
func (b *Budget) advanceLocked() {
	now := int64(time.Since(b.epoch) / time.Second)
	if now < b.second || now-b.second >= window {
		b.calls, b.retries = [window]int64{}, [window]int64{}
		b.second = now
	}
	for b.second < now {
		b.second++
		b.calls[slot(b.second)], b.retries[slot(b.second)] = 0, 0
	}
}

// slot returns where a second, which may be negative, is counted.
func slot(second int64) int64 { return (second%window + window) % window }
