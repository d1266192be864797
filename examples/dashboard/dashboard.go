package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/seed4886185c/concert/gather"
)

// maxAtOnce bounds how many endpoints are asked at the same time.
const maxAtOnce = 16

// dashboard knows whom to ask, and how.
type dashboard struct {
	endpoints []endpoint
	timeout   time.Duration // for each endpoint
	client    *http.Client
}

// snapshot is the dashboard at one time. It is not changed once made.
type snapshot struct {
	At    time.Time `json:"at"`
	Parts []part    `json:"parts"`
}

// part is the row of one endpoint: its metrics or an error.
type part struct {
	Name      string             `json:"name"`
	URL       string             `json:"url"`
	OK        bool               `json:"ok"`
	LatencyMS float64            `json:"latency_ms"` // 0 if not known
	Metrics   map[string]float64 `json:"metrics,omitzero"`
	Error     string             `json:"error,omitempty"`
}

// collect asks all endpoints and returns a part for each, in their order. It
// fails only if ctx has ended: the failure of an endpoint is in its part.
func (d *dashboard) collect(ctx context.Context) (snapshot, error) {
	at := time.Now()
	results := gather.Map(ctx, d.endpoints, func(ctx context.Context, e endpoint) (reading, error) {
		return fetch(ctx, d.client, e)
	}, gather.Limit(maxAtOnce), gather.TaskTimeout(d.timeout))

	if ctx.Err() != nil {
		return snapshot{}, context.Cause(ctx)
	}
	parts := make([]part, len(results))
	for i, result := range results {
		parts[i] = d.part(d.endpoints[i], result)
	}
	return snapshot{At: at, Parts: parts}, nil
}

// part makes the row of e. The result's value holds beside an error too, and is
// zero only if there was a panic.
func (d *dashboard) part(e endpoint, result gather.Result[reading]) part {
	p := part{
		Name:      e.name,
		URL:       e.url.Redacted(),
		OK:        result.Err == nil,
		LatencyMS: float64(result.Value.latency) / float64(time.Millisecond),
	}
	if result.Err != nil {
		p.Error = d.explain(result.Err)
	} else {
		p.Metrics = result.Value.metrics
	}
	return p
}

// explain puts the error of one endpoint into few words.
func (d *dashboard) explain(err error) string {
	if panicked, ok := errors.AsType[*gather.PanicError](err); ok {
		return fmt.Sprintf("panic: %v", panicked.Value) // its Error has the stack
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("no answer within %v", d.timeout)
	}
	if request, ok := errors.AsType[*url.Error](err); ok {
		return request.Err.Error() // its Error has the URL, as the part has
	}
	return err.Error()
}

// longest is how long collect may take.
func (d *dashboard) longest() time.Duration {
	rounds := (len(d.endpoints) + maxAtOnce - 1) / maxAtOnce
	return time.Duration(rounds) * d.timeout
}

// allFailed tells whether there is nothing in the snapshot but errors.
func (s snapshot) allFailed() bool {
	for _, p := range s.Parts {
		if p.OK {
			return false
		}
	}
	return true
}
