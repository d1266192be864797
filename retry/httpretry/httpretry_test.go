package httpretry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/retry"
	"github.com/seed4886185c/concert/retry/httpretry"
)

var errConn = errors.New("connection reset by peer")

// A server is a base transport that answers with its answers, one after the
// other, and then with 200.
type server struct {
	answers []answer
	bodies  []*responseBody // handed out so far
	got     []string        // the bodies of the requests
	ctxs    []context.Context
}

type answer func(*http.Request) (*http.Response, error)

func (s *server) RoundTrip(req *http.Request) (*http.Response, error) {
	n := len(s.got)
	body := ""
	if req.Body != nil {
		b, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		body = string(b)
		if err := req.Body.Close(); err != nil {
			return nil, err
		}
	}
	s.got = append(s.got, body)
	s.ctxs = append(s.ctxs, req.Context())
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	answer := status(http.StatusOK)
	if n < len(s.answers) {
		answer = s.answers[n]
	}
	resp, err := answer(req)
	if resp != nil && resp.Body == nil {
		b := &responseBody{ctx: req.Context(), left: strings.NewReader(http.StatusText(resp.StatusCode))}
		s.bodies = append(s.bodies, b)
		resp.Body = b
	}
	return resp, err
}

// open returns how many bodies are not closed.
func (s *server) open() int {
	n := 0
	for _, b := range s.bodies {
		if !b.closed {
			n++
		}
	}
	return n
}

// A responseBody can be read while its request's context lasts.
type responseBody struct {
	ctx    context.Context
	left   io.Reader
	closed bool
	atEOF  bool
}

func (b *responseBody) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := b.left.Read(p)
	b.atEOF = errors.Is(err, io.EOF)
	return n, err
}

func (b *responseBody) Close() error {
	b.closed = true
	return nil
}

func status(code int, header ...string) answer {
	return func(*http.Request) (*http.Response, error) {
		h := http.Header{}
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: code, Header: h}, nil
	}
}

func broken(err error) answer {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

// silent never answers, but for the end of the context.
func silent(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, req.Context().Err()
}

// request returns a new request.
func request(ctx context.Context, t *testing.T, method string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, "http://example.test/", body)
	require.NoError(t, err)
	return req
}

// do sends a request without a body and returns the status and the body of the
// response, and the error.
func do(ctx context.Context, t *testing.T, rt http.RoundTripper, method string) (code int, body string, err error) {
	t.Helper()
	client := &http.Client{Transport: rt}
	resp, err := client.Do(request(ctx, t, method, nil))
	if err != nil {
		assert.Nil(t, resp)
		return 0, "", err
	}
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode, string(b), nil
}

func TestStatus_retried(t *testing.T) {
	for _, code := range []int{429, 502, 503, 504} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			s := &server{answers: []answer{status(code), status(code)}}
			got, body, err := do(t.Context(), t, httpretry.Transport(retry.Policy{Backoff: retry.Constant(time.Second)}, s), http.MethodGet)
			require.NoError(t, err)
			assert.Equal(t, 200, got)
			assert.Equal(t, "OK", body)
			assert.Equal(t, 2*time.Second, time.Since(start))
			require.Len(t, s.bodies, 3)
			for _, b := range s.bodies[:2] {
				assert.True(t, b.atEOF, "drained")
			}
			assert.Zero(t, s.open())
		})
	}
}

func TestStatus_notRetried(t *testing.T) {
	for _, code := range []int{200, 204, 301, 400, 401, 404, 408, 500, 501} {
		s := &server{answers: []answer{status(code)}}
		got, body, err := do(t.Context(), t, httpretry.Transport(retry.Policy{}, s), http.MethodGet)
		require.NoError(t, err)
		assert.Equal(t, code, got)
		assert.Equal(t, http.StatusText(code), body)
		assert.Len(t, s.got, 1)
	}
}

func TestStatuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		codes := []int{500, 503}
		s := &server{answers: []answer{status(500), status(503), status(429)}}
		rt := httpretry.Transport(retry.Policy{MaxAttempts: 9}, s, httpretry.Statuses(codes...))
		codes[0] = 200
		got, _, err := do(t.Context(), t, rt, http.MethodGet)
		require.NoError(t, err)
		assert.Equal(t, 429, got)
		assert.Len(t, s.got, 3)
	})
}

