package httplimit

import (
	"context"
	"net/http"
)

// A Waiter makes those who call it wait for their turn, such as a
// [ratelimit.Limiter] or a [ratelimit.Multi].
type Waiter interface {
	Wait(ctx context.Context) error
}

// Transport returns a RoundTripper that waits for w, with the context of the
// request, and then sends the request through base. If Wait returns an error,
// the request is not sent, its body is closed, and the error is returned as it
// came. A nil base is [http.DefaultTransport].
//
// A redirect is a request of its own. To retry, put a transport of package
// httpretry around this one:
//
//	httpretry.Transport(policy, httplimit.Transport(limiter, nil))
//
// Each attempt then waits for its turn, which is part of AttemptTimeout.
//
// The RoundTripper may be used concurrently, and so may several with the same
// Waiter. Closing idle connections is passed on to base. Transport panics if w is
// nil.
func Transport(w Waiter, base http.RoundTripper) http.RoundTripper {
	if w == nil {
		panic("ratelimit: httplimit.Transport without a waiter")
	}
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{waiter: w, base: base}
}

type transport struct {
	waiter Waiter
	base   http.RoundTripper
}

// RoundTrip sends req when its turn has come.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	sent := false // req.Body belongs to base
	defer func() {
		if !sent && req.Body != nil {
			_ = req.Body.Close() // nothing was read
		}
	}()
	if err := t.waiter.Wait(req.Context()); err != nil {
		return nil, err
	}
	sent = true
	return t.base.RoundTrip(req)
}

// CloseIdleConnections passes the call on to the base transport, for
// http.Client.CloseIdleConnections.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
