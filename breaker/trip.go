package breaker

import (
	"fmt"
	"time"
)

// A Trip says when a closed breaker opens. It is judged after every call that
// is a success or a failure, with this call in it: a success trips a Rate if it
// makes up the number of calls. The zero Trip is Consecutive(5).
//
// All that it counts begins anew whenever the breaker closes.
type Trip struct{ rules []rule }

// A rule is one condition of a Trip.
type rule struct {
	kind   ruleKind
	n      int // calls: in a row, at least, or looked at
	ratio  float64
	window time.Duration
}

type ruleKind uint8

const (
	ruleConsecutive ruleKind = iota
	ruleRate
	ruleLastN
	ruleSlowRate
)

// Consecutive trips at n failures in a row, however long they take. It panics
// if n is less than 1.
func Consecutive(n int) Trip {
	if n < 1 {
		panic("breaker: Consecutive of less than 1")
	}
	return Trip{[]rule{{kind: ruleConsecutive, n: n}}}
}

// Rate trips when at least minCalls calls ended within the window, and the
// share of failures among them is ratio or more. A call counts when it ends,
// however long it took, and not if it is ignored.
//
// The window is divided into ten parts, counted from when the breaker closed:
// what is looked at is the current part and the nine before it.
//
// It panics unless ratio is greater than 0 and at most 1, minCalls is at least
// 1 and the window is greater than 0.
func Rate(ratio float64, minCalls int, window time.Duration) Trip {
	return windowed("Rate", ruleRate, ratio, minCalls, window)
}

// SlowRate is [Rate] with slow calls in the place of failures: those that took
// Settings.SlowCall or longer, whether they succeeded or failed. It does not
// judge probes: a ProbeTimeout of SlowCall makes slow ones fail.
func SlowRate(ratio float64, minCalls int, window time.Duration) Trip {
	return windowed("SlowRate", ruleSlowRate, ratio, minCalls, window)
}

func windowed(name string, kind ruleKind, ratio float64, minCalls int, window time.Duration) Trip {
	checkRatio(name, ratio)
	if minCalls < 1 {
		panic(fmt.Sprintf("breaker: %s with minCalls less than 1", name))
	}
	if window <= 0 {
		panic(fmt.Sprintf("breaker: %s without a window", name))
	}
	return Trip{[]rule{{kind: kind, n: minCalls, ratio: ratio, window: window}}}
}

// LastN trips when the share of failures among the last n calls is ratio or
// more, however long ago they ended. Before n calls have ended it does not trip.
// It remembers each of the n, and takes a lock for a moment when a call ends.
//
// It panics unless ratio is greater than 0 and at most 1 and n is at least 1.
func LastN(ratio float64, n int) Trip {
	checkRatio("LastN", ratio)
	if n < 1 {
		panic("breaker: LastN of less than 1")
	}
	return Trip{[]rule{{kind: ruleLastN, n: n, ratio: ratio}}}
}

func checkRatio(name string, ratio float64) {
	if !(ratio > 0 && ratio <= 1) {
		panic(fmt.Sprintf("breaker: %s with a ratio that is not greater than 0 and at most 1", name))
	}
}

// AnyOf trips when one of the trips does. It panics without any.
func AnyOf(trips ...Trip) Trip {
	if len(trips) == 0 {
		panic("breaker: AnyOf of nothing")
	}
	var all Trip
	for _, t := range trips {
		all.rules = append(all.rules, t.orDefault().rules...)
	}
	return all
}

func (t Trip) orDefault() Trip {
	if t.rules == nil {
		return Consecutive(5)
	}
	return t
}
