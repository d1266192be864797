package pipelinebench

import (
	"context"
	"fmt"
	"time"
)

// A job is the work of one scenario: what is to be done with every item of in.
// The functions are there in two forms: for those who pass on contexts and
// errors, and for those who do not. The compiler inlines neither.
type job struct {
	in      []int
	workers int // how many calls of fn may run at once

	fn        func(context.Context, int) (int, error)
	plainFn   func(int) int
	keep      func(context.Context, int) (bool, error)
	plainKeep func(int) bool

	kept, mapped, raw tally // of in: what is even of what fn makes of it; that; it
}

// newJob returns the job to triple n integers.
func newJob(n, workers int) *job {
	j := &job{
		in: make([]int, n), workers: workers,
		fn: triple, plainFn: plainTriple, keep: even, plainKeep: plainEven,
	}
	for i := range j.in {
		j.in[i] = i
		j.raw = j.raw.add(i)
		v := plainTriple(i)
		j.mapped = j.mapped.add(v)
		if plainEven(v) {
			j.kept = j.kept.add(v)
		}
	}
	return j
}

// A tally is what has come of the items.
type tally struct {
	n, sum int
	hash   int // depends on the order
}

func (t tally) add(v int) tally { return tally{t.n + 1, t.sum + v, 31*t.hash + v} }

// check panics unless t is what fn makes of the items, in any order.
func (j *job) check(t tally) {
	if t.n != j.mapped.n {
		panic(fmt.Sprintf("pipelinebench: %d items, want %d", t.n, j.mapped.n))
	}
	checkSum(t.sum, j.mapped.sum)
}

// checkOrder panics unless t is what fn makes of the items, in their order.
func (j *job) checkOrder(t tally) {
	j.check(t)
	checkHash(t.hash, j.mapped.hash)
}

func checkSum(sum, want int) {
	if sum != want {
		panic(fmt.Sprintf("pipelinebench: the sum is %d, want %d", sum, want))
	}
}

func checkHash(hash, want int) {
	if hash != want {
		panic("pipelinebench: the items are not in order")
	}
}

// batches is what has come of the items in batches of which all are full.
type batches struct {
	n   int
	all tally
}

// add leaves out a batch without items.
func (b batches) add(items []int) batches {
	if len(items) == 0 {
		return b
	}
	b.n++
	for _, v := range items {
		b.all = b.all.add(v)
	}
	return b
}

// checkBatches panics unless b is the items themselves, in order, in as few
// batches as can be.
func (j *job) checkBatches(b batches) {
	if want := (len(j.in) + batchSize - 1) / batchSize; b.n != want {
		panic(fmt.Sprintf("pipelinebench: %d batches, want %d", b.n, want))
	}
	checkSum(b.all.sum, j.raw.sum)
	checkHash(b.all.hash, j.raw.hash)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func triple(_ context.Context, v int) (int, error) { return 3*v + 1, nil }

func plainTriple(v int) int { return 3*v + 1 }

// nap is triple after a while.
func nap(ctx context.Context, v int) (int, error) {
	time.Sleep(time.Millisecond)
	return triple(ctx, v)
}

func plainNap(v int) int {
	time.Sleep(time.Millisecond)
	return plainTriple(v)
}

func even(_ context.Context, v int) (bool, error) { return v%2 == 0, nil }

func plainEven(v int) bool { return v%2 == 0 }

func plus(sum, v int) int { return sum + v }
