package gather

import (
	"context"
	"runtime"
	"sync"
)

// A Group runs tasks that become known only as others run: tasks may add
// tasks. Where all are known from the start, [All] and [Map] are faster.
//
// A Group is made by [NewGroup], may be used by several goroutines at once,
// and must not be copied. After [Group.Wait] it may be used again.
//
// When its context has ended, or a task has failed with [FailFast], tasks that
// wait and those that are still added are not run: their results match
// [ErrNotRun].
type Group[T any] struct {
	*config
	discard func(T)
	ctx     context.Context //nolint:containedctx // the context of NewGroup, for all tasks to come
	most    int             // how many standbys there are at most

	mu  sync.Mutex   // guards the fields below, and those of the run
	run *groupRun[T] // since the last Wait; nil before the first task
}

// A groupRun is what happens in a group from one Wait to the next.
//
// Its workers follow the rule of the [batch]: while tasks are waiting and the
// limit allows, there is at least one that has been started and has no task
// yet (a standby).
type groupRun[T any] struct {
	ctx  context.Context         //nolint:containedctx // the tasks', who may outlive the call of Go
	fail context.CancelCauseFunc // of ctx, with FailFast; otherwise nil

	tasks    []Task[T] // nil where taken
	taken    int       // how many tasks have been taken, in order
	ended    int       // how many of those have ended
	results  Results[T]
	failures int
	workers  int
	standbys int           // of the workers
	idle     chan struct{} // closed when no worker is left; nil if nobody waits
}

// NewGroup returns a Group whose tasks get ctx, or with [FailFast] a context
// derived from it.
//
// NewGroup takes the options of [All]; what they say of the end of the call is
// then true of Wait.
func NewGroup[T any](ctx context.Context, opts ...Option) *Group[T] {
	c := newConfig("NewGroup", batchOptions, opts)
	discard := discardOf[T](c)
	c.checkDiscards("NewGroup")
	return &Group[T]{config: c, discard: discard, ctx: ctx, most: runtime.GOMAXPROCS(0) + 1}
}

// Go adds a task and returns at once: beyond [Limit] tasks wait, in order, in
// a queue without bound. So a task may call Go on its own group. For a queue
// that pushes back use [Group.TryGo], or [Stream]. Go panics if task is nil.
func (g *Group[T]) Go(task Task[T]) {
	if task == nil {
		panic("gather: Go of a nil task")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.addLocked(task)
}

// TryGo adds the task if it can start now, and reports whether it did: not if
// as many tasks as [Limit] allows run or wait, nor if the group's context has
// ended. A task that it did not add has no result. It panics if task is nil.
func (g *Group[T]) TryGo(task Task[T]) bool {
	if task == nil {
		panic("gather: TryGo of a nil task")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.runLocked()
	if r.ctx.Err() != nil || g.has(optLimit) && len(r.tasks)-r.ended >= g.limit {
		return false
	}
	g.addLocked(task)
	return true
}

// Wait returns when all tasks have ended, also those that were added
// meanwhile, with the results in the order in which the tasks were added. Where
// several goroutines add tasks, the values should tell whose they are.
// Concurrent Waits get the same slice. A task must not wait for its own group.
//
// The tasks added after that are a new start, with results and [FailFast] of
// their own.
func (g *Group[T]) Wait() Results[T] {
	g.mu.Lock()
	r := g.runLocked()
	for r.workers > 0 {
		if r.idle == nil {
			r.idle = make(chan struct{})
		}
		idle := r.idle
		g.mu.Unlock()
		<-idle
		g.mu.Lock()
	}
	discard := g.discard
	if g.run == r {
		g.run = nil
	} else { // another Wait was first
		discard = nil
	}
	g.mu.Unlock()

	if r.fail != nil {
		r.fail(nil)
	}
	if g.has(optRepanic) {
		repanic(r.results, discard)
	}
	return r.results
}

// runLocked returns the current run.
func (g *Group[T]) runLocked() *groupRun[T] {
	if g.run == nil {
		if g.ctx == nil {
			panic("gather: Group not made by NewGroup")
		}
		g.run = &groupRun[T]{ctx: g.ctx, results: Results[T]{}}
		if g.has(optFailFast) {
			g.run.ctx, g.run.fail = context.WithCancelCause(g.ctx)
		}
	}
	return g.run
}

func (g *Group[T]) addLocked(task Task[T]) {
	r := g.runLocked()
	r.tasks = append(r.tasks, task)
	r.results = append(r.results, Result[T]{})
	g.startLocked(r, g.most)
}

// startLocked starts a standby if there are fewer than enough.
func (g *Group[T]) startLocked(r *groupRun[T], enough int) {
	waiting := len(r.tasks) - r.taken
	if r.standbys < min(enough, waiting) && (!g.has(optLimit) || r.workers < g.limit) {
		r.standbys++
		r.workers++
		go g.work(r, true)
	}
}

// work is a worker's goroutine.
func (g *Group[T]) work(r *groupRun[T], standby bool) {
	finished := false
	defer func() {
		if !finished { // a task called Goexit; another goroutine goes on in place of this one
			go g.work(r, false)
		}
	}()
	g.mu.Lock()
	if standby {
		r.standbys--
	}
	for r.taken < len(r.tasks) {
		i := r.taken
		task := r.tasks[i]
		r.tasks[i] = nil
		r.taken++
		g.startLocked(r, 1)
		g.mu.Unlock()
		g.runTask(r, i, task)
		g.mu.Lock()
	}
	r.workers--
	if r.workers == 0 && r.idle != nil {
		close(r.idle)
		r.idle = nil
	}
	g.mu.Unlock()
	finished = true
}

func (g *Group[T]) runTask(r *groupRun[T], i int, task Task[T]) {
	settle(r.ctx, func(ctx context.Context) (T, error) {
		return attempt(ctx, g.config, g.discard, task)
	}, func(res Result[T]) { g.settle(r, i, res) })
}

// settle takes in the result of task i. A failure is counted before it cancels
// the other tasks, so that the first one in is the first to have happened.
func (g *Group[T]) settle(r *groupRun[T], i int, res Result[T]) {
	g.mu.Lock()
	if res.Err != nil {
		res.rank = r.failures
		r.failures++
	}
	r.results[i] = res
	r.ended++
	g.mu.Unlock()
	if res.Err != nil && res.rank == 0 && r.fail != nil {
		r.fail(res.Err)
	}
}
