package httplimit_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/ratelimit"
	"github.com/seed4886185c/concert/ratelimit/httplimit"
)

var errDown = errors.New("connection refused")

// storeFunc is a Store of one function.
type storeFunc func(ctx context.Context, key string, n int) (ratelimit.Result, error)

func (f storeFunc) Take(ctx context.Context, key string, n int) (ratelimit.Result, error) {
	return f(ctx, key, n)
}

// always is a Store that always returns the same.
func always(res ratelimit.Result, err error) storeFunc {
	return func(context.Context, string, int) (ratelimit.Result, error) { return res, err }
}

var (
	some = ratelimit.Result{OK: true, Limit: 100, Remaining: 50, ResetAfter: 30 * time.Second, Window: time.Minute}
	none = ratelimit.Result{Limit: 100, RetryAfter: 600 * time.Millisecond, ResetAfter: time.Minute, Window: time.Minute}
)

// one is a KeyFunc of one key.
func one(*http.Request) (string, error) { return "one", nil }

// teapot is a handler that counts.
type teapot struct {
	served int
	w      http.ResponseWriter
	r      *http.Request
}

func (h *teapot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.served++
	h.w, h.r = w, r
	w.WriteHeader(http.StatusTeapot)
}

func request(ctx context.Context) *http.Request {
	return httptest.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody)
}

// serve serves one request.
func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// hasNoFields requires that nothing tells of a limit.
func hasNoFields(t *testing.T, h http.Header) {
	t.Helper()
	for _, field := range []string{"RateLimit", "RateLimit-Policy", "Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} {
		assert.Empty(t, h.Values(field), field)
	}
}

func TestMiddleware_allowed(t *testing.T) {
	h := &teapot{}
	var keys []string
	var costs []int
	store := storeFunc(func(_ context.Context, key string, n int) (ratelimit.Result, error) {
		keys, costs = append(keys, key), append(costs, n)
		return some, nil
	})
	r := request(t.Context())
	w := serve(httplimit.Middleware(store, one, httplimit.Options{
		OnLimited: func(*http.Request, ratelimit.Result) { t.Error("limited") },
		OnFailure: func(_ *http.Request, err error) { t.Error(err) },
	})(h), r)
	assert.Equal(t, http.StatusTeapot, w.Code)
	assert.Same(t, w, h.w, "as it came")
	assert.Same(t, r, h.r, "as it came")
	assert.Equal(t, []string{"one"}, keys)
	assert.Equal(t, []int{1}, costs)
	assert.Equal(t, http.Header{
		"Ratelimit-Policy": {`"default";q=100;w=60`},
		"Ratelimit":        {`"default";r=50;t=30`},
	}, w.Header())
}

func TestMiddleware_handlerThatWritesNothing(t *testing.T) {
	w := serve(httplimit.Middleware(always(some, nil), one, httplimit.Options{})(
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), request(t.Context()))
	assert.Equal(t, `"default";r=50;t=30`, w.Result().Header.Get("RateLimit"))
}

// The answer to a request that is denied is what the draft says.
func TestMiddleware_denied(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions, http.MethodConnect} {
		h := &teapot{}
		var limited []ratelimit.Result
		r := httptest.NewRequestWithContext(t.Context(), method, "/", strings.NewReader("hello"))
		handler := httplimit.Middleware(always(none, nil), one, httplimit.Options{
			Policy:    `a "b" \ <c>`,
			OnLimited: func(req *http.Request, res ratelimit.Result) { limited = append(limited, res); assert.Same(t, r, req) },
		})(h)
		w := httptest.NewRecorder()
		w.Header().Set("Content-Length", "5")
		w.Header().Set("Cache-Control", "public, max-age=60")
		handler.ServeHTTP(w, r)
		assert.Zero(t, h.served)
		assert.Equal(t, []ratelimit.Result{none}, limited)
		assert.Equal(t, http.StatusTooManyRequests, w.Code)
		assert.Equal(t, http.Header{
			"Ratelimit-Policy": {`"a \"b\" \\ <c>";q=100;w=60`},
			"Ratelimit":        {`"a \"b\" \\ <c>";r=0;t=1`},
			"Retry-After":      {"1"},
			"Content-Type":     {"application/problem+json"},
			"Cache-Control":    {"no-store"},
		}, w.Header())
		assert.Equal(t, map[string]any{
			"type":              "https://iana.org/assignments/http-problem-types#quota-exceeded",
			"title":             "Request cannot be satisfied as assigned quota has been exceeded",
			"status":            429.,
			"violated-policies": []any{`a "b" \ <c>`},
		}, body(t, w))
	}
}

