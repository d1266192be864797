// Command users is a service at which people sign up, and what happens then:
// that is written into an audit trail, they get a profile, and a welcome mail,
// which fails for some.
//
// It starts an HTTP server on the loopback interface, signs up the addresses on
// the command line, or some of its own, and shuts down. No mail leaves the
// program; those to a domain that ends in .invalid fail:
//
//	go run ./examples/users
//	go run ./examples/users -mail 2s ann@example.com bob@nowhere.invalid
//
// What it shows of package pubsub, in users.go: an [pubsub.Emitter] with a limit
// of 1 calls what the answer to the request has to wait for, in order, and its
// error says what of that failed. A [pubsub.Topic] does the rest later; its
// Publish is one of the listeners. A listener that fails disturbs no other. At
// the end the requests come first, then Close waits until all is done that was
// begun, and says what failed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// The exit statuses, as the help tells them.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// drainTime is what the shutdown may take.
const drainTime = 30 * time.Second

const usage = `Usage: users [flags] [address ...]

Signs up mail addresses at a service on the loopback interface, and shows what
that sets off. Mail to a domain that ends in .invalid fails.

Exit status: 0 if all went well; 1 if anything failed, or a signal came before
the end; 2 if the command line is wrong.

Flags:
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program but for the process around it. It returns the exit
// status; when ctx ends, it signs up nobody any more, and shuts down.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("users", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		_, _ = fmt.Fprint(stderr, usage) // as PrintDefaults, which tells no error either
		flags.PrintDefaults()
	}
	takes := flags.Duration("mail", 100*time.Millisecond, "how long it takes to send a mail")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitOK
	} else if err != nil {
		return exitUsage
	}
	emails := flags.Args()
	if len(emails) == 0 {
		emails = []string{"ann@example.com", "bob@nowhere.invalid", "cid@example.com", "dan@example.com"}
	}
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	if err := show(ctx, emails, sender(*takes), stdout, logger); err != nil {
		logger.Error("users failed", "err", err)
		return exitFailed
	}
	return exitOK
}

// sender returns a function that acts as if it sent a mail.
func sender(takes time.Duration) func(ctx context.Context, to string) error {
	return func(ctx context.Context, to string) error {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if strings.HasSuffix(to, ".invalid") {
			return fmt.Errorf("%s: no such domain", to)
		}
		return nil
	}
}

// show starts the service, signs up the addresses, shuts down, and prints what
// has come of it.
func show(ctx context.Context, emails []string, send func(context.Context, string) error, stdout io.Writer, logger *slog.Logger) error {
	var trail strings.Builder
	s := newService(&trail, send, logger)
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s.handler(), ReadTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	url := "http://" + listener.Addr().String() + "/users"
	for _, email := range emails {
		status, e := signUp(ctx, url, email)
		if err = errors.Join(err, e); e != nil {
			break
		}
		_, e = fmt.Fprintf(stdout, "%s: %s\n", email, status)
		err = errors.Join(err, e)
	}
	http.DefaultClient.CloseIdleConnections()

	// First the requests, which publish, then what they have published.
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	err = errors.Join(err, server.Shutdown(drain), s.close(drain))
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	profiles, mails := s.done()
	_, e := fmt.Fprintf(stdout, "Shut down: %d profiles, %d mails sent. Audit trail:\n%s", profiles, mails, trail.String())
	return errors.Join(err, e)
}

// signUp asks the service for a new user, and returns the status of its answer.
func signUp(ctx context.Context, url, email string) (string, error) {
	body, err := json.Marshal(user{Email: email})
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(string(body)))
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return response.Status, errors.Join(err, response.Body.Close())
}
