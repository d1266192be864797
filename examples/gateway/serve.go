package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// What a client may take to send a request.
	headerTime = 5 * time.Second
	bodyTime   = 10 * time.Second // header included

	// What a server gets beyond the time that a request may take.
	slack = time.Second
)

// longest is how long a request may take from its header on.
func (c *config) longest() time.Duration { return bodyTime + c.patience + c.timeout + slack }

// listenAndServe serves as the command line says, until ctx ends.
func listenAndServe(ctx context.Context, s settings, stdout io.Writer, logger *slog.Logger) error {
	public, admin, err := listen(ctx, s.addr, s.admin)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "Gateway on http://%s/, metrics on http://%s/debug/vars\n", public.Addr(), admin.Addr())
	if err != nil {
		return errors.Join(fmt.Errorf("printing: %w", err), public.Close(), admin.Close())
	}
	return newGateway(s.config, logger).serve(ctx, public, admin)
}

// listen listens on both addresses, or on none.
func listen(ctx context.Context, addr, adminAddr string) (public, admin net.Listener, err error) {
	var config net.ListenConfig
	if public, err = config.Listen(ctx, "tcp", addr); err != nil {
		return nil, nil, err
	}
	if admin, err = config.Listen(ctx, "tcp", adminAddr); err != nil {
		return nil, nil, errors.Join(err, public.Close())
	}
	return public, admin, nil
}

// serve serves requests at public, and metrics at admin, which those outside need
// not reach, until ctx ends. Then it drains the gateway, and returns nil if all
// requests came to their end.
func (g *gateway) serve(ctx context.Context, public, admin net.Listener) error {
	api, metrics := g.newServer(g.handler()), g.newServer(g.metrics())
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer g.network.CloseIdleConnections()

	var serving sync.WaitGroup
	start := func(server *http.Server, listener net.Listener) {
		serving.Go(func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				stop(err)
			}
		})
	}
	start(api, public)
	start(metrics, admin)

	<-running.Done()
	var err error
	if ctx.Err() == nil { // a listener failed
		err = context.Cause(running)
	}
	err = errors.Join(err, g.drain(running, api), metrics.Close()) // to be seen to the end
	serving.Wait()
	return err
}

// drain ends the server in three steps: it says that it is not ready, and waits
// until load balancers have noticed, during which it serves requests as before; it
// stops listening; it waits for the requests under way, as long as they may take,
// and then cuts them off.
//
// All that has to end before the process is killed: Kubernetes, for one, does so
// after 30 seconds.
func (g *gateway) drain(ctx context.Context, server *http.Server) error {
	g.logger.Info("draining", "cause", context.Cause(ctx))
	g.draining.Store(true)
	<-time.After(g.drainDelay)

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.longest()) // ctx has ended
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("requests cut off: %w", err), server.Close())
	}
	g.logger.Info("drained")
	return nil
}

// newServer returns a server that no slow client can hold up for long. The
// contexts of its requests do not derive from that of the program, with which they
// would end.
func (g *gateway) newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       bodyTime,
		WriteTimeout:      g.longest(),
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(g.logger.Handler(), slog.LevelWarn),
	}
}
