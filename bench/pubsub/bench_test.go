package pubsubbench_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/bench/measure"
	pubsubbench "github.com/seed4886185c/concert/bench/pubsub"
	"github.com/seed4886185c/concert/pubsub"
)

// Each run compares its outcome with the right one and panics if it differs.
func TestScenarios(t *testing.T) {
	for _, s := range pubsubbench.Scenarios() {
		names := map[string]bool{}
		for _, c := range s.Contenders {
			require.False(t, names[c.Name], "%s twice in %s", c.Name, s.Name)
			names[c.Name] = true
			t.Run(s.Name+"/"+c.Name, func(t *testing.T) {
				run := run(c)
				for range 3 {
					assert.NotPanics(t, run)
				}
			})
		}
		assert.Contains(t, s.Contenders[0].Name, "pubsub.")
	}
}

func run(c measure.Contender) func() {
	if c.Make != nil {
		return func() { c.Make()() }
	}
	return c.Run
}

// The notes tell who does not keep the order.
func TestOrder(t *testing.T) {
	for name, ordered := range pubsubbench.Order(t.Context(), 5000) {
		if name != "watermill" {
			assert.True(t, ordered, name)
		}
	}
}

func TestSinks(t *testing.T) {
	s := pubsubbench.NewSinks(2, 3)
	take := func(i int, values ...int) {
		for _, v := range values {
			s.Take(i, v)
		}
	}
	for range 2 {
		take(0, 0, 1, 2)
		take(1, 2, 0, 1)
		assert.NotPanics(t, s.Wait)
	}
	take(0, 0, 1, 2)
	take(1, 0, 2, 2)
	assert.PanicsWithValue(t, "pubsubbench: the events of 1 subscribers are not those that were published", s.Wait)
}

func TestAccount(t *testing.T) {
	a := pubsubbench.NewAccount()
	for range 2 {
		a.Take(1)
		go a.Take(0)
		assert.NotPanics(t, func() { a.Settle(2) })
	}
	a.Take(1)
	a.Take(1)
	assert.PanicsWithValue(t, "pubsubbench: 2 events with the sum 2 have come, want 2", func() { a.Settle(2) })
}

func TestCall_check(t *testing.T) {
	assert.NotPanics(t, func() { pubsubbench.CheckCall(2, 2, 2) })
	assert.PanicsWithValue(t, "pubsubbench: listener 1 was called 1 times, want 2", func() { pubsubbench.CheckCall(2, 2, 1) })
}

// Nothing but the one who should gets an event.
func TestPatterns(t *testing.T) {
	b := pubsub.NewBus[int](1)
	patterns := pubsubbench.Patterns(100)
	assert.Len(t, patterns, 100)
	for _, p := range patterns {
		s, err := b.Subscribe(t.Context(), p)
		require.NoError(t, err)
		t.Cleanup(func() { assert.Zero(t, s.Len(), p) })
	}
	require.NoError(t, b.Publish(t.Context(), "orders.eu.paid", 1))
}

func BenchmarkPubsub(b *testing.B) {
	for _, s := range pubsubbench.Scenarios() {
		for _, c := range s.Contenders {
			if c.Run == nil {
				continue // takes memory, not time
			}
			b.Run(s.Name+"/"+c.Name, func(b *testing.B) {
				b.ReportAllocs() // of a run, that is of many events
				for b.Loop() {
					c.Run()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())*float64(max(c.Part, 1))/float64(b.N*s.Per), s.Unit)
			})
		}
	}
}
