// Package pubsubbench compares package pubsub with its peers and with code
// written by hand.
//
// Every contender of a scenario does the same work: it hands the same events to
// as many subscribers, each of which counts what it gets, or sums it up. A run
// ends when all have got everything, and panics if a number or a sum is wrong:
// nobody is faster for losing something. What a peer does less than ours, or
// otherwise, is said in its note.
//
// Everyone is told to hold 1,024 events for each subscriber, and has a context
// that can be cancelled, if there is one. What can be made beforehand is.
package pubsubbench

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"github.com/seed4886185c/concert/bench/measure"
)

const (
	capacity  = 1024
	trips     = 1000
	turns     = 1000
	burst     = 1000 // less than capacity
	busEvents = 10_000
	idlers    = 1000 // subscribers that take memory
	fewer     = 9    // rounds, where there are many contenders or their runs are long
)

// An emitter calls listeners while the caller waits. What open returns calls
// them with an event so many times.
type emitter struct {
	name, note string
	open       func([]listener) func(c *call, times int)
}

// A peer is one who queues events, ours or another.
type peer struct {
	name, note string
	part       int // how many times fewer events there are in one run, for one that is slow
	churnPart  int // the same of those who come and go
	open       func() broker
}

// A broker hands on n values, from a certain one on, to those who have
// subscribed.
type broker struct {
	subscribe func(handler) (stop func()) // stop is nil if there is no such thing
	idle      func() (stop func())        // subscribes for nothing in another way; or is nil
	send      func(from, n int)
}

// subscribeIdle subscribes for nothing.
func (b broker) subscribeIdle() (stop func()) {
	if b.idle != nil {
		return b.idle()
	}
	return b.subscribe(func(context.Context, int) error { return nil })
}

// Scenarios returns all scenarios. Each contender is new in each.
func Scenarios() []measure.Scenario {
	ctx, cancel := context.WithCancel(context.Background())
	_ = cancel // ctx only has to be one that could be cancelled
	return []measure.Scenario{
		emit(ctx, 1, 10_000), emit(ctx, 10, 10_000), emit(ctx, 100, 1000), emit(ctx, 1000, 100),
		emitParallel(ctx),
		queued(ctx, "queued/n=1", 1, 50_000, 1),
		queued(ctx, "queued/n=10", 10, 20_000, 1),
		queued(ctx, "queued/n=100", 100, 5000, 1),
		queued(ctx, "queued/n=10/parallel", 10, 20_000, 10),
		stuck(ctx), roundTrip(ctx), churn(ctx), bus(ctx), memory(ctx),
	}
}

func emitters(ctx context.Context) []emitter {
	return []emitter{ourEmitter(ctx), eventBus(ctx), roSubject(ctx), slice(ctx), sliceRecoverEach(ctx)}
}

// emit is calling n listeners one after the other.
func emit(ctx context.Context, n, times int) measure.Scenario {
	return emitting(ctx, fmt.Sprintf("emit/n=%d", n), n, times, 1)
}

// emitParallel is that in several goroutines at the same time.
func emitParallel(ctx context.Context) measure.Scenario {
	return emitting(ctx, "emit/n=10/parallel", 10, 5000, 2*runtime.GOMAXPROCS(0))
}

func emitting(ctx context.Context, name string, n, times, goroutines int) measure.Scenario {
	s := measure.Scenario{Name: name, Unit: "ns/event", Per: goroutines * times, Calls: goroutines * times}
	for _, e := range emitters(ctx) {
		open := sync.OnceValue(func() func(*call, int) { return e.open(listeners(n)) })
		calls := make([]call, goroutines)
		for i := range calls {
			calls[i].counts = make([]int, n)
		}
		s.Contenders = append(s.Contenders, measure.Contender{Name: e.name, Note: e.note, Run: func() {
			emit := open()
			inGoroutines(goroutines, func(i int) {
				emit(&calls[i], times)
				calls[i].check(times)
			})
		}})
	}
	return s
}

