package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"

	"github.com/seed4886185c/concert/breaker"
	"github.com/seed4886185c/concert/breaker/httpbreaker"
	"github.com/seed4886185c/concert/retry"
	"github.com/seed4886185c/concert/retry/httpretry"
)

// newNetwork returns the connections to the upstream.
func newNetwork(c config) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = c.atOnce, c.atOnce // not two: there is but one host
	t.DisableCompression = true                                // answers go on as they are
	return t
}

// forward passes requests on to the upstream: retries around the breaker, which
// judges each attempt, around the network. The time-out is for it all.
func (g *gateway) forward() http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite:        g.rewrite,
		Transport:      httpretry.Transport(g.retry, httpbreaker.Transport(g.circuits, g.network)),
		ModifyResponse: g.answered,
		ErrorHandler:   g.failed,
		ErrorLog:       slog.NewLogLogger(g.logger.Handler(), slog.LevelWarn),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), g.timeout)
		defer cancel()
		proxy.ServeHTTP(w, r.WithContext(ctx))
	})
}

// rewrite makes the request to the upstream.
func (g *gateway) rewrite(r *httputil.ProxyRequest) {
	r.SetURL(g.upstream)
	if len(g.trusted) > 0 { // otherwise there is nothing in it but what clients make up
		r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
	}
	r.SetXForwarded()
	r.Out.Header.Del("Connection") // no change of the protocol: what follows
	r.Out.Header.Del("Upgrade")    // would not end with the request
}

// answered counts an answer of the upstream. It is passed on as it is: with the
// last attempt's status, and its Retry-After, if there is one.
func (g *gateway) answered(resp *http.Response) error {
	if resp.StatusCode >= http.StatusInternalServerError {
		g.requests.Add(bad, 1)
	} else {
		g.requests.Add(good, 1)
	}
	return nil
}

// failed answers a request for which there is no answer of the upstream.
func (g *gateway) failed(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(r.Context().Err(), context.Canceled) {
		g.refuse(w, gone, http.StatusServiceUnavailable, 0) // nobody reads it
		return
	}
	if rejected, ok := errors.AsType[*breaker.OpenError](last(err)); ok {
		g.refuse(w, open, http.StatusServiceUnavailable, rejected.RetryAfter()) // negative if nobody knows
		return
	}
	outcome, status := unreachable, http.StatusBadGateway
	if t, ok := errors.AsType[timeout](err); ok && t.Timeout() {
		outcome, status = late, http.StatusGatewayTimeout
	}
	g.logger.Warn("no answer", "method", r.Method, "path", r.URL.Path, "err", err)
	g.refuse(w, outcome, status, 0)
}

// timeout is an error that may be about one, such as a [retry.Error].
type timeout interface {
	error
	Timeout() bool
}

// last returns the error of the last attempt. The whole of err also matches those
// of earlier ones, such as a rejection by a breaker that has let the last one
// through.
func last(err error) error {
	if e, ok := errors.AsType[*retry.Error](err); ok && len(e.Errs) > 0 {
		return e.Errs[len(e.Errs)-1]
	}
	return err
}
