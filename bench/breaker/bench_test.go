package breakerbench_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	breakerbench "github.com/seed4886185c/concert/bench/breaker"
)

// Each run compares its outcome with the right one and panics if it differs.
func TestScenarios(t *testing.T) {
	for _, s := range breakerbench.Scenarios() {
		names := map[string]bool{}
		for _, c := range s.Contenders {
			require.False(t, names[c.Name], "%s twice in %s", c.Name, s.Name)
			names[c.Name] = true
			t.Run(s.Name+"/"+c.Name, func(t *testing.T) {
				assert.NotPanics(t, c.Run)
				assert.NotPanics(t, c.Run, "second run")
			})
		}
		assert.Equal(t, "breaker.Do", s.Contenders[0].Name)
	}
}

// call makes one call and reports whether it came through.
func call(loop breakerbench.Loop, w *breakerbench.Work, fail bool) bool {
	w.Fail(fail)
	made := w.Made()
	loop(w)
	return w.Made() > made
}

// eventually reports whether hystrix opens: it does so when it has counted what
// there is, which may be many calls later.
func eventually(loop breakerbench.Loop, w *breakerbench.Work) bool {
	for range 1_000_000 {
		if !call(loop, w, true) {
			return true
		}
	}
	return false
}

// No contender opens sooner or later than the others.
func TestConsecutive(t *testing.T) {
	for name, loop := range breakerbench.Consecutive() {
		w := breakerbench.NewWork(1, 1)
		if name == "hystrix" {
			assert.True(t, eventually(loop, w), name)
			continue
		}
		if name != "eapache" { // to which a success means nothing
			for range breakerbench.Limit - 1 {
				assert.True(t, call(loop, w, true), name)
			}
			assert.True(t, call(loop, w, false), name)
		}
		for range breakerbench.Limit {
			assert.True(t, call(loop, w, true), name)
		}
		for range 2 * breakerbench.Limit {
			assert.False(t, call(loop, w, false), name)
		}
	}
}

func TestRolling(t *testing.T) {
	for name, loop := range breakerbench.Rolling() {
		w := breakerbench.NewWork(1, 1)
		if name == "hystrix" {
			assert.True(t, eventually(loop, w), name)
			continue
		}
		for i := range breakerbench.MinCalls {
			assert.True(t, call(loop, w, i%2 == 1), name)
		}
		for range breakerbench.MinCalls {
			assert.False(t, call(loop, w, false), name)
		}
	}
}

func TestWork(t *testing.T) {
	for i := range breakerbench.NewWork(1, 1).Forms() {
		w := breakerbench.NewWork(1, 1)
		form := w.Forms()[i]
		for n := range 3 {
			v, err := form()
			require.NoError(t, err)
			assert.Equal(t, n+1, v)
		}
		w.Fail(true)
		_, err := form()
		require.Error(t, err)
		assert.Equal(t, 4, w.Made())
	}
}

func TestWork_panicsOnWrongOutcome(t *testing.T) {
	const calls, sum = 10, 55
	check := func(reach, made, sum, failed int) func() {
		w := breakerbench.NewWork(calls, reach)
		return func() {
			for range made {
				_, err := w.Get()
				require.NoError(t, err)
			}
			w.Check(sum, failed)
		}
	}
	through := check(calls, calls, sum, 0)
	assert.NotPanics(t, through)
	assert.NotPanics(t, through, "second loop")
	assert.Panics(t, check(calls, calls, sum+1, 0))
	assert.Panics(t, check(calls, calls-1, sum, 0), "the right sum of too few")
	assert.Panics(t, check(calls, calls, sum, 1), "not all succeeded")

	assert.NotPanics(t, check(0, 0, 0, calls))
	assert.Panics(t, check(0, 1, 0, calls), "one came through")
	assert.Panics(t, check(0, 0, 0, calls-1), "one did not fail")
}

func BenchmarkBreaker(b *testing.B) {
	for _, s := range breakerbench.Scenarios() {
		for _, c := range s.Contenders {
			b.Run(s.Name+"/"+c.Name, func(b *testing.B) {
				b.ReportAllocs() // of a run, that is of many calls
				for b.Loop() {
					c.Run()
				}
				calls := b.N * s.Per / max(c.Part, 1)
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(calls), "ns/call")
			})
		}
	}
}
