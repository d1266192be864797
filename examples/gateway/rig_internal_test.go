package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/retry"
)

// testUpstream is what the gateway stands before.
type testUpstream struct {
	url  string
	hits atomic.Int64
}

// startTestUpstream starts an upstream.
func startTestUpstream(t *testing.T, handler http.HandlerFunc) *testUpstream {
	t.Helper()
	u := new(testUpstream)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.hits.Add(1)
		handler(w, r)
	}))
	t.Cleanup(server.Close)
	u.url = server.URL
	return u
}

// running is a gateway that serves on the loopback interface.
type running struct {
	*gateway

	address string
	url     string // of address
	admin   string // a URL
	stop    context.CancelFunc
	served  <-chan error // gets what serve returns
}

// startGateway starts a gateway with a config that is as usual but for what the
// test does to it: clients have no limit worth the name, and there is no waiting.
func startGateway(t *testing.T, upstreamURL string, change func(*config)) *running {
	t.Helper()
	c := defaultConfig()
	var err error
	c.upstream, err = url.Parse(upstreamURL)
	require.NoError(t, err)
	c.rate, c.burst = 1e6, 1e6
	c.retry.Backoff = retry.Constant(0)
	c.drainDelay = 0
	if change != nil {
		change(&c)
	}
	public, admin, err := listen(t.Context(), "127.0.0.1:0", "127.0.0.1:0")
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // only stop ends it
	served, ended := make(chan error, 1), make(chan struct{})
	g := newGateway(c, slog.New(slog.DiscardHandler))
	go func() {
		defer close(ended)
		served <- g.serve(ctx, public, admin)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return &running{
		gateway: g,
		address: public.Addr().String(),
		url:     "http://" + public.Addr().String(),
		admin:   "http://" + admin.Addr().String(),
		stop:    cancel,
		served:  served,
	}
}

// variables returns what the gateway shows at /debug/vars.
func (r *running) variables(t *testing.T) map[string]any {
	t.Helper()
	got := clientAt(t, "127.0.0.1").get(r.admin + "/debug/vars")
	require.Equal(t, http.StatusOK, got.status)
	var vars map[string]any
	require.NoError(t, json.Unmarshal([]byte(got.body), &vars))
	return vars
}

// outcomes returns how many requests came to what, but for those that none came to.
func (r *running) outcomes(t *testing.T) map[string]int {
	t.Helper()
	counts := make(map[string]int)
	for outcome, n := range r.variables(t)["requests"].(map[string]any) {
		if n != 0.0 {
			counts[outcome] = int(n.(float64))
		}
	}
	return counts
}

// testClient makes requests from one address.
type testClient struct {
	t    *testing.T
	http *http.Client
}

// answer is what a client got.
type answer struct {
	status int
	body   string
	header http.Header
}

// plain returns the answer without its header.
func (a answer) plain() answer { return answer{status: a.status, body: a.body} }

// clientAt returns a client with that address on the loopback interface. Where the
// system has no such address, the test is skipped.
func clientAt(t *testing.T, address string) *testClient {
	t.Helper()
	listener, err := net.Listen("tcp", address+":0")
	if err != nil {
		t.Skipf("no address for a client: %v", err)
	}
	listener.Close()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	network := &http.Transport{DialContext: dialer.DialContext}
	t.Cleanup(network.CloseIdleConnections)
	return &testClient{t: t, http: &http.Client{Transport: network}}
}

// try makes a request, with fields as "Name: value".
func (c *testClient) try(ctx context.Context, method, url, body string, fields ...string) (answer, error) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	require.NoError(c.t, err)
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		req.Header.Add(name, value)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, body: string(text), header: resp.Header}, err
}

// send makes a request that is answered.
func (c *testClient) send(method, url, body string, fields ...string) answer {
	c.t.Helper()
	got, err := c.try(c.t.Context(), method, url, body, fields...)
	require.NoError(c.t, err)
	return got
}

// get makes a request that is answered.
func (c *testClient) get(url string, fields ...string) answer {
	c.t.Helper()
	return c.send(http.MethodGet, url, "", fields...)
}

// getLater makes a request in a goroutine.
func (c *testClient) getLater(url string) <-chan answer {
	got := make(chan answer, 1)
	go func() {
		a, err := c.try(c.t.Context(), http.MethodGet, url, "")
		if err != nil {
			a.body = err.Error()
		}
		got <- a
	}()
	return got
}
