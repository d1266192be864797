package httpbreaker_test

import (
	"net/http"
	"testing"

	"github.com/seed4886185c/concert/breaker/httpbreaker"
)

// BenchmarkRoundTrip is a request that succeeds, through the base transport
// alone and through one with breakers.
func BenchmarkRoundTrip(b *testing.B) {
	resp := &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}
	base := baseFunc(func(*http.Request) (*http.Response, error) { return resp, nil })
	for _, bb := range []struct {
		name string
		rt   http.RoundTripper
	}{{"base", base}, {"breaker", httpbreaker.Transport(hosts(), base)}} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://a.test/", http.NoBody)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				got, err := bb.rt.RoundTrip(req)
				if err != nil || got != resp {
					b.Fatal(got, err)
				}
			}
		})
	}
}
