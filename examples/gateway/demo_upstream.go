package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// lastPath is the path of the request during which the demo ends.
const lastPath = "/last"

// upstream is the demo's API, a server on the loopback interface.
type upstream struct {
	address string
	moods   []*mood              // in the order in which it gets into them
	now     atomic.Pointer[mood] // one of these
	onLast  func()               // called when there is a request for lastPath

	logger  *slog.Logger
	server  *http.Server
	serving sync.WaitGroup // counts the goroutine that serves
}

// mood is how the upstream is for a while.
type mood struct {
	name    string
	latency time.Duration
	broken  bool

	mu       sync.Mutex // guards the fields below
	requests int
	inFlight int
	most     int // in flight at once
}

// startUpstream starts the server. It runs until close, whatever becomes of ctx.
func startUpstream(ctx context.Context, onLast func(), logger *slog.Logger) (*upstream, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	const quick, slow = 5 * time.Millisecond, 120 * time.Millisecond
	u := &upstream{
		address: listener.Addr().String(),
		moods: []*mood{
			{name: "well", latency: quick},
			{name: "slow", latency: slow},
			{name: "broken", latency: quick, broken: true},
			{name: "well again", latency: quick},
		},
		onLast: onLast,
		logger: logger,
	}
	u.now.Store(u.moods[0])
	u.server = &http.Server{
		Handler:           u,
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	u.serving.Go(func() {
		if err := u.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("the demo's upstream ended", "err", err)
		}
	})
	return u, nil
}

// ServeHTTP answers a request according to the mood.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m := u.now.Load()
	m.enter()
	defer m.leave()
	if r.URL.Path == lastPath {
		u.onLast()
	}
	select {
	case <-time.After(m.latency):
	case <-r.Context().Done():
		return
	}
	if m.broken {
		http.Error(w, "out of order", http.StatusServiceUnavailable)
		return
	}
	if _, err := io.WriteString(w, "Here you are.\n"); err != nil {
		u.logger.Debug("gateway gone", "err", err)
	}
}

// close stops the server and waits until it has ended.
func (u *upstream) close() {
	if err := u.server.Close(); err != nil {
		u.logger.Warn("closing the demo's upstream", "err", err)
	}
	u.serving.Wait()
}

func (m *mood) enter() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
	m.inFlight++
	m.most = max(m.most, m.inFlight)
}

func (m *mood) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inFlight--
}

// seen returns how many requests there were in this mood, and at most at once.
func (m *mood) seen() (requests, most int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.requests, m.most
}
