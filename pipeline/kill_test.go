package pipeline_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/pipeline"
)

var (
	errKill  = errors.New("killed by an error")
	errCause = errors.New("killed by the context")
)

const killPanic = "killed by a panic"

// underRace tells whether the tests run under the race detector, which makes
// them some ten times as slow.
func underRace() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// A rig makes random pipelines, one of whose functions kills it in one of its
// calls, and watches that all of them have ended when the sink returns.
type rig struct {
	*rand.Rand // for those who build, not for the functions

	how    string       // break, error, cancel, panic or goexit
	fuse   atomic.Int64 // calls that are left until the one that kills
	blown  atomic.Bool
	cancel context.CancelCauseFunc
	slow   int  // one of so many calls takes a while; 0 is none
	leaves bool // there may be nobody who wants an error any more

	running atomic.Int64 // calls that have begun and not ended
	over    atomic.Bool  // the sink has returned
	late    atomic.Int64 // calls after that
}

// call begins a call, which ends with what it returns.
func (r *rig) call(x int) func() {
	r.running.Add(1)
	if r.over.Load() {
		r.late.Add(1)
	}
	if r.slow > 0 && x%r.slow == 0 {
		time.Sleep(time.Duration(x%7) * time.Millisecond)
	}
	return func() {
		if r.over.Load() {
			r.late.Add(1)
		}
		r.running.Add(-1)
	}
}

// burn kills the pipeline if it is time for it.
func (r *rig) burn() {
	if r.fuse.Add(-1) > 0 || r.how == "error" || r.how == "break" || !r.blown.CompareAndSwap(false, true) {
		return
	}
	switch r.how {
	case "cancel":
		r.cancel(errCause)
	case "panic":
		panic(killPanic)
	case "goexit":
		runtime.Goexit()
	}
}

// fail is burn for functions that return an error.
func (r *rig) fail() error {
	r.burn()
	if r.how == "error" && r.fuse.Load() <= 0 && r.blown.CompareAndSwap(false, true) {
		return errKill
	}
	return nil
}

func (r *rig) double(_ context.Context, x int) (int, error) {
	defer r.call(x)()
	return 2*x + 1, r.fail()
}

func (r *rig) dropSome(_ context.Context, x int) (int, error) {
	defer r.call(x)()
	if err := r.fail(); err != nil {
		return 0, err
	}
	if x%5 == 0 {
		return 0, pipeline.Drop
	}
	return x, nil
}

func (r *rig) keepMost(_ context.Context, x int) (bool, error) {
	defer r.call(x)()
	return x%7 != 0, r.fail()
}

func (r *rig) key(x int) int {
	defer r.call(0)()
	r.burn()
	return x % 5
}

func (r *rig) add(a, b int) int {
	defer r.call(b)()
	r.burn()
	return (a + b) % 1000
}

func (r *rig) see(x int) {
	defer r.call(x)()
	r.burn()
}

func (r *rig) yes(x int) bool {
	r.see(x)
	return true
}

func (r *rig) no(x int) bool {
	r.see(x)
	return false
}

// options are those of Map, Filter, ForEach and Reduce.
func (r *rig) options(more bool) []pipeline.Option {
	var opts []pipeline.Option
	if r.IntN(3) == 0 {
		return opts
	}
	opts = append(opts, pipeline.Workers(1+r.IntN(6)))
	if r.IntN(2) == 0 {
		opts = append(opts, pipeline.Ordered())
		if more && r.IntN(2) == 0 {
			opts = append(opts, pipeline.Ahead(1+r.IntN(10)))
		}
	}
	if more && r.IntN(4) == 0 {
		opts = append(opts, pipeline.ByKey(r.key))
	}
	return opts
}

func (r *rig) source() pipeline.Stream[int] {
	n := []int{0, 1, 10, 300, 5000}[r.IntN(5)]
	numbers := func(yield func(int) bool) {
		defer r.call(1)()
		for i := range n {
			r.burn()
			if r.slow > 0 && i%(7*r.slow) == 0 {
				time.Sleep(time.Millisecond)
			}
			if !yield(i) {
				return
			}
		}
	}
	switch r.IntN(7) {
	case 0:
		return pipeline.FromSlice(make([]int, n))
	case 1:
		ch := make(chan int, n)
		for i := range n {
			ch <- i
		}
		close(ch)
		return pipeline.FromChan(ch)
	case 2:
		return pipeline.FromSeq(numbers)
	case 3:
		return pipeline.FromSeq2(func(yield func(int, error) bool) {
			for i := range numbers {
				if !yield(i, r.fail()) {
					return
				}
			}
		})
	case 4:
		return pipeline.Map(pipeline.Take(pipeline.Ticks(time.Millisecond), 30), func(ctx context.Context, t time.Time) (int, error) {
			return r.double(ctx, int(t.UnixMilli()%1000))
		})
	default:
		return pipeline.Generate(func(_ context.Context, emit func(int) bool) error {
			for i := range numbers {
				if !emit(i) {
					break
				}
			}
			return r.fail()
		})
	}
}

