package pubsubbench

import (
	"context"
	"encoding/binary"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/asaskevich/EventBus"
	cskrpubsub "github.com/cskr/pubsub/v2"
	"github.com/dustin/go-broadcast"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	mobypubsub "github.com/moby/pubsub"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/samber/ro"
)

// What several notes say.
const (
	noErrors  = "no errors"
	noPanics  = "no errors, no panics, no context"
	boxed     = "any values"
	inBytes   = "bytes"
	unlimited = "no bound to what waits"
)

// topic is its name where there has to be one.
const topic = "topic"

// eventBus calls its listeners with a lock held.
func eventBus(ctx context.Context) emitter {
	const note = "by reflection, under a lock; " + noPanics
	return emitter{name: "EventBus", note: note, open: func(ls []listener) func(*call, int) {
		bus := EventBus.New()
		for _, l := range ls {
			must(bus.Subscribe(topic, func(c *call) { must(l(ctx, c)) }))
		}
		return func(c *call, times int) {
			for range times {
				bus.Publish(topic, c)
			}
		}
	}}
}

// roSubject calls its listeners with a lock held.
func roSubject(context.Context) emitter {
	const note = "under a lock; " + noErrors
	return emitter{name: "ro", note: note, open: func(ls []listener) func(*call, int) {
		s := ro.NewPublishSubject[*call]()
		for _, l := range ls {
			s.Subscribe(ro.NewObserverWithContext(
				func(ctx context.Context, c *call) { must(l(ctx, c)) },
				func(context.Context, error) {},
				func(context.Context) {},
			))
		}
		return func(c *call, times int) {
			for range times {
				s.Next(c)
			}
		}
	}}
}

// eventBusAsync starts a goroutine for each call, no two of one subscriber at
// the same time. It takes functions with the same code for the same.
func eventBusAsync(ctx context.Context) peer {
	const note = "by reflection; waits until the call before has ended; " + noPanics
	return peer{name: "EventBus", note: note, part: 20, open: func() broker {
		bus := EventBus.New()
		return broker{
			subscribe: func(h handler) func() {
				must(bus.SubscribeAsync(topic, func(v int) { must(h(ctx, v)) }, true))
				return nil
			},
			idle: func() func() {
				f := func(int) {}
				must(bus.SubscribeAsync(topic, f, true))
				return func() { must(bus.Unsubscribe(topic, f)) }
			},
			send: func(from, n int) {
				for v := from; v < from+n; v++ {
					bus.Publish(topic, v)
				}
			},
		}
	}}
}

// roObserved has a queue between the subject and each subscriber. Whoever leaves
// would close it, while others may still send to it.
func roObserved(ctx context.Context) peer {
	const note = noErrors + "; a blocked publisher waits for ever"
	return peer{name: "ro", note: note, part: 4, open: func() broker {
		s := ro.NewPublishSubject[int]()
		return broker{
			subscribe: func(h handler) func() {
				ro.ObserveOn[int](capacity)(s.AsObservable()).Subscribe(
					ro.NewObserver(func(v int) { must(h(ctx, v)) }, func(error) {}, func() {}))
				return nil
			},
			send: func(from, n int) {
				for v := from; v < from+n; v++ {
					s.Next(v)
				}
			},
		}
	}}
}

func cskr(ctx context.Context) peer {
	const note = "one goroutine hands out everything; " + noPanics
	return peer{name: "cskr", note: note, part: 2, open: func() broker {
		ps := cskrpubsub.New[string, int](capacity)
		return broker{
			subscribe: func(h handler) func() {
				ch := ps.Sub(topic)
				go pump(ctx, ch, h)
				return func() { ps.Unsub(ch, topic) }
			},
			send: func(from, n int) {
				for v := from; v < from+n; v++ {
					ps.Pub(v, topic)
				}
			},
		}
	}}
}

// pumpAny is pump for those who know no types.
func pumpAny(ctx context.Context, ch <-chan any, h handler) {
	for v := range ch {
		must(h(ctx, v.(int)))
	}
}

func dustin(ctx context.Context) peer {
	const note = boxed + "; one goroutine hands out everything; " + noPanics
	return peer{name: "dustin", note: note, part: 2, open: func() broker {
		b := broadcast.NewBroadcaster(capacity)
		return broker{
			subscribe: func(h handler) func() {
				ch := make(chan any, capacity)
				b.Register(ch)
				go pumpAny(ctx, ch, h)
				return func() {
					b.Unregister(ch)
					close(ch)
				}
			},
			send: func(from, n int) {
				for v := from; v < from+n; v++ {
					b.Submit(v)
				}
			},
		}
	}}
}