// When attempts run out, for whatever reason, the last response comes back.
func TestLastResponse(t *testing.T) {
	for name, p := range map[string]retry.Policy{
		"attempts": {MaxAttempts: 2},
		"elapsed":  {MaxElapsed: time.Second, Backoff: retry.Constant(time.Second - 1)},
		"budget":   {Budget: retry.NewBudget(1, 0), MaxAttempts: 9},
		"RetryIf": {RetryIf: func(err error) bool {
			e, ok := errors.AsType[*httpretry.StatusError](err)
			return ok && e.Code != 502
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{answers: []answer{status(503), status(502), status(504)}}
				code, body, err := do(t.Context(), t, httpretry.Transport(p, s), http.MethodGet)
				require.NoError(t, err)
				assert.Equal(t, 502, code)
				assert.Equal(t, "Bad Gateway", body)
				assert.Len(t, s.got, 2)
				assert.Zero(t, s.open())
			})
		})
	}
}

func TestLastResponse_hintTooLong(t *testing.T) {
	for name, p := range map[string]retry.Policy{"MaxDelay": {MaxDelay: time.Minute}, "MaxElapsed": {MaxElapsed: time.Minute}, "deadline": {}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				s := &server{answers: []answer{status(429, "Retry-After", "61")}}
				code, body, err := do(ctx, t, httpretry.Transport(p, s), http.MethodGet)
				require.NoError(t, err)
				assert.Equal(t, 429, code)
				assert.Equal(t, "Too Many Requests", body)
				assert.Zero(t, time.Since(start))
			})
		})
	}
}

func TestConnectionError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answers: []answer{broken(errConn), broken(io.EOF)}}
		code, _, err := do(t.Context(), t, httpretry.Transport(retry.Policy{}, s), http.MethodGet)
		require.NoError(t, err)
		assert.Equal(t, 200, code)
		assert.Len(t, s.got, 3)

		s = &server{answers: []answer{broken(errConn), status(503), broken(errConn), status(200)}}
		_, _, err = do(t.Context(), t, httpretry.Transport(retry.Policy{}, s), http.MethodGet)
		require.ErrorIs(t, err, errConn)
		require.ErrorIs(t, err, retry.ErrExhausted)
		e, ok := errors.AsType[*retry.Error](err)
		require.True(t, ok)
		assert.Equal(t, 3, e.Attempts)
		se, ok := errors.AsType[*httpretry.StatusError](err)
		require.True(t, ok)
		assert.Equal(t, 503, se.Code)
		assert.Zero(t, s.open())
	})
}

// Errors that will not get better are not retried and come back unchanged.
func TestPermanentOfBase(t *testing.T) {
	s := &server{answers: []answer{broken(retry.Permanent(errConn))}}
	_, err := httpretry.Transport(retry.Policy{}, s).RoundTrip(request(t.Context(), t, http.MethodGet, nil))
	assert.Equal(t, errConn, err)
	assert.Len(t, s.got, 1)
}

func TestMethods(t *testing.T) {
	for _, tt := range []struct {
		method  string
		header  string
		opts    []httpretry.Option
		retried bool
	}{
		{method: "GET", retried: true},
		{method: "", retried: true},
		{method: "HEAD", retried: true},
		{method: "OPTIONS", retried: true},
		{method: "TRACE", retried: true},
		{method: "PUT", retried: true},
		{method: "DELETE", retried: true},
		{method: "POST"},
		{method: "PATCH"},
		{method: "CONNECT"},
		{method: "POST", header: "Idempotency-Key", retried: true},
		{method: "PATCH", header: "X-Idempotency-Key", retried: true},
		{method: "POST", opts: []httpretry.Option{httpretry.Methods("POST")}, retried: true},
		{method: "GET", opts: []httpretry.Option{httpretry.Methods("POST")}},
		{method: "", opts: []httpretry.Option{httpretry.Methods("POST")}},
		{method: "GET", opts: []httpretry.Option{httpretry.Methods()}},
	} {
		t.Run(tt.method+tt.header, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, bad := range []answer{status(503), broken(errConn)} {
					s := &server{answers: []answer{bad}}
					req := request(t.Context(), t, tt.method, strings.NewReader("hello"))
					req.Method = tt.method
					if tt.header != "" {
						req.Header.Set(tt.header, "1")
					}
					resp, err := httpretry.Transport(retry.Policy{AttemptTimeout: time.Minute}, s, tt.opts...).RoundTrip(req)
					if tt.retried {
						require.NoError(t, err)
						assert.Equal(t, 200, resp.StatusCode)
						assert.Equal(t, []string{"hello", "hello"}, s.got)
						require.NoError(t, resp.Body.Close())
						continue
					}
					assert.Equal(t, []string{"hello"}, s.got)
					if err != nil {
						assert.Equal(t, errConn, err, "as it came")
						assert.Nil(t, resp)
						continue
					}
					assert.Equal(t, 503, resp.StatusCode)
					require.NoError(t, resp.Body.Close())
				}
			})
		})
	}
}

