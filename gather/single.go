package gather

import (
	"context"
	"sync"

	"github.com/seed4886185c/concert/internal/panics"
)

// A single is a batch of one item without options, in about an eighth less
// time: what is mostly one task should not pay for what only many need.
type single[In, Out any] struct {
	ctx    context.Context //nolint:containedctx // lives as long as the call
	in     []In
	fn     func(context.Context, In) (Out, error)
	result Results[Out] // written by work
	done   sync.WaitGroup
}

func runSingle[In, Out any](ctx context.Context, in []In, fn func(context.Context, In) (Out, error)) Results[Out] {
	s := &single[In, Out]{ctx: ctx, in: in, fn: fn, result: make(Results[Out], 1)}
	if ctx.Err() != nil {
		s.result[0].Err = ended(ErrNotRun, ctx)
		return s.result
	}
	s.done.Add(1)
	go s.work()
	s.done.Wait()
	return s.result
}

func (s *single[In, Out]) work() {
	r := &s.result[0]
	r.Err = ErrGoexit // stands if fn does not return
	defer func() {
		if p := recover(); p != nil {
			r.Err = panics.New(p)
		}
		s.done.Done()
	}()
	r.Value, r.Err = s.fn(s.ctx, s.in[0])
}
