package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"time"

	"github.com/seed4886185c/concert/breaker"
	"github.com/seed4886185c/concert/gather"
)

// demoPhase is for how long the upstream is in each of its moods.
const demoPhase = 800 * time.Millisecond

// errDemoOver ends the demo's gateway, as a signal would another one.
var errDemoOver = errors.New("the demo is over")

// demoConfig returns a config with times so short that all happens within a phase.
func demoConfig(upstream *url.URL) config {
	c := defaultConfig()
	c.upstream = upstream
	c.rate, c.burst = 25, 10
	c.atOnce, c.queue, c.patience = 4, 4, 50*time.Millisecond
	c.retry.MaxDelay = 50 * time.Millisecond
	c.breaker = breaker.Settings{
		Name:    "upstream",
		Trip:    breaker.Rate(0.5, 10, 500*time.Millisecond),
		OpenFor: 250 * time.Millisecond,
	}
	c.drainDelay = 100 * time.Millisecond
	return c
}

// demo is a run of the demo.
type demo struct {
	phase    time.Duration
	upstream *upstream
	clients  []*client
	gateway  *gateway
	url      string // of the gateway
	last     int    // the status of the request that was under way at the end
}

// runDemo has some clients ask a gateway, while its upstream goes through its
// moods, for the time of phase each, and prints what became of that.
func runDemo(ctx context.Context, phase time.Duration, stdout io.Writer, logger *slog.Logger) error {
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	up, err := startUpstream(ctx, func() { stop(errDemoOver) }, logger)
	if err != nil {
		return fmt.Errorf("starting the upstream: %w", err)
	}
	defer up.close()
	public, admin, err := listen(ctx, "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("starting the gateway: %w", err)
	}
	d := &demo{
		phase: phase, upstream: up, clients: newClients(),
		gateway: newGateway(demoConfig(&url.URL{Scheme: "http", Host: up.address}), logger),
		url:     "http://" + public.Addr().String(),
	}
	served := make(chan error, 1) // gets what serve returns
	go func() { served <- d.gateway.serve(running, public, admin) }()

	err = d.run(ctx)
	stop(errDemoOver) // if the last request has not
	if err := errors.Join(err, <-served); err != nil {
		return err
	}
	if err := d.print(stdout); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

// run makes the requests of all clients, and then the one during which the gateway
// is told to end.
func (d *demo) run(ctx context.Context) error {
	defer func() {
		for _, c := range d.clients {
			c.network.CloseIdleConnections()
		}
	}()
	for _, m := range d.upstream.moods {
		d.upstream.now.Store(m)
		results := gather.Map(ctx, d.clients, func(ctx context.Context, c *client) (struct{}, error) {
			return struct{}{}, c.run(ctx, d.url+"/", d.phase)
		})
		if err := results.Err(); err != nil {
			return err
		}
	}
	var err error
	d.last, err = d.clients[0].get(ctx, d.url+lastPath)
	return err
}
