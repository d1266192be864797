// Package pubsub hands events to listeners, and loses none silently.
//
// There are three ways to do so. Take
//
//   - an [Emitter], to call functions and wait for them: what happens in them is
//     part of what the caller does, and so are their errors;
//   - a [Topic], to go on while others work: every [Subscription] reads what is
//     published at its own pace, in the one order in which it was;
//   - a [Bus], which is a Topic for each pattern of subjects, orders.*.paid
//     or orders.>, so that who listens need not know who publishes.
//
// A Topic holds as many events as its capacity says. What happens when a
// subscription is so far behind is for that to choose, see [Overflow]: it makes
// publishers wait, which is what it does if nothing is said, or it loses
// events, which are counted and reported, or it is ended.
//
// # Concurrency
//
// All methods may be called at any time by any goroutine, also by handlers, if
// nothing else is said. No function is called with a lock held. The calls of
// one subscription come one after the other, those of different ones at the
// same time.
//
// A handler that publishes to its own topic, or bus, should do so with the
// context that it is given: if there is no room, it gets [ErrReentrant], where
// it would otherwise wait, and maybe for itself. Events that follow from events
// had better go to another topic; but handlers of two topics that publish to
// each other's may wait for each other: give one of them another Overflow, or a
// deadline. A loop over [Subscription.All] has no such context: one that
// publishes to its own topic needs another [Overflow] than [Block].
//
// Each subscription with a handler has a goroutine, and so has one after
// [Subscription.C]. That of a handler ends with
// [Subscription.Stop] or Close, that of a channel when all is received, too.
//
// Time is package time's, so that everything here runs in a testing/synctest
// bubble.
//
// # Errors
//
// A handler that returns an error, panics or calls [runtime.Goexit] makes a
// [*ListenerError], which tells its name. It disturbs no other, and the next
// event finds it as before. The errors come together where somebody can do
// something about them: Emit returns those of its listeners, Close those of all
// handlers, [Subscription.Err] those of one; of more than 16, the first 8 and
// the last 8. A handler that goes on for long had better log its own.
//
// When a context ends before an event is published, Publish returns the cause:
// the error matches that and the context's.
//
// # Not for
//
// What has to survive the process, or to reach another one: take a broker, such
// as NATS with JetStream. Work that exactly one of several has to do: take a
// channel. Streams that are worked on in stages: that is package pipeline.
package pubsub

import "context"

// A Handler is called with each event. What happens with its error is said
// where it is taken.
type Handler[T any] func(ctx context.Context, v T) error
