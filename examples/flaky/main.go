// Command flaky calls a service that is down from time to time, with and without
// a circuit breaker, and shows what the breaker saves.
//
// It starts an HTTP server on the loopback interface, which is broken in the
// middle of each period, and calls it at a steady rate. Every call is made
// twice, as two clients would make it that know nothing of each other: by one
// that only tries again, and by one that does so through a breaker. What the
// breaker does is printed as it happens; at the end the two stand side by side:
//
//	go run ./examples/flaky                          # takes five seconds
//	go run ./examples/flaky -period 20s -for 8s -rate 200
//
// What it shows of package breaker: the retries go around the breaker, the
// breaker around the request (in flaky.go). A rejected call costs no request,
// and its [breaker.OpenError] says how long to wait, which package retry does.
// Settings.OnChange is told of each change, with what was counted meanwhile (in
// print.go). [breaker.Breaker.Force] makes the breaker of those who do without.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// The exit statuses, as the help tells them.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// errAllFailed ends a run without a call that succeeded.
var errAllFailed = errors.New("every call failed")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program but for the process around it. It returns the exit
// status; when ctx ends, it prints what there is and returns.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s, err := parseArgs(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "flaky: %v\nRun it with -h for help.\n", err) // a failure has nowhere to go
		return exitUsage
	}
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	if err := show(ctx, s, stdout, logger); err != nil {
		logger.Error("flaky failed", "err", err)
		return exitFailed
	}
	return exitOK
}

// show starts the service, and compares how it is called.
func show(ctx context.Context, s settings, stdout io.Writer, logger *slog.Logger) error {
	plan := schedule{start: time.Now(), period: s.period, broken: s.broken}
	demo, err := startDemo(ctx, plan, logger)
	if err != nil {
		return fmt.Errorf("starting the demo: %w", err)
	}
	defer demo.close()
	defer http.DefaultClient.CloseIdleConnections()

	c := &comparison{
		url:     "http://" + demo.address + "/",
		network: http.DefaultTransport,
		policy:  newPolicy(),
		calls:   s.calls(),
		every:   s.every(),
	}
	return c.show(ctx, &printer{w: stdout, plan: plan})
}

// show makes the calls and prints how they went. It returns errAllFailed if none
// succeeded.
func (c *comparison) show(ctx context.Context, out *printer) error {
	out.head(c.url, c.calls, c.every)
	without, with := c.run(ctx, out.change)
	if err := out.table(without, with); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	if ctx.Err() != nil && (without.succeeded < c.calls || with.succeeded < c.calls) {
		return context.Cause(ctx)
	}
	if without.succeeded+with.succeeded == 0 {
		return fmt.Errorf("%w: %w", errAllFailed, with.err)
	}
	return nil
}