func body(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var v map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v))
	return v
}

// A server of net/http has no objections.
func TestMiddleware_server(t *testing.T) {
	server := httptest.NewServer(httplimit.Middleware(always(none, nil), one, httplimit.Options{})(&teapot{}))
	defer server.Close()
	for _, tt := range []struct {
		method string
		body   bool
	}{{http.MethodGet, true}, {http.MethodHead, false}, {http.MethodPut, true}} {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, server.URL, http.NoBody)
		require.NoError(t, err)
		resp, err := server.Client().Do(req)
		require.NoError(t, err)
		got, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, http.StatusTooManyRequests, resp.StatusCode)
		assert.Equal(t, "1", resp.Header.Get("Retry-After"))
		assert.Equal(t, tt.body, len(got) > 0)
	}
}

func TestMiddleware_keys(t *testing.T) {
	noSuch := errors.New("no such user")
	for _, tt := range []struct {
		name string
		key  string
		err  error
		code int
	}{
		{"found", "k", nil, 418},
		{"as long as may be", strings.Repeat("k", 256), nil, 418},
		{"too long", strings.Repeat("k", 257), nil, 400},
		{"empty", "", nil, 400},
		{"none", "k", httplimit.ErrNoKey, 400},
		{"none, wrapped", "", errors.Join(noSuch, httplimit.ErrNoKey), 400},
		{"failed", "k", noSuch, 500},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, shadow := range []bool{false, true} {
				h := &teapot{}
				taken := 0
				var failures []error
				store := storeFunc(func(_ context.Context, key string, _ int) (ratelimit.Result, error) {
					taken++
					assert.Equal(t, tt.key, key)
					return some, nil
				})
				w := serve(httplimit.Middleware(store, func(*http.Request) (string, error) { return tt.key, tt.err }, httplimit.Options{
					Shadow:    shadow,
					Cost:      func(*http.Request) int { assert.Equal(t, 418, tt.code, "without a key"); return 1 },
					Fallback:  store,
					OnFailure: func(_ *http.Request, err error) { failures = append(failures, err) },
				})(h), request(t.Context()))
				if tt.code == 418 {
					assert.Equal(t, 1, taken)
					assert.Empty(t, failures)
				} else {
					assert.Zero(t, taken)
					require.Len(t, failures, 1)
					assert.ErrorContains(t, failures[0], "ratelimit: httplimit: the key function: ")
					assert.Equal(t, tt.code == 400, errors.Is(failures[0], httplimit.ErrNoKey))
					if tt.err != nil {
						require.ErrorIs(t, failures[0], tt.err)
					}
					hasNoFields(t, w.Header())
				}
				if shadow {
					assert.Equal(t, 418, w.Code)
					hasNoFields(t, w.Header())
				} else {
					assert.Equal(t, tt.code, w.Code)
				}
			}
		})
	}
}

// The answers that are not 429 have no type, and do not show errors.
func TestMiddleware_problems(t *testing.T) {
	for _, tt := range []struct {
		key  error
		want map[string]any
	}{
		{httplimit.ErrNoKey, map[string]any{"title": "Bad Request", "status": 400., "detail": "The request has no key for its rate limit, such as an address or an API key."}},
		{errDown, map[string]any{"title": "Internal Server Error", "status": 500.}},
		{nil, map[string]any{"title": "Service Unavailable", "status": 503.}},
	} {
		w := serve(httplimit.Middleware(always(some, errDown), func(*http.Request) (string, error) { return "k", tt.key },
			httplimit.Options{OnError: httplimit.FailClosed})(&teapot{}), request(t.Context()))
		assert.Equal(t, tt.want, body(t, w))
		assert.Equal(t, http.Header{"Content-Type": {"application/problem+json"}, "Cache-Control": {"no-store"}}, w.Header())
	}
}

func TestMiddleware_cost(t *testing.T) {
	for _, tt := range []struct{ cost, code int }{{0, 418}, {1, 418}, {7, 418}, {-1, 500}, {-1 << 31, 500}} {
		var taken []int
		var failures []error
		store := storeFunc(func(_ context.Context, _ string, n int) (ratelimit.Result, error) {
			taken = append(taken, n)
			return some, nil
		})
		r := request(t.Context())
		w := serve(httplimit.Middleware(store, one, httplimit.Options{
			Cost:      func(req *http.Request) int { assert.Same(t, r, req); return tt.cost },
			OnFailure: func(_ *http.Request, err error) { failures = append(failures, err) },
		})(&teapot{}), r)
		assert.Equal(t, tt.code, w.Code)
		if tt.code == 500 {
			require.Len(t, failures, 1)
			require.ErrorContains(t, failures[0], "a cost of -")
			assert.Empty(t, taken)
			continue
		}
		assert.Equal(t, []int{tt.cost}, taken)
		assert.NotEmpty(t, w.Header().Get("RateLimit"))
	}
}