func TestMethods_copied(t *testing.T) {
	methods := []string{http.MethodPost}
	opt := httpretry.Methods(methods...)
	methods[0] = http.MethodGet
	s := &server{answers: []answer{status(503)}}
	code, _, err := do(t.Context(), t, httpretry.Transport(retry.Policy{}, s, opt), http.MethodGet)
	require.NoError(t, err)
	assert.Equal(t, 503, code)
}

// trackedBody is a request body that tells whether it was closed.
type trackedBody struct {
	io.Reader
	closed bool
}

func (b *trackedBody) Close() error {
	b.closed = true
	return nil
}

// A body that cannot be rewound is sent once.
func TestBody_withoutGetBody(t *testing.T) {
	body := &trackedBody{Reader: strings.NewReader("hello")}
	s := &server{answers: []answer{status(503)}}
	resp, err := httpretry.Transport(retry.Policy{}, s).RoundTrip(request(t.Context(), t, http.MethodPut, body))
	require.NoError(t, err)
	assert.Equal(t, 503, resp.StatusCode)
	assert.Equal(t, []string{"hello"}, s.got)
	assert.True(t, body.closed)
	require.NoError(t, resp.Body.Close())
}

// Every attempt gets a body of its own, and all of them are closed.
func TestBody_rewound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answers: []answer{status(503), broken(errConn)}}
		req := request(t.Context(), t, http.MethodPut, bytes.NewBufferString("hello"))
		bodies := []*trackedBody{{Reader: strings.NewReader("hello")}}
		req.Body = bodies[0]
		getBody := req.GetBody
		req.GetBody = func() (io.ReadCloser, error) {
			r, err := getBody()
			bodies = append(bodies, &trackedBody{Reader: r})
			return bodies[len(bodies)-1], err
		}
		resp, err := httpretry.Transport(retry.Policy{}, s).RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, []string{"hello", "hello", "hello"}, s.got)
		require.Len(t, bodies, 3)
		for _, b := range bodies {
			assert.True(t, b.closed)
		}
		assert.Same(t, bodies[0], req.Body, "the request is as it was")
	})
}

func TestBody_none(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, body := range []io.ReadCloser{nil, http.NoBody} {
			s := &server{answers: []answer{status(503)}}
			req := request(t.Context(), t, http.MethodPut, nil)
			req.Body, req.GetBody = body, nil
			resp, err := httpretry.Transport(retry.Policy{}, s).RoundTrip(req)
			require.NoError(t, err)
			assert.Equal(t, 200, resp.StatusCode)
			require.NoError(t, resp.Body.Close())
		}
		s := &server{answers: []answer{status(503)}}
		req := request(t.Context(), t, http.MethodPut, nil)
		req.GetBody = func() (io.ReadCloser, error) { panic("there is no body") }
		resp, err := httpretry.Transport(retry.Policy{}, s).RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	})
}

func TestBody_rewindFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answers: []answer{status(503)}}
		req := request(t.Context(), t, http.MethodPut, strings.NewReader("hello"))
		rewinds := 0
		req.GetBody = func() (io.ReadCloser, error) {
			rewinds++
			return nil, io.ErrClosedPipe
		}
		resp, err := httpretry.Transport(retry.Policy{}, s).RoundTrip(req)
		require.ErrorIs(t, err, io.ErrClosedPipe)
		assert.Nil(t, resp)
		assert.Len(t, s.got, 1)
		assert.Equal(t, 1, rewinds)
		_, ok := errors.AsType[*httpretry.StatusError](err)
		assert.True(t, ok, "the failure before is not lost")
		assert.Zero(t, s.open())
	})
}

