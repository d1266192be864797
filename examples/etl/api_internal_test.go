package main

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/pipeline"
)

func TestFromAPI(t *testing.T) {
	var tally tally
	network := newNetwork(1)
	defer network.CloseIdleConnections()
	var asked atomic.Int32
	pages := (&demo{}).pages(demoRecords("N"))
	first := mustURL(t, serverURL(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		pages.ServeHTTP(w, r)
	}))
	s := fromAPI(newAPIClient(network, &tally), first)

	got, err := pipeline.Collect(t.Context(), s)
	require.NoError(t, err)
	assert.Equal(t, demoRecords("N"), got)
	assert.EqualValues(t, demoOrders/demoPage, asked.Load())

	asked.Store(0)
	got, err = pipeline.Collect(t.Context(), pipeline.Take(s, demoPage+1))
	require.NoError(t, err)
	assert.Equal(t, demoRecords("N")[:demoPage+1], got)
	assert.EqualValues(t, 2, asked.Load(), "pages that nobody wants are not asked for")
	assert.Zero(t, tally.retries.Load())
}
