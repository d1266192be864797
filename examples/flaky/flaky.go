package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed4886185c/concert/breaker"
	"github.com/seed4886185c/concert/gather"
	"github.com/seed4886185c/concert/retry"
)

const (
	patience       = 3 * time.Second        // for each call, with all attempts and waits
	attemptTimeout = 200 * time.Millisecond // for each request
	mostFailures   = 5                      // in a row
	openFor        = 250 * time.Millisecond
)

// newPolicy returns how to retry. An attempt that the breaker rejects is one,
// too, so that not their number is limited but the time.
func newPolicy() retry.Policy {
	return retry.Policy{
		MaxAttempts:    -1,
		MaxElapsed:     patience,
		AttemptTimeout: attemptTimeout,
		Backoff:        retry.Exponential(50*time.Millisecond, 500*time.Millisecond).FullJitter(),
	}
}

// newBreaker returns a breaker for the service.
func newBreaker(onChange func(breaker.Change)) *breaker.Breaker {
	return breaker.New(breaker.Settings{
		Name:         "service",
		Trip:         breaker.Consecutive(mostFailures),
		OpenFor:      openFor,
		ProbeTimeout: attemptTimeout, // a probe takes no longer
		OnChange:     onChange,
	})
}

// comparison is of two clients that make the same calls at the same time, one
// with a breaker and one without.
type comparison struct {
	url     string
	network http.RoundTripper
	policy  retry.Policy
	calls   int           // for each client
	every   time.Duration // the time between two calls
}

// report is what came of the calls of one client.
type report struct {
	calls, succeeded int
	longest          time.Duration // that a call took
	requests, failed int           // those sent
	rejected         int           // attempts for which no request was sent
	err              error         // of the first call that failed
}

// run makes all calls, fewer if ctx ends, and returns when they have ended.
func (c *comparison) run(ctx context.Context, onChange func(breaker.Change)) (without, with report) {
	disabled := newBreaker(nil)
	disabled.Force(breaker.Disabled) // lets all calls through, whatever becomes of them
	var wg sync.WaitGroup
	wg.Go(func() { without = c.client(disabled).run(ctx, c.calls, c.every) })
	wg.Go(func() { with = c.client(newBreaker(onChange)).run(ctx, c.calls, c.every) })
	wg.Wait()
	return without, with
}

func (c *comparison) client(b *breaker.Breaker) *client {
	return &client{url: c.url, network: c.network, policy: c.policy, breaker: b}
}

// client knows how to call the service, and counts what it does.
type client struct {
	url     string
	network http.RoundTripper
	policy  retry.Policy // for each call
	breaker *breaker.Breaker

	requests, failed, rejected atomic.Int64
}

// run makes n calls at a steady rate, whatever becomes of them, as many users
// would. It returns when all have ended; if ctx ends, it makes no further ones.
func (c *client) run(ctx context.Context, n int, every time.Duration) report {
	calls := gather.NewGroup[time.Duration](ctx)
	start := time.Now()
	for i := range n {
		if !waitUntil(ctx, start.Add(time.Duration(i)*every)) {
			break
		}
		calls.Go(func(ctx context.Context) (time.Duration, error) {
			begin := time.Now()
			_, err := c.call(ctx) // what the service says does not matter here
			return time.Since(begin), err
		})
	}

	results := calls.Wait()
	r := report{
		calls:     len(results),
		succeeded: len(results.Values()),
		requests:  int(c.requests.Load()),
		failed:    int(c.failed.Load()),
		rejected:  int(c.rejected.Load()),
	}
	for _, result := range results {
		r.longest = max(r.longest, result.Value)
		r.err = cmp.Or(r.err, result.Err)
	}
	return r
}

// call gets the answer of the service: it tries again, each time through the
// breaker. While that is open, an attempt fails at once with an error that tells
// retry how long to wait.
func (c *client) call(ctx context.Context) (string, error) {
	return retry.Do(ctx, c.policy, func(ctx context.Context) (string, error) {
		answer, err := breaker.Do(ctx, c.breaker, c.request)
		if errors.Is(err, breaker.ErrOpen) {
			c.rejected.Add(1)
		}
		return answer, err
	})
}

// request sends a request and returns the answer.
func (c *client) request(ctx context.Context) (answer string, err error) {
	c.requests.Add(1)
	defer func() {
		if err != nil {
			c.failed.Add(1)
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := (&http.Client{Transport: c.network}).Do(req)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()

	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", statusError(resp.StatusCode)
	}
	return string(body), nil
}

// statusError is an HTTP status other than success.
type statusError int

// Error tells the status with its standard text, not the server's own.
func (e statusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("HTTP %d %s", int(e), http.StatusText(int(e))))
}

// waitUntil reports whether that time came before ctx ended.
func waitUntil(ctx context.Context, t time.Time) bool {
	select {
	case <-time.After(time.Until(t)):
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
