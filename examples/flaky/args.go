package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"
)

const (
	defaultPeriod = 2500 * time.Millisecond
	defaultBroken = time.Second
	defaultRate   = 40
	maxPeriod     = time.Minute
	maxRate       = 1000

	// A run lasts for so many periods.
	periods = 2
)

const usage = `Usage: flaky [flags]

Calls a service that is broken in the middle of each period, for two periods,
with a circuit breaker and without one, and compares the two. The service is a
server on the loopback interface. A call tries again for three seconds; the
breaker opens after five failed requests in a row.

The first table has a line for each change of the breaker's state, with what
became of the calls since the line before. The second one compares the sums.

Exit status: 0 if any call succeeded; 1 if every call failed, or a signal came
before the end; 2 if the command line is wrong.

Flags:
`

// settings is what the command line says.
type settings struct {
	period time.Duration
	broken time.Duration // in each period
	rate   int           // calls in each second
}

// parseArgs reads the command line. Asked for help, it writes that and returns
// flag.ErrHelp.
func parseArgs(args []string, help io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("flaky", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the caller reports errors
	flags.DurationVar(&s.period, "period", defaultPeriod, "how long each period lasts")
	flags.DurationVar(&s.broken, "for", defaultBroken, "for how long the service is broken in each period")
	flags.IntVar(&s.rate, "rate", defaultRate, "how many calls to make in a `second`")

	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			_, _ = fmt.Fprint(help, usage) // as PrintDefaults, which tells no error either
			flags.SetOutput(help)
			flags.PrintDefaults()
		}
		return settings{}, err
	}
	if s.period <= 0 || s.period > maxPeriod {
		return settings{}, fmt.Errorf("-period %v: want more than 0 and at most %v", s.period, maxPeriod)
	}
	if s.broken < 0 || s.broken > s.period {
		return settings{}, fmt.Errorf("-for %v: want 0 or more, and not more than the period, %v", s.broken, s.period)
	}
	if s.rate < 1 || s.rate > maxRate {
		return settings{}, fmt.Errorf("-rate %d: want 1 or more and at most %d", s.rate, maxRate)
	}
	if flags.NArg() > 0 {
		return settings{}, fmt.Errorf("argument %q: want only flags", flags.Arg(0))
	}
	return s, nil
}

// every returns the time between two calls.
func (s settings) every() time.Duration { return time.Second / time.Duration(s.rate) }

// calls returns how many there are in a run, which is at least one.
func (s settings) calls() int { return int((periods*s.period + s.every() - 1) / s.every()) }
