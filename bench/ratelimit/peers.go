package ratelimitbench

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/failsafe-go/failsafe-go/adaptivelimiter"
	failsafebulkhead "github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/ratelimiter"
	"github.com/go-chi/httprate"
	jujuratelimit "github.com/juju/ratelimit"
	"github.com/sethvargo/go-limiter/memorystore"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"
	ululelimiter "github.com/ulule/limiter/v3"
	"github.com/ulule/limiter/v3/drivers/store/memory"
	uberratelimit "go.uber.org/ratelimit"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/seed4886185c/concert/ratelimit"
)

// What several notes say.
const (
	atEdge  = "a fixed window, at whose edge twice as many may pass"
	noBound = "no bound to the keys"
	noQueue = "no bound to those who wait"
)

func limiter(l limit) contender {
	r := ratelimit.New(ratelimit.Every(l.every), l.burst)
	return contender{name: "ratelimit.Limiter", loop: func(w *work) (passed int) {
		for range w.calls {
			if r.Allow() {
				passed++
			}
		}
		return passed
	}}
}

func keyedAllow(l limit) contender {
	k := ratelimit.NewKeyed[string](ratelimit.Every(l.every), l.burst, l.keys)
	return contender{name: "ratelimit.Keyed", loop: func(w *work) (passed int) {
		for range w.calls {
			if k.Allow(w.key()) {
				passed++
			}
		}
		return passed
	}}
}

// window keeps to a thousand events at a time, at the rate of the limit.
func window(l limit) contender {
	n := min(l.burst, 1000)
	r := ratelimit.NewWindow(n, time.Duration(n)*l.every)
	const note = "remembers each of the last events"
	return contender{name: "ratelimit.Window", note: note, loop: func(w *work) (passed int) {
		for range w.calls {
			if r.Allow() {
				passed++
			}
		}
		return passed
	}}
}

func bulkheadAcquire(limit) contender {
	ctx := context.Background()
	b := ratelimit.NewBulkhead(places, places)
	return contender{name: "ratelimit.Bulkhead", loop: func(w *work) (passed int) {
		for range w.calls {
			if b.Acquire(ctx) == nil {
				passed++
				b.Release()
			}
		}
		return passed
	}}
}

func bulkheadTry(limit) contender {
	b := ratelimit.NewBulkhead(places, places)
	return contender{name: "ratelimit.Bulkhead", loop: func(w *work) (passed int) {
		for range w.calls {
			if b.TryAcquire() {
				passed++
				b.Release()
			}
		}
		return passed
	}}
}

func adaptive(limit) contender {
	ctx := context.Background()
	a := ratelimit.NewAdaptive(ratelimit.AdaptiveSettings{Min: places, Max: 2 * places})
	return contender{name: "ratelimit.Adaptive", loop: func(w *work) (passed int) {
		for range w.calls {
			if done, err := a.Acquire(ctx); err == nil {
				passed++
				done(ratelimit.Success)
			}
		}
		return passed
	}}
}

func xtime(l limit) contender {
	r := rate.NewLimiter(rate.Every(l.every), l.burst)
	const note = "may let more through if asked in parallel"
	return contender{name: "x/time", note: note, loop: func(w *work) (passed int) {
		for range w.calls {
			if r.Allow() {
				passed++
			}
		}
		return passed
	}}
}

// uber knows no refusal. With slack for a second it has never to wait for a
// nanosecond that is not over.
func uber(l limit) contender {
	r := uberratelimit.New(int(time.Second/l.every), uberratelimit.WithSlack(l.burst))
	const note = "waits instead of refusing, here for no time"
	return contender{name: "uber", note: note, loop: func(w *work) (passed int) {
		for range w.calls {
			r.Take()
			passed++
		}
		return passed
	}}
}

func juju(l limit) contender {
	b := jujuratelimit.NewBucket(l.every, int64(l.burst))
	return contender{name: "juju", loop: func(w *work) (passed int) {
		for range w.calls {
			if b.TakeAvailable(1) == 1 {
				passed++
			}
		}
		return passed
	}}
}

func failsafeBursty(l limit) contender {
	r := ratelimiter.NewBursty[any](uint(l.daily), day)
	return contender{name: "failsafe-bursty", note: atEdge, loop: func(w *work) (passed int) {
		for range w.calls {
			if r.TryAcquirePermit() {
				passed++
			}
		}
		return passed
	}}
}

// failsafeSmooth has no burst, but promises events that are not far away.
func failsafeSmooth(l limit) contender {
	r := ratelimiter.NewSmoothBuilderWithMaxRate[any](l.every).Build()
	ahead := time.Duration(l.burst-1) * l.every
	const note = "tells those of a burst to wait"
	return contender{name: "failsafe-smooth", note: note, loop: func(w *work) (passed int) {
		for range w.calls {
			if r.TryReservePermit(ahead) >= 0 {
				passed++
			}
		}
		return passed
	}}
}