func TestMiddleware_shadow(t *testing.T) {
	for _, res := range []ratelimit.Result{some, none} {
		h := &teapot{}
		var limited []ratelimit.Result
		w := serve(httplimit.Middleware(always(res, nil), one, httplimit.Options{
			Shadow: true, XHeaders: true,
			OnLimited: func(_ *http.Request, res ratelimit.Result) { limited = append(limited, res) },
		})(h), request(t.Context()))
		assert.Equal(t, http.StatusTeapot, w.Code)
		assert.Equal(t, 1, h.served)
		assert.Empty(t, w.Header())
		if res.OK {
			assert.Empty(t, limited)
		} else {
			assert.Equal(t, []ratelimit.Result{res}, limited)
		}
	}
}

func TestMiddleware_failures(t *testing.T) {
	errWorse := errors.New("out of memory")
	for _, tt := range []struct {
		name     string
		fallback ratelimit.Store
		onError  httplimit.OnError
		code     int
		fields   bool
		failures int
	}{
		{"open", nil, httplimit.FailOpen, 418, false, 1},
		{"closed", nil, httplimit.FailClosed, 503, false, 1},
		{"open, with a fallback", always(some, nil), httplimit.FailOpen, 418, true, 1},
		{"closed, with a fallback", always(some, nil), httplimit.FailClosed, 418, true, 1},
		{"open, denied by the fallback", always(none, nil), httplimit.FailOpen, 429, true, 1},
		{"closed, denied by the fallback", always(none, nil), httplimit.FailClosed, 429, true, 1},
		{"open, the fallback fails too", always(none, errWorse), httplimit.FailOpen, 418, false, 2},
		{"closed, the fallback fails too", always(some, errWorse), httplimit.FailClosed, 503, false, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, shadow := range []bool{false, true} {
				var failures []error
				limited := 0
				w := serve(httplimit.Middleware(always(none, errDown), one, httplimit.Options{
					OnError: tt.onError, Fallback: tt.fallback, Shadow: shadow,
					OnFailure: func(_ *http.Request, err error) { failures = append(failures, err) },
					OnLimited: func(*http.Request, ratelimit.Result) { limited++ },
				})(&teapot{}), request(t.Context()))
				require.Len(t, failures, tt.failures)
				require.ErrorIs(t, failures[0], errDown)
				require.EqualError(t, failures[0], "ratelimit: httplimit: the store: connection refused")
				if tt.failures == 2 {
					require.ErrorIs(t, failures[1], errWorse)
					require.EqualError(t, failures[1], "ratelimit: httplimit: the fallback: out of memory")
				}
				assert.Equal(t, tt.code == 429, limited == 1)
				if shadow {
					assert.Equal(t, 418, w.Code)
					hasNoFields(t, w.Header())
					continue
				}
				assert.Equal(t, tt.code, w.Code)
				assert.Equal(t, tt.fields, w.Header().Get("RateLimit") != "")
				assert.Equal(t, tt.fields, w.Header().Get("RateLimit-Policy") != "")
			}
		})
	}
	// Nobody has to listen.
	assert.Equal(t, 418, serve(httplimit.Middleware(always(none, errDown), one, httplimit.Options{})(&teapot{}), request(t.Context())).Code)
}

// stuck is a Store that fails when its context ends.
func stuck(ctx context.Context, _ string, _ int) (ratelimit.Result, error) {
	<-ctx.Done()
	return ratelimit.Result{}, ctx.Err()
}

func TestMiddleware_storeTimeout(t *testing.T) {
	for _, tt := range []struct {
		timeout  time.Duration
		fallback ratelimit.Store
		after    time.Duration
		code     int
	}{
		{0, nil, 100 * time.Millisecond, 503},
		{time.Second, nil, time.Second, 503},
		{time.Second, storeFunc(stuck), 2 * time.Second, 503},
		{time.Second, always(some, nil), time.Second, 418},
		{-1, nil, time.Hour, 503},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			start := time.Now()
			w := serve(httplimit.Middleware(storeFunc(stuck), one, httplimit.Options{
				StoreTimeout: tt.timeout, Fallback: tt.fallback, OnError: httplimit.FailClosed,
				OnFailure: func(_ *http.Request, err error) { require.ErrorIs(t, err, context.DeadlineExceeded) },
			})(&teapot{}), request(ctx))
			assert.Equal(t, tt.after, time.Since(start))
			assert.Equal(t, tt.code, w.Code)
		})
	}
}

