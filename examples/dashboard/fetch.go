package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// maxBody is how many bytes of metrics one endpoint may send.
const maxBody = 1 << 20

var errTooLong = errors.New("the answer is longer than 1 MiB")

// endpoint is a source of metrics.
type endpoint struct {
	name string
	url  *url.URL
}

// reading is what one request brought.
type reading struct {
	metrics map[string]float64
	latency time.Duration // until the answer, or the error, was there
}

// fetch asks one endpoint for its metrics. The reading has a latency beside an
// error too.
func fetch(ctx context.Context, client *http.Client, e endpoint) (reading, error) {
	start := time.Now() // with the monotonic clock, by which time.Since goes
	metrics, err := getMetrics(ctx, client, e.url)
	return reading{metrics: metrics, latency: time.Since(start)}, err
}

// getMetrics makes the request and reads the answer.
func getMetrics(ctx context.Context, client *http.Client, u *url.URL) (_ map[string]float64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()

	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, statusError(resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxBody {
		return nil, errTooLong
	}
	return parseMetrics(body)
}

// statusError is an HTTP status other than success.
type statusError int

// Error tells the status with its standard text, not the server's own.
func (e statusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("HTTP %d %s", int(e), http.StatusText(int(e))))
}

// parseMetrics reads a flat JSON object of numbers.
func parseMetrics(body []byte) (map[string]float64, error) {
	var answer any
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("bad JSON: %w", err)
	}
	object, ok := answer.(map[string]any)
	if !ok {
		return nil, errors.New("the answer is not a JSON object")
	}
	metrics := make(map[string]float64, len(object))
	for _, key := range slices.Sorted(maps.Keys(object)) { // the same error every time
		number, ok := object[key].(float64)
		if !ok {
			return nil, fmt.Errorf("metric %q is not a number", key)
		}
		metrics[key] = number
	}
	return metrics, nil
}
