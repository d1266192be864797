package breaker

import (
	"math"
	"sync/atomic"
	"time"
)

// A stay is the time in one state, with its own counters. A call keeps to the
// stay that it began in, so that what it adds after the state has changed goes
// to counters that nobody reads any more.
//
// What is not atomic is set when the stay is made and does not change, except
// where it says so.
type stay struct {
	state State
	mode  Mode
	since time.Duration // all times are counted from Breaker.born
	until time.Duration // of an open one

	// A closed one trips at limit failures in a row, and when a gauge says so.
	limit  int64
	gauges []gauge

	timed bool // how long a call takes is of account
	plain bool // it is closed, and nothing of time is of account

	_ [64]byte // what every call reads is on another cache line than what it writes

	successes, failures, ignored, slow, rejected atomic.Int64

	// The failures in a row. A success finds it 0, as a rule, and leaves it
	// alone; if a failure comes between, that success was before it.
	row atomic.Int64

	// How many successes there were at the last failure.
	before atomic.Int64

	// Those of a half-open one that have not ended, in the order in which they
	// fall due. Guarded by Breaker.mu.
	probes []*probe
}

// newStay returns a stay that begins at the given time.
func (b *Breaker) newStay(state State, since time.Duration) *stay {
	if before := b.current.Load(); before != nil {
		since = max(since, before.since) // the clock was read without the lock
	}
	s := &stay{state: state, since: since, limit: math.MaxInt64, timed: b.settings.SlowCall > 0}
	if state != Closed {
		return s
	}
	for _, r := range b.settings.Trip.rules {
		switch r.kind {
		case ruleConsecutive:
			s.limit = min(s.limit, int64(r.n))
		case ruleLastN:
			s.gauges = append(s.gauges, newLastN(r))
		case ruleRate, ruleSlowRate:
			s.gauges = append(s.gauges, newWindow(r))
		}
	}
	s.plain = len(s.gauges) == 0 && !s.timed
	return s
}

// add counts a call that ended at the given time, and reports whether the stay
// has to end for it. The time is of account only if there are gauges.
func (s *stay) add(o Outcome, slow bool, at time.Duration) (trips bool) {
	if slow {
		s.slow.Add(1)
	}
	switch o {
	case Success:
		s.succeeded()
	case Failure:
		s.failures.Add(1)
		trips = s.row.Add(1) >= s.limit
		successes := s.successes.Load()
		for before := s.before.Load(); before < successes && !s.before.CompareAndSwap(before, successes); {
			before = s.before.Load()
		}
	default:
		s.ignored.Add(1)
		return false
	}
	for _, g := range s.gauges {
		if g.record(at-s.since, o == Failure, slow) {
			return true
		}
	}
	return trips
}

func (s *stay) succeeded() {
	s.successes.Add(1)
	if s.row.Load() != 0 {
		s.row.Store(0)
	}
}

func (s *stay) counts() Counts {
	row, before := s.row.Load(), s.before.Load()
	successes := s.successes.Load() // after before, and so not less
	c := Counts{
		Successes: int(successes), Failures: int(s.failures.Load()), Ignored: int(s.ignored.Load()),
		Slow: int(s.slow.Load()), Rejected: int(s.rejected.Load()),
		ConsecutiveFailures: int(row),
	}
	if row == 0 {
		c.ConsecutiveSuccesses = int(successes - before)
	}
	return c
}
