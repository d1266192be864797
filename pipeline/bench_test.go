package pipeline_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/pipeline"
)

// Stages by hand are goroutines that hand on items through channels, and look
// at a context wherever they wait.

func byHandSource(ctx context.Context, items []int) <-chan int {
	out := make(chan int)
	go func() {
		defer close(out)
		for _, v := range items {
			select {
			case out <- v:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func byHandMap(ctx context.Context, in <-chan int, f func(int) int) <-chan int {
	out := make(chan int)
	go func() {
		defer close(out)
		for v := range in {
			select {
			case out <- f(v):
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func byHandFilter(ctx context.Context, in <-chan int, keep func(int) bool) <-chan int {
	out := make(chan int)
	go func() {
		defer close(out)
		for v := range in {
			if !keep(v) {
				continue
			}
			select {
			case out <- v:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func byHandWorkers(ctx context.Context, in <-chan int, n int, f func(int) int) <-chan int {
	var outs []<-chan int
	for range n {
		outs = append(outs, byHandMap(ctx, in, f))
	}
	return byHandMerge(ctx, outs...)
}

func byHandMerge(ctx context.Context, ins ...<-chan int) <-chan int {
	out := make(chan int)
	var wg sync.WaitGroup
	for _, in := range ins {
		wg.Go(func() {
			for v := range in {
				select {
				case out <- v:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	go func() {
		wg.Wait()
		close(out)
	}()
	return out
}

// byHandOrdered hands each item to a goroutine, up to n, and takes the results
// in order from a channel for each.
func byHandOrdered(ctx context.Context, in <-chan int, n int, f func(int) int) <-chan int {
	results, out := make(chan chan int, n), make(chan int)
	go func() {
		defer close(results)
		for v := range in {
			result := make(chan int, 1)
			select {
			case results <- result:
			case <-ctx.Done():
				return
			}
			go func() { result <- f(v) }()
		}
	}()
	go func() {
		defer close(out)
		for result := range results {
			select {
			case out <- <-result:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func byHandBatch(ctx context.Context, in <-chan int, size int, maxWait time.Duration) <-chan []int {
	out := make(chan []int)
	go func() {
		defer close(out)
		timer := time.NewTimer(maxWait)
		timer.Stop()
		var batch []int
		flush := func() {
			timer.Stop()
			if len(batch) == 0 {
				return
			}
			select {
			case out <- batch:
			case <-ctx.Done():
			}
			batch = nil
		}
		defer flush()
		for {
			select {
			case v, ok := <-in:
				if !ok {
					return
				}
				if batch == nil {
					batch = make([]int, 0, size)
					timer.Reset(maxWait)
				}
				if batch = append(batch, v); len(batch) == size {
					flush()
				}
			case <-timer.C:
				flush()
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func byHandBroadcast(ctx context.Context, in <-chan int, sinks ...func(<-chan int)) {
	var wg sync.WaitGroup
	outs := make([]chan int, len(sinks))
	for i, sink := range sinks {
		outs[i] = make(chan int)
		wg.Go(func() { sink(outs[i]) })
	}
	for v := range in {
		for _, out := range outs {
			select {
			case out <- v:
			case <-ctx.Done():
			}
		}
	}
	for _, out := range outs {
		close(out)
	}
	wg.Wait()
}

// total is what a sink makes of its items.
func total(in <-chan int) (sum int) {
	for v := range in {
		sum += v
	}
	return sum
}

func sumOf(ctx context.Context, s pipeline.Stream[int]) (int, error) {
	return pipeline.Fold(ctx, s, 0, add)
}

func add(a, v int) int { return a + v }

func increment(v int) int { return v + 1 }

func isEven(v int) bool { return v%2 == 0 }

const perRun = 10_000 // items

// perItem runs a benchmark of which a run is of perRun items, and has a sum.
func perItem(b *testing.B, name string, want int, run func(context.Context, []int) (int, error)) {
	b.Helper()
	items := countTo(perRun)
	b.Run(name, func(b *testing.B) {
		ctx, cancel := context.WithCancel(b.Context()) // as in life, one that can end
		defer cancel()
		b.ReportAllocs()
		for b.Loop() {
			got, err := run(ctx, items)
			if got != want || err != nil {
				require.NoError(b, err)
				require.Equal(b, want, got)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/perRun, "ns/item")
	})
}

const (
	sumOfAll  = perRun * (perRun - 1) / 2
	sumOfMore = sumOfAll + perRun // each one more
)

func BenchmarkMapFilterReduce(b *testing.B) {
	const want = sumOfMore/2 + perRun/4 // 2, 4, ..., perRun
	perItem(b, "by hand", want, func(ctx context.Context, items []int) (int, error) {
		return total(byHandFilter(ctx, byHandMap(ctx, byHandSource(ctx, items), increment), isEven)), nil
	})
	keep := func(_ context.Context, v int) (bool, error) { return isEven(v), nil }
	sum := func(_ context.Context, a, v int) (int, error) { return a + v, nil }
	perItem(b, "pipeline", want, func(ctx context.Context, items []int) (int, error) {
		s := pipeline.Filter(pipeline.Map(pipeline.FromSlice(items), pipeline.Pure(increment)), keep)
		v, _, err := pipeline.Reduce(ctx, s, sum)
		return v, err
	})
}

func BenchmarkMapWorkers(b *testing.B) {
	perItem(b, "workers=4/by hand", sumOfMore, func(ctx context.Context, items []int) (int, error) {
		return total(byHandWorkers(ctx, byHandSource(ctx, items), 4, increment)), nil
	})
	perItem(b, "workers=4/pipeline", sumOfMore, func(ctx context.Context, items []int) (int, error) {
		return sumOf(ctx, pipeline.Map(pipeline.FromSlice(items), pipeline.Pure(increment), pipeline.Workers(4)))
	})
	perItem(b, "workers=4/ordered/by hand", sumOfMore, func(ctx context.Context, items []int) (int, error) {
		return total(byHandOrdered(ctx, byHandSource(ctx, items), 4, increment)), nil
	})
	perItem(b, "workers=4/ordered/pipeline", sumOfMore, func(ctx context.Context, items []int) (int, error) {
		return sumOf(ctx, pipeline.Map(pipeline.FromSlice(items), pipeline.Pure(increment), pipeline.Workers(4), pipeline.Ordered()))
	})
}

func BenchmarkBatch(b *testing.B) {
	perItem(b, "size=100/by hand", sumOfAll, func(ctx context.Context, items []int) (sum int, _ error) {
		for batch := range byHandBatch(ctx, byHandSource(ctx, items), 100, time.Second) {
			for _, v := range batch {
				sum += v
			}
		}
		return sum, nil
	})
	perItem(b, "size=100/pipeline", sumOfAll, func(ctx context.Context, items []int) (sum int, err error) {
		for batch, err := range pipeline.Batch(pipeline.FromSlice(items), 100, time.Second).All(ctx) {
			if err != nil {
				return 0, err
			}
			for _, v := range batch {
				sum += v
			}
		}
		return sum, nil
	})
}

func BenchmarkBatcher(b *testing.B) {
	perItem(b, "size=100/pipeline", sumOfAll, func(ctx context.Context, items []int) (sum int, err error) {
		to := pipeline.NewBatcher(100, time.Second, func(_ context.Context, batch []int) error {
			for _, v := range batch {
				sum += v
			}
			return nil
		})
		for _, v := range items {
			if err := to.Add(ctx, v); err != nil {
				return 0, err
			}
		}
		return sum, to.Close(ctx)
	})
}

func BenchmarkBuffer(b *testing.B) {
	perItem(b, "n=128/by hand", sumOfAll, func(ctx context.Context, items []int) (int, error) {
		in, out := byHandSource(ctx, items), make(chan int, 128)
		go func() {
			defer close(out)
			for v := range in {
				select {
				case out <- v:
				case <-ctx.Done():
					return
				}
			}
		}()
		return total(out), nil
	})
	perItem(b, "n=128/pipeline", sumOfAll, func(ctx context.Context, items []int) (int, error) {
		return sumOf(ctx, pipeline.Buffer(pipeline.FromSlice(items), 128))
	})
}

func BenchmarkMerge(b *testing.B) {
	perItem(b, "streams=2/by hand", sumOfAll, func(ctx context.Context, items []int) (int, error) {
		return total(byHandMerge(ctx, byHandSource(ctx, items[:perRun/2]), byHandSource(ctx, items[perRun/2:]))), nil
	})
	perItem(b, "streams=2/pipeline", sumOfAll, func(ctx context.Context, items []int) (int, error) {
		return sumOf(ctx, pipeline.Merge(pipeline.FromSlice(items[:perRun/2]), pipeline.FromSlice(items[perRun/2:])))
	})
}

func BenchmarkBroadcast(b *testing.B) {
	perItem(b, "sinks=2/by hand", 2*sumOfAll, func(ctx context.Context, items []int) (int, error) {
		var x, y int
		byHandBroadcast(ctx, byHandSource(ctx, items),
			func(in <-chan int) { x = total(in) },
			func(in <-chan int) { y = total(in) })
		return x + y, nil
	})
	perItem(b, "sinks=2/pipeline", 2*sumOfAll, func(ctx context.Context, items []int) (int, error) {
		var x, y int
		into := func(sum *int) pipeline.Sink[int] {
			return func(ctx context.Context, s pipeline.Stream[int]) (err error) {
				*sum, err = sumOf(ctx, s)
				return err
			}
		}
		err := pipeline.Broadcast(ctx, pipeline.FromSlice(items), into(&x), into(&y))
		return x + y, err
	})
}
