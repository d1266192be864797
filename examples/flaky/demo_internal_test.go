package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSchedule(t *testing.T) {
	start := time.Now()
	for name, test := range map[string]struct {
		period, broken time.Duration
		want           string // for each second, b where broken
	}{
		"in the middle": {6 * time.Second, 2 * time.Second, "..bb....bb..."},
		"always":        {2 * time.Second, 2 * time.Second, "bbbbb"},
		"never":         {2 * time.Second, 0, "....."},
	} {
		s := schedule{start: start, period: test.period, broken: test.broken}
		got := ""
		for i := range test.want {
			got += map[bool]string{true: "b", false: "."}[s.brokenAt(start.Add(time.Duration(i)*time.Second))]
		}
		assert.Equal(t, test.want, got, name)
		assert.False(t, s.brokenAt(start.Add(-time.Second)), "before the start")
	}
	s := schedule{start: start, period: 4, broken: 2}
	assert.False(t, s.brokenAt(start))
	assert.True(t, s.brokenAt(start.Add(1)))
	assert.True(t, s.brokenAt(start.Add(2)))
	assert.False(t, s.brokenAt(start.Add(3)))
}

func TestService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plan := schedule{start: time.Now(), period: 4 * latency, broken: 2 * latency}
		s := &service{plan: plan, logger: slog.New(slog.DiscardHandler)}
		var got []int
		for range 6 {
			recorder := httptest.NewRecorder()
			s.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
			got = append(got, recorder.Code)
		}
		assert.Equal(t, []int{503, 503, 200, 200, 503, 503}, got)
		assert.Equal(t, 6*latency, time.Since(plan.start))
	})
}

func TestDemo(t *testing.T) {
	plan := schedule{start: time.Now(), period: time.Minute, broken: time.Minute}
	d, err := startDemo(t.Context(), plan, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer requireRefused(t, d.address)
	defer d.close()

	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c := &client{url: "http://" + d.address + "/", network: transport}
	_, err = c.request(t.Context())
	require.ErrorIs(t, err, statusError(http.StatusServiceUnavailable))

	d.server.Handler.(*service).plan.broken = 0
	answer, err := c.request(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "Here you are.\n", answer)
	assert.EqualValues(t, 2, c.requests.Load())
	assert.EqualValues(t, 1, c.failed.Load())
}
