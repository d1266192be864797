// Package pipeline composes streams of items from stages, which cannot leak.
//
// A [Stream] comes from a source, such as [FromSlice], [FromChan] or
// [Generate], goes through stages, such as [Map], [Filter] and [Batch], and
// ends in a sink, such as [ForEach], [Collect] or [Reduce], or in a loop over
// [Stream.All]:
//
//	lines := pipeline.Generate(readLines)
//	orders := pipeline.Map(lines, parse, pipeline.Workers(8), pipeline.Ordered())
//	batches := pipeline.Batch(orders, 100, time.Second)
//	err := pipeline.ForEach(ctx, batches, insert)
//
// Nothing happens before the sink is called, and when that returns, everything
// has ended, however it came to: at the end, by an error, by a context, by a
// panic, by break. The same Stream may be used again; it then begins anew,
// unless its source is one that is used up, such as a channel.
//
// # Concurrency
//
// Stages that follow one another are one loop, in the goroutine of the sink.
// Items cross to other goroutines only where that is the point: with [Workers],
// in [Buffer], [Merge], [Broadcast] and [Chan], and in [Batch], [Window],
// [Sliding], [Debounce] and [Sample], whose time goes on while they wait for
// items. Where they do, they go in groups, if they come quickly, and each at
// once, if they do not: no item waits for others for more than some
// microseconds while it could go on.
//
// What waits for other items is bounded. A stage with n workers whose calls
// take longer than some microseconds has taken at most 3n + 2 items from its
// source beyond the last that it has delivered; with quick calls, at most
// 4,096, if that is more; with [Ordered], one more than [Ahead] says; [Buffer],
// n + 2; [Merge] and [Broadcast], like one worker for each stream or sink. A
// stage without has taken one. Those with a time go on while what they have
// passed on is used: Batch takes up to twice its size, the others 4,096 items
// more. Memory does not grow with the length of a stream; windows and batches
// hold their items.
//
// A function is called by several goroutines at the same time only with
// Workers. None of it is called with a lock held.
//
// Time is package time's, so that everything here runs in a testing/synctest
// bubble.
//
// # Errors
//
// An error takes the place of an item, and goes on through the stages in its
// turn; those behind it wait until it has been handled. A sink returns the
// first that comes to it, after which no function is called any more but for
// the calls that workers have begun. To go on, handle errors where they occur:
// [SkipErrors] leaves out the items for which a function fails, and tells
// which; [Recover] looks at the errors alone. To make an item of an error,
// return one that holds it.
//
// When a context ends, whatever waits wakes up, and the sink returns the cause:
// the error matches that and the context's. A source that waits elsewhere, such
// as in a read, is waited for. What is on its way is lost; to end a pipeline
// without that, end its source, see [Until], and give the sink a context that
// goes on:
//
//	events := pipeline.Until(stop, pipeline.FromChan(ch))
//	err := pipeline.ForEach(context.WithoutCancel(stop), pipeline.Batch(events, 100, time.Second), insert)
//
// A panic in another goroutine is raised again in that of the sink, as a
// [*PanicError] with its stack, once everything has ended. A call of
// [runtime.Goexit] there makes the sink return [ErrGoexit].
//
// # Not for
//
// Queues that outlive a call, or a process. Slices that are there already, and
// need no context: a loop is simpler. Calls of which all results are wanted,
// whatever fails: that is what package gather is for. Times that are part of
// the items: windows are by arrival. Items that go back to where they came
// from, as the links of a crawler do: keep a queue of them, and take from that.
package pipeline

import (
	"context"
	"iter"
)

// A Stream is a sequence of items and errors. Those who use one take a sink, or
// a loop over [Stream.All].
//
// Those who write one: it is called once for each use, and what it returns
// belongs to one goroutine. It yields an item, or an error beside the zero
// value, and goes on after errors, for stages that handle them. When yield
// returns false, it returns. When ctx has ended, it yields the error of that,
// and returns; a stage leaves that to the Stream that it takes from, a source
// sees to it, which Generate and FromSeq do by themselves.
type Stream[T any] func(ctx context.Context) iter.Seq2[T, error]
