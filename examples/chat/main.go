// Command chat is a chat room for web browsers.
//
// A page talks to the server over a WebSocket. Those who come see what was said
// before they came; those who are slow miss messages, are told how many, and hold
// up nobody; those who are gone without a word are noticed. Beside the messages,
// the page shows some numbers of the server, anew each second:
//
//	go run ./examples/chat                       # then open the address it prints
//	go run ./examples/chat -addr :8080 -origin chat.example.com -max-clients 100
//
// It is for those who trust each other: a name is what somebody says it is, and
// two may say the same. Others can read along, unless a proxy makes it HTTPS.
//
// What it shows of package pubsub: a [pubsub.Topic] with [pubsub.Replay] for the
// messages, and one for the numbers (in room.go); a subscription with
// [pubsub.DropOldest] for each client, read by a loop over All, which tells by a
// [pubsub.LaggedError] what it has missed (in client.go); Close, which lets all
// loops read to the end, and so ends all connections (in serve.go). From package
// ratelimit, a [ratelimit.Bulkhead] counts the clients, and a [ratelimit.Limiter]
// slows each of them down.
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
	"path"
	"syscall"
)

// The exit statuses, as the help tells them.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

const usage = `Usage: chat [flags]

Serves a chat room, as a web page, until a SIGTERM or an interrupt. Then it says so
to all clients, and ends within some seconds. A second signal ends it at once.

Exit status: 0 if it was shut down by a signal; 1 if it could not serve, or had to
cut clients off; 2 if the command line is wrong.

Flags:
`

// settings is what the command line says.
type settings struct {
	addr string // to serve on
	config
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program but for the process around it. It returns the exit
// status; when ctx ends, it closes the room and returns.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s, err := parseArgs(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "chat: %v\nRun it with -h for help.\n", err) // a failure has nowhere to go
		return exitUsage
	}
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	if err := listenAndServe(ctx, s, stdout, logger); err != nil {
		logger.Error("chat failed", "err", err)
		return exitFailed
	}
	return exitOK
}

// parseArgs reads the command line. Asked for help, it writes that and returns
// flag.ErrHelp.
func parseArgs(args []string, help io.Writer) (settings, error) {
	s := settings{config: defaultConfig()}
	flags := flag.NewFlagSet("chat", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the caller reports errors
	flags.StringVar(&s.addr, "addr", "127.0.0.1:8080", "serve on `address`")
	flags.IntVar(&s.maxClients, "max-clients", s.maxClients, "how many `clients` there may be at once")
	flags.Func("origin", "let pages of `host` connect, too, such as *.example.com; may be repeated", func(arg string) error {
		_, err := path.Match(arg, "")
		s.origins = append(s.origins, arg)
		return err
	})

	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			_, _ = fmt.Fprint(help, usage) // as PrintDefaults, which tells no error either
			flags.SetOutput(help)
			flags.PrintDefaults()
		}
		return settings{}, err
	}
	if flags.NArg() > 0 {
		return settings{}, fmt.Errorf("argument %q: want only flags", flags.Arg(0))
	}
	if s.maxClients < 1 || s.maxClients > 100_000 {
		return settings{}, fmt.Errorf("-max-clients %d: want 1 or more and at most 100000", s.maxClients)
	}
	return s, nil
}
