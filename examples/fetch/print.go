package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/seed4886185c/concert/gather"
	"github.com/seed4886185c/concert/retry"
	"github.com/seed4886185c/concert/retry/httpretry"
)

// printer prints what happens when it happens, and the results at the end.
type printer struct {
	mu  sync.Mutex // guards the fields below
	w   io.Writer
	err error // the first that writing met
}

// retry prints that an attempt failed and when the next one is. It may be called
// concurrently.
func (p *printer) retry(t target, a retry.Attempt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := fmt.Fprintf(p.w, "%s: attempt %d: %s, again in %v\n",
		printable(t.name), a.N, printable(explain(a.Err)), a.Delay.Round(time.Millisecond))
	p.err = cmp.Or(p.err, err)
}

// results prints a line for each target and one for all. It returns the first
// error that printing has met.
func (p *printer) results(targets []target, results gather.Results[outcome]) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return p.err
	}
	if err := writeTable(p.w, targets, results); err != nil {
		return err
	}
	var sum outcome
	for _, r := range results {
		sum.bytes += r.Value.bytes
		sum.attempts += r.Value.attempts
	}
	_, err := fmt.Fprintf(p.w, "%d of %d downloaded (bytes: %d, attempts: %d)\n",
		len(results.Values()), len(results), sum.bytes, sum.attempts)
	return err
}

// writeTable writes an aligned line for each target.
func writeTable(w io.Writer, targets []target, results gather.Results[outcome]) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := fmt.Fprintln(table, "URL\tBYTES\tATTEMPTS\tSTATUS OR ERROR"); err != nil {
		return err
	}
	for i, r := range results {
		text := statusText(r.Value.status)
		if r.Err != nil {
			text = explain(r.Err)
		}
		_, err := fmt.Fprintf(table, "%s\t%d\t%d\t%s\n",
			printable(targets[i].name), r.Value.bytes, r.Value.attempts, printable(text))
		if err != nil {
			return err
		}
	}
	return table.Flush()
}

// explain puts the error of an attempt, or of a download, into few words.
func explain(err error) string {
	if panicked, ok := errors.AsType[*gather.PanicError](err); ok {
		return fmt.Sprintf("panic: %v", panicked.Value) // its Error has the stack
	}
	if errors.Is(err, gather.ErrNotRun) {
		return "not begun"
	}
	if ended, ok := errors.AsType[*retry.Error](err); ok {
		return explainEnd(ended)
	}
	if answer, ok := errors.AsType[*httpretry.StatusError](err); ok {
		return statusText(answer.Code)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "took too long"
	}
	if broken, ok := errors.AsType[*net.OpError](err); ok {
		return broken.Err.Error() // its Error has the addresses
	}
	if request, ok := errors.AsType[*url.Error](err); ok {
		return request.Err.Error() // its Error has the URL, as the line has
	}
	return err.Error()
}

// explainEnd tells why there was no further attempt, and how the last one failed.
func explainEnd(e *retry.Error) string {
	if len(e.Errs) == 0 {
		return fmt.Sprintf("%v, before the first attempt", e.Reason)
	}
	last := e.Errs[len(e.Errs)-1]
	if e.Reason == nil || errors.Is(last, e.Reason) {
		return explain(last)
	}
	return fmt.Sprintf("%s, after: %s", strings.TrimPrefix(e.Reason.Error(), "retry: "), explain(last))
}

// statusText tells a status with its standard text.
func statusText(code int) string {
	return strings.TrimSpace(fmt.Sprintf("HTTP %d %s", code, http.StatusText(code)))
}

// printable replaces what could upset a terminal or the table: parts of an error
// may come from a server, such as the names in its certificate.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
