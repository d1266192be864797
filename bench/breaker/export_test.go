package breakerbench

import "context"

const (
	Limit    = limit
	MinCalls = minCalls
)

// A Work is what contenders call.
type Work = work

// A Loop is that of a contender.
type Loop = func(*Work) tally

func NewWork(calls, reach int) *Work { return newWork(calls, reach, nil) }

// Fail sets whether the functions of w fail.
func (w *work) Fail(fail bool) {
	w.err = nil
	if fail {
		w.err = errDown
	}
}

func (w *work) Get() (int, error)     { return w.get() }
func (w *work) Check(sum, failed int) { w.check(tally{sum, failed}) }
func (w *work) Made() int             { return w.made }

// Forms returns all functions of w, in one form.
func (w *work) Forms() []func() (int, error) {
	ctx := context.Background()
	left := func(err error) (int, error) { return w.value, err }
	return []func() (int, error){
		w.get,
		func() (int, error) { return w.getContext(ctx) },
		func() (int, error) { _, err := w.getAny(); return left(err) },
		func() (int, error) { return left(w.run()) },
		func() (int, error) { return left(w.runContext(ctx)) },
	}
}

// Consecutive and Rolling return loops under the names of the contenders, each
// with a new breaker.
func Consecutive() map[string]Loop { return loops(everyone()) }
func Rolling() map[string]Loop     { return loops(rolling()) }

func loops(contenders []contender) map[string]Loop {
	all := map[string]Loop{}
	for _, c := range contenders {
		all[c.name] = c.loop
	}
	return all
}