func TestRetryAfter(t *testing.T) {
	for _, tt := range []struct {
		header string
		wait   time.Duration
	}{
		{"7", 7 * time.Second},
		{"0", 0},
		{"date", 90 * time.Second},
		{"past", 0},
		{"", time.Minute},
		{"-7", time.Minute},
		{"1.5", time.Minute},
		{"soon", time.Minute},
	} {
		t.Run(tt.header, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				header := tt.header
				switch header {
				case "date":
					header = start.Add(90 * time.Second).UTC().Format(http.TimeFormat)
				case "past":
					header = start.Add(-time.Hour).UTC().Format(http.TimeFormat)
				}
				s := &server{answers: []answer{status(503, "Retry-After", header)}}
				_, _, err := do(t.Context(), t, httpretry.Transport(retry.Policy{Backoff: retry.Constant(time.Minute)}, s), http.MethodGet)
				require.NoError(t, err)
				assert.Equal(t, tt.wait, time.Since(start))
			})
		})
	}
}

func TestStatusError(t *testing.T) {
	assert.EqualError(t, &httpretry.StatusError{Code: 503}, "httpretry: status 503 Service Unavailable")
	assert.EqualError(t, &httpretry.StatusError{Code: 599}, "httpretry: status 599")
	assert.Equal(t, retry.NoHint, (&httpretry.StatusError{Code: 503}).RetryAfter())
	for _, huge := range []string{"9223372036", "9223372037", "18446744073709551615", "99999999999999999999999"} {
		e := &httpretry.StatusError{Header: http.Header{"Retry-After": {huge}}}
		assert.Equal(t, 9223372036*time.Second, e.RetryAfter())
	}
}

func TestHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answers: []answer{status(503, "X-Reason", "tired"), broken(errConn), status(429)}}
		var asked []error
		var seen []retry.Attempt
		rt := httpretry.Transport(retry.Policy{
			MaxAttempts: 4,
			Backoff:     retry.Constant(time.Second),
			RetryIf:     func(err error) bool { asked = append(asked, err); return true },
			OnRetry: func(_ context.Context, a retry.Attempt) {
				assert.Zero(t, s.open(), "given up before the wait")
				seen = append(seen, a)
			},
		}, s)
		_, _, err := do(t.Context(), t, rt, http.MethodGet)
		require.NoError(t, err)
		require.Len(t, seen, 3)
		for i, a := range seen {
			assert.Equal(t, i+1, a.N)
			assert.Equal(t, time.Second, a.Delay)
			assert.Equal(t, asked[i], a.Err)
		}
		e, ok := errors.AsType[*httpretry.StatusError](seen[0].Err)
		require.True(t, ok)
		assert.Equal(t, 503, e.Code)
		assert.Equal(t, "tired", e.Header.Get("X-Reason"))
		assert.Equal(t, errConn, seen[1].Err)
	})
}

func TestAttemptFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answers: []answer{status(503), status(503)}}
		_, _, err := do(t.Context(), t, httpretry.Transport(retry.Policy{}, s), http.MethodGet)
		require.NoError(t, err)
		for i, ctx := range s.ctxs {
			assert.Equal(t, i+1, retry.AttemptFrom(ctx))
			assert.Error(t, ctx.Err(), "ended with its body")
		}
	})
}

func TestAttemptTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := &server{answers: []answer{silent}}
		var seen []error
		p := retry.Policy{
			AttemptTimeout: 2 * time.Second,
			Backoff:        retry.Constant(time.Second),
			OnRetry:        func(_ context.Context, a retry.Attempt) { seen = append(seen, a.Err) },
		}
		resp, err := (&http.Client{Transport: httpretry.Transport(p, s)}).Do(request(t.Context(), t, http.MethodGet, nil))
		require.NoError(t, err)
		assert.Equal(t, 3*time.Second, time.Since(start))
		require.Len(t, seen, 1)
		require.ErrorIs(t, seen[0], context.DeadlineExceeded)
		require.NotErrorIs(t, seen[0], context.Canceled, "nobody did")
		assert.EqualError(t, seen[0], "httpretry: no response within 2s")
		require.ErrorIs(t, context.Cause(s.ctxs[0]), context.DeadlineExceeded, "whoever is below can tell")

		time.Sleep(time.Hour) // the body is read at leisure
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, "OK", string(body))
		require.NoError(t, resp.Body.Close())
		assert.Error(t, s.ctxs[1].Err(), "nothing is left behind")
	})
}

