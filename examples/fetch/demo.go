package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// demo is a server on the loopback interface. Its answers are bad at first, each
// path's in a way of its own, and then good; only /gone stays as it is.
type demo struct {
	address string
	logger  *slog.Logger
	server  *http.Server
	serving sync.WaitGroup // counts the goroutine that serves
}

// startDemo starts the server. It runs until close, whatever becomes of ctx.
func startDemo(ctx context.Context, logger *slog.Logger) (*demo, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &demo{address: listener.Addr().String(), logger: logger}
	d.server = &http.Server{
		Handler:           d.routes(),
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	// When a connection breaks that was used before, the client's transport
	// sends the request again by itself, and there would be nothing to show.
	d.server.SetKeepAlivesEnabled(false)
	d.serving.Go(func() {
		if err := d.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("demo server ended", "err", err)
		}
	})
	return d, nil
}

// routes returns the handler for all paths.
func (d *demo) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /fine", d.fine)
	mux.HandleFunc("GET /busy", d.after(1, busy))
	mux.HandleFunc("GET /down", d.after(2, down))
	mux.HandleFunc("GET /torn", d.after(1, d.tear))
	mux.HandleFunc("GET /gone", http.NotFound)
	return mux
}

// targets returns what there is to download, named by path.
func (d *demo) targets() []target {
	var targets []target
	for _, path := range []string{"/fine", "/busy", "/down", "/torn", "/gone"} {
		u := &url.URL{Scheme: "http", Host: d.address, Path: path}
		targets = append(targets, target{name: path, url: u})
	}
	return targets
}

// close stops the server and waits until it has ended.
func (d *demo) close() {
	if err := d.server.Close(); err != nil {
		d.logger.Warn("closing the demo server", "err", err)
	}
	d.serving.Wait()
}

// fine answers well.
func (d *demo) fine(w http.ResponseWriter, _ *http.Request) {
	if _, err := io.WriteString(w, "Here you are.\n"); err != nil {
		d.logger.Debug("client gone", "err", err)
	}
}

// after returns a handler that answers with bad n times and then with fine.
func (d *demo) after(n int64, bad http.HandlerFunc) http.HandlerFunc {
	var requests atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) <= n {
			bad(w, r)
			return
		}
		d.fine(w, r)
	}
}

// busy answers that there were too many requests, and when to come back.
func busy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", "1") // second
	http.Error(w, "too many at once", http.StatusTooManyRequests)
}

// down answers that the service is out of order.
func down(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "out of order", http.StatusServiceUnavailable)
}

// tear resets the connection instead of answering.
func (d *demo) tear(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		d.logger.Error("no connection to tear", "err", err)
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		err = tcp.SetLinger(0) // Close then drops the connection without the usual farewell
	}
	if err := errors.Join(err, conn.Close()); err != nil {
		d.logger.Debug("tearing a connection", "err", err)
	}
}