func sethvargo(l limit) contender {
	ctx := context.Background()
	store, err := memorystore.New(&memorystore.Config{Tokens: uint64(l.daily), Interval: day})
	must(err)
	const note = "by key; " + atEdge + "; " + noBound
	return contender{name: "sethvargo", note: note, loop: func(w *work) (passed int) {
		for range w.calls {
			_, _, _, ok, err := store.Take(ctx, w.key())
			must(err)
			if ok {
				passed++
			}
		}
		return passed
	}, stop: func() { must(store.Close(ctx)) }}
}

func throttledGCRA(l limit) contender {
	return throttledStore("throttled", "by key; "+noBound, l, 0)
}

func throttledLRU(l limit) contender {
	return throttledStore("throttled-lru", "by key; forgets what a key has spent if there are too many", l, l.keys)
}

// throttledStore makes as many attempts as it takes. By default it gives up
// after ten, with an error.
func throttledStore(name, note string, l limit, keys int) contender {
	ctx := context.Background()
	store, err := memstore.NewCtx(keys)
	must(err)
	g, err := throttled.NewGCRARateLimiterCtx(store, throttled.RateQuota{
		MaxRate:  throttled.PerDuration(1, l.every),
		MaxBurst: l.burst - 1,
	})
	must(err)
	g.SetMaxCASAttemptsLimit(math.MaxInt)
	return contender{name: name, note: note, loop: func(w *work) (passed int) {
		for range w.calls {
			limited, _, err := g.RateLimitCtx(ctx, w.key(), 1)
			must(err)
			if !limited {
				passed++
			}
		}
		return passed
	}}
}

// ulule has no clean-up here, which would be of all keys at once.
func ulule(l limit) contender {
	ctx := context.Background()
	r := ululelimiter.New(memory.NewStoreWithOptions(ululelimiter.StoreOptions{}),
		ululelimiter.Rate{Period: day, Limit: int64(l.daily)})
	const note = "by key, which it copies; " + atEdge + "; " + noBound
	return contender{name: "ulule", note: note, loop: func(w *work) (passed int) {
		for range w.calls {
			state, err := r.Get(ctx, w.key())
			must(err)
			if !state.Reached {
				passed++
			}
		}
		return passed
	}}
}

// httprateWindow is used by the method that counts under a lock. It needs no
// writer, as all headers are off.
func httprateWindow(l limit) contender {
	r := httprate.NewRateLimiter(l.daily, day, httprate.WithResponseHeaders(httprate.ResponseHeaders{}))
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
	must(err)
	const note = "by key, of which it keeps a hash; a window that slides by estimate; " + noBound + "; no headers here"
	return contender{name: "httprate", note: note, loop: func(w *work) (passed int) {
		for range w.calls {
			if !r.OnLimit(nil, request, w.key()) {
				passed++
			}
		}
		return passed
	}}
}

func semaphoreAcquire(limit) contender {
	ctx := context.Background()
	s := semaphore.NewWeighted(places)
	return contender{name: "semaphore", note: noQueue, loop: func(w *work) (passed int) {
		for range w.calls {
			if s.Acquire(ctx, 1) == nil {
				passed++
				s.Release(1)
			}
		}
		return passed
	}}
}

func semaphoreTry(limit) contender {
	s := semaphore.NewWeighted(places)
	return contender{name: "semaphore", loop: func(w *work) (passed int) {
		for range w.calls {
			if s.TryAcquire(1) {
				passed++
				s.Release(1)
			}
		}
		return passed
	}}
}

func failsafeAcquire(limit) contender {
	ctx := context.Background()
	b := failsafebulkhead.New[any](places)
	return contender{name: "failsafe", note: noQueue, loop: func(w *work) (passed int) {
		for range w.calls {
			if b.AcquirePermit(ctx) == nil {
				passed++
				b.ReleasePermit()
			}
		}
		return passed
	}}
}

func failsafeTry(limit) contender {
	b := failsafebulkhead.New[any](places)
	return contender{name: "failsafe", loop: func(w *work) (passed int) {
		for range w.calls {
			if b.TryAcquirePermit() {
				passed++
				b.ReleasePermit()
			}
		}
		return passed
	}}
}

func failsafeAdaptive(limit) contender {
	ctx := context.Background()
	a := adaptivelimiter.NewBuilder[any]().WithLimits(places, 2*places, places).Build()
	return contender{name: "failsafe", loop: func(w *work) (passed int) {
		for range w.calls {
			if permit, err := a.AcquirePermit(ctx); err == nil {
				passed++
				permit.Record()
			}
		}
		return passed
	}}
}
