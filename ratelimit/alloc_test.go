package ratelimit_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/ratelimit"
)

// plenty is a rate at which nobody waits.
const plenty = ratelimit.Rate(1e9)

// never is a rate at which nothing comes while a test runs.
var never = ratelimit.Every(10000 * time.Hour)

// What is done for each event, or each call, takes no memory.
func TestNoAllocations(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	spent := ratelimit.New(never, 1)
	require.True(t, spent.Allow())
	free := ratelimit.New(plenty, 1<<30)
	both := ratelimit.All(free, ratelimit.New(plenty, 1<<30))
	neither := ratelimit.All(free, spent)
	window := ratelimit.NewWindow(2, time.Nanosecond)
	fullWindow := ratelimit.NewWindow(2, 10000*time.Hour)
	for range 2 {
		require.True(t, fullWindow.Allow())
		for !window.Allow() {
		}
	}
	keyed := ratelimit.NewKeyed[string](never, mostBurst, 100)
	spentKeyed := ratelimit.NewKeyed[string](never, 1, 100)
	for i := range 50 {
		require.True(t, keyed.Allow("user"+strconv.Itoa(i)))
		require.True(t, spentKeyed.Allow("user"+strconv.Itoa(i)))
	}
	store := ratelimit.StoreOf(keyed)
	b := ratelimit.NewBulkhead(2, 0)
	fullBulkhead := ratelimit.NewBulkhead(1, 0)
	require.True(t, fullBulkhead.TryAcquire())
	must := func(ok bool) {
		if !ok {
			panic("not as expected")
		}
	}
	for _, tt := range []struct {
		name string
		fn   func()
	}{
		{"Limiter.Allow", func() { must(free.Allow()) }},
		{"Limiter.Allow denied", func() { must(!spent.Allow()) }},
		{"Limiter.AllowN", func() { must(free.AllowN(3)) }},
		{"Limiter.Wait", func() { must(free.Wait(ctx) == nil) }},
		{"Limiter.Tokens", func() { must(free.Tokens() > 0) }},
		{"Multi.Allow", func() { must(both.Allow()) }},
		{"Multi.Allow denied", func() { must(!neither.Allow()) }},
		{"Window.Allow", func() { window.Allow() }},
		{"Window.Allow denied", func() { must(!fullWindow.Allow()) }},
		{"Keyed.Allow", func() { must(keyed.Allow("user7")) }},
		{"Keyed.Allow denied", func() { must(!spentKeyed.Allow("user7")) }},
		{"Keyed.Take", func() { must(keyed.Take("user7", 2).OK) }},
		{"Keyed.Take denied", func() { must(!spentKeyed.Take("user7", 1).OK) }},
		{"Store.Take", func() {
			r, err := store.Take(ctx, "user7", 1)
			must(r.OK && err == nil)
		}},
		{"Bulkhead.TryAcquire", func() {
			must(b.TryAcquire())
			b.Release()
		}},
		{"Bulkhead.TryAcquire denied", func() { must(!fullBulkhead.TryAcquire()) }},
		{"Bulkhead.Acquire", func() {
			must(b.Acquire(ctx) == nil)
			b.Release()
		}},
		{"Bulkhead.Acquire denied", func() { must(fullBulkhead.Acquire(ctx) == ratelimit.ErrFull) }}, //nolint:errorlint // it is this one
	} {
		assert.Zero(t, testing.AllocsPerRun(200, tt.fn), tt.name)
	}
}
