package pipelinebench

import (
	"context"
	"slices"

	"github.com/bradenaw/juniper/iterator"
	"github.com/bradenaw/juniper/parallel"
	junistream "github.com/bradenaw/juniper/stream"
	"github.com/samber/lo"
	"github.com/samber/lo/it"
	"github.com/samber/ro"
	"github.com/sourcegraph/conc/pool"
	"github.com/sourcegraph/conc/stream"

	"github.com/seed4886185c/concert/bench/measure"
	"github.com/seed4886185c/concert/pipeline"
)

func (j *job) pipelineFused(ctx context.Context) measure.Contender {
	return measure.Contender{Name: "pipeline", Run: func() {
		kept := pipeline.Filter(pipeline.Map(pipeline.FromSlice(j.in), j.fn), j.keep)
		sum, err := pipeline.Fold(ctx, kept, 0, plus)
		must(err)
		checkSum(sum, j.kept.sum)
	}}
}

func (j *job) pipelineWorkers(ctx context.Context) measure.Contender {
	return measure.Contender{Name: "pipeline", Run: func() {
		s := pipeline.Map(pipeline.FromSlice(j.in), j.fn, pipeline.Workers(j.workers))
		t, err := pipeline.Fold(ctx, s, tally{}, tally.add)
		must(err)
		j.check(t)
	}}
}

func (j *job) pipelineOrdered(ctx context.Context, name string) measure.Contender {
	return measure.Contender{Name: name, Run: func() {
		s := pipeline.Map(pipeline.FromSlice(j.in), j.fn, pipeline.Workers(j.workers), pipeline.Ordered())
		t, err := pipeline.Fold(ctx, s, tally{}, tally.add)
		must(err)
		j.checkOrder(t)
	}}
}

func (j *job) pipelineBatch(ctx context.Context) measure.Contender {
	return measure.Contender{Name: "pipeline", Run: func() {
		s := pipeline.Batch(pipeline.FromSlice(j.in), batchSize, maxWait)
		b, err := pipeline.Fold(ctx, s, batches{}, batches.add)
		must(err)
		j.checkBatches(b)
	}}
}

// juniper returns the items for those who take a stream of juniper.
func (j *job) juniper() junistream.Stream[int] { return junistream.FromIterator(iterator.Slice(j.in)) }

func (j *job) juniperFused(ctx context.Context) measure.Contender {
	return measure.Contender{Name: "juniper", Run: func() {
		kept := junistream.Filter(junistream.Map(j.juniper(), j.fn), j.keep)
		sum, err := junistream.Reduce(ctx, kept, 0, func(sum, v int) (int, error) { return plus(sum, v), nil })
		must(err)
		checkSum(sum, j.kept.sum)
	}}
}

// juniperMap may be further ahead of the order if there are more workers.
func (j *job) juniperMap(ctx context.Context) measure.Contender {
	return measure.Contender{Name: "juniper", Note: "keeps the order", Run: func() {
		s := parallel.MapStream(ctx, j.juniper(), j.workers, max(ahead, 4*j.workers), j.fn)
		t, err := junistream.Reduce(ctx, s, tally{}, func(t tally, v int) (tally, error) { return t.add(v), nil })
		must(err)
		j.checkOrder(t)
	}}
}

func (j *job) juniperBatch(ctx context.Context) measure.Contender {
	return measure.Contender{Name: "juniper", Run: func() {
		s := junistream.Batch(j.juniper(), maxWait, batchSize)
		b, err := junistream.Reduce(ctx, s, batches{}, func(b batches, items []int) (batches, error) { return b.add(items), nil })
		must(err)
		j.checkBatches(b)
	}}
}

func (j *job) roFused(ctx context.Context) measure.Contender {
	return measure.Contender{Name: "ro", Note: "functions without context and errors", Run: func() {
		sums, _, err := ro.CollectWithContext(ctx, ro.Pipe3(
			ro.FromSlice(j.in),
			ro.Map(j.plainFn),
			ro.Filter(j.plainKeep),
			ro.Reduce(plus, 0),
		))
		must(err)
		checkSum(sums[0], j.kept.sum)
	}}
}

// roBatch ends with an empty batch.
func (j *job) roBatch(ctx context.Context) measure.Contender {
	const note = "one goroutine; the timer starts after the last item"
	return measure.Contender{Name: "ro", Note: note, Run: func() {
		var b batches
		observer := ro.NewObserver(func(items []int) { b = b.add(items) }, must, func() {})
		ro.Pipe1(ro.FromSlice(j.in), ro.BufferWithTimeOrCount[int](batchSize, maxWait)).SubscribeWithContext(ctx, observer).Wait()
		j.checkBatches(b)
	}}
}

func (j *job) loFused() measure.Contender {
	return measure.Contender{Name: "lo/it", Note: "no context, no errors", Run: func() {
		kept := it.Filter(it.Map(slices.Values(j.in), j.plainFn), j.plainKeep)
		checkSum(it.Reduce(kept, plus, 0), j.kept.sum)
	}}
}

// loDispatcher deals the items out to workers in turn. What these do is written
// by hand.
func (j *job) loDispatcher() measure.Contender {
	const note = "no context, no errors; items wait in buffers"
	return measure.Contender{Name: "lo.ChannelDispatcher", Note: note, Run: func() {
		var outs []<-chan int
		for _, in := range lo.ChannelDispatcher(lo.SliceToChannel(buffer, j.in), j.workers, buffer, lo.DispatchingStrategyRoundRobin[int]) {
			out := make(chan int, buffer)
			go func() {
				defer close(out)
				for v := range in {
					out <- j.plainFn(v)
				}
			}()
			outs = append(outs, out)
		}
		var t tally
		for v := range lo.FanIn(buffer, outs...) {
			t = t.add(v)
		}
		j.check(t)
	}}
}

// loBuffer needs a context for each batch, which is the timer.
func (j *job) loBuffer(ctx context.Context) measure.Contender {
	const note = "no errors; the time of a batch is counted from the call"
	return measure.Contender{Name: "lo.BufferWithContext", Note: note, Run: func() {
		var b batches
		in := lo.SliceToChannel(0, j.in)
		for more := true; more; {
			timed, cancel := context.WithTimeout(ctx, maxWait)
			var items []int
			items, _, _, more = lo.BufferWithContext(timed, in, batchSize)
			cancel()
			b = b.add(items)
		}
		j.checkBatches(b)
	}}
}

func (j *job) concStream(ctx context.Context) measure.Contender {
	const note = "keeps the order; no errors"
	return measure.Contender{Name: "conc/stream", Note: note, Run: func() {
		var t tally
		s := stream.New().WithMaxGoroutines(j.workers)
		for _, v := range j.in {
			s.Go(func() stream.Callback {
				w, err := j.fn(ctx, v)
				return func() {
					must(err)
					t = t.add(w)
				}
			})
		}
		s.Wait()
		j.checkOrder(t)
	}}
}

func (j *job) concPool(ctx context.Context) measure.Contender {
	const note = "all results at the end"
	return measure.Contender{Name: "conc/pool", Note: note, Run: func() {
		p := pool.NewWithResults[int]().WithContext(ctx).WithMaxGoroutines(j.workers)
		for _, v := range j.in {
			p.Go(func(ctx context.Context) (int, error) { return j.fn(ctx, v) })
		}
		all, err := p.Wait()
		must(err)
		var t tally
		for _, v := range all {
			t = t.add(v)
		}
		j.check(t)
	}}
}
