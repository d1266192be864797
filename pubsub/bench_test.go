package pubsub_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/seed4886185c/concert/pubsub"
)

func BenchmarkEmitter(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		listeners := make([]pubsub.Handler[int], n)
		sum := 0
		for i := range listeners {
			listeners[i] = func(_ context.Context, v int) error { sum += v; return nil }
		}
		b.Run(fmt.Sprintf("loop/listeners=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			emit := func(ctx context.Context, v int) (err error) {
				defer func() {
					if r := recover(); r != nil {
						err = fmt.Errorf("%v", r)
					}
				}()
				for _, h := range listeners {
					if e := h(ctx, v); e != nil {
						err = e
					}
				}
				return err
			}
			for b.Loop() {
				_ = emit(b.Context(), 1)
			}
		})
		b.Run(fmt.Sprintf("Emit/listeners=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			var e pubsub.Emitter[int]
			e.SetLimit(1)
			for _, h := range listeners {
				e.On(h)
			}
			for b.Loop() {
				_ = e.Emit(b.Context(), 1)
			}
		})
	}
}

func BenchmarkTopic(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("channels/subscribers=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			var wg sync.WaitGroup
			chans := make([]chan int, n)
			sums := make([]int, n*64)
			for i := range chans {
				c := make(chan int, 1024)
				chans[i] = c
				wg.Go(func() {
					for v := range c {
						sums[i*64] += v
					}
				})
			}
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			for b.Loop() {
				for _, c := range chans {
					select {
					case c <- 1:
					case <-ctx.Done():
					}
				}
			}
			for _, c := range chans {
				close(c)
			}
			wg.Wait()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/delivery")
		})
		for _, o := range []struct {
			name string
			o    pubsub.Overflow
		}{{"Block", pubsub.Block}, {"DropOldest", pubsub.DropOldest}} {
			b.Run(fmt.Sprintf("%s/subscribers=%d", o.name, n), func(b *testing.B) {
				b.ReportAllocs()
				t := pubsub.New[int](1024)
				sums := make([]int, n*64)
				for i := range n {
					t.Handle(func(_ context.Context, v int) error { sums[i*64] += v; return nil }, o.o)
				}
				ctx, cancel := context.WithCancel(b.Context())
				defer cancel()
				for b.Loop() {
					if err := t.Publish(ctx, 1); err != nil {
						b.Fatal(err)
					}
				}
				_ = t.Close(b.Context())
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/delivery")
			})
		}
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	b.Run("channel", func(b *testing.B) {
		in, out := make(chan int), make(chan int)
		go func() {
			for v := range in {
				out <- v
			}
		}()
		for b.Loop() {
			in <- 1
			<-out
		}
		close(in)
	})
	b.Run("Topic", func(b *testing.B) {
		out := make(chan int)
		t := pubsub.New[int](16)
		t.Handle(func(_ context.Context, v int) error { out <- v; return nil })
		for b.Loop() {
			_ = t.Publish(b.Context(), 1)
			<-out
		}
		_ = t.Close(b.Context())
	})
}

func BenchmarkChurn(b *testing.B) {
	for _, kind := range []string{"Subscribe", "Handle"} {
		b.Run(kind, func(b *testing.B) {
			b.ReportAllocs()
			t := pubsub.New[int](1024)
			ctx, cancel := context.WithCancel(b.Context())
			var wg sync.WaitGroup
			wg.Go(func() {
				for t.Publish(ctx, 1) == nil {
				}
			})
			for b.Loop() {
				var s *pubsub.Subscription[int]
				if kind == "Subscribe" {
					s = t.Subscribe(b.Context())
				} else {
					s = t.Handle(func(context.Context, int) error { return nil })
				}
				s.Stop()
			}
			cancel()
			wg.Wait()
		})
	}
}
