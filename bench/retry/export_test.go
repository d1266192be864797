package retrybench

import "context"

const (
	Attempts = attempts
	Calls    = calls
)

// A Work is what contenders call.
type Work = work

func NewWork(failures int) *Work { return newWork(failures) }

func (w *work) Get() (int, error) { return w.get() }
func (w *work) Done(sum int)      { w.done(sum) }
func (w *work) Made() int         { return w.made }

// Forms returns all functions of w, in one form.
func (w *work) Forms() []func() error {
	ctx := context.Background()
	return []func() error{
		func() error { _, err := w.get(); return err },
		func() error { _, err := w.getContext(ctx); return err },
		func() error { return w.runContext(ctx) },
		func() error { return w.runRetries(ctx, 0) },
	}
}

// Loops returns the loops of all contenders under their names.
func Loops() map[string]func(*Work) {
	loops := map[string]func(*Work){}
	for _, c := range everyone() {
		loops[c.name] = c.loop
	}
	return loops
}
