package main

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/seed4886185c/concert/gather"
	"github.com/seed4886185c/concert/retry"
	"github.com/seed4886185c/concert/retry/httpretry"
)

// serviceTime is how long a service may take to answer, with all attempts.
const serviceTime = 10 * time.Second

// errNoService is the error of a service that nobody has named.
var errNoService = errors.New("no such service")

// services knows how to ask for what a record does not tell.
type services struct {
	rates     *url.URL // or nil
	customers *url.URL // or nil
	client    *http.Client
}

// newServices returns services that are asked again if they fail, but not for
// long: an order can do without. All orders share the budget, so that a service
// that is down is not asked three times for each.
func newServices(network http.RoundTripper, rates, customers *url.URL) services {
	client := &http.Client{Transport: httpretry.Transport(retry.Policy{
		MaxAttempts:    3,
		AttemptTimeout: 3 * time.Second,
		Backoff:        retry.Exponential(10*time.Millisecond, 100*time.Millisecond).FullJitter(),
		Budget:         retry.NewBudget(0.1, 10),
	}, network)}
	return services{rates: rates, customers: customers, client: client}
}

// enrich asks both services at once, and adds to the order what came. It returns
// an error only if ctx has ended.
func (s *services) enrich(ctx context.Context, o order) (order, error) {
	rate, segment := gather.All2(ctx,
		func(ctx context.Context) (float64, error) { return s.rate(ctx, o.currency, o.day) },
		func(ctx context.Context) (string, error) { return s.segment(ctx, o.email) },
		gather.TaskTimeout(serviceTime), gather.Repanic())
	if ctx.Err() != nil { // the services have not failed
		return o, context.Cause(ctx)
	}
	o.rate = sql.Null[float64]{V: rate.Value, Valid: rate.Err == nil}
	o.segment = sql.Null[string]{V: segment.Value, Valid: segment.Err == nil}
	return o, nil
}

// rate returns what one of the currency was worth in euros.
func (s *services) rate(ctx context.Context, currency string, day time.Time) (float64, error) {
	if currency == "EUR" {
		return 1, nil
	}
	var answer struct {
		EUR float64 `json:"eur"`
	}
	err := s.ask(ctx, s.rates, url.Values{"currency": {currency}, "day": {day.Format(time.DateOnly)}}, &answer)
	if err == nil && answer.EUR <= 0 {
		err = errors.New("an answer without a rate")
	}
	return answer.EUR, err
}

// segment returns the segment of a customer.
func (s *services) segment(ctx context.Context, email string) (string, error) {
	var answer struct {
		Segment string `json:"segment"`
	}
	err := s.ask(ctx, s.customers, url.Values{"email": {email}}, &answer)
	if err == nil && answer.Segment == "" {
		err = errors.New("an answer without a segment")
	}
	return answer.Segment, err
}

// ask sends a query to a service.
func (s *services) ask(ctx context.Context, service *url.URL, query url.Values, answer any) error {
	if service == nil {
		return errNoService
	}
	u := *service
	u.RawQuery = query.Encode()
	return getJSON(ctx, s.client, &u, answer)
}