// inner is what a FlatMap makes of an item.
func (r *rig) inner() func(context.Context, int) pipeline.Stream[int] {
	kind := r.IntN(5)
	return func(_ context.Context, x int) pipeline.Stream[int] {
		defer r.call(x)()
		r.burn()
		few := pipeline.Of(x, x+1)
		switch kind {
		case 0:
			return pipeline.Buffer(few, 2)
		case 1:
			return pipeline.Map(few, r.double, pipeline.Workers(2), pipeline.Ordered())
		case 2:
			return pipeline.Merge(few, pipeline.Map(few, r.double))
		case 3:
			return pipeline.Map(few, r.double)
		default:
			return few
		}
	}
}

func (r *rig) stage(s pipeline.Stream[int]) pipeline.Stream[int] {
	flat := func(_ context.Context, xs []int) pipeline.Stream[int] { return pipeline.FromSlice(xs) }
	switch r.IntN(22) {
	case 0:
		return pipeline.Tap(s, r.see)
	case 1:
		r.leaves = true
		return pipeline.Take(s, 1+r.IntN(1000))
	case 2:
		return pipeline.Skip(s, r.IntN(10))
	case 3:
		return pipeline.TakeWhile(s, r.yes)
	case 4:
		return pipeline.SkipWhile(s, r.no)
	case 5:
		return pipeline.Distinct(s, r.key, 3)
	case 6:
		return pipeline.Scan(s, 0, r.add)
	case 7:
		return pipeline.Concat(s, r.source())
	case 8:
		r.leaves = true
		return pipeline.Zip(s, r.source(), r.add)
	case 9:
		r.leaves = true
		return pipeline.Zip(r.source(), s, r.add)
	case 10:
		return pipeline.FlatMap(pipeline.Chunk(s, 1+r.IntN(5)), flat)
	case 11:
		return pipeline.FlatMap(pipeline.Batch(s, 1+r.IntN(5), 3*time.Millisecond), flat, r.options(false)...)
	case 12:
		return pipeline.Recover(s, func(err error) error {
			r.see(1)
			return err
		})
	case 13, 14:
		return pipeline.Buffer(s, 1+r.IntN(10))
	case 15:
		return pipeline.Merge(s, r.source(), r.source())
	case 16:
		return pipeline.Merge(s, pipeline.FromChan[int](nil))
	case 17:
		return pipeline.FlatMap(s, r.inner(), r.options(false)...)
	case 18:
		return pipeline.Filter(s, r.keepMost, r.options(true)...)
	case 19:
		return pipeline.Map(s, r.dropSome, r.options(true)...)
	default:
		return pipeline.Map(s, r.double, r.options(true)...)
	}
}

// sink uses s in one of the ways there are.
func (r *rig) sink(ctx context.Context, s pipeline.Stream[int]) (err error) {
	which := r.IntN(9)
	if r.how == "break" {
		which = 0
	}
	switch which {
	case 0:
		for _, e := range s.All(ctx) {
			r.see(1)
			if err = e; r.how == "break" && r.fuse.Load() <= 0 {
				r.blown.Store(true)
				break
			}
		}
	case 1:
		err = pipeline.Run(ctx, s)
	case 2:
		_, err = pipeline.Collect(ctx, s)
	case 3:
		_, err = pipeline.Count(ctx, s)
	case 4:
		_, err = pipeline.Fold(ctx, s, 0, r.add)
	case 5:
		r.leaves = true
		_, _, err = pipeline.First(ctx, pipeline.Skip(s, r.IntN(100)))
	case 6:
		err = pipeline.ForEach(ctx, s, func(ctx context.Context, x int) error {
			_, err := r.double(ctx, x)
			return err
		}, r.options(true)...)
	case 7:
		var opts []pipeline.Option
		if n := r.IntN(4); n > 0 {
			opts = append(opts, pipeline.Workers(n))
		}
		_, _, err = pipeline.Reduce(ctx, s, func(_ context.Context, a, b int) (int, error) {
			return r.add(a, b), r.fail()
		}, opts...)
	case 8:
		r.leaves = true
		ch, stop := pipeline.Chan(ctx, s)
		for x := range ch {
			if x == 99 {
				break
			}
		}
		err = stop()
		if e := stop(); e != err { //nolint:errorlint // that it is the same one
			return errors.Join(err, e, errors.New("the second stop returned something else"))
		}
	}
	return err
}

