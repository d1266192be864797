package httplimit_test

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

	"github.com/seed4886185c/concert/ratelimit"
	"github.com/seed4886185c/concert/ratelimit/httplimit"
)

type waitFunc func(ctx context.Context) error

func (f waitFunc) Wait(ctx context.Context) error { return f(ctx) }

type baseFunc func(*http.Request) (*http.Response, error)

func (f baseFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

type trackedBody struct {
	io.Reader

	closed int
}

func (b *trackedBody) Close() error {
	b.closed++
	return nil
}

func outgoing(ctx context.Context, t *testing.T) (*http.Request, *trackedBody) {
	t.Helper()
	body := &trackedBody{Reader: strings.NewReader("hello")}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://a.test/", body)
	require.NoError(t, err)
	return req, body
}

var (
	_ httplimit.Waiter = (*ratelimit.Limiter)(nil)
	_ httplimit.Waiter = (*ratelimit.Multi)(nil)
)

func TestTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var sent []time.Duration
		answer := &http.Response{StatusCode: http.StatusTeapot, Body: http.NoBody}
		rt := httplimit.Transport(ratelimit.New(1, 2), baseFunc(func(*http.Request) (*http.Response, error) {
			sent = append(sent, time.Since(start))
			return answer, nil
		}))
		for range 4 {
			req, _ := outgoing(t.Context(), t)
			resp, err := rt.RoundTrip(req)
			require.NoError(t, err)
			assert.Same(t, answer, resp, "as it came")
		}
		assert.Equal(t, []time.Duration{0, 0, time.Second, 2 * time.Second}, sent)

		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		req, body := outgoing(ctx, t)
		_, err := rt.RoundTrip(req)
		require.ErrorIs(t, err, ratelimit.ErrLimited, "at once")
		assert.Equal(t, 1, body.closed)
		assert.Len(t, sent, 4)
	})
}

func TestTransport_request(t *testing.T) {
	errTurn := errors.New("no turn")
	for _, tt := range []struct{ wait, base error }{{nil, nil}, {nil, errDown}, {errTurn, nil}} {
		req, body := outgoing(t.Context(), t)
		before := *req
		sent := 0
		rt := httplimit.Transport(
			waitFunc(func(ctx context.Context) error { assert.Equal(t, req.Context(), ctx); return tt.wait }),
			baseFunc(func(r *http.Request) (*http.Response, error) { sent++; assert.Same(t, req, r); return nil, tt.base }))
		resp, err := rt.RoundTrip(req)
		assert.Nil(t, resp)
		assert.Equal(t, before, *req, "not changed")
		if tt.wait != nil {
			assert.Equal(t, tt.wait, err, "as it came")
			assert.Zero(t, sent)
			assert.Equal(t, 1, body.closed)
			continue
		}
		assert.Equal(t, tt.base, err, "as it came")
		assert.Equal(t, 1, sent)
		assert.Zero(t, body.closed, "which base has to do")
	}
	req, _ := outgoing(t.Context(), t)
	req.Body = nil
	_, err := httplimit.Transport(waitFunc(func(context.Context) error { return errTurn }), nil).RoundTrip(req)
	require.ErrorIs(t, err, errTurn)
}

func TestTransport_panicAndGoexit(t *testing.T) {
	for _, goexit := range []bool{false, true} {
		for _, at := range []string{"wait", "base"} {
			fall := func(here string) {
				switch {
				case here != at:
				case goexit:
					runtime.Goexit()
				default:
					panic(at)
				}
			}
			rt := httplimit.Transport(waitFunc(func(context.Context) error { fall("wait"); return nil }),
				baseFunc(func(*http.Request) (*http.Response, error) { fall("base"); return nil, nil }))
			req, body := outgoing(t.Context(), t)
			var recovered any
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() { recovered = recover() }()
				_, _ = rt.RoundTrip(req)
				t.Error("returned")
			}()
			<-done
			if !goexit {
				assert.Equal(t, at, recovered)
			}
			assert.Equal(t, at == "wait", body.closed == 1)
		}
	}
}

type idler struct {
	http.RoundTripper

	closed bool
}

func (i *idler) CloseIdleConnections() { i.closed = true }

func TestTransport_closeIdleConnections(t *testing.T) {
	limiter := ratelimit.New(1, 1)
	base := &idler{}
	(&http.Client{Transport: httplimit.Transport(limiter, base)}).CloseIdleConnections()
	assert.True(t, base.closed)
	(&http.Client{Transport: httplimit.Transport(limiter, baseFunc(nil))}).CloseIdleConnections()
}
