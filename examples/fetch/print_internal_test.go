package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/gather"
	"github.com/seed4886185c/concert/retry"
	"github.com/seed4886185c/concert/retry/httpretry"
)

func TestPrinter_retry(t *testing.T) {
	var out strings.Builder
	p := &printer{w: &out}
	p.retry(target{name: "a\x1b"}, retry.Attempt{N: 2, Err: errors.New("bad\n\tluck"), Delay: 1234567 * time.Microsecond})
	assert.Equal(t, "a\uFFFD: attempt 2: bad\uFFFD\uFFFDluck, again in 1.235s\n", out.String())
}

func TestPrinter_results(t *testing.T) {
	var out strings.Builder
	p := &printer{w: &out}
	err := p.results(named("größe", "b\x1b", "c"), gather.Results[outcome]{
		{Value: outcome{status: http.StatusNoContent, attempts: 12}},
		{Value: outcome{bytes: 1234567890, attempts: 1}, Err: errors.New("bad\n\tluck")},
		{Err: &gather.PanicError{Value: "out of luck", Stack: []byte("main.main()")}},
	})
	require.NoError(t, err)
	assert.Equal(t, ""+
		"URL    BYTES       ATTEMPTS  STATUS OR ERROR\n"+
		"größe  0           12        HTTP 204 No Content\n"+
		"b\uFFFD     1234567890  1         bad\uFFFD\uFFFDluck\n"+
		"c      0           0         panic: out of luck\n"+
		"1 of 3 downloaded (bytes: 1234567890, attempts: 13)\n", out.String())
}

// failingOnce is a writer whose first write fails.
type failingOnce struct {
	strings.Builder

	err error
}

func (w *failingOnce) Write(b []byte) (int, error) {
	if err := w.err; err != nil {
		w.err = nil
		return 0, err
	}
	return w.Builder.Write(b)
}

func TestPrinter_keepsTheFirstError(t *testing.T) {
	full := errors.New("disk full")
	p := &printer{w: &failingOnce{err: full}}
	p.retry(target{}, retry.Attempt{Err: full})
	p.retry(target{}, retry.Attempt{Err: full})
	require.ErrorIs(t, p.results(nil, nil), full)
}

func TestExplain(t *testing.T) {
	down := &httpretry.StatusError{Code: http.StatusServiceUnavailable}
	reset := &net.OpError{Op: "read", Net: "tcp", Addr: &net.TCPAddr{}, Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	signal := errors.New("interrupt signal received")
	wrapped := func(err error) error { return &url.Error{Op: "Get", URL: "http://a", Err: err} }

	for want, err := range map[string]error{
		"HTTP 503 Service Unavailable": down,
		"HTTP 404 Not Found":           errors.Join(statusError(http.StatusNotFound)),
		reset.Err.Error():              wrapped(reset),
		"no such thing":                wrapped(errors.New("no such thing")),
		"took too long":                errors.Join(context.DeadlineExceeded, reset), // it ended the reading
		"not begun":                    fmt.Errorf("%w: %w", gather.ErrNotRun, signal),
		"panic: out of luck":           &gather.PanicError{Value: "out of luck"},
		"interrupt signal received, before the first attempt":            wrapped(&retry.Error{Reason: signal}),
		"interrupt signal received":                                      wrapped(&retry.Error{Reason: signal, Errs: []error{down, signal}}),
		"interrupt signal received, after: HTTP 503 Service Unavailable": wrapped(&retry.Error{Reason: signal, Errs: []error{reset, down}}),
		"no attempts left, after: " + reset.Err.Error():                  wrapped(&retry.Error{Reason: retry.ErrExhausted, Errs: []error{down, reset}}),
		"no budget left, after: took too long":                           wrapped(&retry.Error{Reason: retry.ErrBudget, Errs: []error{context.DeadlineExceeded}}),
		"bad certificate":                                                wrapped(&retry.Error{Errs: []error{down, errors.New("bad certificate")}}),
	} {
		assert.Equal(t, want, explain(err))
	}
}
