package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// demo is a set of metrics servers on the loopback interface. Most are well, one
// fails and one never answers.
type demo struct {
	endpoints []endpoint
	logger    *slog.Logger
	servers   []*http.Server
	cancel    context.CancelFunc // ends the contexts of all requests
	serving   sync.WaitGroup     // counts the goroutines that serve
}

// startDemo starts the servers. They run until close, whatever becomes of ctx.
func startDemo(ctx context.Context, logger *slog.Logger) (*demo, error) {
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	d := &demo{logger: logger, cancel: cancel}
	for _, service := range []struct {
		name    string
		handler http.HandlerFunc
	}{
		{"api", d.healthy(map[string]float64{"requests_per_second": 1234.5, "error_rate": 0.01})},
		{"database", d.healthy(map[string]float64{"connections": 42, "queries_per_second": 870.25})},
		{"billing", failing},
		{"queue", d.healthy(map[string]float64{"depth": 17, "oldest_seconds": 3.2})},
		{"search", hanging},
	} {
		if err := d.start(running, service.name, service.handler); err != nil {
			d.close(ctx)
			return nil, err
		}
	}
	return d, nil
}

// start starts one server, whose requests get contexts derived from running.
func (d *demo) start(running context.Context, name string, handler http.Handler) error {
	var config net.ListenConfig
	listener, err := config.Listen(running, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := newServer(handler, d.logger)
	server.WriteTimeout = 0 // the one that hangs may do so for long
	server.BaseContext = func(net.Listener) context.Context { return running }

	d.servers = append(d.servers, server)
	d.endpoints = append(d.endpoints, endpoint{
		name: name,
		url:  &url.URL{Scheme: "http", Host: listener.Addr().String(), Path: "/metrics"},
	})
	d.serving.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			d.logger.Error("demo server ended", "name", name, "err", err)
		}
	})
	return nil
}

// close stops the servers and waits until they have ended.
func (d *demo) close(ctx context.Context) {
	d.cancel()
	for _, server := range d.servers {
		if err := shutDown(ctx, server, time.Second); err != nil {
			d.logger.Warn("closing a demo server", "err", err)
		}
	}
	d.serving.Wait()
}

// healthy returns a handler that answers with the metrics.
func (d *demo) healthy(metrics map[string]float64) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(metrics); err != nil {
			d.logger.Debug("client gone", "err", err)
		}
	}
}

// failing answers that the service is out of order.
func failing(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "out of order", http.StatusServiceUnavailable)
}

// hanging does not answer before its client goes away or the demo is closed.
func hanging(_ http.ResponseWriter, r *http.Request) {
	<-r.Context().Done()
}