func TestAttemptTimeout_exhausted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answers: []answer{silent, silent}}
		_, _, err := do(t.Context(), t, httpretry.Transport(retry.Policy{MaxAttempts: 2, AttemptTimeout: time.Second}, s), http.MethodGet)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, retry.ErrExhausted)
		timeout, ok := errors.AsType[interface {
			error
			Timeout() bool
		}](err)
		require.True(t, ok)
		assert.True(t, timeout.Timeout(), "*url.Error tells it")
	})
}

// A request that is sent once is limited, too.
func TestAttemptTimeout_notRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := &server{answers: []answer{silent}}
		_, _, err := do(t.Context(), t, httpretry.Transport(retry.Policy{AttemptTimeout: time.Second}, s), http.MethodPost)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(start))
		assert.Len(t, s.got, 1)
		timeout, ok := errors.AsType[*url.Error](err)
		require.True(t, ok)
		assert.True(t, timeout.Timeout())
	})
}

// The response arrives when the time is up: it cannot be read any more.
func TestAttemptTimeout_lateResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := func(req *http.Request) (*http.Response, error) {
			time.Sleep(2 * time.Second)
			return status(http.StatusOK)(req)
		}
		last := &server{answers: []answer{late}}
		_, _, err := do(t.Context(), t, httpretry.Transport(retry.Policy{AttemptTimeout: time.Second, MaxAttempts: 1}, last), http.MethodGet)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Zero(t, last.open())

		s := &server{answers: []answer{late}}
		code, body, err := do(t.Context(), t, httpretry.Transport(retry.Policy{AttemptTimeout: time.Second}, s), http.MethodGet)
		require.NoError(t, err)
		assert.Equal(t, 200, code)
		assert.Equal(t, "OK", body)
		assert.Len(t, s.got, 2)
		assert.Zero(t, s.open())
	})
}

func TestClientTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := &server{answers: []answer{status(503), silent}}
		client := &http.Client{
			Transport: httpretry.Transport(retry.Policy{Backoff: retry.Constant(time.Second)}, s),
			Timeout:   3 * time.Second,
		}
		_, err := client.Do(request(t.Context(), t, http.MethodGet, nil))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 3*time.Second, time.Since(start))
		assert.Zero(t, s.open())
	})
}

func TestContext_doneBefore(t *testing.T) {
	cause := errors.New("caller went home")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	s := &server{}
	body := &trackedBody{Reader: strings.NewReader("hello")}
	req := request(ctx, t, http.MethodPut, strings.NewReader("hello"))
	req.Body = body
	_, err := httpretry.Transport(retry.Policy{}, s).RoundTrip(req)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, cause)
	assert.Empty(t, s.got)
	assert.True(t, body.closed, "as a RoundTripper must")
}

func TestContext_endsDuringWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		cause := errors.New("caller went home")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		s := &server{answers: []answer{status(503)}}
		_, _, err := do(ctx, t, httpretry.Transport(retry.Policy{Backoff: retry.Constant(time.Minute)}, s), http.MethodGet)
		assert.Equal(t, time.Second, time.Since(start))
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, cause)
		_, ok := errors.AsType[*httpretry.StatusError](err)
		assert.True(t, ok)
		assert.Zero(t, s.open())
	})
}

// The context ends while the header comes. A response that would be retried is
// of no use then, another is as good as its body.
func TestContext_endsWithHeader(t *testing.T) {
	for _, code := range []int{503, 200} {
		ctx, cancel := context.WithCancel(t.Context())
		s := &server{answers: []answer{func(req *http.Request) (*http.Response, error) {
			cancel()
			return status(code)(req)
		}}}
		resp, err := httpretry.Transport(retry.Policy{}, s).RoundTrip(request(ctx, t, http.MethodGet, nil))
		if code == 503 {
			require.ErrorIs(t, err, context.Canceled)
			_, ok := errors.AsType[*httpretry.StatusError](err)
			assert.True(t, ok)
			assert.Nil(t, resp)
			assert.Zero(t, s.open())
			continue
		}
		require.NoError(t, err)
		_, err = io.ReadAll(resp.Body)
		require.ErrorIs(t, err, context.Canceled)
		require.NoError(t, resp.Body.Close())
	}
}

// endless is a body that never comes to its end.
type endless struct {
	ctx    context.Context
	slow   bool
	read   int
	closed bool
}

func (b *endless) Read(p []byte) (int, error) {
	if b.slow {
		<-b.ctx.Done()
		return 0, b.ctx.Err()
	}
	b.read += len(p)
	return len(p), nil
}

