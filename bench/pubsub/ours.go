package pubsubbench

import (
	"context"

	"github.com/seed4886185c/concert/pubsub"
)

func ourEmitter(ctx context.Context) emitter {
	return emitter{name: "pubsub.Emitter", open: func(ls []listener) func(*call, int) {
		var e pubsub.Emitter[*call]
		e.SetLimit(1)
		for _, l := range ls {
			e.On(l)
		}
		return func(c *call, times int) {
			for range times {
				must(e.Emit(ctx, c))
			}
		}
	}}
}

// brokerOf is what a Topic is to the scenarios.
func brokerOf(ctx context.Context, t *pubsub.Topic[int]) broker {
	return broker{
		subscribe: func(h handler) func() { return t.Handle(h).Stop },
		send: func(from, n int) {
			for v := from; v < from+n; v++ {
				must(t.Publish(ctx, v))
			}
		},
	}
}

// handled has subscriptions with handlers.
func handled(ctx context.Context, name string) peer {
	return peer{name: name, open: func() broker { return brokerOf(ctx, pubsub.New[int](capacity)) }}
}

// pulled has subscriptions that nobody reads, but for the first.
func pulled(ctx context.Context) peer {
	return peer{name: "pubsub.Subscribe", note: "no goroutine", open: func() broker {
		t := pubsub.New[int](capacity)
		b := brokerOf(ctx, t)
		b.idle = func() func() { return t.Subscribe(ctx).Stop }
		return b
	}}
}

// droppers is a Topic with n sinks under DropOldest, of which the last is left
// out if one is to be stuck, and something else in its place.
type droppers struct {
	topic *pubsub.Topic[int]
	sinks *sinks
	stuck *pubsub.Subscription[int] // or nil
	sent  int
}

func newDroppers(ctx context.Context, n int, stuck bool) *droppers {
	d := &droppers{topic: pubsub.New[int](capacity), sinks: newSinks(n, burst)}
	handlers := d.sinks.handlers()
	if stuck {
		entered := make(chan struct{})
		d.stuck = d.topic.Handle(func(ctx context.Context, _ int) error {
			close(entered)
			<-ctx.Done() // for ever
			return nil
		}, pubsub.DropOldest)
		must(d.topic.Publish(ctx, 0))
		<-entered
		d.sinks = newSinks(n-1, burst)
		handlers = d.sinks.handlers()
	}
	for _, h := range handlers {
		d.topic.Handle(h, pubsub.DropOldest)
	}
	return d
}

// run publishes no more at once than there is room for: nobody loses anything
// but who is stuck.
func (d *droppers) run(ctx context.Context) {
	for v := range burst {
		must(d.topic.Publish(ctx, v))
	}
	d.sinks.wait()
	d.sent += burst
	if d.stuck != nil && d.stuck.Missed() != uint64(max(0, d.sent-capacity)) {
		panic("pubsubbench: what was lost is not counted")
	}
}

// ourBus has so many patterns that do not match beside one that does.
func ourBus(ctx context.Context, name string, unrelated int) peer {
	return peer{name: name, open: func() broker {
		b := pubsub.NewBus[int](capacity)
		for _, p := range patterns(unrelated) {
			_, err := b.Subscribe(ctx, p)
			must(err)
		}
		return broker{
			subscribe: func(h handler) func() {
				s, err := b.Handle(pattern, func(ctx context.Context, m pubsub.Message[int]) error { return h(ctx, m.Value) })
				must(err)
				return s.Stop
			},
			send: func(from, n int) {
				for v := from; v < from+n; v++ {
					must(b.Publish(ctx, subject, v))
				}
			},
		}
	}}
}
