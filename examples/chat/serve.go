package main

import (
	"context"
	"crypto/sha256"
	_ "embed" // for page.html
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// How long clients get to take what is left, and to agree to the end.
	grace = 5 * time.Second

	// How long requests get, which is for the page, to be answered. Browsers have
	// connections in reserve, for which Server.Shutdown would wait five seconds.
	brief = 500 * time.Millisecond
)

//go:embed page.html
var pageHTML string

// listenAndServe serves a room as the command line says, until ctx ends.
func listenAndServe(ctx context.Context, s settings, stdout io.Writer, logger *slog.Logger) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", s.addr)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(stdout, "Chat on http://%s/\n", listener.Addr()); err != nil {
		return errors.Join(fmt.Errorf("printing: %w", err), listener.Close())
	}
	return newRoom(s.config, logger).serve(ctx, listener)
}

// serve serves the room until ctx ends. It returns when all clients are gone, and
// nil if none had to be cut off.
func (r *room) serve(ctx context.Context, listener net.Listener) error {
	clients, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	server := r.newServer(clients)
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	var serving sync.WaitGroup
	serving.Go(func() { r.count(running) })
	serving.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			stop(err)
		}
	})
	<-running.Done()
	var err error
	if ctx.Err() == nil { // the listener failed
		err = context.Cause(running)
	}
	err = errors.Join(err, r.close(clients, server, cut))
	serving.Wait()
	return err
}

// close ends the connections of all clients: those of a closed Topic read what is
// left, and then say goodbye. Who takes longer than grace is cut off.
//
// The server does not know of connections that have become WebSockets. But when
// close has taken all places, nobody is in the room, and nobody gets in any more.
func (r *room) close(ctx context.Context, server *http.Server, cut func()) error {
	r.logger.Info("closing", "clients", r.places.InUse())
	err := r.events.Close(ctx)
	cutting := time.AfterFunc(grace, cut)
	for range r.maxClients {
		err = errors.Join(err, r.places.Acquire(context.WithoutCancel(ctx)))
	}
	if !cutting.Stop() {
		err = errors.Join(err, errors.New("clients were cut off"))
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), brief)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		err = errors.Join(err, server.Close())
	}
	return err
}

// newServer returns a server that no slow client can hold up for long. Its
// time-outs do not hold for a connection that has become a WebSocket. The contexts
// of requests derive from ctx.
func (r *room) newServer(ctx context.Context) *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", page(pageHTML))
	mux.Handle("GET /room", r)
	return &http.Server{
		Handler:           mux,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(r.logger.Handler(), slog.LevelWarn),
	}
}

// page answers with a page that may run its own script, and talk to this server,
// and nothing else: should a message ever become markup, it can do no harm.
func page(html string) http.HandlerFunc {
	policy := "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
		"script-src " + hashOf(html, "script") + "; style-src " + hashOf(html, "style")
	return func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		_, _ = io.WriteString(w, html) // the client may be gone
	}
}

// hashOf returns the hash of what is in an element, as a policy has it.
func hashOf(html, element string) string {
	_, rest, _ := strings.Cut(html, "<"+element+">")
	inside, _, _ := strings.Cut(rest, "</"+element+">")
	sum := sha256.Sum256([]byte(inside))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
