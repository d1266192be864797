package gatherbench

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"time"
)

// A job is the work of one scenario: fn is to be called for every item of in.
type job struct {
	in    []int
	fn    func(context.Context, int) (int, error)
	limit int // how many calls may run at once; zero means all
	want  int // the sum of the results
}

func newJob(n, limit int, fn func(context.Context, int) (int, error)) *job {
	j := &job{in: make([]int, n), fn: fn, limit: limit}
	for i := range j.in {
		j.in[i] = i
		v, err := fn(context.Background(), i)
		must(err)
		j.want += v
	}
	return j
}

// consume panics unless out holds the results of all calls, in any order.
func (j *job) consume(out []int, err error) {
	must(err)
	sum := 0
	for _, v := range out {
		sum += v
	}
	j.check(len(out), sum)
}

func (j *job) check(n, sum int) {
	if n != len(j.in) || sum != j.want {
		panic(fmt.Sprintf("gatherbench: %d results with sum %d, want %d with %d", n, sum, len(j.in), j.want))
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func triple(_ context.Context, i int) (int, error) { return 3*i + 1, nil }

// nap is triple after a while.
func nap(ctx context.Context, i int) (int, error) {
	time.Sleep(time.Millisecond)
	return triple(ctx, i)
}

// compute returns a function that computes for about d on an idle processor
// where a step of hash takes perStep nanoseconds. The amount of work is fixed:
// the function never looks at the clock, and takes longer when its processor
// is shared.
func compute(d time.Duration, perStep float64) func(context.Context, int) (int, error) {
	steps := int(float64(d) / perStep)
	return func(_ context.Context, i int) (int, error) {
		return int(hash(uint64(i), steps)), nil
	}
}

// hashStep returns how many nanoseconds a step of hash takes, at best.
func hashStep() float64 {
	const steps = 100_000
	best := math.Inf(1)
	for i := range 50 {
		start := time.Now()
		runtime.KeepAlive(hash(uint64(i), steps))
		best = min(best, float64(time.Since(start))/steps)
	}
	return best
}

// hash is a xorshift generator. Each step needs the one before, so that it
// takes the same time whatever else the processor could do in parallel.
func hash(x uint64, steps int) uint64 {
	x += 88172645463325252
	for range steps {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}
