package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net/url"
	"time"

	"github.com/seed4886185c/concert/retry"
)

const (
	defaultAttempts = 4
	defaultTimeout  = 10 * time.Second
	defaultTotal    = time.Minute
	maxTime         = time.Hour
	defaultBudget   = 0.2

	// A few URLs are too few to earn retries by their number.
	freeRetriesPerSecond = 1
)

const usage = `Usage: fetch [flags] [url ...]

Downloads the URLs, a few at once, and tells how it went; what comes is counted,
not kept. It tries again after the statuses 429, 502, 503 and 504, after a
connection that broke, and when there was no answer in time. Without URLs it
starts a server on the loopback interface, which answers most requests badly
before it answers them well, and downloads from that.

Exit status: 0 if anything was downloaded, also with some URLs failing; 1 if
every URL failed, or a signal came before the end; 2 if the command line is
wrong.

The password of a user:password@ is masked in what is printed.

Flags:
`

// settings is what the command line says.
type settings struct {
	targets  []target      // none for the demo
	attempts int           // at most, for each target
	timeout  time.Duration // for each attempt
	total    time.Duration // for each target
	budget   float64       // retries for each target, on average
}

// parseArgs reads the command line. Asked for help, it writes that and returns
// flag.ErrHelp.
func parseArgs(args []string, help io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("fetch", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the caller reports errors
	flags.IntVar(&s.attempts, "attempts", defaultAttempts, "how often to try each URL")
	flags.DurationVar(&s.timeout, "timeout", defaultTimeout, "how long to wait for the answer to each attempt")
	flags.DurationVar(&s.total, "total", defaultTotal, "how long each URL may take, with all attempts and waits")
	flags.Float64Var(&s.budget, "budget", defaultBudget,
		"how many retries to make for each URL on average, a `ratio`; ten in ten seconds are free")

	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			_, _ = fmt.Fprint(help, usage) // as PrintDefaults, which tells no error either
			flags.SetOutput(help)
			flags.PrintDefaults()
		}
		return settings{}, err
	}
	if s.attempts < 1 {
		return settings{}, fmt.Errorf("-attempts %d: want 1 or more", s.attempts)
	}
	if s.timeout <= 0 || s.timeout > maxTime {
		return settings{}, fmt.Errorf("-timeout %v: want more than 0 and at most %v", s.timeout, maxTime)
	}
	if s.total <= 0 || s.total > maxTime {
		return settings{}, fmt.Errorf("-total %v: want more than 0 and at most %v", s.total, maxTime)
	}
	if !(s.budget >= 0) || math.IsInf(s.budget, 1) { // as NaN is not
		return settings{}, fmt.Errorf("-budget %v: want 0 or more", s.budget)
	}
	for _, arg := range flags.Args() {
		u, err := parseURL(arg)
		if err != nil {
			return settings{}, fmt.Errorf("argument %q: %w", arg, err)
		}
		s.targets = append(s.targets, target{name: u.Redacted(), url: u})
	}
	return s, nil
}

// parseURL reads one argument.
func parseURL(arg string) (*url.URL, error) {
	u, err := url.Parse(arg)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("want a URL that begins with http:// or https://, after the flags")
	}
	if u.Hostname() == "" {
		return nil, errors.New("the URL has no host")
	}
	return u, nil
}

// policy returns how to retry: for each target a copy, the budget for all.
func (s settings) policy() retry.Policy {
	return retry.Policy{
		MaxAttempts:    s.attempts,
		AttemptTimeout: s.timeout,
		Backoff:        retry.Exponential(50*time.Millisecond, 5*time.Second).FullJitter(),
		Budget:         retry.NewBudget(s.budget, freeRetriesPerSecond),
	}
}
