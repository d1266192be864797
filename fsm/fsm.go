// Package fsm runs state machines that stay correct under concurrency.
//
// A [Builder] collects the states and the rules of a kind of machine, and its
// Build checks them and makes a [Definition], which never changes. Any number
// of instances share one: a [Machine] is a pointer to it, a state, and data.
// Closures in a Definition are shared, too; what belongs to one instance travels
// in its data.
//
// An [Event] has a name and a payload with a type. Fire a machine's event with
// [Machine.Fire], or [FireWith] if it has a payload, or by name with
// [Machine.FireNamed]; to go on while it happens, take [Machine.Send] or
// [SendWith].
//
// States may be nested. A machine is always in a leaf, and so in all states
// around that. A rule of an outer state holds in all of its inner states, where
// those have no rule that comes first. To enter a state that has children is to
// enter the first of them, and so on down to a leaf.
//
// One event is one step, in this order: guards; Choose; exit handlers, from the
// leaf up to the innermost state that is not left; the actions of the rule;
// entry handlers down to the new leaf. If all of them succeed, the step is
// committed: state, data, version and timers change at once. If one fails, none
// does. What handlers have done elsewhere is not undone; what must only happen
// after a commit is for observers, or for an event that the handler raises.
//
// A [Snapshot] is all there is to know of a machine, and [Definition.Restore]
// makes it a machine again, in this process or another.
//
// # Concurrency
//
// All methods of Machine and Definition may be called at any time by any
// goroutine, also by handlers and observers, but for [Machine.Close]. No
// function is called with a lock held. Steps of one machine come one after the
// other, each in the goroutine of its caller, in the order in which they came.
//
// A handler or an observer that fires an event of its own machine with the
// context that it is given gets [ErrReentrant], where it would otherwise wait
// for itself; with another context it does wait, for ever. It raises events
// instead: see [Tx.Raise]. Those run after the commit, and before the events of
// others. Machines that fire each other's events from handlers may wait for each
// other.
//
// Time is package time's, so that everything here runs in a testing/synctest
// bubble.
//
// # Errors
//
// A refusal is a [*RefusedError], which matches [ErrRefused]: it tells the
// state, the event, the guards that said no, and what is permitted. A handler
// that returns an error, panics or calls [runtime.Goexit] makes a
// [*HandlerError]; after Goexit, the goroutine ends as it has to, and the machine
// goes on. Each caller gets what became of its own event. The errors of events
// that no one waits for, those raised and timed, go to observers.
//
// When a context ends before an event has begun, the cause is returned: the
// error matches that and the context's. Once it has begun, it is for handlers to
// look at the context. After the commit, Fire returns nil.
//
// # Not for
//
// Regions that are in several states at a time: take several machines. History
// states. Workflows that go on for days over several processes: take an engine,
// such as Temporal.
package fsm

import "context"

// An Action is what a state does on entry or exit. An error, a panic or
// [runtime.Goexit] ends the step, and nothing is committed.
//
// The context is that of the caller of Fire; for a timed event, it is
// [context.Background]. It tells the machine whose handler it is: see
// [ErrReentrant].
type Action[S comparable, D any] = func(ctx context.Context, tx *Tx[S, D]) error
