package retrybench

import (
	"context"
	"errors"
	"fmt"
)

var errBusy = errors.New("busy")

// A work is what a contender calls: in turn, some failures and a success, whose
// value is the number of attempts so far. The functions that return no value
// leave it in a variable.
//
// Its functions are the same in the forms that contenders ask for. They are
// fields, so that the compiler cannot tell what is called: it would put the
// work into the loop of those that are simple enough, and of no other.
type work struct {
	made     int   // attempts so far
	left     int   // failures until the next success
	failures int   // before each success
	err      error // of a failure
	value    int   // that the last attempt left

	get        func() (int, error)
	getContext func(context.Context) (int, error)
	runContext func(context.Context) error
	runRetries func(context.Context, int) error

	_ [64]byte // keeps the next work off its cache lines
}

func newWork(failures int) *work {
	w := &work{left: failures, failures: failures, err: errBusy}
	w.get = func() (int, error) { return w.attempt() }
	w.getContext = func(context.Context) (int, error) { return w.attempt() }
	w.runContext = func(context.Context) (err error) {
		w.value, err = w.attempt()
		return err
	}
	w.runRetries = func(context.Context, int) (err error) {
		w.value, err = w.attempt()
		return err
	}
	return w
}

func (w *work) attempt() (int, error) {
	w.made++
	if w.left > 0 {
		w.left--
		return 0, w.err
	}
	w.left = w.failures
	return w.made, nil
}

// done ends a loop that has summed up the values. It panics unless the sum is
// right, and all attempts were made that were needed, and no others.
func (w *work) done(sum int) {
	made := calls * (w.failures + 1)
	if want := made * (calls + 1) / 2; w.made != made || sum != want {
		panic(fmt.Sprintf("retrybench: %d attempts with sum %d, want %d with %d", w.made, sum, made, want))
	}
	w.made = 0
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
