package ratelimit

import (
	"math"
	"time"
)

// A round is some calls that began after the limit of an Adaptive last changed,
// at least as many as that lets through at once, and more if they take different
// times, so that their mean tells something.
type round struct {
	number int
	calls  float64
	total  float64 // of their latencies, in seconds
	square float64 // of the squares of these
	full   bool    // the limit was reached
}

// control is what an Adaptive knows of its server. Latencies are in seconds.
type control struct {
	base   float64 // the mean without a queue, as far as is known; 0 at first
	rounds int     // since that was measured

	// The highest limit since then. If it has shrunk much, but calls are slow
	// all the same, base is not what it was.
	peak float64

	// While it is measured, there are half as many calls at once in each round
	// as in the one before, until they do not get faster by that, or are as fast
	// as they were before. The round before all these is kept here.
	measuring         bool
	limit, mean, fast float64
	full              bool
}

const (
	leastCalls   = 15   // of a round
	mostRounds   = 3    // as many times the limit, if latencies differ
	exactEnough  = 0.05 // the standard error, in parts of the mean
	measureAfter = 100  // rounds
	slower       = 1.6  // times the base is much slower than that
	faster       = 0.9  // times the mean before is faster
	same         = 0.05 // of the base more or less is as fast
	growth       = 0.1  // of the limit, while nothing queues
	slack        = 0.05 // how much of the limit may queue
	leastSlack   = 0.3
	overloaded   = 0.9 // of the limit is what remains
)

// count adds a call of the present round. It requires mu.
func (a *Adaptive) count(latency time.Duration) {
	if mean, err, ok := a.round.add(latency.Seconds(), a.limit, &a.control); ok {
		a.set(a.control.next(a.limit, mean, err, a.round.full))
	}
}

// shrink cuts the limit. It requires mu.
func (a *Adaptive) shrink() {
	limit := a.limit
	if c := &a.control; c.measuring { // as if that had not begun
		c.measuring, c.base, limit = false, c.fast, c.limit
	}
	a.set(limit * overloaded)
	a.cut = a.round.number
}

// set begins a round with another limit. It requires mu.
func (a *Adaptive) set(limit float64) {
	a.limit = min(max(limit, a.least), a.most)
	a.round = round{number: a.round.number + 1}
}

// add counts a call, and returns the mean and its standard error if there were
// enough.
func (r *round) add(latency, limit float64, c *control) (mean, err float64, ok bool) {
	r.calls++
	r.total += latency
	r.square += latency * latency
	enough := max(leastCalls, 1.5*math.Floor(limit))
	if r.calls < enough {
		return 0, 0, false
	}
	mean = r.total / r.calls
	err = math.Sqrt(max(0, r.square/r.calls-mean*mean) / r.calls)
	return mean, err, mean <= c.base && !c.measuring || err <= exactEnough*mean || r.calls >= mostRounds*enough
}

// next returns the limit for the next round, after one with the given limit in
// which calls took mean, give or take err.
func (c *control) next(limit, mean, err float64, full bool) float64 {
	c.rounds++
	c.peak = max(c.peak, limit)
	switch {
	case c.measuring && !c.asFast(mean) && mean+err < faster*c.base:
		c.base = mean
		return limit / 2
	case c.measuring:
		c.measuring, c.rounds, c.peak = false, 0, 0
		c.base = mean
		if c.asFast(mean) { // what is left of a queue does not count
			c.base = c.fast
		}
		return c.adjust(c.limit, c.mean, c.full)
	case c.base == 0 || mean-2*err > slower*c.base || mean+2*err < faster*c.base || limit < c.peak/2 || c.rounds > measureAfter:
		c.measuring, c.limit, c.mean, c.fast, c.full = true, limit, mean, c.base, full
		c.base = mean
		return limit / 2
	}
	return c.adjust(limit, mean-err, full)
}

// asFast reports whether mean is about what it was when last measured.
func (c *control) asFast(mean float64) bool { return math.Abs(mean-c.fast) <= same*c.fast }

// adjust returns the limit that follows from a round: what is done at once
// without a queue, and a little more, but no more than before if that was not
// used up.
func (c *control) adjust(limit, mean float64, full bool) float64 {
	target := limit + max(leastSlack, growth*limit)
	if mean > c.base {
		target = limit*c.base/mean + max(leastSlack, slack*limit)
	}
	if !full {
		return min(target, limit)
	}
	return target
}
