package httpbreaker_test

import (
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

// What is a failure is for Classify to say. A host that is too busy is not down.
func ExampleStatusError() {
	tooBusy := &httpbreaker.StatusError{Code: http.StatusServiceUnavailable}
	down := &httpbreaker.StatusError{Code: http.StatusBadGateway}

	isDown := func(err error) bool {
		status, ok := errors.AsType[*httpbreaker.StatusError](err)
		return err != nil && (!ok || status.Code != http.StatusServiceUnavailable)
	}
	fmt.Println(isDown(nil), isDown(tooBusy), isDown(down))
	// Output: false false true
}
