package gather

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/seed4886185c/concert/internal/panics"
)

const (
	// streamLimit is how many calls a Stream has in flight without [Limit].
	streamLimit = 64

	// streamBuffer is the capacity of a Stream's channels. It spares most of
	// the switches between goroutines, and has no other effect.
	streamBuffer = 64
)

// errLeft is why the calls of a Stream are cancelled when its loop is left.
var errLeft = errors.New("gather: the loop over the stream was left")

// Stream calls fn for the items of in and yields each result, with the index
// of its item, as soon as it is there; with [Ordered], in the order of the
// items. It works on a sequence of any length: at most [Limit] items, by
// default 64, are in flight, from when they are taken from in to when their
// results are yielded to the body of the loop. With Ordered a slow item thus
// holds back those after it.
//
// Leaving the loop early cancels the calls that are in flight and waits for
// them; their values go to [OnDiscard]. The context that fn gets ends with
// the loop in any case.
//
// If ctx ends, or a call fails with [FailFast], before in has come to its end,
// no further item is run: the results of those that had been taken match
// [ErrNotRun]. One more item is taken, to see whether there is one; its index
// and such an error are the last pair that the loop gets. With FailFast the
// first failure comes before the others, unless Ordered has it otherwise. If in
// panics or calls Goexit, the last pair has that as its error.
//
// A loop runs in in a goroutine of its own and waits for it, at its end, when
// it is left and after a failure with FailFast. So a sequence that blocks
// should watch ctx, and the body should cancel ctx before it leaves. A
// sequence that ends because ctx has ended is at its end: ask ctx.Err() after
// the loop.
//
// Stream takes [Limit], [FailFast], [TaskTimeout], [Ordered], [Abandon],
// OnDiscard and [Repanic]. Each loop over the returned sequence is a run of
// its own. It panics if in or fn is nil.
func Stream[In, Out any](ctx context.Context, in iter.Seq[In], fn func(context.Context, In) (Out, error), opts ...Option) iter.Seq2[int, Result[Out]] {
	c := newConfig("Stream", streamOptions, opts)
	if in == nil || fn == nil {
		panic("gather: Stream of a nil sequence or function")
	}
	discard := discardOf[Out](c)
	c.checkDiscards("Stream")
	limit := int64(streamLimit)
	if c.has(optLimit) {
		limit = int64(c.limit)
	}
	return func(yield func(int, Result[Out]) bool) {
		s := &stream[In, Out]{
			config:  c,
			discard: discard,
			limit:   limit,
			in:      in,
			fn:      fn,
			items:   make(chan item[In], min(limit, streamBuffer)),
			out:     make(chan outcome[Out], min(limit, streamBuffer)),
			freed:   make(chan struct{}, 1),
			left:    make(chan struct{}),
			input:   make(chan outcome[Out], 1),
		}
		s.run(ctx, yield)
	}
}

// A stream is one loop over the sequence that [Stream] returned.
//
// A feeder ranges over in and hands the items to workers, of which it starts
// as many as are needed at once; the workers hand the results to the loop.
type stream[In, Out any] struct {
	*config
	discard func(Out)
	limit   int64
	in      iter.Seq[In]
	fn      func(context.Context, In) (Out, error)

	ctx    context.Context //nolint:containedctx // lives as long as the loop
	cancel context.CancelCauseFunc

	items    chan item[In]     // from the feeder, who closes it, to idle workers
	idle     atomic.Int64      // workers that wait for an item, less the items that wait for a worker
	out      chan outcome[Out] // from the workers to the loop; never closed
	left     chan struct{}     // closed by the loop when it receives from out no more
	input    chan outcome[Out] // from the feeder, once: how many items it has started, and why no more
	inFlight atomic.Int64      // items started and not yet yielded
	freed    chan struct{}     // capacity 1: tells the feeder that inFlight has dropped
	failures atomic.Int64
	running  sync.WaitGroup // the feeder and the workers

	// For the loop alone:
	turn   []int // what turns returns
	next   int   // with Ordered, the index that comes next
	failed bool  // with FailFast, whether the first failure has been yielded
	held   []int // with FailFast, failures that came before the first one
}

type item[In any] struct {
	index int
	value In
}

func (s *stream[In, Out]) run(ctx context.Context, yield func(int, Result[Out]) bool) {
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	late := make(map[int]Result[Out]) // results not yielded: with Ordered the turn of others comes first
	defer func() {
		close(s.left) // before the context ends, for awaitRoom
		s.cancel(errLeft)
		s.running.Wait()
		for len(s.out) > 0 {
			o := <-s.out
			late[o.index] = o.Result
		}
		for _, r := range late {
			if r.Err == nil && s.discard != nil {
				defer s.discard(r.Value) // deferred, so that a panic keeps none from its turn
			}
		}
	}()
	s.running.Go(s.feed)
	s.loop(late, yield)
}

