// Package retrybench compares package retry with its peers and with a loop
// written by hand.
//
// Every contender of a scenario does the same work: it calls a function that
// fails a fixed number of times before it succeeds, makes five attempts at
// most, and waits for no time between them. One run is a thousand such calls.
// At its end it compares the number of attempts, and the sum of the values,
// with the right ones.
//
// Every contender is used at its best. What calls may share is made once, and
// so is the function, since some peers would move a closure to the heap for
// each call. What a peer does less than [retry.Do], and what it has to make
// for each call, is said in its note. Peers wait on a timer of their own, also
// where they would take another.
//
// [retry.Do]: https://pkg.go.dev/github.com/seed4886185c/concert/retry#Do
package retrybench

import (
	"context"
	"sync"

	"github.com/seed4886185c/concert/bench/measure"
)

// attempts is the most that a call may make, and calls how many there are in
// one loop.
const (
	attempts = 5
	calls    = 1000
)

// A contender makes as many calls as the constant says, with the work it is
// given.
type contender struct {
	name, note string
	loop       func(*work)
}

// Scenarios returns all scenarios.
func Scenarios() []measure.Scenario {
	return []measure.Scenario{
		sequential("first-try", 0, everyone()),
		sequential("three-failures", 3, everyone()),
		parallel("first-try/goroutines=64", 64, sharing()),
	}
}

func everyone() []contender {
	ctx, background := cancellable(), context.Background()
	return []contender{
		retryDo(background), plusCancel(retryDo(ctx)), retryRun(background),
		backoff4(), backoff4Context(ctx),
		backoff5(background), plusCancel(backoff5(ctx)),
		avast4(), avast4Context(ctx),
		avast5(), avast5Context(ctx),
		sethvargo(background), plusCancel(sethvargo(ctx)),
		failsafeGet(), failsafeContext(ctx),
		eapache(background), plusCancel(eapache(ctx)),
		byHand(),
	}
}

// sharing is those who make something that all calls may share.
func sharing() []contender {
	ctx, background := cancellable(), context.Background()
	return []contender{
		retryDo(background), plusCancel(retryDo(ctx)), retryRun(background),
		backoff5(background), avast5(), failsafeGet(), eapache(background),
		byHand(),
	}
}

// cancellable returns a context that could be cancelled, and never is.
func cancellable() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	_ = cancel
	return ctx
}

// plusCancel names a contender whose context can be cancelled.
func plusCancel(c contender) contender {
	c.name += "+cancel"
	return c
}

// sequential makes the calls one after another.
func sequential(name string, failures int, contenders []contender) measure.Scenario {
	s := measure.Scenario{Name: name, Unit: "ns/call", Per: calls, Calls: calls}
	for _, c := range contenders {
		w := newWork(failures)
		s.Contenders = append(s.Contenders, measure.Contender{Name: c.name, Note: c.note, Run: func() { c.loop(w) }})
	}
	return s
}

// parallel makes calls that succeed at once in n goroutines, which share what
// a contender has made beforehand.
func parallel(name string, n int, contenders []contender) measure.Scenario {
	s := measure.Scenario{Name: name, Unit: "ns/call", Per: n * calls, Calls: n * calls}
	for _, c := range contenders {
		works := make([]*work, n)
		for i := range works {
			works[i] = newWork(0)
		}
		s.Contenders = append(s.Contenders, measure.Contender{Name: c.name, Note: c.note, Run: func() {
			var wg sync.WaitGroup
			for _, w := range works {
				wg.Go(func() { c.loop(w) })
			}
			wg.Wait()
		}})
	}
	return s
}
