package breaker_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed4886185c/concert/breaker"
)

// benchSettings are one for each kind of Trip.
var benchSettings = []struct {
	name string
	breaker.Settings
}{
	{"consecutive", breaker.Settings{}},
	{"rate", breaker.Settings{Trip: breaker.Rate(0.5, 10, 10*time.Second)}},
	{"lastN", breaker.Settings{Trip: breaker.LastN(0.5, 100)}},
	{"slow", breaker.Settings{Trip: breaker.SlowRate(0.5, 10, 10*time.Second), SlowCall: time.Second}},
}

// BenchmarkByHand is what a call costs without a breaker, and two counters.
func BenchmarkByHand(b *testing.B) {
	b.ReportAllocs()
	var calls, failures atomic.Int64
	ctx := b.Context()
	for b.Loop() {
		if err := succeed(ctx); err != nil {
			failures.Add(1)
		}
		calls.Add(1)
	}
	if calls.Load() != int64(b.N) || failures.Load() != 0 {
		b.Fatal("wrong count")
	}
}

func BenchmarkDo(b *testing.B) {
	for _, s := range benchSettings {
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			br := breaker.New(s.Settings)
			ctx := b.Context()
			for b.Loop() {
				if _, err := breaker.Do(ctx, br, func(context.Context) (int, error) { return 1, nil }); err != nil {
					b.Fatal(err)
				}
			}
			if br.Counts().Successes != b.N {
				b.Fatal("wrong count")
			}
		})
	}
}

// BenchmarkDo_parallel is many goroutines that share a breaker.
func BenchmarkDo_parallel(b *testing.B) {
	for _, s := range benchSettings {
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			br := breaker.New(s.Settings)
			ctx := b.Context()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_, _ = breaker.Do(ctx, br, func(context.Context) (int, error) { return 1, nil })
				}
			})
			if br.Counts().Successes != b.N {
				b.Fatal("wrong count")
			}
		})
	}
}

// BenchmarkOpen is a call that is rejected.
func BenchmarkOpen(b *testing.B) {
	b.ReportAllocs()
	br := breaker.New(breaker.Settings{OpenFor: time.Hour})
	br.Open()
	for b.Loop() {
		if err := breaker.Run(b.Context(), br, succeed); !errors.Is(err, breaker.ErrOpen) {
			b.Fatal(err)
		}
	}
}

func BenchmarkGroup_Get(b *testing.B) {
	b.ReportAllocs()
	g := breaker.NewGroup(10, named)
	keys := [4]string{"a", "b", "c", "d"}
	i := 0
	for b.Loop() {
		i++
		if g.Get(keys[i%len(keys)]) == nil {
			b.Fatal("no breaker")
		}
	}
}
