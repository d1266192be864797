package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/breaker"
)

func TestPrinter(t *testing.T) {
	var out strings.Builder
	start := time.Now()
	p := &printer{w: &out, plan: schedule{start: start, period: 40 * time.Second, broken: 20 * time.Second}}
	p.head("http://a/", 7, time.Second)
	p.change(breaker.Change{
		From: breaker.Closed, To: breaker.Open, At: start.Add(10 * time.Second),
		Counts: breaker.Counts{Successes: 123456, Failures: 5},
	})
	p.change(breaker.Change{
		From: breaker.HalfOpen, To: breaker.Closed, At: start.Add(119999999 * time.Microsecond),
		Counts: breaker.Counts{Successes: 1, Rejected: 12345},
	})
	require.NoError(t, p.table(
		report{calls: 1000, succeeded: 990, longest: 1234567 * time.Microsecond, requests: 5000, failed: 4000},
		report{calls: 1000, succeeded: 999, longest: 3 * time.Second, requests: 1010, failed: 10, rejected: 12345},
	))
	assert.Equal(t, ""+
		"Calling http://a/ every 1s, 7 times; it is broken for 20s in every 40s.\n"+
		"\n"+
		"TIME     SERVICE  BREAKER              SUCCEEDED  FAILED  REJECTED\n"+
		"10.000s  broken   closed -> open          123456       5         0\n"+
		"120.000s  well     half-open -> closed          1       0     12345\n"+
		"\n"+
		"                      WITHOUT BREAKER  WITH BREAKER\n"+
		"calls                 1000             1000\n"+
		"calls that succeeded  990              999\n"+
		"longest call          1.235s           3s\n"+
		"requests let through  5000             1010\n"+
		"requests that failed  4000             10\n"+
		"attempts rejected     0                12345\n"+
		"The breaker saved 3990 of 5000 requests: 10 failed instead of 4000.\n", out.String())
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
	w := &failingOnce{err: full}
	p := &printer{w: w, plan: schedule{period: 1}}
	p.head("", 1, 1)
	p.change(breaker.Change{})
	require.ErrorIs(t, p.table(report{}, report{}), full)
	assert.Empty(t, w.String(), "nothing follows a hole")
}
