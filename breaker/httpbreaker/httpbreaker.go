// Package httpbreaker stops sending HTTP requests to hosts that are down.
//
// [Transport] returns an [http.RoundTripper] with a breaker for each host. What
// a breaker sees of a response is whether its status is 5xx, which is a failure;
// of an error, that it is one. Other statuses are successes, 4xx among them: the
// host is up. The time until the header of the response is that of the call;
// what becomes of the body is not looked at.
//
// To retry, put a transport of package httpretry around this one:
//
//	httpretry.Transport(policy, httpbreaker.Transport(hosts, nil))
//
// A request that may be retried then waits for as long as an open breaker says.
// A rejection is an attempt of such a policy, so limit its time rather than its
// attempts.
package httpbreaker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/seed4886185c/concert/breaker"
)

// Transport returns a RoundTripper that sends each request through base, unless
// the breaker for its host rejects it: the error then is a [*breaker.OpenError],
// and the body of the request has been closed. The key of a host is req.URL.Host
// in lower case, with a port if the URL has one; the scheme does not matter. A
// response is returned as it came, whatever its status. A nil base is
// [http.DefaultTransport].
//
// In the Settings of the breakers, Classify gets the context of the request and,
// for a response with a status of 5xx, a [*StatusError], otherwise the error of
// base, also if that is about the request, such as a body that could not be read.
// If none is set, a request whose context its caller cancelled is ignored, and
// one that came too late for a deadline, or the AttemptTimeout of httpretry, is a
// failure.
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

var errNoResponse = errors.New("breaker: the base transport returned no response and no error")

// RoundTrip sends req, unless it is rejected.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL == nil {
		return t.base.RoundTrip(req) // which knows what to say
	}
	var resp *http.Response
	var err error // of base
	sent, returned := false, false
	defer func() {
		switch {
		case !sent && req.Body != nil:
			_ = req.Body.Close() // nothing was read
		case sent && !returned && resp != nil && resp.Body != nil:
			_ = resp.Body.Close() // Classify or OnChange panicked, nobody gets it
		}
	}()
	b := t.hosts.Get(strings.ToLower(req.URL.Host))
	rejected := breaker.Run(req.Context(), b, func(context.Context) error {
		sent = true
		resp, err = t.base.RoundTrip(req)
		switch {
		case err != nil:
		case resp == nil:
			err = errNoResponse
		case resp.StatusCode/100 == 5:
			return &StatusError{Code: resp.StatusCode}
		}
		return err
	})
	returned = true
	if !sent {
		return nil, rejected
	}
	return resp, err
}

// CloseIdleConnections passes the call on to the base transport, for
// http.Client.CloseIdleConnections.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
