package gather

import "context"

// All2 runs two tasks of different types and returns when both have ended.
//
// All2 to All5 take the options of [All]; one [OnDiscard] serves all tasks of
// its type. They panic if a task is nil.
func All2[A, B any](ctx context.Context, a Task[A], b Task[B], opts ...Option) (Result[A], Result[B]) {
	h := newMixed("All2", opts)
	ra, rb := mix(h, a), mix(h, b)
	h.run(ctx)
	return *ra, *rb
}

// All3 is [All2] for three tasks.
func All3[A, B, C any](ctx context.Context, a Task[A], b Task[B], c Task[C], opts ...Option) (Result[A], Result[B], Result[C]) {
	h := newMixed("All3", opts)
	ra, rb, rc := mix(h, a), mix(h, b), mix(h, c)
	h.run(ctx)
	return *ra, *rb, *rc
}

// All4 is [All2] for four tasks.
func All4[A, B, C, D any](ctx context.Context, a Task[A], b Task[B], c Task[C], d Task[D], opts ...Option) (Result[A], Result[B], Result[C], Result[D]) {
	h := newMixed("All4", opts)
	ra, rb, rc, rd := mix(h, a), mix(h, b), mix(h, c), mix(h, d)
	h.run(ctx)
	return *ra, *rb, *rc, *rd
}

// All5 is [All2] for five tasks.
func All5[A, B, C, D, E any](ctx context.Context, a Task[A], b Task[B], c Task[C], d Task[D], e Task[E], opts ...Option) (Result[A], Result[B], Result[C], Result[D], Result[E]) {
	h := newMixed("All5", opts)
	ra, rb, rc, rd, re := mix(h, a), mix(h, b), mix(h, c), mix(h, d), mix(h, e)
	h.run(ctx)
	return *ra, *rb, *rc, *rd, *re
}

// mixed runs tasks of different types as a batch of tasks without a value,
// each of which stores its value itself.
type mixed struct {
	call   string
	config *config
	tasks  []Task[none]
	fail   []func(err error, rank int) // sets the error of the task's result
	drop   []func()                    // discards the value of the task's result
}

func newMixed(call string, opts []Option) *mixed {
	return &mixed{call: call, config: newConfig(call, batchOptions, opts)}
}

// mix adds a task to h and returns where its result will be.
func mix[T any](h *mixed, task Task[T]) *Result[T] {
	if task == nil {
		panic("gather: " + h.call + " with a nil task")
	}
	r := new(Result[T])
	discard := discardOf[T](h.config)
	h.tasks = append(h.tasks, func(ctx context.Context) (none, error) {
		// The limits apply here, where the type is known: a task that has been
		// abandoned must not write to r any more.
		v, err := attempt(ctx, h.config, discard, task)
		r.Value = v
		return none{}, err
	})
	h.fail = append(h.fail, func(err error, rank int) { r.Err, r.rank = err, rank })
	h.drop = append(h.drop, func() {
		if discard != nil {
			discard(r.Value)
		}
	})
	return r
}

func (h *mixed) run(ctx context.Context) {
	h.config.checkDiscards(h.call)
	b := &batch[Task[none], none]{ctx: ctx, in: h.tasks, fn: call[none], config: h.config.without(optTimeout | optAbandon | optRepanic)}
	results := b.run()
	for i, r := range results {
		h.fail[i](r.Err, r.rank)
	}
	if p := firstPanic(results); p != nil && h.config.has(optRepanic) {
		for i, r := range results {
			if r.Err == nil {
				defer h.drop[i]()
			}
		}
		panic(p)
	}
}
