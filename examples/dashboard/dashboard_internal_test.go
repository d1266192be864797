package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// roundTripper stands in for the network.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// newDashboard returns a dashboard of the named endpoints at http://name/.
func newDashboard(transport roundTripper, names ...string) *dashboard {
	d := &dashboard{timeout: time.Second, client: &http.Client{Timeout: time.Second, Transport: transport}}
	for _, name := range names {
		d.endpoints = append(d.endpoints, endpoint{name: name, url: &url.URL{Scheme: "http", Host: name}})
	}
	return d
}

// after waits for a time and then answers, unless the request ends before.
func after(wait time.Duration, r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(wait):
		recorder := httptest.NewRecorder()
		recorder.WriteString(`{"up": 1}`)
		return recorder.Result(), nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

func TestCollect_partsDoNotDisturbEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDashboard(func(r *http.Request) (*http.Response, error) {
			switch r.URL.Host {
			case "panics":
				panic("out of luck\x1b")
			case "hangs":
				return after(time.Hour, r)
			case "fails":
				time.Sleep(250 * time.Millisecond)
				return nil, errors.New("no route")
			default:
				return after(500*time.Millisecond, r)
			}
		}, "slow", "panics", "hangs", "fails", "late")

		start := time.Now()
		got, err := d.collect(t.Context())

		require.NoError(t, err)
		assert.Equal(t, time.Second, time.Since(start), "all are asked at once")
		assert.True(t, start.Equal(got.At))
		up := map[string]float64{"up": 1}
		assert.Equal(t, []part{
			{Name: "slow", URL: "http://slow", OK: true, LatencyMS: 500, Metrics: up},
			{Name: "panics", URL: "http://panics", Error: "panic: out of luck\x1b"},
			{Name: "hangs", URL: "http://hangs", LatencyMS: 1000, Error: "no answer within 1s"},
			{Name: "fails", URL: "http://fails", LatencyMS: 250, Error: "no route"},
			{Name: "late", URL: "http://late", OK: true, LatencyMS: 500, Metrics: up},
		}, got.Parts)
	})
}

func TestCollect_bounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDashboard(func(r *http.Request) (*http.Response, error) {
			return after(time.Hour, r)
		}, strings.Split(strings.Repeat("x", 2*maxAtOnce+1), "")...)

		start := time.Now()
		got, err := d.collect(t.Context())

		require.NoError(t, err)
		assert.True(t, got.allFailed())
		assert.Equal(t, 3*time.Second, time.Since(start))
		assert.Equal(t, d.longest(), time.Since(start))
	})
}

func TestCollect_masksPasswords(t *testing.T) {
	d := newDashboard(func(*http.Request) (*http.Response, error) {
		return nil, errors.New("no route")
	}, "a")
	d.endpoints[0].url.User = url.UserPassword("me", "secret")
	got, err := d.collect(t.Context())

	require.NoError(t, err)
	require.Len(t, got.Parts, 1)
	assert.NotContains(t, got.Parts[0].URL+got.Parts[0].Error, "secret")
}
