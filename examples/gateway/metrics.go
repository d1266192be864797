package main

import (
	"expvar"
	"io"
	"net/http"

	"github.com/seed4886185c/concert/breaker"
)

// What becomes of a request: it is counted as one of these when that is decided.
// There is no count for each client, of which there may be any number.
const (
	good        = "answered_good"       // by the upstream
	bad         = "answered_5xx"        // by the upstream
	late        = "upstream_late"       // 504
	unreachable = "upstream_failed"     // 502
	open        = "breaker_open"        // 503
	full        = "bulkhead_full"       // 503
	limited     = "client_limited"      // 429
	unread      = "client_body_unread"  // 400, 408 and 413
	unknown     = "client_without_addr" // 500
	gone        = "client_gone"         // no answer
)

// outcomes returns all of them.
func outcomes() []string {
	return []string{good, bad, late, unreachable, open, full, limited, unread, unknown, gone}
}

// changed is told of the changes of the breaker, one after the other.
func (g *gateway) changed(c breaker.Change) {
	if c.From == breaker.Closed && c.To == breaker.Open {
		g.opened.Add(1)
	}
	g.logger.Info("breaker changed", "from", c.From, "to", c.To, "failures", c.Counts.Failures, "rejected", c.Counts.Rejected, "err", c.Err)
}

// metrics returns the handler for /debug/vars. The variables are not published,
// which could be done but once in a process: each gateway has its own. What else
// package expvar knows is not shown, such as the command line.
func (g *gateway) metrics() http.Handler {
	vars := new(expvar.Map)
	vars.Set("requests", &g.requests)
	vars.Set("retries", &g.retries)
	vars.Set("bulkhead_in_use", expvar.Func(func() any { return g.bulkhead.InUse() }))
	vars.Set("bulkhead_waiting", expvar.Func(func() any { return g.bulkhead.Waiting() }))
	vars.Set("breaker_state", expvar.Func(func() any { return g.circuit.State().String() }))
	vars.Set("breaker_opened", &g.opened)
	vars.Set("clients", expvar.Func(func() any { return g.clients.Len() }))

	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/vars", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = io.WriteString(w, vars.String()+"\n") // the client may be gone
	})
	return mux
}