// inGoroutines calls f with the numbers below n.
func inGoroutines(n int, f func(i int)) {
	if n == 1 {
		f(0)
		return
	}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// peers is all who queue events.
func peers(ctx context.Context) []peer {
	return append(leaving(ctx), roObserved(ctx))
}

// leaving is those of them who let a subscriber go.
func leaving(ctx context.Context) []peer {
	return []peer{
		libp2p(ctx), cskr(ctx), dustin(ctx), moby(ctx), gochannels(ctx), natsInProcess(ctx), eventBusAsync(ctx),
	}
}

// queueing is all there is.
func queueing(ctx context.Context) []peer {
	all := append([]peer{handled(ctx, "pubsub.Topic")}, peers(ctx)...)
	return append(all, channelsSelect(ctx), channels(ctx))
}

// queued is publishing events to n subscribers, until each has got them all.
func queued(ctx context.Context, name string, n, events, publishers int) measure.Scenario {
	s := measure.Scenario{Name: name, Unit: "ns/delivery", Per: n * events, Calls: events, Rounds: fewer}
	for _, p := range queueing(ctx) {
		events := events / max(p.part, 1)
		sinks := newSinks(n, events)
		open := opened(p, sinks)
		s.Contenders = append(s.Contenders, measure.Contender{Name: p.name, Note: p.note, Part: p.part, Run: func() {
			b := open()
			each := events / publishers
			inGoroutines(publishers, func(i int) { b.send(i*each, each) })
			sinks.wait()
		}})
	}
	return s
}

// opened returns a broker, the same each time, that the sinks have subscribed
// to.
func opened(p peer, s *sinks) func() broker {
	return sync.OnceValue(func() broker {
		b := p.open()
		for _, h := range s.handlers() {
			b.subscribe(h)
		}
		return b
	})
}

// stuck is 1,000 subscribers that may lose something, of which one never returns
// from its first event, beside 1,000 of which none does so.
func stuck(ctx context.Context) measure.Scenario {
	const n = 1000
	s := measure.Scenario{Name: "drop/n=1000", Unit: "ns/delivery", Per: n * burst, Calls: burst}
	for _, c := range []struct {
		name, note string
		stuck      bool
	}{
		{"pubsub.Topic", "DropOldest", false},
		{"pubsub.Topic-stuck", "DropOldest; one never returns", true},
	} {
		open := sync.OnceValue(func() *droppers { return newDroppers(ctx, n, c.stuck) })
		s.Contenders = append(s.Contenders, measure.Contender{Name: c.name, Note: c.note, Run: func() { open().run(ctx) }})
	}
	return s
}

// roundTrip is publishing to one subscriber and waiting for its answer, which
// comes through a channel.
func roundTrip(ctx context.Context) measure.Scenario {
	s := measure.Scenario{Name: "round-trip", Unit: "ns/trip", Per: trips, Calls: trips}
	for _, p := range queueing(ctx) {
		answers := make(chan int, 1)
		open := sync.OnceValue(func() broker {
			b := p.open()
			b.subscribe(func(_ context.Context, v int) error {
				answers <- v + 1
				return nil
			})
			return b
		})
		s.Contenders = append(s.Contenders, measure.Contender{Name: p.name, Note: p.note, Run: func() {
			b := open()
			for v := range trips {
				b.send(v, 1)
				if got := <-answers; got != v+1 {
					panic("pubsubbench: the answer to another event")
				}
			}
		}})
	}
	return s
}

// churn is subscribing and leaving again, which with ours means that no call
// runs any more, while another goroutine publishes all
// the time to one that stays. A run does not end before that has got all that
// was published, at least one event for each that has come and gone: nobody is
// faster for keeping the publisher from publishing.
func churn(ctx context.Context) measure.Scenario {
	s := measure.Scenario{Name: "churn", Unit: "ns/turn", Per: turns, Calls: turns, Rounds: fewer}
	all := append([]peer{handled(ctx, "pubsub.Handle"), pulled(ctx)}, leaving(ctx)...)
	for _, p := range append(all, channelsLocked(ctx)) {
		turns := turns / max(p.churnPart, 1)
		stays := newAccount()
		open := sync.OnceValue(func() broker {
			b := p.open()
			b.subscribe(stays.take)
			return b
		})
		s.Contenders = append(s.Contenders, measure.Contender{Name: p.name, Note: p.note, Part: p.churnPart, Run: func() {
			b := open()
			stop, published := make(chan struct{}), make(chan int, 1)
			go publishUntil(stop, b, stays, turns, published)
			for range turns {
				b.subscribeIdle()()
			}
			close(stop)
			stays.settle(await(published))
		}})
	}
	return s
}

// publishUntil publishes until it is told to stop, and at least so many events,
// and then tells how many there were. It is not far ahead of the one that stays,
// which matters for those only who have no bound themselves.
func publishUntil(stop <-chan struct{}, b broker, stays *account, least int, published chan<- int) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			if n >= least {
				published <- n
				return
			}
		default:
		}
		for n > int(stays.n.Load())+2*capacity {
			runtime.Gosched()
		}
		b.send(n, 1)
	}
}

// bus is publishing to a subject that one subscriber wants, beside others that
// want something else.
func bus(ctx context.Context) measure.Scenario {
	s := measure.Scenario{Name: "bus", Unit: "ns/event", Per: busEvents, Calls: busEvents, Rounds: fewer}
	for _, p := range []peer{
		ourBus(ctx, "pubsub.Bus-10", 10), ourBus(ctx, "pubsub.Bus-1000", 1000), ourBus(ctx, "pubsub.Bus-10000", 10_000),
		natsPatterns(ctx, "nats-10", 10), natsPatterns(ctx, "nats-10000", 10_000),
	} {
		sinks := newSinks(1, busEvents)
		open := opened(p, sinks)
		s.Contenders = append(s.Contenders, measure.Contender{Name: p.name, Note: p.note, Run: func() {
			open().send(0, busEvents)
			sinks.wait()
		}})
	}
	return s
}

// memory is what a subscriber takes that has had one event, or has it waiting if
// it is one that is read. The ring of a Topic is full, and shared by all.
func memory(ctx context.Context) measure.Scenario {
	s := measure.Scenario{Name: "memory", Unit: "B/subscriber", Per: idlers, Calls: idlers}
	all := []peer{handled(ctx, "pubsub.Handle"), pulled(ctx), libp2p(ctx), cskr(ctx), moby(ctx), channelsLocked(ctx)}
	for _, p := range all {
		s.Contenders = append(s.Contenders, measure.Contender{Name: p.name, Note: p.note, Make: func() func() {
			return p.inhabit()
		}})
	}
	return s
}

// inhabit makes subscribers, and returns a function that ends them.
func (p peer) inhabit() (drop func()) {
	b := p.open()
	b.send(0, 2*capacity)
	sinks := newSinks(idlers, 1)
	var stops []func()
	for _, h := range sinks.handlers() {
		if b.idle != nil {
			stops = append(stops, b.idle())
			continue
		}
		stops = append(stops, b.subscribe(h))
	}
	b.send(0, 1)
	if b.idle == nil {
		sinks.wait()
	}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}