// The context of the handler has no limit of time, and that of the store is
// over.
func TestMiddleware_contexts(t *testing.T) {
	var seen context.Context
	store := storeFunc(func(ctx context.Context, _ string, _ int) (ratelimit.Result, error) {
		seen = ctx
		return some, nil
	})
	h := &teapot{}
	serve(httplimit.Middleware(store, one, httplimit.Options{})(h), request(t.Context()))
	require.ErrorIs(t, seen.Err(), context.Canceled)
	require.NoError(t, h.r.Context().Err())
	serve(httplimit.Middleware(store, one, httplimit.Options{StoreTimeout: -1})(h), request(t.Context()))
	require.NoError(t, seen.Err())
	_, limited := seen.Deadline()
	assert.False(t, limited)
}

// A client that has gone away is no failure.
func TestMiddleware_gone(t *testing.T) {
	for _, inFallback := range []bool{false, true} {
		for _, onError := range []httplimit.OnError{httplimit.FailOpen, httplimit.FailClosed} {
			for _, shadow := range []bool{false, true} {
				ctx, cancel := context.WithCancel(t.Context())
				failures, asked := 0, 0
				o := httplimit.Options{
					OnError: onError, Shadow: shadow,
					OnFailure: func(*http.Request, error) { failures++ },
					OnLimited: func(*http.Request, ratelimit.Result) { t.Error("limited") },
					Fallback: storeFunc(func(ctx context.Context, _ string, _ int) (ratelimit.Result, error) {
						asked++
						cancel()
						return some, ctx.Err()
					}),
				}
				store := storeFunc(func(ctx context.Context, _ string, _ int) (ratelimit.Result, error) {
					if inFallback {
						return some, errDown
					}
					cancel()
					return some, ctx.Err()
				})
				h := &teapot{}
				w := serve(httplimit.Middleware(store, one, o)(h), request(ctx))
				cancel()
				hasNoFields(t, w.Header())
				if shadow {
					assert.Equal(t, 418, w.Code)
				} else {
					assert.Equal(t, 503, w.Code)
					assert.Zero(t, h.served)
				}
				want := 0
				if inFallback {
					want = 1
				}
				assert.Equal(t, want, failures)
				assert.Equal(t, want, asked)
			}
		}
	}
}

// Each Middleware and the handler tell of their own policies.
func TestMiddleware_nested(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("RateLimit-Policy", `"third";q=3`)
		w.WriteHeader(http.StatusTeapot)
	})
	daily := ratelimit.Result{OK: true, Limit: 1000, Remaining: 999, ResetAfter: 80 * time.Second, Window: 24 * time.Hour}
	outer := httplimit.Middleware(always(daily, nil), one, httplimit.Options{Policy: "daily", XHeaders: true})
	inner := func(res ratelimit.Result) func(http.Handler) http.Handler {
		return httplimit.Middleware(always(res, nil), one, httplimit.Options{Policy: "burst", XHeaders: true})
	}
	w := serve(outer(inner(some)(handler)), request(t.Context()))
	assert.Equal(t, http.Header{
		"Ratelimit-Policy":      {`"daily";q=1000;w=86400`, `"burst";q=100;w=60`, `"third";q=3`},
		"Ratelimit":             {`"daily";r=999;t=80`, `"burst";r=50;t=30`},
		"X-Ratelimit-Limit":     {"100"},
		"X-Ratelimit-Remaining": {"50"},
		"X-Ratelimit-Reset":     {"30"},
	}, w.Header())

	// What the outer one told of the time is not true of the inner one.
	w = serve(outer(inner(ratelimit.Result{Limit: 1, RetryAfter: -1, ResetAfter: -1, Window: -1})(handler)), request(t.Context()))
	assert.Equal(t, http.Header{
		"Ratelimit-Policy":      {`"daily";q=1000;w=86400`, `"burst";q=1`},
		"Ratelimit":             {`"daily";r=999;t=80`, `"burst";r=0`},
		"X-Ratelimit-Limit":     {"1"},
		"X-Ratelimit-Remaining": {"0"},
		"Content-Type":          {"application/problem+json"},
		"Cache-Control":         {"no-store"},
	}, w.Header())
}

