package ratelimit

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sort"
	"sync/atomic"
	"time"
)

// A line is of those to whom tokens of one bucket are due: who waits, and what is
// reserved. What they get is spent already, so that there is nothing for others
// before their turn. The methods of a line require the lock of its owner, under
// which the bucket stays in force; others may take tokens at the same time.
//
// Let p be the place of one of them, that is, what has to be earned until its
// turn, and what is spent less what is due after p be the level at p. Then the
// level at p is
//
//   - at most p, so that its tokens will be there;
//   - at least p, less the depth, plus what it gets: otherwise the bucket would
//     be full before its turn, and hold, together with what is due, more than it
//     may.
//
// Who comes next takes its place at what is spent. That changes no level but its
// own, which is at least what the second point wants, if that holds for the place
// behind it. To give something back lowers the levels of the places behind it,
// and so may be only as much as the reservations among these allow, as their
// places stay; those who wait move up by as much. What is not given back stays in
// the line, as lost.
type line struct {
	places []*place // by at; those that are equal, in the order in which they came
}

// A place in a line.
type place struct {
	at    int64 // its turn comes when so much is earned
	units int64 // it gets
	kind  kind

	// Of one who waits.
	n     int
	timer *time.Timer
	armed int64 // the turn for which the timer is set
}

type kind int

const (
	waits    kind = iota // until its turn; it then leaves the line
	reserved             // its turn does not change
	lost                 // of one who has left
)

// unarmed is no turn.
const unarmed = math.MinInt64

// maxDebt leaves room for what one more can need.
const maxDebt = 6 * room

// join returns a place for one who needs n tokens by a deadline, or an error, or
// neither if there is no need to wait. They must be no more than there can be.
func (q *line) join(by time.Time, p *pace, spent *atomic.Int64, n int, elapsed time.Duration) (*place, error) {
	units := int64(n) * p.cost
	for {
		before := spent.Load()
		at := p.from(before, p.earned(elapsed)) + units
		delay := p.delay(at, elapsed)
		if err := tooLate(by, delay); err != nil {
			return nil, err
		}
		if at > maxDebt {
			return nil, limited(delay, false)
		}
		if !spent.CompareAndSwap(before, at) {
			continue
		}
		if delay == 0 {
			return nil, nil
		}
		w := &place{at: at, units: units, n: n, timer: time.NewTimer(delay), armed: at}
		q.insert(w)
		return w, nil
	}
}

// insert puts x behind those that are due no later.
func (q *line) insert(x *place) {
	i := len(q.places)
	for i > 0 && q.places[i-1].at > x.at {
		i--
	}
	q.places = slices.Insert(q.places, i, x)
}

// remove takes x out of the line, if it is in there.
func (q *line) remove(x *place) {
	i := sort.Search(len(q.places), func(i int) bool { return q.places[i].at >= x.at })
	for i < len(q.places) && q.places[i] != x && q.places[i].at == x.at {
		i++
	}
	switch {
	case i == len(q.places) || q.places[i] != x:
	case i == 0:
		q.places[0] = nil
		q.places = q.places[1:] // the usual case, which should not move the others
	default:
		q.places = slices.Delete(q.places, i, i+1)
	}
}

// await waits for the turn of w, until which arrive returns false. It calls
// leave if ctx ends before.
func (w *place) await(ctx context.Context, arrive func(*place) bool, leave func(*place)) error {
	defer w.timer.Stop()
	for {
		select {
		case <-w.timer.C:
			if ctx.Err() == nil && arrive(w) {
				return nil
			}
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			leave(w)
			return ended(ctx)
		}
	}
}

// arrive reports whether the turn of w has come, which then leaves the line.
func (q *line) arrive(w *place, p *pace, elapsed time.Duration) bool {
	if delay := p.delay(w.at, elapsed); delay > 0 {
		w.timer.Reset(delay) // its turn would have come sooner before Set
		w.armed = w.at
		return false
	}
	q.remove(w)
	q.hurry(p, elapsed)
	return true
}

// leave takes x out of the line, and gives back what it gets, or want of it.
func (q *line) leave(x *place, want int64, p *pace, spent *atomic.Int64, clock func() time.Duration) {
	q.remove(x)
	var back, earned int64
	for {
		before := spent.Load()
		earned = p.earned(clock()) // after before, so that no taker's clock is later
		if earned-p.depth > x.at {
			want = 0 // the bucket may have been full since
		}
		// At its turn there were no tokens left, so there are at most those that
		// came since, and that many more it can hold.
		want = min(want, x.at-(earned-p.depth))
		back = q.spare(x, want, before, p.depth)
		if spent.CompareAndSwap(before, before-back) {
			break
		}
	}
	q.forget(earned)
	alike := true
	for _, y := range q.places {
		alike = alike && y.kind == waits
		if y.kind == waits && y.at > x.at {
			y.at -= back
		}
	}
	if !alike { // they may have moved past what stays
		slices.SortStableFunc(q.places, func(a, b *place) int { return cmp.Compare(a.at, b.at) })
	}
	if x.at > earned && back < x.units {
		q.insert(&place{at: x.at, units: x.units - back, kind: lost})
	}
	q.hurry(p, clock())
}

// forget removes from the front what does not matter any more: what is over, and
// cannot be given back.
func (q *line) forget(earned int64) {
	over := 0
	for over < len(q.places) && q.places[over].at < earned {
		over++
	}
	keep := over
	for i := over - 1; i >= 0; i-- {
		x := q.places[i]
		if x.kind == waits { // it has not arrived yet
			keep--
			q.places[keep] = x
		} else {
			x.units = 0
		}
	}
	clear(q.places[:keep])
	q.places = q.places[keep:]
}

// spare returns how much of what x got can be given back, of what is wanted.
func (q *line) spare(x *place, want, spent, depth int64) int64 {
	level := spent // at the place that is looked at
	next := spent  // the first after it of one who waits, or who comes next
	for _, y := range slices.Backward(q.places) {
		switch {
		case y.at > x.at:
			if y.kind == reserved {
				want = min(want, level-(y.at-depth+y.units))
			}
			level -= y.units
			if y.kind == waits {
				next = y.at
			}
		case y.kind == waits:
			want = min(want, next-y.at) // that must not come before this
		}
	}
	return max(0, want)
}

// hurry sets the timers of those whose turn has come, and of the one whose turn
// comes next, if they are set for another time. Those behind have to wait for
// these, who call it then.
func (q *line) hurry(p *pace, elapsed time.Duration) {
	for _, w := range q.places {
		if w.kind != waits {
			continue
		}
		delay := p.delay(w.at, elapsed)
		if w.armed != w.at {
			w.timer.Reset(delay)
			w.armed = w.at
		}
		if delay > 0 {
			return
		}
	}
}

// carry gives everyone another turn, in other units, and sets the timers for it.
func (q *line) carry(turn func(at int64) int64, units func(int64) int64, p *pace, elapsed time.Duration) {
	for _, x := range q.places {
		x.at, x.units, x.armed = turn(x.at), units(x.units), unarmed
	}
	q.hurry(p, elapsed)
}
