package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/seed4886185c/concert/gather"
)

// slack is what a server gets beyond the time that fetching takes: to send the
// answer, and to shut down.
const slack = 10 * time.Second

// serve serves the dashboard on addr until ctx ends, and then lets the requests
// that are under way come to their end. It returns nil after such a shutdown.
func serve(ctx context.Context, addr string, d *dashboard, stdout io.Writer, logger *slog.Logger) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(stdout, "Dashboard on http://%s/\n", listener.Addr()); err != nil {
		return errors.Join(err, listener.Close())
	}

	server := newServer(newHandler(d, logger), logger)
	server.WriteTimeout = d.longest() + slack // it includes the fetching
	served := make(chan error, 1)             // gets the error that ends Serve
	go func() { served <- server.Serve(listener) }()

	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	logger.Info("shutting down", "cause", context.Cause(ctx))
	err = shutDown(ctx, server, d.longest()+slack)
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}

// newServer returns a server that no slow client can hold up for long.
func newServer(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}

// shutDown stops the server and waits up to grace for the requests under way;
// then it cuts them off. It does so although ctx has ended.
func shutDown(ctx context.Context, server *http.Server, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return errors.Join(err, server.Close())
	}
	return nil
}

// handler answers each request with a fresh snapshot.
type handler struct {
	dashboard *dashboard
	logger    *slog.Logger
	flight    gather.Flight[struct{}, snapshot] // one key: there is one dashboard
}

// newHandler returns the routes of the server.
func newHandler(d *dashboard, logger *slog.Logger) http.Handler {
	h := &handler{dashboard: d, logger: logger}
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", h.answer("text/html; charset=utf-8", htmlWriter()))
	mux.Handle("GET /api", h.answer("application/json", writeJSON))
	return mux
}

// answer returns a handler that fetches all parts and writes them with write.
//
// Requests that come while a fetch is under way share it. A client that goes
// away leaves it; when the last one has left, the fetch is cancelled.
func (h *handler) answer(contentType string, write func(io.Writer, snapshot) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		snap, _, err := h.flight.Do(r.Context(), struct{}{}, h.dashboard.collect)
		if r.Context().Err() != nil {
			return // there is nobody to answer
		}
		var body bytes.Buffer // so that an error can still become the answer
		if err == nil {
			err = write(&body, snap)
		}
		if err != nil {
			h.logger.Error("no snapshot", "path", r.URL.Path, "err", err)
			http.Error(w, "The dashboard could not be made.", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "no-store")
		if _, err := body.WriteTo(w); err != nil {
			h.logger.Debug("client gone", "path", r.URL.Path, "err", err)
		}
	}
}