// Those who come at the same time share what there is.
func TestMiddleware_concurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keyed := ratelimit.NewKeyed[string](1, 5, 10)
		handler := httplimit.Middleware(ratelimit.StoreOf(keyed), httplimit.ByIP(), httplimit.Options{XHeaders: true})(
			http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		var served, denied atomic.Int64
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				switch w := serve(handler, request(t.Context())); w.Code {
				case http.StatusOK:
					served.Add(1)
				case http.StatusTooManyRequests:
					denied.Add(1)
				}
			})
		}
		wg.Wait()
		assert.EqualValues(t, 5, served.Load())
		assert.EqualValues(t, 27, denied.Load())
	})
}

// A panic and a Goexit of whatever is called pass through, and leave nothing
// behind: the next request is served.
func TestMiddleware_panicAndGoexit(t *testing.T) {
	for _, goexit := range []bool{false, true} {
		for _, at := range []string{"key", "cost", "store", "fallback", "limited", "failure", "handler"} {
			t.Run(at, func(t *testing.T) {
				armed := true
				fall := func(here string) {
					switch {
					case !armed || here != at:
					case goexit:
						runtime.Goexit()
					default:
						panic(at)
					}
				}
				var ctx context.Context
				take := func(c context.Context, s string, err error) (ratelimit.Result, error) {
					ctx = c
					fall(s)
					return none, err
				}
				handler := httplimit.Middleware(
					storeFunc(func(ctx context.Context, _ string, _ int) (ratelimit.Result, error) {
						if at == "handler" {
							return some, nil
						}
						return take(ctx, "store", errDown)
					}),
					func(*http.Request) (string, error) { fall("key"); return "k", nil },
					httplimit.Options{
						Cost: func(*http.Request) int { fall("cost"); return 1 },
						Fallback: storeFunc(func(ctx context.Context, _ string, _ int) (ratelimit.Result, error) {
							return take(ctx, "fallback", nil)
						}),
						OnLimited: func(*http.Request, ratelimit.Result) { fall("limited") },
						OnFailure: func(*http.Request, error) { fall("failure") },
					})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					fall("handler")
					w.WriteHeader(http.StatusTooManyRequests)
				}))
				var recovered any
				done := make(chan struct{})
				go func() {
					defer close(done)
					defer func() { recovered = recover() }()
					serve(handler, request(t.Context()))
					t.Error("returned")
				}()
				<-done
				if !goexit {
					assert.Equal(t, at, recovered)
				}
				if ctx != nil {
					assert.ErrorIs(t, ctx.Err(), context.Canceled, "released")
				}
				armed = false
				assert.Equal(t, 429, serve(handler, request(t.Context())).Code)
			})
		}
	}
}

func TestMiddleware_programmerErrors(t *testing.T) {
	store, ok := always(some, nil), httplimit.Options{}
	for want, f := range map[string]func(){
		"ratelimit: httplimit.Middleware without a store":                                      func() { httplimit.Middleware(nil, one, ok) },
		"ratelimit: httplimit.Middleware without a key function":                               func() { httplimit.Middleware(store, nil, ok) },
		"ratelimit: httplimit.Middleware around no handler":                                    func() { httplimit.Middleware(store, one, ok)(nil) },
		"ratelimit: httplimit.Middleware with OnError 2":                                       func() { httplimit.Middleware(store, one, httplimit.Options{OnError: 2}) },
		"ratelimit: httplimit.Middleware with OnError -1":                                      func() { httplimit.Middleware(store, one, httplimit.Options{OnError: -1}) },
		"ratelimit: httplimit.Middleware with the policy \"a\\tb\": not printable ASCII":       func() { httplimit.Middleware(store, one, httplimit.Options{Policy: "a\tb"}) },
		"ratelimit: httplimit.Middleware with the policy \"\\x7f\": not printable ASCII":       func() { httplimit.Middleware(store, one, httplimit.Options{Policy: "\x7f"}) },
		"ratelimit: httplimit.Middleware with the policy \"täglich\": not printable ASCII":     func() { httplimit.Middleware(store, one, httplimit.Options{Policy: "täglich"}) },
		"ratelimit: httplimit.Middleware with the policy \"a\\r\\nb: c\": not printable ASCII": func() { httplimit.Middleware(store, one, httplimit.Options{Policy: "a\r\nb: c"}) },
		"ratelimit: httplimit.Transport without a waiter":                                      func() { httplimit.Transport(nil, nil) },
	} {
		assert.PanicsWithValue(t, want, f)
	}
}
