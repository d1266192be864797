package httpretry_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/seed4886185c/concert/retry/httpretry"
)

// answerer is a base transport that answers at once.
type answerer struct{ resp http.Response }

func (a *answerer) RoundTrip(*http.Request) (*http.Response, error) {
	resp := a.resp
	resp.Body = io.NopCloser(http.NoBody)
	return &resp, nil
}

// BenchmarkRoundTrip is a request that succeeds at once, through the base
// transport alone and through one that retries.
func BenchmarkRoundTrip(b *testing.B) {
	base := &answerer{http.Response{StatusCode: http.StatusOK}}
	for _, bb := range []struct {
		name string
		rt   http.RoundTripper
	}{{"base", base}, {"retry", httpretry.Transport(atOnce, base)}} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://example.test/", http.NoBody)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				resp, err := bb.rt.RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				if err := resp.Body.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
