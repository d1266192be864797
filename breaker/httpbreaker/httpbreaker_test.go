package httpbreaker_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/breaker"
	"github.com/seed4886185c/concert/breaker/httpbreaker"
)

var errConn = errors.New("connection reset by peer")

// baseFunc is a base transport of one function.
type baseFunc func(*http.Request) (*http.Response, error)

func (f baseFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// answer is a base transport that always answers the same.
func answer(code int, err error) baseFunc {
	return func(*http.Request) (*http.Response, error) {
		if err != nil {
			return nil, err
		}
		return &http.Response{StatusCode: code, Body: io.NopCloser(strings.NewReader("hello"))}, nil
	}
}

func request(ctx context.Context, t *testing.T, host string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/", http.NoBody)
	require.NoError(t, err)
	return req
}

// hosts are breakers that open at the first failure.
func hosts() *breaker.Group[string] {
	return breaker.NewGroup(10, func(host string) breaker.Settings {
		return breaker.Settings{Name: host, Trip: breaker.Consecutive(1), OpenFor: time.Second}
	})
}

func TestTransport_outcomes(t *testing.T) {
	for _, tt := range []struct {
		code  int
		err   error
		opens bool
	}{
		{code: 200},
		{code: 302},
		{code: 400},
		{code: 404},
		{code: 429},
		{code: 499},
		{code: 500, opens: true},
		{code: 503, opens: true},
		{code: 600},
		{code: 599, opens: true},
		{err: errConn, opens: true},
	} {
		group := hosts()
		rt := httpbreaker.Transport(group, answer(tt.code, tt.err))
		resp, err := rt.RoundTrip(request(t.Context(), t, "a.test"))
		assert.Equal(t, tt.err, err, "as it came")
		if tt.err == nil {
			assert.Equal(t, tt.code, resp.StatusCode)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, "hello", string(body))
		}
		assert.Equal(t, tt.opens, group.Get("a.test").State() == breaker.Open, "%d %v", tt.code, tt.err)
	}
}

func TestTransport_eachHostForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		group := hosts()
		client := &http.Client{Transport: httpbreaker.Transport(group, baseFunc(func(req *http.Request) (*http.Response, error) {
			if req.URL.Host == "down.test:8080" {
				return nil, errConn
			}
			return answer(200, nil)(req)
		}))}
		_, err := client.Do(request(t.Context(), t, "down.test:8080"))
		require.ErrorIs(t, err, errConn)
		_, err = client.Do(request(t.Context(), t, "down.test:8080"))
		e, ok := errors.AsType[*breaker.OpenError](err)
		require.True(t, ok)
		assert.Equal(t, breaker.OpenError{Name: "down.test:8080", State: breaker.Open, After: time.Second}, *e)
		for _, up := range []string{"up.test", "down.test"} {
			resp, err := client.Do(request(t.Context(), t, up))
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
		}
	})
}

type trackedBody struct {
	io.Reader
	closed bool
}

func (b *trackedBody) Close() error {
	b.closed = true
	return nil
}

func TestTransport_rejectedClosesTheBody(t *testing.T) {
	group := hosts()
	group.Get("a.test").Open()
	rt := httpbreaker.Transport(group, baseFunc(func(*http.Request) (*http.Response, error) { panic("sent") }))
	req := request(t.Context(), t, "a.test")
	_, err := rt.RoundTrip(req)
	require.ErrorIs(t, err, breaker.ErrOpen)
	body := &trackedBody{Reader: strings.NewReader("hello")}
	req.Body = body
	_, err = rt.RoundTrip(req)
	require.ErrorIs(t, err, breaker.ErrOpen)
	assert.True(t, body.closed)
	req.Body = nil
	_, err = rt.RoundTrip(req)
	require.ErrorIs(t, err, breaker.ErrOpen)
}

