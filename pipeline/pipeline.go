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
// 4,096; with [Ordered], one more than [Ahead] says; [Buffer], n + 2; the
// others that have goroutines of their own, like one worker for each. A stage
// without has taken one. Memory does not grow with the length of a stream;
// windows and batches hold their items.
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
// as in a read, is waited for.
//
// A panic in another goroutine is raised again in that of the sink, as a
// [*PanicError] with its stack, once everything has ended. A call of
// [runtime.Goexit] there makes the sink return [ErrGoexit].
//
// # Not for
//
// Queues that outlive a call, or a process. Slices that are there already, and
// need no context: a loop is simpler. Calls of which all results are wanted,
// whatever fails: that is what package gather is for.
package pipeline

import (
	"context"
	"iter"
)

// A Stream is a sequence of items and errors. To call it makes one that ends
// with ctx, and belongs to one goroutine; it goes on after errors, which is for
// those who write stages. Those who use a Stream take a sink, or a loop over
// [Stream.All].
type Stream[T any] func(ctx context.Context) iter.Seq2[T, error]
