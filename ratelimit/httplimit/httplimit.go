// Package httplimit limits HTTP requests, at the server and at the client.
//
// [Middleware] is for servers: it takes a token from a [ratelimit.Store] for
// each request, by a key such as the client's address ([ByIP]) or its API key
// ([ByHeader]), and answers 429 Too Many Requests when there is none.
// [Transport] is for clients: it waits before it sends a request.
//
// # Fields
//
// A response to a request that was judged, whether or not it was let through,
// has two fields, which follow the [draft of the IETF], version 11:
//
//	RateLimit-Policy: "default";q=100;w=60
//	RateLimit: "default";r=50;t=30
//
// q is [ratelimit.Result.Limit], w Window, and r Remaining. t is the time until
// there will be more: until what was denied may happen; until the next token, if
// there are none left; otherwise until the limit is full again. The time until
// the next token is reckoned from Window and Limit, for a bucket that fills
// evenly. Times are in whole seconds, rounded up, so that a client that waits for
// so long is never too early. w is left out if there is no limit or nothing ever
// comes, t if it will never be. Both fields are lists: each of several
// Middlewares adds its policy to them, and a handler, before which they are set,
// may add its own.
//
// The answer 429 has a Retry-After field, which equals t, and is left out with
// it. Its body is of the type application/problem+json, and the type of the
// problem is the draft's quota-exceeded. No answer of a Middleware is to be
// stored by a cache.
//
// # Several limits
//
// Middlewares may share a store, and may be put around one another; give each a
// name, by Options.Policy. The outer one takes its token also if the inner one
// then denies the request: put the one outside that should count all of them. For
// a limit of all requests together, use a key function that returns the same key
// for each. While a store is down, each request waits for StoreTimeout before
// Fallback is asked: put a circuit breaker into such a store.
//
// # Concurrency
//
// Middlewares, their handlers, transports and key functions may be used
// concurrently. All functions and the store are called in the goroutine of the
// request, and may panic or call [runtime.Goexit]: nothing is held. Time comes
// from package time, so that everything runs in a testing/synctest bubble.
//
// # Not for
//
// The limit of what a server does at once, which is a bulkhead; nor protection
// against floods: a request that is denied has been received.
//
// [draft of the IETF]: https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/11/
package httplimit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/seed4886185c/concert/ratelimit"
)

// Options are what a [Middleware] does beyond taking one token for each request.
// The zero Options are valid.
type Options struct {
	// Policy is the name of the limit in the fields, by which those of several
	// Middlewares are told apart. It consists of printable ASCII characters.
	// Empty means "default".
	Policy string

	// Cost tells how many tokens a request takes. At 0 the request is let
	// through, and the fields tell what there is. One that costs more than the
	// limit is denied, with no Retry-After. A negative cost is a failure, which
	// is answered with 500. Nil means 1.
	Cost func(*http.Request) int

	// Shadow lets all requests through, those without a key among them, and adds
	// no fields, so that clients see no difference. Tokens are taken and the
	// functions called all the same.
	Shadow bool

	// OnError tells what becomes of a request when the store failed, and
	// Fallback too, if there is one.
	OnError OnError

	// Fallback is asked when the store failed, such as a limiter of this process
	// when that of all cannot be reached. It has a StoreTimeout of its own.
	Fallback ratelimit.Store

	// StoreTimeout limits, by the context, the time that the store may take. A
	// store that does not keep to its context takes as long as it takes. Zero
	// means 100 ms. Negative means no limit, which saves a timer where the store
	// has no need for one, as that of ratelimit.StoreOf.
	StoreTimeout time.Duration

	// XHeaders adds the fields X-RateLimit-Limit, X-RateLimit-Remaining and
	// X-RateLimit-Reset, which are q, r and t: Reset is in seconds from now.
	// They are no lists: what an inner Middleware tells takes the place of what
	// an outer one told.
	XHeaders bool

	// OnLimited is called with each request that is denied, and in the shadow
	// mode with each that would be, before it is answered.
	OnLimited func(*http.Request, ratelimit.Result)

	// OnFailure is called with each error: of the key function, of a negative
	// cost, of the store, and of Fallback. It wraps theirs. Without it, nobody
	// notices with FailOpen that the store is down.
	OnFailure func(*http.Request, error)
}

// OnError tells what becomes of a request when the store failed.
type OnError int

const (
	// FailOpen lets the request through, without fields.
	FailOpen OnError = iota

	// FailClosed answers 503 Service Unavailable.
	FailClosed
)

// defaultTimeout is the StoreTimeout of those who set none.
const defaultTimeout = 100 * time.Millisecond