func TestTransport_context(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	base := baseFunc(func(req *http.Request) (*http.Response, error) { return nil, context.Cause(req.Context()) })
	group := hosts()
	rt := httpbreaker.Transport(group, base)
	_, err := rt.RoundTrip(request(cancelled, t, "a.test"))
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, breaker.Closed, group.Get("a.test").State(), "the caller's own wish")
	_, err = rt.RoundTrip(request(late, t, "a.test"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Equal(t, breaker.Open, group.Get("a.test").State())
}

func TestTransport_classify(t *testing.T) {
	var seen []error
	group := breaker.NewGroup(1, func(string) breaker.Settings {
		return breaker.Settings{Classify: func(_ context.Context, err error) breaker.Outcome {
			seen = append(seen, err)
			return breaker.Ignored
		}}
	})
	for _, code := range []int{200, 599} {
		_, err := httpbreaker.Transport(group, answer(code, nil)).RoundTrip(request(t.Context(), t, "a.test"))
		require.NoError(t, err)
	}
	assert.Equal(t, []error{nil, &httpbreaker.StatusError{Code: 599}}, seen)
	assert.EqualError(t, seen[1], "httpbreaker: status 599")
	assert.EqualError(t, &httpbreaker.StatusError{Code: 503}, "httpbreaker: status 503 Service Unavailable")
}

func TestTransport_panicAndGoexit(t *testing.T) {
	for _, goexit := range []bool{false, true} {
		group := hosts()
		rt := httpbreaker.Transport(group, baseFunc(func(*http.Request) (*http.Response, error) {
			if goexit {
				runtime.Goexit()
			}
			panic("base")
		}))
		var recovered any
		done := make(chan struct{})
		req := request(t.Context(), t, "a.test")
		go func() {
			defer close(done)
			defer func() { recovered = recover() }()
			_, _ = rt.RoundTrip(req)
			t.Error("returned")
		}()
		<-done
		if !goexit {
			assert.Equal(t, "base", recovered)
		}
		assert.Equal(t, breaker.Open, group.Get("a.test").State())
	}
}

// Hosts are told apart as they are written, but for the case.
func TestTransport_hosts(t *testing.T) {
	group := hosts()
	rt := httpbreaker.Transport(group, answer(200, nil))
	for _, host := range []string{"A.test", "a.test", "a.test:80"} {
		_, err := rt.RoundTrip(request(t.Context(), t, host))
		require.NoError(t, err)
	}
	var keys []string
	for k := range group.All() {
		keys = append(keys, k)
	}
	assert.ElementsMatch(t, []string{"a.test:80", "a.test"}, keys)
}

// What is sloppy, or panics, leaves nothing open.
func TestTransport_sloppy(t *testing.T) {
	group := hosts()
	_, err := httpbreaker.Transport(group, baseFunc(func(*http.Request) (*http.Response, error) { return nil, nil })).
		RoundTrip(request(t.Context(), t, "a.test"))
	require.ErrorContains(t, err, "no response and no error")
	assert.Equal(t, breaker.Open, group.Get("a.test").State())

	both := &http.Response{StatusCode: 200, Body: http.NoBody}
	_, err = httpbreaker.Transport(group, baseFunc(func(*http.Request) (*http.Response, error) { return both, errConn })).
		RoundTrip(request(t.Context(), t, "b.test"))
	require.ErrorIs(t, err, errConn)
	assert.Equal(t, breaker.Open, group.Get("b.test").State())

	_, err = httpbreaker.Transport(group, nil).RoundTrip(&http.Request{Method: http.MethodGet})
	require.Error(t, err, "without a URL")

	bad := breaker.NewGroup(1, func(string) breaker.Settings { panic("settings") })
	body := &trackedBody{Reader: strings.NewReader("hello")}
	req := request(t.Context(), t, "a.test")
	req.Body = body
	assert.PanicsWithValue(t, "settings", func() { _, _ = httpbreaker.Transport(bad, answer(200, nil)).RoundTrip(req) })
	assert.True(t, body.closed)

	bad = breaker.NewGroup(1, func(string) breaker.Settings {
		return breaker.Settings{Classify: func(context.Context, error) breaker.Outcome { panic("classify") }}
	})
	body = &trackedBody{Reader: strings.NewReader("hello")}
	assert.PanicsWithValue(t, "classify", func() {
		_, _ = httpbreaker.Transport(bad, baseFunc(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: body}, nil
		})).RoundTrip(request(t.Context(), t, "a.test"))
	})
	assert.True(t, body.closed)
}

type idler struct {
	http.RoundTripper
	closed bool
}

func (i *idler) CloseIdleConnections() { i.closed = true }

func TestTransport_closeIdleConnections(t *testing.T) {
	base := &idler{}
	client := &http.Client{Transport: httpbreaker.Transport(hosts(), base)}
	client.CloseIdleConnections()
	assert.True(t, base.closed)
	client.Transport = httpbreaker.Transport(hosts(), answer(200, nil))
	client.CloseIdleConnections() // has nothing to close
}

func TestTransport_defaults(t *testing.T) {
	assert.PanicsWithValue(t, "breaker: httpbreaker.Transport without a group", func() { httpbreaker.Transport(nil, nil) })
	_, err := httpbreaker.Transport(hosts(), nil).RoundTrip(&http.Request{Method: http.MethodGet, URL: request(t.Context(), t, "").URL})
	require.Error(t, err, "by http.DefaultTransport")
}
