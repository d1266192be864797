package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/seed4886185c/concert/pipeline"
)

// The shop is quiet for a time and then busy, again and again.
const (
	quietTime = 2500 * time.Millisecond
	busyTime  = 1500 * time.Millisecond
	quietRate = 100 // orders in each second
	busyRate  = 500

	perQuiet  = int(quietTime * quietRate / time.Second) // orders
	perPeriod = perQuiet + int(busyTime*busyRate/time.Second)

	badEvery = 83  // of so many orders one is malformed
	cutEvery = 777 // with one of so many the connection breaks

	pace = 20 * time.Millisecond
)

// happened returns how many orders there are in a time.
func happened(d time.Duration) int {
	rest := d % (quietTime + busyTime)
	return int(d/(quietTime+busyTime))*perPeriod +
		int(min(rest, quietTime)*quietRate/time.Second) +
		int(max(rest-quietTime, 0)*busyRate/time.Second)
}

// demoEvent returns an event by its number, as it is on the wire. It is the same
// each time, so that a connection may go on where another broke.
func demoEvent(n int) string {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	busy := n%perPeriod >= perQuiet
	regions := []string{"eu-west", "us-east", "asia", "africa", "oceania"}
	region := regions[min(int(1.2*rng.ExpFloat64()), len(regions)-1)]
	millis, failing := 20+rng.ExpFloat64()*30, 0.01
	if busy {
		millis, failing = 4*millis, 0.3
	}
	data := fmt.Sprintf(`{"region": %q, "cents": %d, "ms": %.0f, "failed": %t}`,
		region, 500+rng.IntN(10_000), millis, rng.Float64() < failing)
	if n%badEvery == badEvery-1 {
		data = data[:len(data)/2]
	}
	return fmt.Sprintf("id: %d\ndata: %s\n\n", n, data)
}

// demo is the shop, a server on the loopback interface.
type demo struct {
	url     string
	start   time.Time
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
	d := &demo{url: "http://" + listener.Addr().String() + "/orders", start: time.Now(), logger: logger}
	d.server = &http.Server{
		Handler:           d,
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

// ServeHTTP streams the orders as they happen: those after the last one that the
// client has, or if it has none, those from now on.
func (d *demo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	first := happened(time.Since(d.start))
	if last, err := strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 30); err == nil {
		first = int(last) + 1
	}
	w.Header().Set("Content-Type", "text/event-stream")
	stream := http.NewResponseController(w)
	n := first
	for _, err := range pipeline.Ticks(pace).All(r.Context()) {
		for ; n < happened(time.Since(d.start)); n++ {
			text := demoEvent(n)
			cut := n%cutEvery == cutEvery-1 && n != first
			if cut {
				text = text[:len(text)/2]
			}
			if _, err := fmt.Fprint(w, text); err != nil {
				return
			}
			if cut {
				_ = stream.Flush() // the client may be gone
				panic(http.ErrAbortHandler)
			}
		}
		if err != nil || stream.Flush() != nil {
			return // the client is gone
		}
	}
}

// close stops the server and waits until it has ended.
func (d *demo) close() {
	if err := d.server.Close(); err != nil {
		d.logger.Warn("closing the demo server", "err", err)
	}
	d.serving.Wait()
}
