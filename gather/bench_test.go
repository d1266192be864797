package gather_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/gather"
)

// byHand does what a call of Map does, with a goroutine for each item.
func byHand(ctx context.Context, in []int, fn func(context.Context, int) (int, error)) ([]int, []error) {
	values, errs := make([]int, len(in)), make([]error, len(in))
	var wg sync.WaitGroup
	for i := range in {
		wg.Go(func() { values[i], errs[i] = fn(ctx, in[i]) })
	}
	wg.Wait()
	return values, errs
}

// byHandLimited does so with workers that share a counter.
func byHandLimited(ctx context.Context, in []int, limit int, fn func(context.Context, int) (int, error)) ([]int, []error) {
	values, errs := make([]int, len(in)), make([]error, len(in))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range limit {
		wg.Go(func() {
			for i := int(next.Add(1) - 1); i < len(in); i = int(next.Add(1) - 1) {
				values[i], errs[i] = fn(ctx, in[i])
			}
		})
	}
	wg.Wait()
	return values, errs
}

func BenchmarkMap(b *testing.B) {
	ctx := b.Context()
	for _, n := range []int{1, 10, 100, 1000, 10_000} {
		in := upTo(n)
		b.Run(fmt.Sprintf("n=%d/by hand", n), func(b *testing.B) {
			b.ReportAllocs()
			var values []int
			for b.Loop() {
				values, _ = byHand(ctx, in, square)
			}
			require.Equal(b, (n-1)*(n-1), values[n-1])
		})
		b.Run(fmt.Sprintf("n=%d/gather", n), func(b *testing.B) {
			b.ReportAllocs()
			var results gather.Results[int]
			for b.Loop() {
				results = gather.Map(ctx, in, square)
			}
			require.Equal(b, (n-1)*(n-1), results[n-1].Value)
		})
	}
}

func BenchmarkMapLimit(b *testing.B) {
	ctx, in := b.Context(), upTo(100_000)
	b.Run("n=100000/limit=8/by hand", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			byHandLimited(ctx, in, 8, square)
		}
	})
	b.Run("n=100000/limit=8/gather", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			gather.Map(ctx, in, square, gather.Limit(8))
		}
	})
}

func BenchmarkStream(b *testing.B) {
	ctx, in := b.Context(), upTo(1000)
	for _, opts := range [][]gather.Option{nil, {gather.Ordered()}} {
		b.Run(fmt.Sprintf("n=1000/ordered=%t", opts != nil), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sum := 0
				for _, r := range gather.Stream(ctx, slices.Values(in), square, opts...) {
					sum += r.Value
				}
				require.Equal(b, 332833500, sum)
			}
		})
	}
}

func BenchmarkGroup(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		g := gather.NewGroup[int](b.Context())
		for i := range 1000 {
			g.Go(func(context.Context) (int, error) { return i, nil })
		}
		require.Len(b, g.Wait(), 1000)
	}
}

func BenchmarkFirst(b *testing.B) {
	tasks := []gather.Task[int]{give(1), give(2), give(3)}
	b.ReportAllocs()
	for b.Loop() {
		_, err := gather.First(b.Context(), tasks)
		require.NoError(b, err)
	}
}

func BenchmarkFlight(b *testing.B) {
	var f gather.Flight[int, int]
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _, err := f.Do(b.Context(), 1, give(1))
			require.NoError(b, err)
		}
	})
	b.Run("shared", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if v, _, err := f.Do(b.Context(), 1, give(1)); v != 1 || err != nil {
					b.Error(v, err)
				}
			}
		})
	})
}
