// Package httpretry retries HTTP requests as a retry.Policy says.
//
// [Client] returns an [http.Client] that retries, [Transport] an
// [http.RoundTripper] for a client that has more to it. A request is sent
// again
//
//   - if it could not be sent or was not answered: no connection, a connection
//     that broke, no response within AttemptTimeout;
//   - if the response has the status 429, 502, 503 or 504, see [Statuses].
//
// Not every request: its method has to be idempotent, see [Methods], and its
// body, if it has one, has to come with GetBody, as that of
// [http.NewRequest] with a [bytes.Reader], [bytes.Buffer] or [strings.Reader]
// does. Bodies are not buffered. Other requests are sent once, with
// AttemptTimeout but without the rest of the Policy.
//
// A response that asks for it by a Retry-After header, in seconds or as a
// date, sets the wait before the next attempt.
//
// # Results
//
// When there is no further attempt, the last response is returned as it came,
// with its body to be read and closed and a nil error: a client sees what it
// would see without retries, and is not told the reason. How often the request
// was sent to this address is what retry.AttemptFrom(resp.Request.Context())
// tells. A response that is followed by a wait is drained, so that its connection
// can be used again, as far as 64 KiB and 100 ms reach, and closed.
//
// Where there is no response to return, because the last attempt brought none or
// the wait after it was the end, and where the context has ended before a
// response that would have been retried, there is an error: that of the last
// attempt if it was the first and is not to be retried, otherwise a
// [*retry.Error]. An attempt that took longer than AttemptTimeout fails with an
// error that matches [context.DeadlineExceeded].
//
// # Concurrency
//
// Clients and transports may be used concurrently. All attempts are made in
// the goroutine of the request.
//
// # Not for
//
// Requests without a limit of time: where neither AttemptTimeout nor the
// context of the request sets one, nobody gives up a server that never
// answers; and without MaxDelay or a deadline, one that asks for a wait of a day
// gets it.
package httpretry

import (
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/seed4886185c/concert/retry"
)

// Client returns a client that sends each request as p says. It is an
// http.Client whose Transport is Transport(p, nil, opts...). Its Timeout, if
// it is set, covers all attempts and the waits between them. A request that is
// redirected is retried at each address anew.
func Client(p retry.Policy, opts ...Option) *http.Client {
	return &http.Client{Transport: Transport(p, nil, opts...)}
}

// Transport returns a RoundTripper that sends each request through base as p
// says. A nil base is [http.DefaultTransport].
//
// In the Policy, AttemptTimeout limits the time from the beginning of an
// attempt to the header of its response; the body may be read for longer.
// RetryIf and OnRetry see, instead of a response to be retried, a
// [*StatusError]. RetryIf cannot make more responses be retried than
// [Statuses] tells. A certificate that does not verify, and a server that does
// not speak TLS, end the call; all other errors of base are retried, an unknown
// host among them.
//
// Where base is of net/http, it may send a request a second time by itself, if a
// connection that it used again turns out to be closed; the Policy knows nothing
// of that. Request.Cancel, which is deprecated, ends an attempt, not the call.
//
// Closing idle connections is passed on to base. Transport panics if p is not
// valid.
func Transport(p retry.Policy, base http.RoundTripper, opts ...Option) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	retry.Wrap(p, func(context.Context) (any, error) { return nil, nil }) // checks p
	t := &transport{
		base: base, policy: p, timeout: p.AttemptTimeout,
		methods:  []string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete},
		statuses: []int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout},
	}
	t.policy.AttemptTimeout = 0
	if p.MaxElapsed == 0 {
		t.policy.MaxElapsed = math.MaxInt64 // no limit, and Error.Elapsed is that of the whole call
	}
	for _, o := range opts {
		if o.set != nil {
			o.set(t)
		}
	}
	return t
}

// An Option changes which requests are retried. The zero Option changes nothing.
type Option struct{ set func(*transport) }

// Methods lists all methods that are retried, in the place of those that are
// idempotent: GET, HEAD, OPTIONS, TRACE, PUT and DELETE. Methods are in upper
// case. A request with an Idempotency-Key or X-Idempotency-Key header is retried
// in any case. Of several Methods the last counts.
func Methods(m ...string) Option {
	m = slices.Clone(m)
	return Option{func(t *transport) { t.methods = m }}
}

// Statuses lists all status codes that are retried, in the place of 429, 502,
// 503 and 504. Of several Statuses the last counts.
func Statuses(codes ...int) Option {
	codes = slices.Clone(codes)
	return Option{func(t *transport) { t.statuses = codes }}
}

type transport struct {
	base     http.RoundTripper
	policy   retry.Policy  // without AttemptTimeout
	timeout  time.Duration // AttemptTimeout, for the header alone
	methods  []string
	statuses []int
}

// RoundTrip sends req until an attempt succeeds or the policy ends the call.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	x := &exchange{transport: t, req: req}
	defer x.close()
	p := t.policy
	if t.retries(req) {
		p.OnRetry = func(ctx context.Context, a retry.Attempt) {
			x.giveUp()
			if t.policy.OnRetry != nil {
				t.policy.OnRetry(ctx, a)
			}
		}
	} else {
		p = retry.Policy{RetryIf: func(error) bool { return false }}
	}
	err := retry.Run(req.Context(), p, x.attempt)
	if end, ok := errors.AsType[*retry.Error](err); ok && end.Reason != nil && errors.Is(end.Reason, context.Cause(req.Context())) {
		return nil, err // the body of a response could not be read any more
	}
	if resp := x.take(); resp != nil {
		return resp, nil
	}
	return nil, err
}

// retries reports whether req may be sent more than once.
func (t *transport) retries(req *http.Request) bool {
	if req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return false
	}
	method := req.Method
	if method == "" {
		method = http.MethodGet
	}
	// The two headers are those that net/http takes for the same.
	_, key := req.Header["Idempotency-Key"]
	_, xkey := req.Header["X-Idempotency-Key"]
	return key || xkey || slices.Contains(t.methods, method)
}

// CloseIdleConnections passes the call on to the base transport, for
// http.Client.CloseIdleConnections.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
