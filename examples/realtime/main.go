// Command realtime follows a stream of orders and shows what comes in, in windows
// of time, while it comes.
//
// It reads server-sent events, connects again where the stream breaks, leaves out
// events that are malformed, and prints a line for each region and window. At the
// same time it watches the share of orders that fail, and raises an alert:
//
//	go run ./examples/realtime                   # a demo, takes eight seconds
//	go run ./examples/realtime -for 1m -window 5s
//	go run ./examples/realtime -url https://shop.example.com/orders
//	tail -f orders.ndjson | go run ./examples/realtime -url -
//
// On a terminal the table is drawn anew in its place. Ctrl-C ends the reading, and
// what has been read is still shown: in the end the numbers add up.
//
// What it shows of package pipeline: [pipeline.Broadcast] to two sinks, one made
// of [pipeline.Window] and [pipeline.GroupBy], the other of [pipeline.Sliding] and
// [pipeline.Debounce]; [pipeline.SkipErrors] for events and [pipeline.Recover] for
// the source, so that neither takes away what came before (in realtime.go);
// [pipeline.Until] and [pipeline.Generate] for a source that can be stopped (in
// source.go); [pipeline.Ticks] as the clock of a server (in demo.go). When to
// connect again is what package retry decides.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
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

const (
	defaultWindow = time.Second
	demoLength    = 8 * time.Second
)

const usage = `Usage: realtime [flags]

Follows a stream of orders, and prints how many there were, and what became of
them, by region and window of time. It prints an alert when many of them fail.

The stream is one of server-sent events; status 204 is its end. With -url - it is
the standard input, a line for each event. Without -url it comes from a server on
the loopback interface, for eight seconds. An event is an order, in JSON:

  {"region": "eu-west", "cents": 1250, "ms": 42, "failed": false}

Exit status: 0 if the stream, the time or a signal ended it; 1 if the stream could
not be read to its end; 2 if the command line is wrong.

Flags:
`

// settings is what the command line says.
type settings struct {
	url    string // of the stream, "-" for the standard input, or empty for the demo
	window time.Duration
	length time.Duration // of the run, or 0
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program but for the process around it. It returns the exit
// status; when ctx ends, it reads no more, prints what there is and returns.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	s, err := parseArgs(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "realtime: %v\nRun it with -h for help.\n", err) // a failure has nowhere to go
		return exitUsage
	}
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	if err := follow(ctx, s, stdin, stdout, logger); err != nil {
		logger.Error("realtime failed", "err", err)
		return exitFailed
	}
	return exitOK
}

// follow follows the given stream, or the demo's, and prints how it went.
func follow(ctx context.Context, s settings, stdin io.Reader, stdout io.Writer, logger *slog.Logger) error {
	if s.url == "" {
		demo, err := startDemo(ctx, logger)
		if err != nil {
			return fmt.Errorf("starting the demo: %w", err)
		}
		defer demo.close()
		s.url = demo.url
		if s.length == 0 {
			s.length = demoLength
		}
	}
	if s.length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.length)
		defer cancel()
	}
	m := &monitor{screen: newScreen(stdout), window: s.window}
	source := fromLines(stdin)
	if s.url != "-" {
		source = fromServer(http.DefaultClient, s.url, m.reconnect)
	}
	err := m.run(ctx, source)
	if _, printErr := io.WriteString(stdout, m.summary()); err == nil && printErr != nil {
		err = fmt.Errorf("printing: %w", printErr)
	}
	return err
}

// parseArgs reads the command line. Asked for help, it writes that and returns
// flag.ErrHelp.
func parseArgs(args []string, help io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("realtime", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the caller reports errors
	flags.StringVar(&s.url, "url", "", "the `URL` of the stream, or - for the standard input")
	flags.DurationVar(&s.window, "window", defaultWindow, "how long each window lasts")
	flags.DurationVar(&s.length, "for", 0, "how long to follow the stream; 0 means to its end, or eight seconds of the demo")

	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			_, _ = fmt.Fprint(help, usage) // as PrintDefaults, which tells no error either
			flags.SetOutput(help)
			flags.PrintDefaults()
		}
		return settings{}, err
	}
	u, err := url.Parse(s.url)
	switch {
	case err != nil:
		return settings{}, fmt.Errorf("-url: %w", err)
	case s.url != "" && s.url != "-" && (u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == ""):
		return settings{}, fmt.Errorf("-url %q: want a URL such as http://host/path, or -", s.url)
	case s.window <= 0:
		return settings{}, fmt.Errorf("-window %v: want more than 0", s.window)
	case s.length < 0:
		return settings{}, fmt.Errorf("-for %v: want 0 or more", s.length)
	case flags.NArg() > 0:
		return settings{}, fmt.Errorf("argument %q: want only flags", flags.Arg(0))
	}
	return s, nil
}
