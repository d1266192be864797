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
//	call again what failed, a few times, politely         →  retry: Do, Run, Policy
//	… in a loop, or until its value is good enough        →  retry: Policy.Tries, Until
//	keep retries from burying a server that is down       →  retry: Budget
//	send HTTP requests that are retried                   →  retry/httpretry: Client
//	stop calling what is down, and try again in time      →  breaker: Do, Settings
//	one breaker for each host, or each tenant             →  breaker: Group
//	stop sending HTTP requests to hosts that are down     →  breaker/httpbreaker: Transport
//	do things at a rate, with bursts                      →  ratelimit: New, All
//	never do more than n in any span of time              →  ratelimit: NewWindow
//	give each user, or address, a rate of its own         →  ratelimit: NewKeyed
//	bound how many are at something at once               →  ratelimit: NewBulkhead
//	… and find out how many are good for it               →  ratelimit: NewAdaptive
//	answer 429 to HTTP clients that ask too often         →  ratelimit/httplimit: Middleware
//	work on a stream of items in stages                   →  pipeline: Map, Filter
//	… with several workers, in order or not               →  pipeline: Workers, Ordered
//	write in batches, count in windows of time            →  pipeline: Batch, Window
//	give one stream to several who use it                 →  pipeline: Broadcast
//	shut a stream down without a loss                     →  pipeline: Until
//	call listeners, and know what became of it            →  pubsub: Emitter
//	tell others of events, and go on                      →  pubsub: Topic
//	… those who want the subject                          →  pubsub: Bus
//	show a page although some of its parts fail           →  examples/dashboard
//	download from a server that is busy, or breaks off    →  examples/fetch
//	see what a breaker saves while a service is down      →  examples/flaky
//	guard an HTTP API, and shut it down politely          →  examples/gateway
//	read, clean and store records from several places     →  examples/etl
//	follow events that never end, and show them live      →  examples/realtime
//	start what follows from an event                      →  examples/users
//	talk to many browsers at once, slow ones among them   →  examples/chat
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
// They also meet in small methods that an error may have, whoever made it: one
// with RetryAfter() time.Duration tells retry how long to wait. A breaker's does
// while it is open, and so a retry goes around a breaker, which goes around the
// call:
//
//	retry.Do(ctx, policy, breaker.Wrap(b, call))
//
// The other way round the breaker would see one failure where there were three,
// and an open one would not be waited for. A rejection is an attempt, too: limit
// such a policy by MaxElapsed, or a deadline, rather than by MaxAttempts.
//
// A rate limit or a bulkhead goes around all of that, so that what is refused
// costs nothing, or around the call alone, so that each attempt counts; its error
// tells how long to wait, too. What waits for its turn, such as a Limiter, has a
// method Wait(context.Context) error, which is all that others need to know: so
// pipeline.Throttle slows a stream down.
//
// What has a loop over values and errors is a stream, such as the events of a
// subscription, which are a source for package pipeline:
//
//	pipeline.FromSeq2(topic.Subscribe(ctx).All())
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
//   - An attempt is one call of a function that may be called again; a retry is
//     an attempt but the first. The delay is what a backoff gives, a hint what a
//     failure asks for, the wait is what comes of them.
//   - A breaker is closed while calls pass, open while they are rejected, and
//     half-open while a few pass as probes. To trip is to open because of calls.
//   - A token is the right to do a thing once; a rate tells how many come in a
//     second, a burst how many there are at most. To reserve is to take tokens
//     that are not there yet.
//   - A stream is items and errors in an order; a source makes them, a stage makes
//     others of them, a sink uses them up.
//   - An event is a value that is published, or emitted, to any number of
//     subscriptions, or listeners. A handler is the function that is called with
//     it. A subscription lags when it has lost events.
//   - To stagger is to start tasks one after another, some time apart; a hedge
//     is a second task that does the same as the first, in case that is slow.
package concert
