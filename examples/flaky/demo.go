package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// latency is how long the service takes to answer, whether well or badly.
const latency = 4 * time.Millisecond

// schedule says when the service is broken: in the middle of each period.
type schedule struct {
	start  time.Time // of the first period
	period time.Duration
	broken time.Duration // in each period
}

// brokenAt tells whether the service is broken at that time.
func (s schedule) brokenAt(t time.Time) bool {
	at, begin := t.Sub(s.start)%s.period, (s.period-s.broken)/2
	return at >= begin && at < begin+s.broken
}

// service answers well, or that it is out of order, as the schedule says.
type service struct {
	plan   schedule
	logger *slog.Logger
}

// ServeHTTP answers any request.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case <-time.After(latency):
	case <-r.Context().Done():
		return
	}
	if s.plan.brokenAt(time.Now()) {
		http.Error(w, "out of order", http.StatusServiceUnavailable)
		return
	}
	if _, err := io.WriteString(w, "Here you are.\n"); err != nil {
		s.logger.Debug("client gone", "err", err)
	}
}

// demo is the service on the loopback interface.
type demo struct {
	address string
	logger  *slog.Logger
	server  *http.Server
	serving sync.WaitGroup // counts the goroutine that serves
}

// startDemo starts the server. It runs until close, whatever becomes of ctx.
func startDemo(ctx context.Context, plan schedule, logger *slog.Logger) (*demo, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &demo{address: listener.Addr().String(), logger: logger}
	d.server = &http.Server{
		Handler:           &service{plan: plan, logger: logger},
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	d.serving.Go(func() {
		if err := d.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("demo server ended", "err", err)
		}
	})
	return d, nil
}

// close stops the server and waits until it has ended.
func (d *demo) close() {
	if err := d.server.Close(); err != nil {
		d.logger.Warn("closing the demo server", "err", err)
	}
	d.serving.Wait()
}
