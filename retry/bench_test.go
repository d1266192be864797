package retry_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/seed4886185c/concert/retry"
)

var errFlaky = errors.New("flaky")

// flaky fails as often as it is told to before each success.
type flaky struct{ failures, calls int }

func (f *flaky) call(context.Context) (int, error) {
	f.calls++
	if f.calls%(f.failures+1) != 0 {
		return 0, errFlaky
	}
	return f.calls, nil
}

// benchFailures runs bench for calls that fail so often before they succeed.
func benchFailures(b *testing.B, bench func(b *testing.B, f *flaky)) {
	for _, failures := range []int{0, 1, 3} {
		b.Run(fmt.Sprintf("failures=%d", failures), func(b *testing.B) {
			b.ReportAllocs()
			f := &flaky{failures: failures}
			bench(b, f)
			if want := b.N * (failures + 1); f.calls != want {
				b.Fatalf("%d attempts, want %d", f.calls, want)
			}
		})
	}
}

// atOnce is a policy without waits, as time is not to be measured.
var atOnce = retry.Policy{MaxAttempts: 5, Backoff: retry.Constant(0)}

// BenchmarkByHand is a loop without waits, budget and contexts.
func BenchmarkByHand(b *testing.B) {
	benchFailures(b, func(b *testing.B, f *flaky) {
		ctx := b.Context()
		for b.Loop() {
			var err error
			for range atOnce.MaxAttempts {
				if _, err = f.call(ctx); err == nil {
					break
				}
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDo(b *testing.B) {
	benchFailures(b, func(b *testing.B, f *flaky) {
		ctx := b.Context()
		for b.Loop() {
			if _, err := retry.Do(ctx, atOnce, f.call); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkTries(b *testing.B) {
	benchFailures(b, func(b *testing.B, f *flaky) {
		ctx := b.Context()
		for b.Loop() {
			var err error
			for ctx := range atOnce.Tries(ctx, &err) {
				_, err = f.call(ctx)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkBudget is many goroutines that share a Budget.
func BenchmarkBudget(b *testing.B) {
	for _, failures := range []int32{0, 1} {
		b.Run(fmt.Sprintf("failures=%d", failures), func(b *testing.B) {
			b.ReportAllocs()
			p := atOnce
			p.Budget = retry.NewBudget(1, 0)
			var failed atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					err := retry.Run(b.Context(), p, func(ctx context.Context) error {
						if retry.AttemptFrom(ctx) <= int(failures) {
							return errFlaky
						}
						return nil
					})
					if err != nil {
						failed.Add(1)
					}
				}
			})
			if n := failed.Load(); n > 0 {
				b.Fatalf("%d calls failed", n)
			}
		})
	}
}

// BenchmarkBackoff is one delay of each shape, late in a call.
func BenchmarkBackoff(b *testing.B) {
	random := func(n uint64) uint64 { return n / 2 }
	for _, bb := range []struct {
		name string
		retry.Backoff
	}{
		{"constant", retry.Constant(1)},
		{"exponential", retry.Exponential(1, 0)},
		{"exponential/full", retry.Exponential(1, 0).FullJitter()},
		{"fibonacci", retry.Fibonacci(1, 0)},
		{"decorrelated", retry.Decorrelated(1, 0)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if bb.Delay(90, 1, random) < 0 {
					b.Fatal("negative")
				}
			}
		})
	}
}
