// Command fetch downloads URLs, and tries again where that may help.
//
// It downloads a few at once. What fails for a while, such as a server that is
// overloaded or a connection that breaks, is tried again after a wait. Each
// attempt that is followed by another is printed as it fails; at the end there
// is a line for each URL. A URL that fails costs the others nothing:
//
//	go run ./examples/fetch                      # from a server of its own
//	go run ./examples/fetch https://go.dev/ https://pkg.go.dev/
//	go run ./examples/fetch -attempts 10 -timeout 30s https://...
//
// Without arguments it starts an HTTP server on the loopback interface, which
// answers most requests badly before it answers them well, and downloads from
// that. What comes is counted, not kept.
//
// What it shows of package retry: [httpretry.Transport] goes between a client
// and the network (in fetch.go). A [retry.Policy] is a plain value, so that
// each download has a copy with an OnRetry that knows its URL, while all share
// one [retry.Budget]. A [retry.Error] tells why there was no further attempt
// (in print.go). The downloads run by [gather.Map].
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

// errAllFailed ends a run that downloaded nothing.
var errAllFailed = errors.New("every download failed")

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
		_, _ = fmt.Fprintf(stderr, "fetch: %v\nRun it with -h for help.\n", err) // a failure has nowhere to go
		return exitUsage
	}
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	if err := download(ctx, s, stdout, logger); err != nil {
		logger.Error("fetch failed", "err", err)
		return exitFailed
	}
	return exitOK
}

// download downloads the given targets, or the demo's, and prints how it went.
func download(ctx context.Context, s settings, stdout io.Writer, logger *slog.Logger) error {
	if len(s.targets) == 0 {
		demo, err := startDemo(ctx, logger)
		if err != nil {
			return fmt.Errorf("starting the demo: %w", err)
		}
		defer demo.close()
		if _, err := fmt.Fprintf(stdout, "Downloading from http://%s/\n", demo.address); err != nil {
			return fmt.Errorf("printing: %w", err)
		}
		s.targets = demo.targets()
	}
	defer http.DefaultClient.CloseIdleConnections()

	out := &printer{w: stdout}
	f := &fetcher{policy: s.policy(), total: s.total, base: http.DefaultTransport, onRetry: out.retry}
	results := f.fetchAll(ctx, s.targets)

	if err := out.results(s.targets, results); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	if ctx.Err() != nil && results.Err() != nil {
		return context.Cause(ctx)
	}
	if len(results.Values()) == 0 {
		return errAllFailed
	}
	return nil
}
