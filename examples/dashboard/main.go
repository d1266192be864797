// Command dashboard shows the metrics of several services side by side.
//
// It asks all endpoints at once over HTTP and puts what came into one table. An
// endpoint that fails, or is slow, shows as an error in its own row and costs
// the others nothing:
//
//	go run ./examples/dashboard                  # some servers of its own
//	go run ./examples/dashboard -json            # the same for a program
//	go run ./examples/dashboard -serve :8080     # the same as a web page
//	go run ./examples/dashboard api=http://localhost:9000/metrics db=http://...
//
// Without arguments it starts HTTP servers on the loopback interface, one of
// which fails and one of which never answers, and asks those.
//
// What it shows of package gather: [gather.Map] with [gather.Limit] and
// [gather.TaskTimeout] keeps every outcome in the order of the arguments (in
// dashboard.go), and a [gather.Flight] lets concurrent page loads share one
// round of requests (in serve.go).
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
)

// The exit statuses, as the help tells them.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// errAllFailed ends a run that had nothing to show but errors.
var errAllFailed = errors.New("every part failed")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program but for the process around it. It returns the exit
// status; when ctx ends, it shuts down and returns.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s, err := parseArgs(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "dashboard: %v\nRun it with -h for help.\n", err) // a failure has nowhere to go
		return exitUsage
	}
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	if err := show(ctx, s, stdout, logger); err != nil {
		logger.Error("dashboard failed", "err", err)
		return exitFailed
	}
	return exitOK
}

// show prints or serves the dashboard of the given endpoints, or of the demo's.
func show(ctx context.Context, s settings, stdout io.Writer, logger *slog.Logger) error {
	if len(s.endpoints) == 0 {
		demo, err := startDemo(ctx, logger)
		if err != nil {
			return fmt.Errorf("starting the demo: %w", err)
		}
		defer demo.close(ctx)
		s.endpoints = demo.endpoints
	}

	// The requests have the time-out of their context, too; this one also holds
	// for code that forgets to give them one.
	client := &http.Client{Timeout: s.timeout}
	defer client.CloseIdleConnections()
	d := &dashboard{endpoints: s.endpoints, timeout: s.timeout, client: client}

	if s.serve != "" {
		return serve(ctx, s.serve, d, stdout, logger)
	}
	return printOnce(ctx, d, s.json, stdout)
}

// printOnce fetches all parts and prints them. It returns errAllFailed if there
// was nothing to print but errors.
func printOnce(ctx context.Context, d *dashboard, asJSON bool, stdout io.Writer) error {
	snap, err := d.collect(ctx)
	if err != nil {
		return err
	}
	write := writeText
	if asJSON {
		write = writeJSON
	}
	if err := write(stdout, snap); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	if snap.allFailed() {
		return errAllFailed
	}
	return nil
}
