package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/seed4886185c/concert/breaker"
)

// printer prints what the breaker does when it does it, and the sums at the end.
// It needs no lock, as a breaker reports one change after the other.
type printer struct {
	w    io.Writer
	plan schedule
	err  error // the first that writing met
}

// head prints what is going to happen.
func (p *printer) head(url string, calls int, every time.Duration) {
	p.printf("Calling %s every %v, %d times; it is broken for %v in every %v.\n\n",
		url, every, calls, p.plan.broken, p.plan.period)
	p.printf(row, "TIME", "SERVICE", "BREAKER", "SUCCEEDED", "FAILED", "REJECTED")
}

// row is a line of the first table, which cannot wait for its longest cell.
const row = "%-7s  %-7s  %-19s  %9v  %6v  %8v\n"

// change prints that the breaker has changed, and what it has counted since the
// change before.
func (p *printer) change(c breaker.Change) {
	state := "well"
	if p.plan.brokenAt(c.At) {
		state = "broken"
	}
	p.printf(row, fmt.Sprintf("%.3fs", c.At.Sub(p.plan.start).Seconds()), state, fmt.Sprintf("%v -> %v", c.From, c.To),
		c.Counts.Successes, c.Counts.Failures, c.Counts.Rejected)
}

// table prints the sums side by side. It returns the first error that printing
// has met.
func (p *printer) table(without, with report) error {
	table := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	line := func(name string, without, with any) {
		if p.err == nil {
			_, p.err = fmt.Fprintf(table, "%s\t%v\t%v\n", name, without, with)
		}
	}
	p.printf("\n")
	line("", "WITHOUT BREAKER", "WITH BREAKER")
	line("calls", without.calls, with.calls)
	line("calls that succeeded", without.succeeded, with.succeeded)
	line("longest call", without.longest.Round(time.Millisecond), with.longest.Round(time.Millisecond))
	line("requests let through", without.requests, with.requests)
	line("requests that failed", without.failed, with.failed)
	line("attempts rejected", without.rejected, with.rejected)
	if p.err == nil {
		p.err = table.Flush()
	}
	p.printf("The breaker saved %d of %d requests: %d failed instead of %d.\n",
		without.requests-with.requests, without.requests, with.failed, without.failed)
	return p.err
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}
