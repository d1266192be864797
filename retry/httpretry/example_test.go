package httpretry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/seed4886185c/concert/retry"
	"github.com/seed4886185c/concert/retry/httpretry"
)

// moody returns a server that answers every request with the statuses, one
// after the other.
func moody(statuses ...int) *httptest.Server {
	n := -1
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n = (n + 1) % len(statuses)
		if statuses[n] == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "0")
		}
		w.WriteHeader(statuses[n])
		_, _ = io.Copy(w, r.Body)
	}))
}

func ExampleClient() {
	server := moody(http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusOK)
	defer server.Close()

	client := httpretry.Client(retry.Policy{
		MaxAttempts:    5,
		AttemptTimeout: 10 * time.Second,
		Backoff:        retry.Exponential(time.Millisecond, time.Second),
		OnRetry: func(_ context.Context, a retry.Attempt) {
			fmt.Printf("attempt %d: %v, waiting %v\n", a.N, a.Err, a.Delay)
		},
	})
	defer client.CloseIdleConnections()

	resp, err := client.Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	fmt.Println(resp.Status)
	// Output:
	// attempt 1: httpretry: status 503 Service Unavailable, waiting 1ms
	// attempt 2: httpretry: status 429 Too Many Requests, waiting 0s
	// 200 OK
}

// A transport for a client that has more to it. All requests share a Budget.
func ExampleTransport() {
	server := moody(http.StatusBadGateway, http.StatusOK)
	defer server.Close()

	base := http.DefaultTransport.(*http.Transport).Clone()
	base.MaxIdleConnsPerHost = 20
	client := &http.Client{
		Transport: httpretry.Transport(retry.Policy{
			Backoff: retry.Constant(time.Millisecond),
			Budget:  retry.NewBudget(0.1, 10),
		}, base),
		Timeout: time.Minute, // for all attempts together
	}
	defer client.CloseIdleConnections()

	resp, err := client.Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	fmt.Println(resp.Status)
	// Output: 200 OK
}

// A POST is retried if that is allowed. Here the server is known to take the
// same order once only.
func ExampleMethods() {
	server := moody(http.StatusServiceUnavailable, http.StatusOK)
	defer server.Close()

	client := httpretry.Client(retry.Policy{Backoff: retry.Constant(time.Millisecond)}, httpretry.Methods(http.MethodPost))
	defer client.CloseIdleConnections()

	resp, err := client.Post(server.URL, "text/plain", strings.NewReader("order 17"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	fmt.Println(resp.Status, string(body), err)
	// Output: 200 OK order 17 <nil>
}

func ExampleStatuses() {
	server := moody(http.StatusInternalServerError, http.StatusOK)
	defer server.Close()

	client := httpretry.Client(retry.Policy{Backoff: retry.Constant(time.Millisecond)},
		httpretry.Statuses(http.StatusInternalServerError, http.StatusServiceUnavailable))
	defer client.CloseIdleConnections()

	resp, err := client.Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	fmt.Println(resp.Status)
	// Output: 200 OK
}

// RetryIf sees the status of a response, and may refuse.
func ExampleStatusError() {
	server := moody(http.StatusTooManyRequests, http.StatusOK)
	defer server.Close()

	client := httpretry.Client(retry.Policy{
		RetryIf: func(err error) bool {
			status, ok := errors.AsType[*httpretry.StatusError](err)
			return !ok || status.Code != http.StatusTooManyRequests
		},
	})
	defer client.CloseIdleConnections()

	resp, err := client.Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	fmt.Println(resp.Status)
	// Output: 429 Too Many Requests
}
