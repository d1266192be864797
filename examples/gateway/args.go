package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/seed4886185c/concert/breaker"
	"github.com/seed4886185c/concert/ratelimit"
	"github.com/seed4886185c/concert/retry"
)

const usage = `Usage: gateway -addr address -upstream url [flags]
       gateway

Passes HTTP requests on to the upstream, some of them. A client that asks too
often gets 429; everybody gets 503 while too many requests are under way, or
while the upstream is known to be down; 502 and 504 if it fails. A request that
may be repeated is tried up to three times. Bodies of requests may have 1 MiB;
connections that switch to another protocol are not passed on.

/health/live is 200 while the process runs. /health/ready is 200 until a SIGTERM
or an interrupt; then the gateway waits for a moment, stops listening, lets the
requests end that are under way, and ends. A second signal ends it at once.

Without flags it shows all that by itself, with clients at 127.0.0.2 and so on;
some systems want to be told of these addresses first.

Exit status: 0 if it was shut down by a signal, or the demo came to its end; 1 if
it could not serve, or had to cut requests off; 2 if the command line is wrong.

Flags:
`

// settings is what the command line says.
type settings struct {
	addr  string // to serve on, or empty for the demo
	admin string // to serve the metrics on
	config
}

// defaultConfig is what flags change, but for the upstream.
func defaultConfig() config {
	return config{
		rate:       10,
		burst:      20,
		maxClients: 100_000,
		atOnce:     100,
		queue:      100,
		patience:   500 * time.Millisecond,
		timeout:    10 * time.Second,
		drainDelay: 3 * time.Second,
		retry: retry.Policy{
			MaxAttempts:    3,
			AttemptTimeout: 3 * time.Second,
			Backoff:        retry.Exponential(25*time.Millisecond, 250*time.Millisecond).FullJitter(),
			// Who asks for a longer wait, be it the upstream or the breaker,
			// has the client told: who waits here takes a place from others.
			MaxDelay: 250 * time.Millisecond,
			Budget:   retry.NewBudget(0.1, 10),
		},
		breaker: breaker.Settings{
			Name:         "upstream",
			Trip:         breaker.Rate(0.5, 20, 10*time.Second),
			OpenFor:      5 * time.Second,
			MaxOpenFor:   30 * time.Second,
			Jitter:       0.2,
			ProbeTimeout: 4 * time.Second, // a little more than AttemptTimeout
		},
	}
}

// parseArgs reads the command line. Asked for help, it writes that and returns
// flag.ErrHelp.
func parseArgs(args []string, help io.Writer) (settings, error) {
	s := settings{config: defaultConfig()}
	flags := flag.NewFlagSet("gateway", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the caller reports errors
	flags.StringVar(&s.addr, "addr", "", "serve on `address`")
	upstream := flags.String("upstream", "", "the `url` to pass requests on to")
	flags.StringVar(&s.admin, "admin", "127.0.0.1:0", "serve metrics at /debug/vars on `address`")
	rate := flags.Float64("rate", float64(s.rate), "how many `requests` each client may make in a second")
	flags.IntVar(&s.burst, "burst", s.burst, "how many `requests` each client may make at once")
	flags.IntVar(&s.atOnce, "at-once", s.atOnce, "how many `requests` may be under way at once, of all clients")
	flags.IntVar(&s.queue, "queue", s.queue, "how many `requests` may wait for others to end")
	flags.DurationVar(&s.drainDelay, "drain-delay", s.drainDelay, "how long to be not ready before closing")
	flags.Func("trust", "believe the X-Forwarded-For of proxies within `prefix`; may be repeated", func(arg string) error {
		prefix, err := netip.ParsePrefix(arg)
		s.trusted = append(s.trusted, prefix)
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
	if flags.NFlag() == 0 {
		return settings{}, nil
	}
	if s.addr == "" || *upstream == "" {
		return settings{}, errors.New("want both -addr and -upstream, or no flag")
	}
	if !(*rate > 0) || math.IsInf(*rate, 1) { // as NaN is not
		return settings{}, fmt.Errorf("-rate %v: want more than 0", *rate)
	}
	s.rate = ratelimit.Rate(*rate)
	if err := s.check(); err != nil {
		return settings{}, err
	}
	var err error
	if s.upstream, err = parseUpstream(*upstream); err != nil {
		return settings{}, fmt.Errorf("-upstream %q: %w", *upstream, err)
	}
	return s, nil
}

// check returns an error if a number is not what can be meant.
func (s *settings) check() error {
	const most = 1_000_000
	switch {
	case s.burst < 1 || s.burst > most:
		return fmt.Errorf("-burst %d: want 1 or more and at most %d", s.burst, most)
	case s.atOnce < 1 || s.atOnce > most:
		return fmt.Errorf("-at-once %d: want 1 or more and at most %d", s.atOnce, most)
	case s.queue < 0 || s.queue > most:
		return fmt.Errorf("-queue %d: want 0 or more and at most %d", s.queue, most)
	case s.drainDelay < 0 || s.drainDelay > time.Hour:
		return fmt.Errorf("-drain-delay %v: want 0 or more and at most %v", s.drainDelay, time.Hour)
	}
	return nil
}

// parseUpstream reads the URL of the upstream.
func parseUpstream(arg string) (*url.URL, error) {
	u, err := url.Parse(arg)
	switch {
	case err != nil:
		return nil, err
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("want a URL that begins with http:// or https://")
	case u.Hostname() == "":
		return nil, errors.New("the URL has no host")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("want a URL of scheme, host and path alone")
	}
	u.Host = strings.ToLower(u.Host) // as httpbreaker has it
	return u, nil
}
