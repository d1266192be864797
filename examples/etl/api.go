package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/seed4886185c/concert/pipeline"
	"github.com/seed4886185c/concert/retry"
	"github.com/seed4886185c/concert/retry/httpretry"
)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 16 << 20

// newNetwork returns what all clients send their requests by. It keeps as many
// connections to a service as workers use at once.
func newNetwork(workers int) *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		MaxIdleConnsPerHost: workers,
		IdleConnTimeout:     time.Minute,
		TLSHandshakeTimeout: 10 * time.Second,
	}
}

// newAPIClient returns a client for sources, which are worth some patience: what a
// source does not tell is missing in the end.
func newAPIClient(network http.RoundTripper, t *tally) *http.Client {
	client := &http.Client{Timeout: time.Minute} // with all attempts, and the body
	client.Transport = httpretry.Transport(retry.Policy{
		MaxAttempts:    6,
		AttemptTimeout: 10 * time.Second,
		Backoff:        retry.Exponential(50*time.Millisecond, 5*time.Second).FullJitter(),
		OnRetry:        func(context.Context, retry.Attempt) { t.retries.Add(1) },
	}, network)
	return client
}

// page is an answer of an API.
type page struct {
	Orders []json.RawMessage `json:"orders"`
	Next   string            `json:"next"` // a URL, relative to that of this page
}

// fromAPI returns the records of all pages, from the first on.
func fromAPI(client *http.Client, first *url.URL) pipeline.Stream[record] {
	return pipeline.Generate(func(ctx context.Context, emit func(record) bool) error {
		for address := first; ; {
			var p page
			if err := getJSON(ctx, client, address, &p); err != nil {
				return err
			}
			for _, text := range p.Orders {
				if !emit(decode(text)) {
					return nil
				}
			}
			if p.Next == "" {
				return nil
			}
			next, err := address.Parse(p.Next)
			if err != nil {
				return fmt.Errorf("the next page: %w", err)
			}
			address = next
		}
	})
}

// getJSON decodes the answer to a request.
func getJSON(ctx context.Context, client *http.Client, address *url.URL, into any) (err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), http.NoBody)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()

	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1)) // to its end, so that the connection is kept
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return statusError(resp.StatusCode)
	case len(body) > maxAnswer:
		return fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	return json.Unmarshal(body, into)
}

// statusError is an HTTP status other than success.
type statusError int

// Error tells the status with its standard text, not the server's own.
func (e statusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("HTTP %d %s", int(e), http.StatusText(int(e))))
}
