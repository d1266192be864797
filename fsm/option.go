package fsm

import "context"

// An Option is one of [Observe], [HistorySize] and [ManualTimers].
type Option struct {
	observe any // a func(context.Context, Transition[S])
	history int
	manual  bool
}

// Observe has f called after each commit, and with the errors of raised and
// timed events, before the call that made it returns. Several observers are
// called in their order, in the goroutine of the step.
//
// S is the type of the machine's states; with another, Start panics. It panics
// if f is nil.
//
// The context is as that of a handler. An observer cannot alter what has
// happened: if it panics, the other observers and the history get a Transition
// with a [*HandlerError]; if it calls [runtime.Goexit], the goroutine ends after
// the step. While it runs, the events of others wait.
func Observe[S comparable](f func(context.Context, Transition[S])) Option {
	if f == nil {
		panic("fsm: Observe with a nil function")
	}
	return Option{observe: f}
}

// HistorySize lets a machine keep its last n transitions for
// [Machine.History]. It panics if n is negative.
func HistorySize(n int) Option {
	if n < 0 {
		panic("fsm: HistorySize of less than 0")
	}
	return Option{history: n}
}

// ManualTimers lets timers not fire by themselves: their deadlines are in
// snapshots, and [Machine.FireDue] fires them. It is for machines that live
// only as long as one event, and elsewhere as snapshots.
func ManualTimers() Option { return Option{manual: true} }