// Middleware returns what puts a limit before a handler. For each request it
// takes a token from store by the key that the key function returns; if there is
// one, the handler gets the request and the ResponseWriter as they came,
// otherwise the answer is 429.
//
// Without a key there is no limit to ask, and the handler does not run. If the
// error of the key function matches [ErrNoKey], the answer is 400 Bad Request,
// otherwise 500 Internal Server Error; the text of the error is not shown. A key
// that is empty or longer than 256 bytes counts as none: a client cannot make the
// store keep what it likes, and those who forgot something do not share a bucket
// by chance.
//
// When the store fails, the Options tell what is done. If the context of the
// request has ended by then, that is no failure, and OnFailure is not called: the
// handler does not run, and the answer, if anyone is there to read it, is 503.
//
// Middleware panics if store or key is nil, or the Options are not valid; the
// function that it returns panics if the handler is nil.
func Middleware(store ratelimit.Store, key KeyFunc, o Options) func(http.Handler) http.Handler {
	switch {
	case store == nil:
		panic("ratelimit: httplimit.Middleware without a store")
	case key == nil:
		panic("ratelimit: httplimit.Middleware without a key function")
	case o.OnError != FailOpen && o.OnError != FailClosed:
		panic(fmt.Sprintf("ratelimit: httplimit.Middleware with OnError %d", o.OnError))
	}
	if o.StoreTimeout == 0 {
		o.StoreTimeout = defaultTimeout
	}
	l := &limit{Options: o, store: store, key: key, policy: newPolicy(o.Policy)}
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("ratelimit: httplimit.Middleware around no handler")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if status := l.judge(w.Header(), r); status != 0 && !l.Shadow {
				l.policy.answer(w, status)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// A limit is what a Middleware puts before handlers.
type limit struct {
	Options

	store  ratelimit.Store
	key    KeyFunc
	policy policy
}

// judge returns the status of the answer to r, or 0 if the handler is to run. It
// adds the fields to h, if there is anything to tell.
func (l *limit) judge(h http.Header, r *http.Request) int {
	key, n, err := l.ask(r)
	if err != nil {
		l.failed(r, err)
		if errors.Is(err, ErrNoKey) {
			return http.StatusBadRequest
		}
		return http.StatusInternalServerError
	}
	res, ok := l.take(r, key, n)
	switch {
	case ok:
	case l.OnError == FailClosed || r.Context().Err() != nil:
		return http.StatusServiceUnavailable
	default:
		return 0
	}
	if !l.Shadow {
		l.policy.addFields(h, res, l.XHeaders)
	}
	if res.OK {
		return 0
	}
	if l.OnLimited != nil {
		l.OnLimited(r, res)
	}
	return http.StatusTooManyRequests
}

// ask returns the key of r and what it costs.
func (l *limit) ask(r *http.Request) (string, int, error) {
	key, err := l.key(r)
	if err == nil {
		err = checkKey(key)
	}
	if err != nil {
		return "", 0, fmt.Errorf("ratelimit: httplimit: the key function: %w", err)
	}
	if l.Cost == nil {
		return key, 1, nil
	}
	n := l.Cost(r)
	if n < 0 {
		return "", 0, fmt.Errorf("ratelimit: httplimit: a cost of %d", n)
	}
	return key, n, nil
}

// take takes n tokens from the store, or if that fails, from Fallback. It reports
// false if it has no Result.
func (l *limit) take(r *http.Request, key string, n int) (ratelimit.Result, bool) {
	res, err := l.takeFrom(l.store, r, key, n)
	if err == nil {
		return res, true
	}
	if r.Context().Err() != nil {
		return res, false
	}
	l.failed(r, fmt.Errorf("ratelimit: httplimit: the store: %w", err))
	if l.Fallback == nil {
		return res, false
	}
	res, err = l.takeFrom(l.Fallback, r, key, n)
	if err != nil && r.Context().Err() == nil {
		l.failed(r, fmt.Errorf("ratelimit: httplimit: the fallback: %w", err))
	}
	return res, err == nil
}

// takeFrom takes n tokens from s, within StoreTimeout.
func (l *limit) takeFrom(s ratelimit.Store, r *http.Request, key string, n int) (ratelimit.Result, error) {
	ctx := r.Context()
	if l.StoreTimeout > 0 {
		limited, cancel := context.WithTimeout(ctx, l.StoreTimeout)
		defer cancel()
		ctx = limited
	}
	return s.Take(ctx, key, n)
}

// failed tells of err.
func (l *limit) failed(r *http.Request, err error) {
	if l.OnFailure != nil {
		l.OnFailure(r, err)
	}
}
