package main

import (
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A client without retries sees every bad answer, also when it has used the
// server before.
func TestDemo_answersOneAfterAnother(t *testing.T) {
	d, err := startDemo(t.Context(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer requireRefused(t, d.address)
	defer d.close()

	want := map[string][]int{ // 0 where there is none
		"/fine": {200, 200, 200},
		"/busy": {429, 200, 200},
		"/down": {503, 503, 200},
		"/torn": {0, 200, 200},
		"/gone": {404, 404, 404},
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	got := make(map[string][]int)
	for _, target := range d.targets() {
		for range 3 {
			o, _ := get(t.Context(), client, target.url)
			got[target.name] = append(got[target.name], o.status)
		}
	}
	assert.Equal(t, want, got)
}
