package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/seed4886185c/concert/gather"
	"github.com/seed4886185c/concert/retry"
	"github.com/seed4886185c/concert/retry/httpretry"
)

// maxAtOnce bounds how many downloads run at the same time.
const maxAtOnce = 4

// target is something to download.
type target struct {
	name string // to print
	url  *url.URL
}

// outcome is what came of one target, beside an error too.
type outcome struct {
	status   int // 0 if there was no answer
	bytes    int64
	attempts int // the requests sent, those that a redirect asked for included
}

// fetcher knows how to download.
type fetcher struct {
	policy  retry.Policy                // for each target
	total   time.Duration               // for each target
	base    http.RoundTripper           // the network
	onRetry func(target, retry.Attempt) // called concurrently, before each wait
}

// fetchAll downloads all targets and returns a result for each, in their order.
func (f *fetcher) fetchAll(ctx context.Context, targets []target) gather.Results[outcome] {
	return gather.Map(ctx, targets, f.fetch, gather.Limit(maxAtOnce), gather.TaskTimeout(f.total))
}

// fetch downloads one target.
func (f *fetcher) fetch(ctx context.Context, t target) (outcome, error) {
	p := f.policy // a copy, for this target alone; its Budget is shared
	p.OnRetry = func(_ context.Context, a retry.Attempt) { f.onRetry(t, a) }
	network := &counter{base: f.base}
	client := &http.Client{Transport: httpretry.Transport(p, network)}

	o, err := get(ctx, client, t.url)
	o.attempts = network.requests
	return o, err
}

// get makes a request and reads the answer to its end. A body that breaks off is
// an error like any other: httpretry has done its part when the header is there.
func get(ctx context.Context, client *http.Client, u *url.URL) (o outcome, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return outcome{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return outcome{}, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()

	o.status = resp.StatusCode
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return o, statusError(resp.StatusCode)
	}
	o.bytes, err = io.Copy(io.Discard, resp.Body)
	return o, err
}

// statusError is an HTTP status other than success.
type statusError int

// Error tells the status with its standard text, not the server's own.
func (e statusError) Error() string { return statusText(int(e)) }

// counter lies between the retries and the network, where each attempt is a
// request. It belongs to one download, which makes them one after another.
type counter struct {
	base     http.RoundTripper
	requests int
}

// RoundTrip counts the request and sends it.
func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.requests++
	return c.base.RoundTrip(r)
}
