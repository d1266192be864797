// Package httpbreaker stops sending HTTP requests to hosts that are down.
//
// [Transport] returns an [http.RoundTripper] with a breaker for each host. What
// a breaker sees of a response is whether its status is 5xx, which is a failure;
// of an error, that it is one. Other statuses are successes, 4xx among them: the
// host is up. The time until the header of the response is that of the call;
// what becomes of the body is not looked at.
//
// To retry, put a transport of package httpretry around this one: it waits for
// as long as a breaker says, and does not count what was never sent against the
// host.
package httpbreaker

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/seed4886185c/concert/breaker"
)

// Transport returns a RoundTripper that sends each request through base, unless
// the breaker for its host, which is req.URL.Host with its port, rejects it: the
// error then is a [*breaker.OpenError], and the body of the request has been
// closed. A response is returned as it came, whatever its status. A nil base is
// [http.DefaultTransport].
//
// In the Settings of the breakers, Classify gets the context of the request and,
// for a response with a status of 5xx, a [*StatusError]. If none is set, a
// request that its caller cancelled is ignored, and one that came too late for a
// deadline is a failure.
//
// The RoundTripper may be used concurrently, and so may several with the same
// hosts. Closing idle connections is passed on to base. Transport panics if
// hosts is nil.
func Transport(hosts *breaker.Group[string], base http.RoundTripper) http.RoundTripper {
	if hosts == nil {
		panic("breaker: httpbreaker.Transport without a group")
	}
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{hosts: hosts, base: base}
}

// A StatusError stands for a response with a status of 5xx. Classify and
// breaker.Change have it; a client does not see it.
type StatusError struct {
	Code int // such as 503
}

// Error tells the status.
func (e *StatusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("httpbreaker: status %d %s", e.Code, http.StatusText(e.Code)))
}

type transport struct {
	hosts *breaker.Group[string]
	base  http.RoundTripper
}

// RoundTrip sends req, unless it is rejected.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	var resp *http.Response
	var err error // of base
	sent := false
	rejected := breaker.Run(req.Context(), t.hosts.Get(req.URL.Host), func(context.Context) error {
		sent = true
		resp, err = t.base.RoundTrip(req)
		if err == nil && resp != nil && resp.StatusCode >= 500 {
			return &StatusError{Code: resp.StatusCode}
		}
		return err
	})
	if sent {
		return resp, err
	}
	if req.Body != nil {
		_ = req.Body.Close() // nothing was read
	}
	return nil, rejected
}

// CloseIdleConnections passes the call on to the base transport, for
// http.Client.CloseIdleConnections.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
