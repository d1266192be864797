package main

import (
	"io"
	"net/http"
)

// health returns the handler for /health/live and /health/ready. They are part of
// the same server as everything else, so that they tell whether that is reached.
func (g *gateway) health() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health/live", live)
	mux.HandleFunc("GET /health/ready", g.ready)
	return mux
}

// live tells that the process runs. Whoever asks restarts it if it does not
// answer, and so it looks at nothing that a restart would not mend.
func live(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, "live\n") // the client may be gone
}

// ready tells whether to send requests here: not while the gateway drains.
//
// That the breaker is open does not matter. The other gateways find the upstream
// down, too: were none of them ready, a load balancer would have nobody left to
// ask, and clients would get its errors, where each gateway answers at once and
// says when to come back. And a breaker needs requests as probes: one that is sent
// none never finds out that the upstream is well again.
//
// That the bulkhead is full does not matter either: it is for a moment, and those
// who ask are told 503.
func (g *gateway) ready(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if g.draining.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "draining\n")
		return
	}
	_, _ = io.WriteString(w, "ready\n") // the client may be gone
}
