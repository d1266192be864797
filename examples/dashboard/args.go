package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"
)

const (
	defaultTimeout = 2 * time.Second
	maxTimeout     = time.Hour
)

const usage = `Usage: dashboard [flags] [name=url ...]

Fetches the metrics, a flat JSON object of numbers, of all endpoints at once and
shows them side by side. Without endpoints it starts some on the loopback
interface, one of which fails and one of which hangs, and shows those.

Exit status: 0 if the dashboard was shown, also with some parts failing, or if
the server was shut down by a signal; 1 if every part failed or there is no
dashboard at all; 2 if the command line is wrong.

JSON and web page tell the URLs, with the password of a user:password@ masked.

Flags:
`

// settings is what the command line says.
type settings struct {
	endpoints []endpoint // none for the demo
	timeout   time.Duration
	json      bool
	serve     string // the address to listen on, or empty
}

// parseArgs reads the command line. Asked for help, it writes that and returns
// flag.ErrHelp.
func parseArgs(args []string, help io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("dashboard", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the caller reports errors
	flags.DurationVar(&s.timeout, "timeout", defaultTimeout, "how long to wait for each endpoint")
	flags.BoolVar(&s.json, "json", false, "print JSON")
	flags.StringVar(&s.serve, "serve", "", "serve the dashboard on `address`: / is a page, /api is JSON")

	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			_, _ = fmt.Fprint(help, usage) // as PrintDefaults, which tells no error either
			flags.SetOutput(help)
			flags.PrintDefaults()
		}
		return settings{}, err
	}
	if s.timeout <= 0 || s.timeout > maxTimeout {
		return settings{}, fmt.Errorf("-timeout %v: want more than 0 and at most %v", s.timeout, maxTimeout)
	}
	if s.json && s.serve != "" {
		return settings{}, errors.New("-json and -serve exclude each other: the server has JSON at /api")
	}
	endpoints, err := parseEndpoints(flags.Args())
	if err != nil {
		return settings{}, err
	}
	s.endpoints = endpoints
	return s, nil
}

// parseEndpoints reads arguments of the form name=url; no name may come twice.
func parseEndpoints(args []string) ([]endpoint, error) {
	endpoints := make([]endpoint, 0, len(args))
	seen := make(map[string]bool, len(args))
	for _, arg := range args {
		e, err := parseEndpoint(arg)
		if err != nil {
			return nil, fmt.Errorf("argument %q: %w", arg, err)
		}
		if seen[e.name] {
			return nil, fmt.Errorf("argument %q: there is another endpoint named %q", arg, e.name)
		}
		seen[e.name] = true
		endpoints = append(endpoints, e)
	}
	return endpoints, nil
}

// parseEndpoint reads one argument of the form name=url.
func parseEndpoint(arg string) (endpoint, error) {
	name, address, found := strings.Cut(arg, "=")
	if !found || name == "" {
		return endpoint{}, errors.New("want name=url, after the flags")
	}
	u, err := url.Parse(address)
	if err != nil {
		return endpoint{}, err
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return endpoint{}, errors.New("want a URL that begins with http:// or https://")
	}
	if u.Hostname() == "" {
		return endpoint{}, errors.New("the URL has no host")
	}
	return endpoint{name: name, url: u}, nil
}
