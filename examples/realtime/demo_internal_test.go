package main

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHappened(t *testing.T) {
	assert.Zero(t, happened(0))
	assert.Equal(t, 250, happened(2500*time.Millisecond))
	assert.Equal(t, 251, happened(2502*time.Millisecond))
	assert.Equal(t, 1000, happened(4*time.Second))
	assert.Equal(t, 3*1000+100, happened(13*time.Second))
	for d, before := time.Duration(0), 0; d < 10*time.Second; d += pace {
		now := happened(d)
		assert.LessOrEqual(t, before, now)
		before = now
	}
}

func TestDemoEvent(t *testing.T) {
	var bad, failedQuiet, failedBusy int
	regions := map[string]bool{}
	for n := range perPeriod {
		text := demoEvent(n)
		assert.Equal(t, text, demoEvent(n))
		var got []event
		_ = readEvents(strings.NewReader(text), func(e event) bool { got = append(got, e); return true })
		require.Len(t, got, 1)
		assert.Equal(t, strconv.Itoa(n), got[0].id)
		o, err := parse(got[0])
		switch {
		case err != nil:
			bad++
			continue
		case o.Failed && n < perQuiet:
			failedQuiet++
		case o.Failed:
			failedBusy++
		}
		regions[o.Region] = true
	}
	assert.Equal(t, perPeriod/badEvery, bad)
	assert.Less(t, failedQuiet, perQuiet/20)
	assert.Greater(t, failedBusy, (perPeriod-perQuiet)/5)
	assert.Greater(t, len(regions), maxRegions, "else there are no others")
}

// The connection breaks, and the next one goes on behind the last whole event.
func TestDemo_connections(t *testing.T) {
	shop := &demo{start: time.Now().Add(-time.Hour)} // much has happened
	c := &client{http: http.DefaultClient, url: serverURL(t, shop.ServeHTTP), lastID: "100"}
	var ids []string
	upTo := func(n int) func(event) bool {
		return func(e event) bool {
			ids = append(ids, e.id)
			return len(ids) < n
		}
	}
	require.Error(t, c.connect(t.Context(), upTo(10*cutEvery)))
	assert.Equal(t, strconv.Itoa(cutEvery-2), c.lastID)
	require.NoError(t, c.connect(t.Context(), upTo(cutEvery)))
	for i, id := range ids {
		assert.Equal(t, strconv.Itoa(101+i), id, "none is missing, and none comes twice")
	}

	c.lastID = ""
	ids = nil
	require.NoError(t, c.connect(t.Context(), upTo(1)))
	first, err := strconv.Atoi(ids[0])
	require.NoError(t, err)
	assert.GreaterOrEqual(t, first, happened(time.Hour), "who has none gets those from now on")
}
