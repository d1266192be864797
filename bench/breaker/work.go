package breakerbench

import (
	"context"
	"errors"
	"fmt"
)

var errDown = errors.New("down")

// A work is what a contender calls, and how often. Its value is the number of
// calls so far. The functions that return no value leave it in a variable.
//
// Its functions are the same in the forms that contenders ask for. They are
// fields, so that the compiler cannot tell what is called: it would put the
// work into the loop of those that are simple enough, and of no other.
type work struct {
	calls int   // that a loop is to make
	reach int   // of these, how many a breaker is to let through
	made  int   // those that came through, so far
	err   error // that the functions return
	value int   // that the last call left

	get        func() (int, error)
	getContext func(context.Context) (int, error)
	getAny     func() (any, error)
	run        func() error
	runContext func(context.Context) error

	_ [64]byte // keeps the next work off its cache lines
}

func newWork(calls, reach int, err error) *work {
	w := &work{calls: calls, reach: reach, err: err}
	w.get = func() (int, error) { return w.call() }
	w.getContext = func(context.Context) (int, error) { return w.call() }
	w.getAny = func() (any, error) { return nil, w.leave() } // a value in an any would be on the heap
	w.run = func() error { return w.leave() }
	w.runContext = func(context.Context) error { return w.leave() }
	return w
}

func (w *work) call() (int, error) {
	w.made++
	return w.made, w.err
}

func (w *work) leave() (err error) {
	w.value, err = w.call()
	return err
}

// A tally is what a loop got from its calls.
type tally struct{ sum, failed int }

func (t *tally) add(v int, err error) {
	if err != nil {
		t.failed++
		return
	}
	t.sum += v
}

// check ends a loop of calls that succeed if they come through. It panics unless
// as many came through as should, each brought its value, and the others failed.
func (w *work) check(t tally) {
	want := tally{sum: w.reach * (w.reach + 1) / 2, failed: w.calls - w.reach}
	if w.made != w.reach || t != want {
		panic(fmt.Sprintf("breakerbench: %d calls came through with %+v, want %d with %+v", w.made, t, w.reach, want))
	}
	w.made = 0
}
