package ratelimit_test

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/seed4886185c/concert/ratelimit"
)

// A floatBucket is a token bucket as one writes it by hand.
type floatBucket struct {
	rate, burst float64

	mu     sync.Mutex // guards the fields below
	tokens float64
	last   time.Time
}

func newFloatBucket(rate ratelimit.Rate, burst int) *floatBucket {
	return &floatBucket{rate: float64(rate), burst: float64(burst), tokens: float64(burst), last: time.Now()}
}

func (b *floatBucket) Allow() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.tokens = min(b.burst, b.tokens+now.Sub(b.last).Seconds()*b.rate)
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// alone measures fn in one goroutine, and in many that share what it uses. It
// is to return want each time.
func alone(b *testing.B, want bool, fn func() bool) {
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if fn() != want {
				b.Fatal("not", want)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		var wrong atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			n := int64(0)
			for pb.Next() {
				if fn() != want {
					n++
				}
			}
			wrong.Add(n)
		})
		if wrong.Load() > 0 {
			b.Fatal("not", want, "so many times:", wrong.Load())
		}
	})
}

// allower is what both kinds of bucket have.
type allower interface{ Allow() bool }

func benchmarkAllow(b *testing.B, limiter func(ratelimit.Rate, int) allower) {
	b.Run("plenty", func(b *testing.B) { alone(b, true, limiter(plenty, mostBurst).Allow) })
	b.Run("exhausted", func(b *testing.B) {
		l := limiter(never, 1)
		l.Allow()
		alone(b, false, l.Allow)
	})
}

// BenchmarkByHand is a bucket with a lock.
func BenchmarkByHand(b *testing.B) {
	benchmarkAllow(b, func(r ratelimit.Rate, burst int) allower { return newFloatBucket(r, burst) })
}

func BenchmarkLimiter_Allow(b *testing.B) {
	benchmarkAllow(b, func(r ratelimit.Rate, burst int) allower { return ratelimit.New(r, burst) })
}

func BenchmarkLimiter_Wait(b *testing.B) {
	l := ratelimit.New(plenty, mostBurst)
	ctx := b.Context()
	alone(b, true, func() bool { return l.Wait(ctx) == nil })
}

func BenchmarkLimiter_Reserve(b *testing.B) {
	l := ratelimit.New(never, 1)
	l.Allow()
	alone(b, true, func() bool {
		r, ok := l.Reserve(1)
		if !ok {
			return false
		}
		r.Cancel()
		return true
	})
}

// BenchmarkByHand_keys is a map of buckets with a lock.
func BenchmarkByHand_keys(b *testing.B) {
	var mu sync.Mutex
	buckets := map[string]*floatBucket{}
	benchmarkKeys(b, func(key string) bool {
		mu.Lock()
		bucket, ok := buckets[key]
		if !ok {
			bucket = newFloatBucket(never, mostBurst)
			buckets[key] = bucket
		}
		mu.Unlock()
		return bucket.Allow()
	})
}

func BenchmarkKeyed_Allow(b *testing.B) {
	k := ratelimit.NewKeyed[string](never, mostBurst, 200_000) // no bucket is ever full again
	benchmarkKeys(b, k.Allow)
}

func BenchmarkKeyed_Take(b *testing.B) {
	k := ratelimit.NewKeyed[string](never, mostBurst, 200_000) // no bucket is ever full again
	benchmarkKeys(b, func(key string) bool { return k.Take(key, 1).OK })
}

func benchmarkKeys(b *testing.B, allow func(string) bool) {
	for _, n := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			keys := make([]string, n)
			for i := range keys {
				keys[i] = "user-" + strconv.Itoa(i)
				if !allow(keys[i]) {
					b.Fatal("not allowed at first")
				}
			}
			b.Run("alone", func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if !allow(keys[i*7919%n]) {
						b.Fatal("not allowed")
					}
				}
			})
			b.Run("parallel", func(b *testing.B) {
				b.ReportAllocs()
				var starts atomic.Int64
				b.RunParallel(func(pb *testing.PB) {
					for i := int(starts.Add(1)) * 104_729; pb.Next(); i++ {
						allow(keys[i*7919%n])
					}
				})
			})
		})
	}
}

func BenchmarkWindow_Allow(b *testing.B) {
	b.Run("plenty", func(b *testing.B) {
		w := ratelimit.NewWindow(1, time.Nanosecond)
		b.Run("alone", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.Allow()
			}
		})
		b.Run("parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					w.Allow()
				}
			})
		})
	})
	b.Run("exhausted", func(b *testing.B) {
		w := ratelimit.NewWindow(1000, 10000*time.Hour)
		for w.Allow() {
		}
		alone(b, false, w.Allow)
	})
}

func BenchmarkMulti_Allow(b *testing.B) {
	for _, n := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			ls := make([]*ratelimit.Limiter, n)
			for i := range ls {
				ls[i] = ratelimit.New(plenty, mostBurst)
			}
			alone(b, true, ratelimit.All(ls...).Allow)
		})
	}
}

// BenchmarkByHand_semaphore is semaphore.Weighted alone, whose queue has no bound.
func BenchmarkByHand_semaphore(b *testing.B) {
	s := semaphore.NewWeighted(1000)
	ctx := b.Context()
	b.Run("TryAcquire", func(b *testing.B) {
		alone(b, true, func() bool {
			ok := s.TryAcquire(1)
			s.Release(1)
			return ok
		})
	})
	b.Run("Acquire", func(b *testing.B) {
		alone(b, true, func() bool {
			err := s.Acquire(ctx, 1)
			s.Release(1)
			return err == nil
		})
	})
	b.Run("Acquire one place", func(b *testing.B) {
		s := semaphore.NewWeighted(1)
		alone(b, true, func() bool {
			err := s.Acquire(ctx, 1)
			s.Release(1)
			return err == nil
		})
	})
}

func BenchmarkBulkhead(b *testing.B) {
	h := ratelimit.NewBulkhead(1000, -1)
	ctx := b.Context()
	b.Run("TryAcquire", func(b *testing.B) {
		alone(b, true, func() bool {
			ok := h.TryAcquire()
			h.Release()
			return ok
		})
	})
	b.Run("Acquire", func(b *testing.B) {
		alone(b, true, func() bool {
			err := h.Acquire(ctx)
			h.Release()
			return err == nil
		})
	})
	b.Run("Acquire one place", func(b *testing.B) {
		h := ratelimit.NewBulkhead(1, -1)
		alone(b, true, func() bool {
			err := h.Acquire(ctx)
			h.Release()
			return err == nil
		})
	})
	b.Run("full", func(b *testing.B) {
		h := ratelimit.NewBulkhead(1, 0)
		h.TryAcquire()
		alone(b, true, func() bool { return h.Acquire(ctx) == ratelimit.ErrFull }) //nolint:errorlint // it is this one
	})
}

func BenchmarkAdaptive(b *testing.B) {
	ctx := b.Context()
	for _, o := range []struct {
		name string
		ratelimit.Outcome
	}{{"Success", ratelimit.Success}, {"Ignored", ratelimit.Ignored}} {
		b.Run(o.name, func(b *testing.B) {
			a := ratelimit.NewAdaptive(ratelimit.AdaptiveSettings{Min: 1000})
			alone(b, true, func() bool {
				done, err := a.Acquire(ctx)
				if err != nil {
					return false
				}
				done(o.Outcome)
				return true
			})
		})
	}
}