// moby drops what a subscriber does not take in time. Here there is enough.
func moby(ctx context.Context) peer {
	const note = boxed + ", another order for each if many publish; a goroutine and a timer for each delivery; " + noPanics
	return peer{name: "moby", note: note, part: 20, open: func() broker {
		p := mobypubsub.NewPublisher(patience, capacity)
		return broker{
			subscribe: func(h handler) func() {
				ch := p.Subscribe()
				go pumpAny(ctx, ch, h)
				return func() { p.Evict(ch) }
			},
			send: func(from, n int) {
				for v := from; v < from+n; v++ {
					p.Publish(v)
				}
			},
		}
	}}
}

func libp2p(ctx context.Context) peer {
	const note = boxed + "; " + noPanics
	return peer{name: "libp2p", note: note, part: 2, open: func() broker {
		bus := eventbus.NewBus()
		e, err := bus.Emitter(new(int))
		must(err)
		return broker{
			subscribe: func(h handler) func() {
				s, err := bus.Subscribe(new(int), eventbus.BufSize(capacity))
				must(err)
				go pumpAny(ctx, s.Out(), h)
				return func() { must(s.Close()) }
			},
			send: func(from, n int) {
				for v := from; v < from+n; v++ {
					must(e.Emit(v))
				}
			},
		}
	}}
}

// encode makes bytes of a value for those who know nothing else.
func encode(v int) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(v)) }

func decode(b []byte) int { return int(binary.LittleEndian.Uint64(b)) }

// gochannels is watermill's. A message waits until the one that was taken
// before it is acknowledged, which may be a later one.
func gochannels(ctx context.Context) peer {
	const note = inBytes + ", another order, acknowledged one by one; goroutines for each event; " + unlimited
	return peer{name: "watermill", note: note, part: 100, churnPart: 20, open: func() broker {
		ps := gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: capacity}, watermill.NopLogger{})
		return broker{
			subscribe: func(h handler) func() {
				ctx, cancel := context.WithCancel(ctx)
				ch, err := ps.Subscribe(ctx, topic)
				must(err)
				go func() {
					for m := range ch {
						must(h(ctx, decode(m.Payload)))
						m.Ack()
					}
				}()
				return cancel
			},
			send: func(from, n int) {
				for v := from; v < from+n; v++ {
					must(ps.Publish(topic, message.NewMessage("", encode(v))))
				}
			},
		}
	}}
}

// natsConnections starts a server and returns two connections to it, within the
// process.
func natsConnections() (pub, sub *nats.Conn) {
	s, err := server.NewServer(&server.Options{DontListen: true, NoLog: true, NoSigs: true})
	must(err)
	s.Start()
	if !s.ReadyForConnections(patience) {
		panic("pubsubbench: nats does not start")
	}
	connect := func() *nats.Conn {
		c, err := nats.Connect("", nats.InProcessServer(s))
		must(err)
		return c
	}
	return connect(), connect()
}

// natsBroker subscribes to a pattern. As it is not until the server has been
// heard of that events come, it waits for that.
func natsBroker(ctx context.Context, pub, sub *nats.Conn, pattern string) broker {
	return broker{
		subscribe: func(h handler) func() {
			s, err := sub.Subscribe(pattern, func(m *nats.Msg) { must(h(ctx, decode(m.Data))) })
			must(err)
			must(s.SetPendingLimits(-1, -1))
			must(sub.FlushTimeout(patience))
			return func() { must(s.Unsubscribe()) }
		},
		send: func(from, n int) {
			for v := from; v < from+n; v++ {
				must(pub.Publish(subject, encode(v)))
			}
		},
	}
}

const natsNote = inBytes + ", through a server; " + unlimited

func natsInProcess(ctx context.Context) peer {
	return peer{name: "nats", note: natsNote, part: 10, churnPart: 20, open: func() broker {
		pub, sub := natsConnections()
		return natsBroker(ctx, pub, sub, subject)
	}}
}

// natsPatterns is ourBus with nats.
func natsPatterns(ctx context.Context, name string, unrelated int) peer {
	return peer{name: name, note: natsNote, open: func() broker {
		pub, sub := natsConnections()
		drain := make(chan *nats.Msg)
		for _, p := range patterns(unrelated) {
			_, err := sub.ChanSubscribe(p, drain)
			must(err)
		}
		return natsBroker(ctx, pub, sub, pattern)
	}}
}
