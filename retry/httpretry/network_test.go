package httpretry_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/retry"
	"github.com/seed4886185c/concert/retry/httpretry"
)

// atOnce retries without a wait: nothing here depends on time.
var atOnce = retry.Policy{Backoff: retry.Constant(0)}

// serve starts a server, and returns its address and the number of connections
// made to it.
func serve(t *testing.T, handler http.HandlerFunc) (url string, conns *atomic.Int64) {
	t.Helper()
	conns = new(atomic.Int64)
	srv := httptest.NewUnstartedServer(handler)
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.URL, conns
}

// The connection of a response that was given up is used again.
func TestNetwork_connectionIsReused(t *testing.T) {
	var requests atomic.Int64
	url, conns := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if requests.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, strings.Repeat("busy ", 2000))
			return
		}
		_, _ = w.Write(body)
	})
	client := httpretry.Client(atOnce)
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader("hello"))
	require.NoError(t, err)
	resp, err := client.Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, "hello", string(body))
	assert.EqualValues(t, 3, requests.Load())
	assert.EqualValues(t, 1, conns.Load())
}

func TestNetwork_connectionReset(t *testing.T) {
	var requests atomic.Int64
	url, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1) < 3 {
			conn, _, err := w.(http.Hijacker).Hijack()
			if assert.NoError(t, err) {
				_ = conn.(*net.TCPConn).SetLinger(0)
				_ = conn.Close()
			}
		}
	})
	client := httpretry.Client(atOnce)
	defer client.CloseIdleConnections()
	resp, err := client.Get(url)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.EqualValues(t, 3, requests.Load())
}

func TestNetwork_connectionRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, err = httpretry.Client(atOnce).Get("http://" + l.Addr().String())
	_, ok := errors.AsType[*net.OpError](err)
	assert.True(t, ok)
	require.ErrorIs(t, err, retry.ErrExhausted)
}

// A pipeNet is a network of one server, within a bubble.
type pipeNet struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipeNet) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipeNet) Close() error {
	close(p.closed)
	return nil
}

func (*pipeNet) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipeNet) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p.conns <- server
	return client, nil
}

// servePipe starts a server in the bubble of t and returns a base transport
// that reaches it.
func servePipe(t *testing.T, handler http.HandlerFunc) *http.Transport {
	t.Helper()
	network := &pipeNet{conns: make(chan net.Conn), closed: make(chan struct{})}
	srv := &http.Server{Handler: handler}
	go func() { _ = srv.Serve(network) }()
	base := &http.Transport{DialContext: network.dial}
	t.Cleanup(func() {
		base.CloseIdleConnections()
		_ = srv.Close()
	})
	return base
}

// The body of a response that came in time is streamed for as long as it takes.
func TestNetwork_bodyAfterAttemptTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := servePipe(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Slow") != "" {
				<-r.Context().Done()
				return
			}
			_, _ = io.WriteString(w, "first ")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(time.Hour)
			_, _ = io.WriteString(w, "second")
		})
		p := retry.Policy{AttemptTimeout: time.Second, MaxAttempts: 2}
		client := &http.Client{Transport: httpretry.Transport(p, base)}
		resp, err := client.Do(request(t.Context(), t, http.MethodGet, nil))
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, "first second", string(body))
		require.NoError(t, resp.Body.Close())

		req := request(t.Context(), t, http.MethodGet, nil)
		req.Header.Set("Slow", "yes")
		_, err = client.Do(req)
		require.ErrorIs(t, err, retry.ErrExhausted)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// A server that speaks TLS but cannot be trusted, or does not speak it, will
// not do better the next time.
func TestNetwork_hopeless(t *testing.T) {
	var conns atomic.Int64
	count := func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ConnState = count
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	defer untrusted.Close()
	plain := httptest.NewUnstartedServer(http.NotFoundHandler())
	plain.Config.ConnState = count
	plain.Start()
	defer plain.Close()

	client := httpretry.Client(atOnce)
	defer client.CloseIdleConnections()
	_, err := client.Get(untrusted.URL)
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	assert.True(t, ok, "%v", err)
	assert.EqualValues(t, 1, conns.Load())

	_, err = client.Get(strings.Replace(plain.URL, "http:", "https:", 1))
	require.ErrorIs(t, err, http.ErrSchemeMismatch)
	assert.EqualValues(t, 2, conns.Load())
}

// The end of the caller's context is passed on to a request under way.
func TestNetwork_cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var requests atomic.Int64
	url, _ := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		cancel()
		<-r.Context().Done()
	})
	client := httpretry.Client(atOnce)
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	_, err = client.Do(req)
	require.ErrorIs(t, err, context.Canceled)
	assert.EqualValues(t, 1, requests.Load())
}

// A redirect is followed, and retried at each address.
func TestNetwork_redirect(t *testing.T) {
	var paths []string
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		switch {
		case len(paths)%2 == 1:
			w.WriteHeader(http.StatusBadGateway)
		case r.URL.Path == "/old":
			http.Redirect(w, r, "/new", http.StatusFound)
		}
	})
	client := httpretry.Client(atOnce)
	defer client.CloseIdleConnections()
	resp, err := client.Get(url + "/old")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, []string{"/old", "/old", "/new", "/new"}, paths)
}
