package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// memory is a network in memory, of one listener, so that time can be the bubble's.
type memory struct {
	conns  chan net.Conn // unbuffered: who dials has a connection when it is accepted
	closed chan struct{}
	close  func()
}

func newMemory() *memory {
	m := &memory{conns: make(chan net.Conn), closed: make(chan struct{})}
	m.close = sync.OnceFunc(func() { close(m.closed) })
	return m
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case conn := <-m.conns:
		return conn, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	m.close()
	return nil
}

func (*memory) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80} }

func (m *memory) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case m.conns <- memoryConn{far}:
		return near, nil
	case <-m.closed:
		return nil, errors.New("connection refused")
	}
}

// memoryConn has an address, as there is no limit for a client without.
type memoryConn struct{ net.Conn }

func (memoryConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 40000} }

// startInMemory starts a gateway whose upstream is handler. It must be stopped.
func startInMemory(t *testing.T, handler http.HandlerFunc) (g *running, public *memory) {
	t.Helper()
	c := defaultConfig()
	c.upstream = &url.URL{Scheme: "http", Host: "upstream"}
	behind, public, admin := newMemory(), newMemory(), newMemory()
	upstream := &http.Server{Handler: handler}
	go upstream.Serve(behind)

	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	r := &running{gateway: newGateway(c, slog.New(slog.DiscardHandler)), stop: cancel, served: served}
	r.network.DialContext, r.network.Proxy = behind.dial, nil
	go func() {
		served <- r.serve(ctx, public, admin)
		upstream.Close()
	}()
	return r, public
}

// ask makes a request on a connection of its own, and returns its status, or 0.
func ask(t *testing.T, server *memory, path string) int {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: server.dial, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://gateway"+path, http.NoBody)
	require.NoError(t, err)
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}