func (b *endless) Close() error {
	b.closed = true
	return nil
}

// A body is not drained forever.
func TestDrain_bounded(t *testing.T) {
	for _, slow := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			body := &endless{slow: slow}
			s := &server{answers: []answer{func(req *http.Request) (*http.Response, error) {
				body.ctx = req.Context()
				return &http.Response{StatusCode: 503, Body: body}, nil
			}}}
			_, _, err := do(t.Context(), t, httpretry.Transport(retry.Policy{Backoff: retry.Constant(0)}, s), http.MethodGet)
			require.NoError(t, err)
			assert.True(t, body.closed)
			assert.LessOrEqual(t, body.read, 128<<10)
			assert.LessOrEqual(t, time.Since(start), 100*time.Millisecond)
		})
	}
}

// Whatever panics, the response is closed, and so is the request's body.
func TestPanicAndGoexit(t *testing.T) {
	for _, where := range []string{"base", "RetryIf", "OnRetry", "GetBody", "drain"} {
		for _, goexit := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				at := func(here string) {
					switch {
					case where != here:
					case goexit:
						runtime.Goexit()
					default:
						panic(here)
					}
				}
				s := &server{answers: []answer{func(req *http.Request) (*http.Response, error) {
					at("base")
					return status(503)(req)
				}}}
				if where == "drain" {
					s.answers[0] = func(*http.Request) (*http.Response, error) {
						return &http.Response{StatusCode: 503, Body: io.NopCloser(readFunc(func([]byte) (int, error) {
							at("drain")
							return 0, io.EOF
						}))}, nil
					}
				}
				req := request(t.Context(), t, http.MethodPut, strings.NewReader("hello"))
				req.GetBody = func() (io.ReadCloser, error) { at("GetBody"); return nil, nil }
				rt := httpretry.Transport(retry.Policy{
					RetryIf: func(error) bool { at("RetryIf"); return true },
					OnRetry: func(context.Context, retry.Attempt) { at("OnRetry") },
				}, s)
				done := make(chan any)
				go func() {
					defer close(done)
					defer func() {
						if p := recover(); p != nil {
							done <- p
						}
					}()
					_, _ = rt.RoundTrip(req)
					t.Error("returned")
				}()
				p, panicked := <-done
				assert.Equal(t, !goexit, panicked)
				if panicked {
					assert.Equal(t, where, p)
				}
				assert.Zero(t, s.open())
				for _, ctx := range s.ctxs {
					assert.Error(t, ctx.Err())
				}
			})
		}
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// upgraded is the body of a 101 response.
type upgraded struct {
	io.ReadCloser
	written string
}

func (u *upgraded) Write(p []byte) (int, error) {
	u.written += string(p)
	return len(p), nil
}

func TestSwitchingProtocols(t *testing.T) {
	body := &upgraded{ReadCloser: io.NopCloser(strings.NewReader("hi"))}
	s := &server{answers: []answer{func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusSwitchingProtocols, Body: body}, nil
	}}}
	resp, err := httpretry.Transport(retry.Policy{}, s).RoundTrip(request(t.Context(), t, http.MethodGet, nil))
	require.NoError(t, err)
	w, ok := resp.Body.(io.Writer)
	require.True(t, ok)
	_, err = io.WriteString(w, "hello")
	require.NoError(t, err)
	assert.Equal(t, "hello", body.written)
	assert.Same(t, body, resp.Body, "with all that it can")
	require.NoError(t, s.ctxs[0].Err())
}

func TestNoBody(t *testing.T) {
	s := &server{answers: []answer{func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody}, nil
	}}}
	resp, err := httpretry.Transport(retry.Policy{}, s).RoundTrip(request(t.Context(), t, http.MethodGet, nil))
	require.NoError(t, err)
	assert.Equal(t, http.NoBody, resp.Body)
	assert.Error(t, s.ctxs[0].Err(), "there is nothing to close")
}

// baseFunc is a base transport of one function.
type baseFunc func(*http.Request) (*http.Response, error)

