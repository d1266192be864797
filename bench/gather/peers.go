package gatherbench

import (
	"context"
	"sync"

	"github.com/alitto/pond/v2"
	"github.com/panjf2000/ants/v2"
	"github.com/samber/lo/parallel"
	"github.com/sourcegraph/conc/iter"
	"github.com/sourcegraph/conc/pool"
	"golang.org/x/sync/errgroup"

	"github.com/seed4886185c/concert/bench/measure"
	"github.com/seed4886185c/concert/gather"
)

func (j *job) gatherMap() measure.Contender { return j.gatherMapContext(context.Background()) }

func (j *job) gatherMapContext(ctx context.Context) measure.Contender {
	return measure.Contender{Name: "gather.Map", Run: func() {
		if j.limit > 0 {
			j.consumeResults(gather.Map(ctx, j.in, j.fn, gather.Limit(j.limit)))
		} else {
			j.consumeResults(gather.Map(ctx, j.in, j.fn))
		}
	}}
}

// gatherAll is for jobs without a limit.
func (j *job) gatherAll() measure.Contender {
	tasks := make([]gather.Task[int], len(j.in))
	for i, v := range j.in {
		tasks[i] = func(ctx context.Context) (int, error) { return j.fn(ctx, v) }
	}
	return measure.Contender{Name: "gather.All", Note: "tasks made beforehand", Run: func() {
		j.consumeResults(gather.All(context.Background(), tasks))
	}}
}

func (j *job) consumeResults(rs gather.Results[int]) {
	sum := 0
	for i := range rs {
		must(rs[i].Err)
		sum += rs[i].Value
	}
	j.check(len(rs), sum)
}

func (j *job) errGroup() measure.Contender {
	return measure.Contender{Name: "errgroup", Note: "no context; the first error only", Run: func() {
		j.runErrGroup(context.Background(), new(errgroup.Group))
	}}
}

func (j *job) errGroupContext() measure.Contender {
	return measure.Contender{Name: "errgroup.WithContext", Note: "the first error only", Run: func() {
		g, ctx := errgroup.WithContext(context.Background())
		j.runErrGroup(ctx, g)
	}}
}

func (j *job) runErrGroup(ctx context.Context, g *errgroup.Group) {
	if j.limit > 0 {
		g.SetLimit(j.limit)
	}
	out := make([]int, len(j.in))
	for i, v := range j.in {
		g.Go(func() (err error) {
			out[i], err = j.fn(ctx, v)
			return err
		})
	}
	j.consume(out, g.Wait())
}

func (j *job) concResults() measure.Contender {
	return measure.Contender{Name: "conc.ResultContextPool", Note: "results in no order", Run: func() {
		p := pool.NewWithResults[int]().WithContext(context.Background())
		if j.limit > 0 {
			p.WithMaxGoroutines(j.limit)
		}
		for _, v := range j.in {
			p.Go(func(ctx context.Context) (int, error) { return j.fn(ctx, v) })
		}
		out, err := p.Wait()
		j.consume(out, err)
	}}
}

// concPool is for jobs without a limit.
func (j *job) concPool() measure.Contender {
	return measure.Contender{Name: "conc.Pool", Note: "no context, no errors", Run: func() {
		p := pool.New()
		out := make([]int, len(j.in))
		for i, v := range j.in {
			p.Go(func() { out[i], _ = j.fn(context.Background(), v) })
		}
		p.Wait()
		j.consume(out, nil)
	}}
}

func (j *job) concIter() measure.Contender {
	mapper := iter.Mapper[int, int]{MaxGoroutines: j.limit}
	return measure.Contender{Name: "conc.iter.MapErr", Note: "no context", Run: func() {
		out, err := mapper.MapErr(j.in, func(v *int) (int, error) {
			return j.fn(context.Background(), *v)
		})
		j.consume(out, err)
	}}
}

func (j *job) pond(p pond.ResultPool[int]) measure.Contender {
	return measure.Contender{Name: "pond.ResultTaskGroup", Note: "pool made beforehand; the first error only", Run: func() {
		ctx := context.Background()
		g := p.NewGroupContext(ctx)
		for _, v := range j.in {
			g.SubmitErr(func() (int, error) { return j.fn(ctx, v) })
		}
		out, err := g.Wait()
		j.consume(out, err)
	}}
}

func (j *job) ants(p *ants.Pool) measure.Contender {
	return measure.Contender{Name: "ants.Pool", Note: "pool made beforehand; no context, no errors", Run: func() {
		var wg sync.WaitGroup
		wg.Add(len(j.in))
		out := make([]int, len(j.in))
		for i, v := range j.in {
			must(p.Submit(func() {
				defer wg.Done()
				out[i], _ = j.fn(context.Background(), v)
			}))
		}
		wg.Wait()
		j.consume(out, nil)
	}}
}

// lo is for jobs without a limit.
func (j *job) lo() measure.Contender {
	return measure.Contender{Name: "lo.parallel.Map", Note: "no context, no errors", Run: func() {
		out := parallel.Map(j.in, func(v, _ int) int {
			r, _ := j.fn(context.Background(), v)
			return r
		})
		j.consume(out, nil)
	}}
}
