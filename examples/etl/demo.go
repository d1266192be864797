package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// demo is APIs and services on the loopback interface, and a directory with files.
type demo struct {
	sources          []target
	rates, customers *url.URL
	dir              string
	logger           *slog.Logger
	servers          []*http.Server
	serving          sync.WaitGroup // counts the goroutines that serve
}

// startDemo starts the servers and writes the files. They are there until close,
// whatever becomes of ctx.
func startDemo(ctx context.Context, logger *slog.Logger) (*demo, error) {
	d := &demo{logger: logger}
	if err := d.start(ctx); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// start starts one thing after the other. What it began when it fails, close ends.
func (d *demo) start(ctx context.Context) (err error) {
	if d.dir, err = os.MkdirTemp("", "etl-"); err != nil {
		return err
	}
	for _, f := range []struct {
		name    string
		content []byte
	}{
		{"east.json", jsonFile(demoRecords("E"))},
		{"west.csv", csvFile(demoRecords("W"))},
	} {
		name := filepath.Join(d.dir, f.name)
		if err := os.WriteFile(name, f.content, 0o600); err != nil {
			return err
		}
		d.sources = append(d.sources, target{name: name})
	}
	for _, api := range []http.Handler{
		d.pages(demoRecords("N")),
		flaky(d.pages(demoRecords("S"))),
	} {
		u, err := d.serve(ctx, "/orders", api)
		if err != nil {
			return err
		}
		d.sources = append(d.sources, target{name: u.String(), url: u})
	}
	if d.rates, err = d.serve(ctx, "/rates", http.HandlerFunc(d.rate)); err != nil {
		return err
	}
	d.customers, err = d.serve(ctx, "/customers", http.HandlerFunc(d.customer))
	return err
}

// serve starts a server and returns the URL of the only path that it has.
func (d *demo) serve(ctx context.Context, path string, handler http.Handler) (*url.URL, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+path, handler)
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          slog.NewLogLogger(d.logger.Handler(), slog.LevelWarn),
	}
	d.servers = append(d.servers, server)
	d.serving.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			d.logger.Error("demo server ended", "err", err)
		}
	})
	return &url.URL{Scheme: "http", Host: listener.Addr().String(), Path: path}, nil
}

// settings returns those of the command line with the demo's sources, and unless
// it names a database, with one that is gone when the demo is.
func (d *demo) settings(s settings) settings {
	s.sources, s.rates, s.customers = d.sources, d.rates, d.customers
	if s.db == "" && s.dsn == "" {
		s.db = filepath.Join(d.dir, "orders.db")
	}
	return s
}

// close stops the servers, waits until they have ended, and removes the files.
func (d *demo) close() {
	for _, server := range d.servers {
		if err := server.Close(); err != nil {
			d.logger.Warn("closing a demo server", "err", err)
		}
	}
	d.serving.Wait()
	if err := os.RemoveAll(d.dir); err != nil {
		d.logger.Warn("removing the demo's files", "err", err)
	}
}
