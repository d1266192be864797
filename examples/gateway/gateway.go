package main

import (
	"context"
	"errors"
	"expvar"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed4886185c/concert/breaker"
	"github.com/seed4886185c/concert/ratelimit"
	"github.com/seed4886185c/concert/ratelimit/httplimit"
	"github.com/seed4886185c/concert/retry"
)

// config says what a gateway lets through, and how.
type config struct {
	upstream *url.URL       // its host in lower case
	trusted  []netip.Prefix // of proxies that tell for whom they ask

	rate       ratelimit.Rate // of each client
	burst      int            // of each client
	maxClients int            // that are told apart at the same time

	atOnce   int           // requests of all clients
	queue    int           // requests that wait for others to end
	patience time.Duration // for which they do

	timeout time.Duration    // for each request, with all attempts
	retry   retry.Policy     // within that
	breaker breaker.Settings // for each attempt

	drainDelay time.Duration
}

// gateway is what stands before the upstream.
type gateway struct {
	config

	logger   *slog.Logger
	clients  *ratelimit.Keyed[string]
	bulkhead *ratelimit.Bulkhead
	circuit  *breaker.Breaker       // the one of circuits
	circuits *breaker.Group[string] // by host, as httpbreaker wants it
	network  *http.Transport        // to the upstream
	draining atomic.Bool            // set once, by drain

	requests expvar.Map // how many, by outcome
	retries  expvar.Int // how many
	opened   expvar.Int // how often circuit did that had been closed
}

// newGateway returns a gateway. It starts nothing.
func newGateway(c config, logger *slog.Logger) *gateway {
	g := &gateway{
		config:   c,
		logger:   logger,
		clients:  ratelimit.NewKeyed[string](c.rate, c.burst, c.maxClients),
		bulkhead: ratelimit.NewBulkhead(c.atOnce, c.queue),
		network:  newNetwork(c),
	}
	g.retry.OnRetry = func(context.Context, retry.Attempt) { g.retries.Add(1) }
	g.breaker.OnChange = g.changed
	g.circuits = breaker.NewGroup(1, func(string) breaker.Settings { return g.breaker })
	g.circuit = g.circuits.Get(c.upstream.Host)
	for _, o := range outcomes() {
		g.requests.Add(o, 0) // so that all of them are shown from the beginning
	}
	return g
}

// handler returns what answers all requests: those of health checks by itself,
// whatever else is going on, others in the order of the things in the way.
//
// There is no ServeMux around it all, which would answer /a//b with a redirect
// to /a/b, where it is for the upstream to say what that is.
func (g *gateway) handler() http.Handler {
	health, api := g.health(), g.limit(g.buffer(g.admit(g.forward())))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/health/") {
			health.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
}

// limit answers 429 to a client that asks too often. It comes first: what it
// refuses costs next to nothing, and takes no place from other clients.
func (g *gateway) limit(next http.Handler) http.Handler {
	return httplimit.Middleware(ratelimit.StoreOf(g.clients), httplimit.ByIP(g.trusted...), httplimit.Options{
		Policy:       "client",
		StoreTimeout: -1, // the store is in this process
		OnLimited:    func(*http.Request, ratelimit.Result) { g.requests.Add(limited, 1) },
		OnFailure: func(r *http.Request, err error) {
			g.requests.Add(unknown, 1)
			g.logger.Error("no client address", "remote", r.RemoteAddr, "err", err)
		},
	})(next)
}

// admit lets so many requests through at once. The others wait, in their order,
// but not for long: an answer that comes quickly is worth more, even if it is 503,
// and the time for the request itself only begins when it is let in.
//
// A request keeps its place until its answer is sent, retries and all.
func (g *gateway) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), g.patience)
		err := g.bulkhead.Acquire(ctx)
		cancel()
		switch {
		case err == nil:
			defer g.bulkhead.Release() // also when next panics, as it does if an answer breaks off
			next.ServeHTTP(w, r)
		case errors.Is(err, context.Canceled):
			g.refuse(w, gone, http.StatusServiceUnavailable, 0) // nobody reads it
		default:
			g.refuse(w, full, http.StatusServiceUnavailable, 0) // nobody knows for how long
		}
	})
}

// refuse counts a request and answers it, in the form that httplimit uses, too.
// If it is known when to come back, the answer tells so, in whole seconds: rounded
// up, as sooner is of no use.
func (g *gateway) refuse(w http.ResponseWriter, outcome string, status int, after time.Duration) {
	g.requests.Add(outcome, 1)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if after > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((after+time.Second-1)/time.Second), 10))
	}
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "{\"title\":%q,\"status\":%d}\n", http.StatusText(status), status) // the client may be gone
}
