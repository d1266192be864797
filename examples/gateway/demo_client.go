package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/seed4886185c/concert/gather"
)

// client is one of those who ask the demo's gateway. All of 127.0.0.0/8 is the
// loopback interface, so that each has an address of its own.
type client struct {
	address  string
	rate     int // of its requests, per second
	network  *http.Transport
	statuses map[int]int // how often it got each
}

// newClients returns clients of different appetite.
func newClients() []*client {
	return []*client{newClient("127.0.0.2", 10), newClient("127.0.0.3", 40), newClient("127.0.0.4", 100)}
}

func newClient(address string, rate int) *client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return &client{
		address:  address,
		rate:     rate,
		network:  &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: rate},
		statuses: make(map[int]int),
	}
}

// run makes requests at the rate, for some time, whatever becomes of them. It
// returns when all are answered; if ctx ends, it makes no further ones. An error
// is one of the connection: a status is none.
func (c *client) run(ctx context.Context, url string, d time.Duration) error {
	requests := gather.NewGroup[int](ctx)
	ticks := time.NewTicker(time.Second / time.Duration(c.rate))
	defer ticks.Stop()
	for end := time.After(d); end != nil; {
		requests.Go(func(ctx context.Context) (int, error) { return c.get(ctx, url) })
		select {
		case <-ticks.C:
		case <-end:
			end = nil
		case <-ctx.Done():
			end = nil
		}
	}
	results := requests.Wait()
	for _, status := range results.Values() {
		c.statuses[status]++
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return results.Err()
}

// get makes a request and returns the status of its answer.
func (c *client) get(ctx context.Context, url string) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	resp, err := (&http.Client{Transport: c.network, Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}