// loop yields the results. They are in late until then.
func (s *stream[In, Out]) loop(late map[int]Result[Out], yield func(int, Result[Out]) bool) {
	var end outcome[Out]
	input := s.input
	for yielded := 0; input != nil || yielded < end.index; {
		select {
		case end = <-input:
			input = nil
		case o := <-s.out:
			late[o.index] = o.Result
			for _, i := range s.turns(o, late) {
				r := late[i]
				delete(late, i)
				yielded++
				if !s.yield(i, r, yield) {
					return
				}
			}
		}
	}
	if end.Err != nil {
		s.yield(end.index, end.Result, yield)
	}
}

// turns returns the indexes of the results whose turn has come with o: with
// Ordered those that follow one another, with FailFast no failure before the
// first one, whose cancelling the others may overtake it.
func (s *stream[In, Out]) turns(o outcome[Out], late map[int]Result[Out]) []int {
	s.turn = s.turn[:0]
	switch {
	case s.has(optOrdered):
		for _, ok := late[s.next]; ok; _, ok = late[s.next] {
			s.turn = append(s.turn, s.next)
			s.next++
		}
	case s.has(optFailFast) && !s.failed && o.Err != nil && o.rank > 0:
		s.held = append(s.held, o.index)
	case s.has(optFailFast) && !s.failed && o.Err != nil:
		s.failed = true
		s.turn = append(append(s.turn, o.index), s.held...)
	default:
		s.turn = append(s.turn, o.index)
	}
	return s.turn
}

func (s *stream[In, Out]) yield(i int, r Result[Out], yield func(int, Result[Out]) bool) bool {
	s.inFlight.Add(-1)
	select {
	case s.freed <- struct{}{}:
	default: // the feeder has not seen the last one yet, and will look at inFlight
	}
	if p, ok := r.Err.(*PanicError); ok && s.has(optRepanic) { //nolint:errorlint // only the task's own panic, not one that it wrapped
		panic(p) // which run holds up until all have ended
	}
	return yield(i, r)
}

// feed is the goroutine of the feeder.
func (s *stream[In, Out]) feed() {
	started, workers := 0, int64(0)
	err := ErrGoexit // stands if in does not return
	defer func() {
		if p := recover(); p != nil {
			err = panics.New(p)
		}
		close(s.items)
		s.input <- outcome[Out]{index: started, Result: Result[Out]{Err: err, rank: int(s.failures.Load())}}
	}()
	cut := false
	for v := range s.in {
		if s.ctx.Err() != nil {
			cut = true
			break
		}
		it := item[In]{started, v}
		started++
		s.inFlight.Add(1)
		if s.idle.Load() == 0 && workers < s.limit {
			workers++
			s.running.Go(func() { s.work(it, true) })
		} else {
			// A worker is idle; or there are as many workers as items may be in
			// flight, this one included. Then one of them has no item, and takes
			// this one as soon as it has handed over the result of its last.
			s.idle.Add(-1)
			s.items <- it
		}
		if !s.awaitRoom() {
			break
		}
	}
	err = nil
	if cut {
		err = ended(ErrNotRun, s.ctx)
	}
}

// awaitRoom waits until another item may be in flight, so that none is taken
// from in before. It reports whether one is to be taken: when the context has
// ended too, to see whether there is one, but not when the loop was left.
func (s *stream[In, Out]) awaitRoom() bool {
	for s.inFlight.Load() >= s.limit {
		select {
		case <-s.freed:
		case <-s.ctx.Done():
			select {
			case <-s.left:
				return false
			default:
				return true
			}
		}
	}
	return true
}

// work is a worker's goroutine; it begins with it, if there is one.
func (s *stream[In, Out]) work(it item[In], ok bool) {
	finished := false
	defer func() {
		if !finished { // fn called Goexit; another goroutine goes on in place of this one
			s.running.Go(func() { s.work(item[In]{}, false) })
		}
	}()
	if ok {
		s.call(it)
	}
	s.idle.Add(1)
	for it := range s.items {
		s.call(it)
		s.idle.Add(1)
	}
	finished = true
}

func (s *stream[In, Out]) call(it item[In]) {
	settle(s.ctx, func(ctx context.Context) (Out, error) {
		return attempt(ctx, s.config, s.discard, func(ctx context.Context) (Out, error) { return s.fn(ctx, it.value) })
	}, func(r Result[Out]) {
		if r.Err != nil {
			r.rank = int(s.failures.Add(1)) - 1
			if r.rank == 0 && s.has(optFailFast) {
				s.cancel(r.Err)
			}
		}
		deliver(outcome[Out]{index: it.index, Result: r}, s.out, s.left, s.discard)
	})
}
