// Command gateway stands before an HTTP API: it limits each client and all of
// them together, and deals with an API that is slow, fails or is down.
//
// A request goes through a limit for its client, a bulkhead for all, retries and
// a circuit breaker, in this order, and is answered at the first that refuses
// it. There are time-outs everywhere, metrics, two health checks, and a shutdown
// that lets the requests end that are under way:
//
//	go run ./examples/gateway                    # a demo, takes four seconds
//	go run ./examples/gateway -addr :8080 -upstream http://localhost:9000
//	go run ./examples/gateway -addr :8080 -upstream http://localhost:9000 \
//		-rate 5 -burst 10 -at-once 50 -admin localhost:8081 -trust 10.0.0.0/8
//
// Without flags it starts an upstream of its own, which is well, then slow, then
// broken, and some clients with addresses of their own on the loopback interface,
// and shows what each of them got.
//
// What it shows: [httplimit.Middleware] with a [ratelimit.Keyed] for the clients
// and a [ratelimit.Bulkhead] (in gateway.go); [httpretry.Transport] around
// [httpbreaker.Transport], under a reverse proxy, and how their errors become
// answers (in upstream.go); metrics as package expvar has them (in metrics.go);
// how to drain (in serve.go).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
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

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program but for the process around it. It returns the exit
// status; when ctx ends, it drains the gateway and returns.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s, err := parseArgs(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "gateway: %v\nRun it with -h for help.\n", err) // a failure has nowhere to go
		return exitUsage
	}
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	if s.addr == "" {
		err = runDemo(ctx, demoPhase, stdout, logger)
	} else {
		err = listenAndServe(ctx, s, stdout, logger)
	}
	if err != nil {
		logger.Error("gateway failed", "err", err)
		return exitFailed
	}
	return exitOK
}
