package httpbreaker_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/seed4886185c/concert/breaker"
	"github.com/seed4886185c/concert/breaker/httpbreaker"
)

func ExampleTransport() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer server.Close()

	hosts := breaker.NewGroup(1000, func(host string) breaker.Settings {
		return breaker.Settings{Name: host, Trip: breaker.Consecutive(2), OpenFor: time.Minute}
	})
	client := &http.Client{Transport: httpbreaker.Transport(hosts, nil)}
	defer client.CloseIdleConnections()

	for range 3 {
		resp, err := client.Get(server.URL)
		if err != nil {
			fmt.Println("not sent:", errors.Is(err, breaker.ErrOpen))
			continue
		}
		fmt.Println(resp.Status)
		_ = resp.Body.Close()
	}
	// Output:
	// 500 Internal Server Error
	// 500 Internal Server Error
	// not sent: true
}

// What is a failure is for Classify to say. Here a host that is too busy is not
// down.
func ExampleStatusError() {
	hosts := breaker.NewGroup(1000, func(host string) breaker.Settings {
		return breaker.Settings{
			Name: host,
			Trip: breaker.Consecutive(1),
			Classify: func(ctx context.Context, err error) breaker.Outcome {
				status, ok := errors.AsType[*httpbreaker.StatusError](err)
				if ok && status.Code == http.StatusServiceUnavailable {
					return breaker.Success
				}
				return breaker.DefaultClassify(ctx, err)
			},
		}
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	client := &http.Client{Transport: httpbreaker.Transport(hosts, nil)}
	defer client.CloseIdleConnections()

	for range 2 {
		resp, err := client.Get(server.URL)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(resp.Status)
		_ = resp.Body.Close()
	}
	// Output:
	// 503 Service Unavailable
	// 503 Service Unavailable
}