// An outcome is how a sink has come to its end.
type outcome struct {
	err      error
	panicked any
	goexited bool
	running  int64
}

// run calls the sink in a goroutine of its own, that it may end.
func (r *rig) run(sink func() error) outcome {
	done := make(chan outcome)
	go func() {
		o := outcome{goexited: true}
		defer func() {
			r.over.Store(true)
			o.running = r.running.Load()
			if o.goexited {
				o.panicked = recover()
				o.goexited = o.panicked == nil
			}
			done <- o
		}()
		o.err = sink()
		o.goexited = false
	}()
	return <-done
}

// requireJoined fails if goroutines of a pipeline are left. Others, such as
// those of the runtime, come and go.
func requireJoined(t *testing.T, before int) {
	t.Helper()
	synctest.Wait()
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
	}
	buf := make([]byte, 1<<20)
	stacks := string(buf[:runtime.Stack(buf, true)])
	require.NotContains(t, stacks, "concert/pipeline.", "goroutines are left")
}

// requireKilled makes a pipeline, kills it, and tells whether it was alive
// until then.
func requireKilled(t *testing.T, how string, seed uint64) (alive bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		before := runtime.NumGoroutine()
		r := &rig{Rand: rand.New(rand.NewPCG(seed, 1)), how: how}
		r.slow = r.IntN(4)
		r.fuse.Store(1 + r.Int64N([]int64{10, 100, 1000}[r.IntN(3)]))
		// Some wait for a channel that is nil, which only this ends.
		ctx, cancelTime := context.WithTimeout(t.Context(), time.Hour)
		defer cancelTime()
		ctx, r.cancel = context.WithCancelCause(ctx)
		defer r.cancel(nil)
		if how == "cancel" && r.IntN(3) == 0 {
			timer := time.AfterFunc(time.Duration(r.IntN(100))*time.Millisecond, func() {
				r.blown.Store(true)
				r.cancel(errCause)
			})
			defer timer.Stop()
		}
		s := r.source()
		for range r.IntN(6) {
			s = r.stage(s)
		}
		o := r.run(func() error { return r.sink(ctx, s) })
		requireJoined(t, before)
		require.Zero(t, o.running, "calls when the sink has returned")
		require.Zero(t, r.late.Load(), "calls after the sink has returned")
		alive = r.blown.Load()
		r.requireOutcome(t, ctx, o)
	})
	return alive
}

func (r *rig) requireOutcome(t *testing.T, ctx context.Context, o outcome) {
	t.Helper()
	if o.err != nil && (errors.Is(o.err, context.Canceled) || errors.Is(o.err, context.DeadlineExceeded)) {
		require.ErrorIs(t, o.err, ctx.Err())
		require.ErrorIs(t, o.err, context.Cause(ctx))
		o.err = nil
	}
	switch {
	case r.how == "panic" && r.blown.Load():
		if p, ok := o.panicked.(*pipeline.PanicError); ok {
			require.Contains(t, string(p.Stack), "(*rig).burn")
			o.panicked = p.Value
		}
		require.Equal(t, killPanic, o.panicked)
	case r.how == "goexit" && r.blown.Load():
		require.Nil(t, o.panicked)
		if !o.goexited && (o.err != nil || !r.leaves) {
			require.ErrorIs(t, o.err, pipeline.ErrGoexit)
		}
	default:
		require.Nil(t, o.panicked)
		require.False(t, o.goexited)
		if o.err != nil {
			require.True(t, r.blown.Load(), "%v", o.err)
			require.Equal(t, "error", r.how)
			require.Equal(t, errKill, o.err)
		}
	}
}

func TestKilledAtRandomNothingIsLeft(t *testing.T) {
	rounds := 2000 // of each, 10,000 in all
	if testing.Short() || underRace() {
		rounds = 400
	}
	base := rand.Uint64()
	for _, how := range []string{"break", "error", "cancel", "panic", "goexit"} {
		t.Run(how, func(t *testing.T) {
			var seed uint64
			defer func() {
				if t.Failed() || seed != base+uint64(rounds)-1 {
					t.Logf("seed %d", seed)
				}
			}()
			killed := 0
			for i := range rounds {
				seed = base + uint64(i)
				if requireKilled(t, how, seed) {
					killed++
				}
				if t.Failed() {
					return
				}
			}
			assert.Greater(t, killed, rounds/3, "most are killed before they come to their end")
		})
	}
}
