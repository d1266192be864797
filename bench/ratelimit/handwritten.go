package ratelimitbench

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// What one writes by hand: the least that does the job.

// A bucket is a token bucket with a lock.
type bucket struct {
	mu     sync.Mutex // guards the fields below
	tokens float64
	last   time.Time
}

func bucketByHand(l limit) contender {
	most, perSecond := float64(l.burst), 1/l.every.Seconds()
	b := bucket{tokens: most, last: time.Now()}
	allow := func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		now := time.Now()
		b.tokens = min(most, b.tokens+now.Sub(b.last).Seconds()*perSecond)
		b.last = now
		if b.tokens < 1 {
			return false
		}
		b.tokens--
		return true
	}
	return contender{name: "bucket", note: "by hand; rounding errors add up", loop: func(w *work) (passed int) {
		for range w.calls {
			if allow() {
				passed++
			}
		}
		return passed
	}}
}

// xtimeMap asks outside of the lock, which is enough for the map.
func xtimeMap(l limit) contender {
	var mu sync.Mutex
	limiters := map[string]*rate.Limiter{}
	of := func(key string) *rate.Limiter {
		mu.Lock()
		defer mu.Unlock()
		r, ok := limiters[key]
		if !ok {
			r = rate.NewLimiter(rate.Every(l.every), l.burst)
			limiters[key] = r
		}
		return r
	}
	const note = "by hand, a map with a lock; keys are never forgotten"
	return contender{name: "x/time-map", note: note, loop: func(w *work) (passed int) {
		for range w.calls {
			if of(w.key()).Allow() {
				passed++
			}
		}
		return passed
	}}
}

func xtimeSyncMap(l limit) contender {
	var limiters sync.Map
	of := func(key string) *rate.Limiter {
		r, ok := limiters.Load(key)
		if !ok {
			r, _ = limiters.LoadOrStore(key, rate.NewLimiter(rate.Every(l.every), l.burst))
		}
		return r.(*rate.Limiter)
	}
	const note = "by hand; keys are never forgotten"
	return contender{name: "x/time-sync.Map", note: note, loop: func(w *work) (passed int) {
		for range w.calls {
			if of(w.key()).Allow() {
				passed++
			}
		}
		return passed
	}}
}

func channelAcquire(limit) contender {
	ctx := context.Background()
	s := make(chan struct{}, places)
	const note = "by hand; " + noQueue
	return contender{name: "channel", note: note, loop: func(w *work) (passed int) {
		for range w.calls {
			select {
			case s <- struct{}{}:
				passed++
				<-s
			case <-ctx.Done():
			}
		}
		return passed
	}}
}

func channelTry(limit) contender {
	s := make(chan struct{}, places)
	return contender{name: "channel", note: "by hand", loop: func(w *work) (passed int) {
		for range w.calls {
			select {
			case s <- struct{}{}:
				passed++
				<-s
			default:
			}
		}
		return passed
	}}
}