func (f baseFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// What a base transport must not do is forgiven where http.Client forgives it.
func TestBase_sloppy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		noBody := baseFunc(func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 503}, nil })
		resp, err := httpretry.Transport(retry.Policy{}, noBody).RoundTrip(request(t.Context(), t, http.MethodGet, nil))
		require.NoError(t, err)
		assert.Equal(t, http.NoBody, resp.Body)

		nothing := baseFunc(func(*http.Request) (*http.Response, error) { return nil, nil })
		_, err = httpretry.Transport(retry.Policy{}, nothing).RoundTrip(request(t.Context(), t, http.MethodGet, nil))
		require.ErrorContains(t, err, "no response and no error")

		body := &endless{}
		both := baseFunc(func(*http.Request) (*http.Response, error) { return &http.Response{Body: body}, errConn })
		resp, err = httpretry.Transport(retry.Policy{}, both).RoundTrip(request(t.Context(), t, http.MethodGet, nil))
		require.ErrorIs(t, err, errConn)
		assert.Nil(t, resp)
		assert.True(t, body.closed)
	})
}

// A body that was read to its end leaves nothing behind, even if nobody closes
// it.
func TestBody_readToItsEnd(t *testing.T) {
	s := &server{}
	resp, err := httpretry.Transport(retry.Policy{}, s).RoundTrip(request(t.Context(), t, http.MethodGet, nil))
	require.NoError(t, err)
	_, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Error(t, s.ctxs[0].Err())
}

// The request of a response tells how often it was sent, also after an attempt
// around it, and its context goes on.
func TestResponse_request(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			for _, body := range []io.ReadCloser{nil, http.NoBody} {
				s := &server{answers: []answer{status(503)}}
				base := baseFunc(func(req *http.Request) (*http.Response, error) {
					resp, err := s.RoundTrip(req)
					resp.Request = req
					if body != nil {
						resp.Body = body
					}
					return resp, err
				})
				err := retry.Run(t.Context(), retry.Policy{}, func(ctx context.Context) error {
					if retry.AttemptFrom(ctx) < 3 {
						return errConn
					}
					resp, err := httpretry.Transport(retry.Policy{}, base).RoundTrip(request(ctx, t, method, nil))
					if err != nil {
						return err
					}
					require.NoError(t, resp.Body.Close())
					want := 2
					if method == http.MethodPost {
						want = 1
					}
					assert.Equal(t, want, retry.AttemptFrom(resp.Request.Context())) //nolint:contextcheck // not that of ctx
					return resp.Request.Context().Err()
				})
				require.NoError(t, err)
			}
		}
	})
}

// Elapsed is that of the whole call.
func TestElapsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := baseFunc(func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return nil, errConn
		})
		_, err := httpretry.Transport(retry.Policy{Backoff: retry.Constant(time.Second)}, slow).RoundTrip(request(t.Context(), t, http.MethodGet, nil))
		e, ok := errors.AsType[*retry.Error](err)
		require.True(t, ok)
		assert.Equal(t, 5*time.Second, e.Elapsed)
	})
}

// RetryIf cancels and refuses: the response is the caller's.
func TestContext_endsInRetryIf(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &server{answers: []answer{status(503)}}
	resp, err := httpretry.Transport(retry.Policy{RetryIf: func(error) bool { cancel(); return false }}, s).RoundTrip(request(ctx, t, http.MethodGet, nil))
	require.NoError(t, err)
	assert.Equal(t, 503, resp.StatusCode)
	require.NoError(t, resp.Body.Close())
}

func TestOption_zero(t *testing.T) {
	s := &server{}
	code, _, err := do(t.Context(), t, httpretry.Transport(retry.Policy{}, s, httpretry.Option{}), http.MethodGet)
	require.NoError(t, err)
	assert.Equal(t, 200, code)
}

type idler struct {
	http.RoundTripper
	closed bool
}

func (i *idler) CloseIdleConnections() { i.closed = true }

func TestCloseIdleConnections(t *testing.T) {
	base := &idler{}
	client := &http.Client{Transport: httpretry.Transport(retry.Policy{}, base)}
	client.CloseIdleConnections()
	assert.True(t, base.closed)
	client.Transport = httpretry.Transport(retry.Policy{}, &server{})
	client.CloseIdleConnections() // has nothing to close
}

func TestInvalidPolicy(t *testing.T) {
	bad := retry.Policy{AttemptTimeout: -1}
	const message = "retry: Policy with a negative AttemptTimeout"
	assert.PanicsWithValue(t, message, func() { httpretry.Transport(bad, nil) })
	assert.PanicsWithValue(t, message, func() { httpretry.Client(bad) })
}
