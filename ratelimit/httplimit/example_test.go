package httplimit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"time"

	"github.com/seed4886185c/concert/ratelimit"
	"github.com/seed4886185c/concert/ratelimit/httplimit"
)

// get serves a request of a client, and prints what is told of the limit.
func get(h http.Handler, path, client string) {
	r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
	r.RemoteAddr = client + ":40000"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(client, w.Code, w.Header().Values("RateLimit"))
}

// Two requests a minute for each address, of up to 100,000.
func ExampleMiddleware() {
	keyed := ratelimit.NewKeyed[string](ratelimit.Per(2, time.Minute), 2, 100_000)
	limit := httplimit.Middleware(ratelimit.StoreOf(keyed), httplimit.ByIP(), httplimit.Options{
		StoreTimeout: -1, // the store is in this process
	})
	handler := limit(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
	}))

	get(handler, "/", "192.0.2.1")
	get(handler, "/", "192.0.2.1")
	get(handler, "/", "192.0.2.1")
	get(handler, "/", "192.0.2.2")
	// Output:
	// 192.0.2.1 200 ["default";r=1;t=30]
	// 192.0.2.1 200 ["default";r=0;t=30]
	// 192.0.2.1 429 ["default";r=0;t=30]
	// 192.0.2.2 200 ["default";r=1;t=30]
}

// A limit is tried out before it is put in force: searches count for five, and
// nobody is denied yet.
func ExampleOptions() {
	keyed := ratelimit.NewKeyed[string](ratelimit.Per(6, time.Minute), 6, 100_000)
	limit := httplimit.Middleware(ratelimit.StoreOf(keyed), httplimit.ByIP(), httplimit.Options{
		Policy: "weighted",
		Cost: func(r *http.Request) int {
			if r.URL.Path == "/search" {
				return 5
			}
			return 1
		},
		Shadow: true,
		OnLimited: func(r *http.Request, res ratelimit.Result) {
			fmt.Println("would be denied:", r.URL.Path, "with", res.Remaining, "left of", res.Limit)
		},
	})
	handler := limit(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))

	get(handler, "/search", "192.0.2.1")
	get(handler, "/search", "192.0.2.1")
	get(handler, "/", "192.0.2.1")
	// Output:
	// 192.0.2.1 200 []
	// would be denied: /search with 1 left of 6
	// 192.0.2.1 200 []
	// 192.0.2.1 200 []
}

// brokenStore cannot reach what all processes share.
type brokenStore struct{}

func (brokenStore) Take(context.Context, string, int) (ratelimit.Result, error) {
	return ratelimit.Result{}, errors.New("connection refused")
}

// When the store of all processes is down, each limits for itself.
func ExampleOptions_fallback() {
	local := ratelimit.NewKeyed[string](ratelimit.Per(1, time.Minute), 1, 100_000)
	limit := httplimit.Middleware(brokenStore{}, httplimit.ByIP(), httplimit.Options{
		Fallback:  ratelimit.StoreOf(local),
		OnFailure: func(_ *http.Request, err error) { fmt.Println(err) },
	})
	handler := limit(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))

	get(handler, "/", "192.0.2.1")
	get(handler, "/", "192.0.2.1")
	// Output:
	// ratelimit: httplimit: the store: connection refused
	// 192.0.2.1 200 ["default";r=0;t=60]
	// ratelimit: httplimit: the store: connection refused
	// 192.0.2.1 429 ["default";r=0;t=60]
}

// Behind a proxy, the client is whom the proxy was called by. What the client
// itself claims is of no account.
func ExampleByIP() {
	byIP := httplimit.ByIP(netip.MustParsePrefix("10.0.0.0/8"))

	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.RemoteAddr = "10.0.0.1:40000" // the proxy
	for _, forwarded := range []string{
		"192.0.2.1",
		"203.0.113.7, 192.0.2.1",
		"2001:db8::1",
		"2001:db8::2",
	} {
		r.Header.Set("X-Forwarded-For", forwarded)
		fmt.Println(byIP(r))
	}
	// Output:
	// 192.0.2.1 <nil>
	// 192.0.2.1 <nil>
	// 2001:db8::/64 <nil>
	// 2001:db8::/64 <nil>
}

func ExampleByHeader() {
	byKey := httplimit.ByHeader("X-Api-Key")

	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	fmt.Println(byKey(r))
	r.Header.Set("X-Api-Key", "alice")
	fmt.Println(byKey(r))
	// Output:
	//  ratelimit: httplimit: no key: not one value of the field X-Api-Key
	// alice <nil>
}

// A client that keeps to the limit of a server. Where it would have to wait for
// longer than it may, nothing is sent.
func ExampleTransport() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
	}))
	defer server.Close()

	limiter := ratelimit.New(ratelimit.Per(2, time.Hour), 2)
	client := &http.Client{
		Transport: httplimit.Transport(limiter, nil),
		Timeout:   time.Minute, // also of the wait
	}
	defer client.CloseIdleConnections()

	for range 3 {
		resp, err := client.Get(server.URL)
		if err != nil {
			fmt.Println("not sent:", errors.Is(err, ratelimit.ErrLimited))
			continue
		}
		fmt.Println(resp.Status)
		_ = resp.Body.Close()
	}
	// Output:
	// 200 OK
	// 200 OK
	// not sent: true
}
