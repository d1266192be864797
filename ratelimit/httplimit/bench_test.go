package httplimit_test

import (
	"context"
	"net/http"
	"net/netip"
	"testing"

	"github.com/seed4886185c/concert/ratelimit"
	"github.com/seed4886185c/concert/ratelimit/httplimit"
)

// discard is a ResponseWriter that keeps nothing but the header.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// BenchmarkMiddleware is a request that is served: by the handler alone, and
// behind a limit, whose store has nothing to do.
func BenchmarkMiddleware(b *testing.B) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	limit := func(res ratelimit.Result, o httplimit.Options) http.Handler {
		return httplimit.Middleware(always(res, nil), one, o)(handler)
	}
	for _, bb := range []struct {
		name    string
		handler http.Handler
	}{
		{"handler", handler},
		{"allowed", limit(some, httplimit.Options{StoreTimeout: -1})},
		{"allowed/timeout", limit(some, httplimit.Options{})},
		{"allowed/xheaders", limit(some, httplimit.Options{StoreTimeout: -1, XHeaders: true})},
		{"shadow", limit(none, httplimit.Options{StoreTimeout: -1, Shadow: true})},
		{"denied", limit(none, httplimit.Options{StoreTimeout: -1})},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			r := request(b.Context())
			w := &discard{http.Header{}}
			for b.Loop() {
				clear(w.header)
				bb.handler.ServeHTTP(w, r)
			}
		})
	}
}

// BenchmarkStore is a request that is served behind a limit of 1000 addresses.
func BenchmarkStore(b *testing.B) {
	keyed := ratelimit.NewKeyed[string](1e9, 1000, 10_000)
	handler := httplimit.Middleware(ratelimit.StoreOf(keyed), httplimit.ByIP(), httplimit.Options{StoreTimeout: -1})(
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		w := &discard{http.Header{}}
		clients := make([]*http.Request, 1000)
		for i := range clients {
			addr := netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)})
			clients[i] = request(context.Background())
			clients[i].RemoteAddr = netip.AddrPortFrom(addr, 40000).String()
		}
		for i := 0; pb.Next(); i++ {
			clear(w.header)
			handler.ServeHTTP(w, clients[i%len(clients)])
		}
	})
}

// BenchmarkByIP finds the key of a request.
func BenchmarkByIP(b *testing.B) {
	for _, bb := range []struct {
		name string
		r    *http.Request
	}{
		{"direct", from("192.0.2.1:1234")},
		{"direct/v6", from("[2001:db8::1]:1234")},
		{"proxy", from("10.0.0.1:1234", "192.0.2.1")},
		{"proxies=3", from("10.0.0.1:1234", "192.0.2.1, 10.0.0.3, 10.0.0.2")},
	} {
		b.Run(bb.name, func(b *testing.B) {
			byIP := httplimit.ByIP(trusted()...)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := byIP(bb.r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
