// Package concert is a library of concurrency patterns, one to a package.
//
// The packages are independent: none imports another, and each can be used
// alone. This one holds no code; it is the map.
//
//	I want to …                                           →  package
//	run tasks at once, keep every value and every error   →  gather: All, Map, Keyed
//	stop at the first failure                             →  gather: FailFast
//	have at most n of them run at once                    →  gather: Limit
//	work through a long or endless sequence               →  gather: Stream
//	add tasks while others run                            →  gather: Group
//	take the first answer, hedge slow requests            →  gather: First, Stagger
//	ask all replicas, be content with most                →  gather: Quorum
//	load a thing once for all who ask for it meanwhile    →  gather: Flight
//	show a page although some of its parts fail           →  examples/dashboard
//
// # Composition
//
// The packages meet in one signature, that of a function which may be
// cancelled and may fail:
//
//	func(context.Context) (T, error)
//
// What takes such a function calls it, or returns another one of the same
// form, so that one goes into the other without either package knowing of it.
// A method value, a closure and an API client's call all fit.
//
// # Vocabulary
//
// The documentation uses these words in one sense only.
//
//   - A task is a call of such a function. It is started once it runs; until
//     then it waits, or is never run.
//   - A result is what a task came to: a value, an error, or both. A panic and
//     a call of [runtime.Goexit] are results too, in the form of errors.
//   - A context has ended when its Done channel is closed; why is its cause,
//     as [context.Cause] returns it. Where a call ends because its context has,
//     the error matches, by [errors.Is], the context's Err and its cause.
//   - To cancel a task is to end its context. It is the task's part to return.
//   - A task is abandoned when nobody waits for it any more although it runs.
//   - The limit is how many tasks may run at once. A task in flight is started
//     and its result not yet taken.
//   - To stagger is to start tasks one after another, some time apart; a hedge
//     is a second task that does the same as the first, in case that is slow.
package concert
