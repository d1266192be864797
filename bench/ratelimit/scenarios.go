// Package ratelimitbench compares package ratelimit with its peers and with
// code written by hand.
//
// Every contender of a scenario does the same work: it asks one limiter, or
// bulkhead, many times, and counts how often it is let through. One run is some
// thousand such calls. At its end it compares the number with the right one:
// there is either plenty for all, or nothing for a day.
//
// Every contender is used at its best. Its limiter is made once, and so are the
// keys. It has seen each key once before it is timed. Afterwards they come in
// another order and in memory of their own, as those of requests do. What a peer
// does less than ours, or otherwise, is said in its note.
package ratelimitbench

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/seed4886185c/concert/bench/measure"
)

// A limit says how much is let through, for those who count tokens, and for
// those who count the events of a window.
type limit struct {
	every time.Duration // a token comes, or an event may happen where there is no burst
	burst int
	daily int // events in a day
	keys  int // with a limit each
}

const (
	day      = 24 * time.Hour
	billion  = 1_000_000_000
	trillion = 1000 * billion // more than can be asked for in a day
)

// plenty is never used up.
func plenty() limit { return limit{every: time.Nanosecond, burst: billion, daily: trillion, keys: 1} }

// exhausted is used up by the first event.
func exhausted() limit { return limit{every: day, burst: 1, daily: 1, keys: 1} }

// perKey is not used up by a billion calls. The more keys there are, the longer
// it takes until one is as if it had never been asked for: there is something to
// be kept for each.
func perKey(keys int) limit {
	return limit{every: time.Duration(keys) * time.Second, burst: billion / keys, daily: trillion, keys: keys}
}

// calls is how many there are in one loop.
const calls = 10_000

// places is how many a bulkhead has, or at least: more than are ever wanted.
const places = 1000

// A contender makes as many calls as the work it is given says, to one limiter,
// and returns how many were let through.
type contender struct {
	name, note string
	loop       func(*work) int
	stop       func() // ends what runs in the background; may be nil
}

// A maker returns a contender with a new limiter.
type maker func(limit) contender

// Scenarios returns all scenarios. Each contender has a new limiter in each.
func Scenarios() []measure.Scenario { return scenarios(1_000_000) }

// scenarios returns all scenarios, the last with so many keys: nothing else is
// measured beside what they take.
func scenarios(many int) []measure.Scenario {
	n := 2 * runtime.GOMAXPROCS(0)
	return []measure.Scenario{
		timed("plenty", 1, calls, plenty(), patient()),
		timed("plenty/parallel", n, calls, plenty(), patient()),
		timed("exhausted", 1, 0, exhausted(), everyone()),
		timed("exhausted/parallel", n, 0, exhausted(), everyone()),
		timed("bulkhead/acquire", 1, calls, plenty(), acquiring()),
		timed("bulkhead/acquire/parallel", n, calls, plenty(), acquiring()),
		timed("bulkhead/try", 1, calls, plenty(), trying()),
		timed("bulkhead/try/parallel", n, calls, plenty(), trying()),
		timed("adaptive", 1, calls, plenty(), adapting()),
		timed("adaptive/parallel", n, calls, plenty(), adapting()),
		timed("keyed/keys=1", n, calls, perKey(1), keyed()),
		timed("keyed/keys=1000", n, calls, perKey(1000), keyed()),
		weighed(fmt.Sprintf("memory/keys=%d", many), perKey(many), keyed()),
		fewer(timed(fmt.Sprintf("keyed/keys=%d", many), n, calls, perKey(many), keyed())),
	}
}

// everyone is all who have an answer when there is nothing left.
func everyone() []maker {
	return []maker{
		limiter, window,
		xtime, juju, failsafeBursty, failsafeSmooth,
		sethvargo, throttledGCRA, ulule, httprateWindow,
		bucketByHand,
	}
}

// patient is everyone, and those who would wait.
func patient() []maker { return append(everyone(), uber) }

// keyed is those who keep a limit for each key.
func keyed() []maker {
	return []maker{
		keyedAllow,
		sethvargo, throttledGCRA, throttledLRU, ulule, httprateWindow,
		xtimeMap, xtimeSyncMap,
	}
}

// acquiring is bulkheads that wait for a place until a context ends.
func acquiring() []maker {
	return []maker{
		bulkheadAcquire,
		semaphoreAcquire, failsafeAcquire, channelAcquire,
	}
}

// trying is bulkheads that do not wait.
func trying() []maker {
	return []maker{
		bulkheadTry,
		semaphoreTry, failsafeTry, channelTry,
	}
}

// adapting is bulkheads that find out by themselves how many places they have.
func adapting() []maker { return []maker{adaptive, failsafeAdaptive} }

// timed makes calls in n goroutines, of which as many are let through in each as
// reach says.
func timed(name string, n, reach int, l limit, makers []maker) measure.Scenario {
	s := measure.Scenario{Name: name, Unit: "ns/call", Per: n * calls, Calls: n * calls}
	keys := sync.OnceValue(func() keyring { return newKeyring(l.keys) })
	for _, m := range makers {
		c := m(l)
		works := sync.OnceValue(func() []*work { // not before it is known that they are needed
			c.fill(keys().first)
			return newWorks(n, keys().later)
		})
		s.Contenders = append(s.Contenders, measure.Contender{Name: c.name, Note: c.note, Run: func() {
			c.run(works(), reach)
		}})
	}
	return s
}

// fewer asks for fewer rounds: before each sample there is a garbage collection,
// which takes seconds where all contenders keep something for many keys.
func fewer(s measure.Scenario) measure.Scenario {
	s.Rounds = measure.MinRounds
	return s
}

// weighed shows each key to a limiter once.
func weighed(name string, l limit, makers []maker) measure.Scenario {
	s := measure.Scenario{Name: name, Unit: "B/key", Per: l.keys, Calls: l.keys}
	keys := sync.OnceValue(func() keyring { return newKeyring(l.keys) })
	for _, m := range makers {
		named := m(l)
		named.end()
		s.Contenders = append(s.Contenders, measure.Contender{Name: named.name, Note: named.note, Make: func() func() {
			c := m(l)
			c.fill(keys().first)
			return c.end
		}})
	}
	return s
}

// fill makes one call of each key.
func (c contender) fill(keys []string) {
	check(c.loop(&work{calls: len(keys), keys: keys}), len(keys))
}

// run makes one loop with each work, in goroutines if there are several.
func (c contender) run(works []*work, reach int) {
	if len(works) == 1 {
		check(c.loop(works[0]), reach)
		return
	}
	var wg sync.WaitGroup
	for _, w := range works {
		wg.Go(func() { check(c.loop(w), reach) })
	}
	wg.Wait()
}

// end lets go of the limiter.
func (c contender) end() {
	if c.stop != nil {
		c.stop()
	}
	runtime.KeepAlive(c.loop)
}
