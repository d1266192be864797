// Package breakerbench compares package breaker with its peers and with code
// written by hand.
//
// Every contender of a scenario does the same work: it calls, through one
// breaker, a function that succeeds at once. One run is some thousand such
// calls. At its end it compares the number of those that came through, and the
// sum of their values, with the right ones.
//
// Every contender is used at its best. Its breaker is made once, and so is the
// function, since some peers would move a closure to the heap for each call.
// What a peer does less than [breaker.Do], or otherwise, is said in its note.
// But that the error of a rejected call tells how long to wait holds for no
// peer, and in no note. A breaker that is open stays so for an hour.
//
// [breaker.Do]: https://pkg.go.dev/github.com/seed4886185c/concert/breaker#Do
package breakerbench

import (
	"runtime"
	"sync"
	"time"

	"github.com/seed4886185c/concert/bench/measure"
)

// A rule says when a breaker opens.
type rule int

const (
	consecutive rule = iota // at limit failures in a row
	rate                    // at share of the calls of a window, if they are minCalls or more
)

const (
	limit    = 5
	share    = 0.5
	minCalls = 10
	window   = 10 * time.Second

	openFor = time.Hour
)

// calls is how many there are in one loop, of most contenders.
const calls = 10_000

// A contender makes as many calls as the work it is given says, all through the
// same breaker.
type contender struct {
	name, note string
	loop       func(*work) tally
	part       int // makes only one call in so many, as it is slow; zero means all
}

// Scenarios returns all scenarios. Each contender has a new breaker in each.
func Scenarios() []measure.Scenario {
	n := 2 * runtime.GOMAXPROCS(0)
	return []measure.Scenario{
		sequential("closed/consecutive", everyone()),
		parallel("closed/consecutive/parallel", n, everyone()),
		sequential("closed/rate", rolling()),
		parallel("closed/rate/parallel", n, rolling()),
		open("open", everyone()),
	}
}

// everyone is all contenders, to open at failures in a row.
func everyone() []contender {
	const r = consecutive
	return []contender{
		breakerDo(r), breakerRun(r), breakerAllow(r),
		gobreaker1(), gobreaker2(r), gobreaker2TwoStep(r),
		failsafeGet(r), failsafePermit(r),
		hystrixDo(), eapache(), rubyist(r),
		atomics(),
	}
}

// rolling is those who look at the share of failures in a window that rolls,
// and what is by hand.
func rolling() []contender {
	const r = rate
	return []contender{
		breakerDo(r), breakerRun(r), breakerAllow(r),
		gobreaker2(r), gobreaker2TwoStep(r),
		failsafeGet(r), failsafePermit(r),
		hystrixDo(), rubyist(r),
		atomicsFixed(),
	}
}

// sequential makes calls one after another, through a breaker that is closed.
func sequential(name string, contenders []contender) measure.Scenario {
	return scenario(name, 1, contenders, func(c contender) func() {
		w := newWork(c.calls(), c.calls(), nil)
		return func() { w.check(c.loop(w)) }
	})
}

// parallel makes calls in n goroutines, through a breaker that is closed.
func parallel(name string, n int, contenders []contender) measure.Scenario {
	return scenario(name, n, contenders, func(c contender) func() {
		works := make([]*work, n)
		for i := range works {
			works[i] = newWork(c.calls(), c.calls(), nil)
		}
		return func() {
			var wg sync.WaitGroup
			for _, w := range works {
				wg.Go(func() { w.check(c.loop(w)) })
			}
			wg.Wait()
		}
	})
}

// open makes calls through a breaker that rejects them.
func open(name string, contenders []contender) measure.Scenario {
	return scenario(name, 1, contenders, func(c contender) func() {
		c.trip()
		w := newWork(c.calls(), 0, nil)
		return func() { w.check(c.loop(w)) }
	})
}

// scenario makes n × calls calls in each run, unless a contender makes a part
// of them only.
func scenario(name string, n int, contenders []contender, run func(contender) func()) measure.Scenario {
	s := measure.Scenario{Name: name, Unit: "ns/call", Per: n * calls, Calls: n * calls}
	for _, c := range contenders {
		s.Contenders = append(s.Contenders, measure.Contender{Name: c.name, Note: c.note, Part: c.part, Run: run(c)})
	}
	return s
}

// calls returns how many are in one loop of c.
func (c contender) calls() int { return calls / max(c.part, 1) }

// trip makes calls that fail until the breaker opens.
func (c contender) trip() {
	w := newWork(1, 1, errDown)
	for made := -1; w.made > made; {
		made = w.made
		c.loop(w)
	}
}
