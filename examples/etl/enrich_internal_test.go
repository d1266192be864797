package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testServices returns services with handlers for both.
func testServices(t *testing.T, rates, customers http.HandlerFunc) services {
	t.Helper()
	network := newNetwork(1)
	t.Cleanup(network.CloseIdleConnections)
	return newServices(network, mustURL(t, serverURL(t, rates)), mustURL(t, serverURL(t, customers)))
}

// saying returns a handler that always answers the same.
func saying(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func TestEnrich(t *testing.T) {
	wellRate, wellCustomer := saying(200, `{"eur": 0.25}`), saying(200, `{"segment": "gold"}`)
	for name, test := range map[string]struct {
		rates, customers http.HandlerFunc
		rate             float64
		segment          string
	}{
		"both":              {wellRate, wellCustomer, 0.25, "gold"},
		"no rate":           {saying(404, ""), wellCustomer, 0, "gold"},
		"no segment":        {wellRate, saying(500, `{"segment": "gold"}`), 0.25, ""},
		"neither":           {saying(503, ""), saying(404, ""), 0, ""},
		"not what is meant": {saying(200, `{"eur": "x"}`), saying(200, ""), 0, ""},
		"nothing in it":     {saying(200, "{}"), saying(200, `{"segment": ""}`), 0, ""},
		"too much":          {wellRate, saying(200, `{"segment": "`+strings.Repeat("x", maxAnswer)+`"}`), 0.25, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := testServices(t, test.rates, test.customers)
			o := testOrder("1")
			o.segment.V = "old"
			o, err := s.enrich(t.Context(), o)
			require.NoError(t, err)
			assert.Equal(t, test.rate > 0, o.rate.Valid)
			assert.Equal(t, test.segment != "", o.segment.Valid)
			if o.rate.Valid {
				assert.InDelta(t, test.rate, o.rate.V, 0)
			}
			if o.segment.Valid {
				assert.Equal(t, test.segment, o.segment.V)
			}
		})
	}
}

func TestEnrich_again(t *testing.T) {
	var asked atomic.Int32
	s := testServices(t, saying(404, ""), func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		io.WriteString(w, `{"segment": "gold"}`)
	})
	o, err := s.enrich(t.Context(), testOrder("1"))
	require.NoError(t, err)
	assert.Equal(t, "gold", o.segment.V)
	assert.EqualValues(t, 2, asked.Load())
}

func TestEnrich_withoutServices(t *testing.T) {
	s := newServices(nil, nil, nil)
	o := testOrder("1")
	o.currency = "EUR"
	o, err := s.enrich(t.Context(), o)
	require.NoError(t, err)
	assert.True(t, o.rate.Valid, "an euro is an euro")
	assert.False(t, o.segment.Valid)
}

func TestEnrich_cancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("the user has had enough")
	s := testServices(t, saying(200, `{"eur": 0.25}`), func(http.ResponseWriter, *http.Request) { cancel(enough) })
	_, err := s.enrich(ctx, testOrder("1"))
	require.ErrorIs(t, err, enough)
}
