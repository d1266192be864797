package ratelimit_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/ratelimit"
)

func TestKeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := ratelimit.NewKeyed[string](1, 2, 10)
		assert.Zero(t, k.Len())
		for _, key := range []string{"a", "b", ""} {
			assert.True(t, k.Allow(key))
			assert.True(t, k.Allow(key))
			assert.False(t, k.Allow(key))
		}
		assert.Equal(t, 3, k.Len())
		time.Sleep(time.Second)
		assert.True(t, k.Allow("a"))
		assert.False(t, k.Allow("a"))
		assert.True(t, k.Allow("b"))
		assert.False(t, k.Allow("b"))
		assert.Equal(t, ratelimit.Result{
			OK: true, Limit: 2, Remaining: 0, ResetAfter: 2 * time.Second, Window: 2 * time.Second,
		}, k.Take("", 1))
		assert.Equal(t, ratelimit.Result{
			Limit: 2, RetryAfter: time.Second, ResetAfter: 2 * time.Second, Window: 2 * time.Second,
		}, k.Take("", 1))
	})
}

// The first maxKeys keys have each a bucket of their own, and all others one more.
func TestKeyed_maxKeys(t *testing.T) {
	for _, maxKeys := range []int{1, 2, 3, 7, 8, 100, 1023, 1024, 2047, 2048, 2049, 5000} {
		synctest.Test(t, func(t *testing.T) {
			const burst = 3
			k := ratelimit.NewKeyed[int](1, burst, maxKeys)
			for key := range maxKeys {
				require.Equal(t, key, k.Len())
				require.True(t, k.Allow(key), "key %d of %d", key, maxKeys)
			}
			require.Equal(t, maxKeys, k.Len())
			allowed := 0
			for key := range 10 {
				for range burst {
					if k.Allow(-1 - key) {
						allowed++
					}
				}
			}
			assert.Equal(t, burst, allowed)
			for key := range maxKeys {
				require.Equal(t, burst-1, k.Take(key, 0).Remaining)
				require.True(t, k.Take(key, burst-1).OK, "key %d of %d", key, maxKeys)
				require.False(t, k.Allow(key), "key %d of %d", key, maxKeys)
			}
			assert.Equal(t, maxKeys, k.Len())
		})
	}
}

// Who has no bucket is told what there is in the one that they share.
func TestKeyed_tellsWhatIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := ratelimit.NewKeyed[string](1, 2, 1)
		require.True(t, k.Take("a", 2).OK)
		require.True(t, k.Take("b", 2).OK)
		require.False(t, k.Allow("c"))
		want := ratelimit.Result{OK: true, Limit: 2, ResetAfter: 2 * time.Second, Window: 2 * time.Second}
		assert.Equal(t, want, k.Take("b", 0))
		assert.Equal(t, want, k.Take("c", 0))
		want.OK, want.RetryAfter = false, -1
		assert.Equal(t, want, plain(k.Take("c", 3)))
		assert.Equal(t, want, plain(k.Take("c", -1)))
	})
}

// When all are full again, there is room for as many others. A few of these may
// have to ask more than once.
func TestKeyed_room(t *testing.T) {
	for _, maxKeys := range []int{1, 2, 8, 40, 1000, 5000} {
		synctest.Test(t, func(t *testing.T) {
			k := ratelimit.NewKeyed[int](1, 3, maxKeys)
			for generation := range 5 {
				shared := 0
				for key := range maxKeys {
					for range 3 {
						if !k.Allow(key + generation*maxKeys) {
							shared++
							break
						}
					}
				}
				assert.LessOrEqual(t, shared, maxKeys/50)
				assert.Equal(t, maxKeys, k.Len())
				assert.False(t, k.Allow(generation*maxKeys), "it has its own still")
				time.Sleep(3 * time.Second)
			}
		})
	}
}

// A keyedLevels is a model for many keys that does not know when a bucket is
// forgotten: only that it is full then. So it may know several levels of the
// bucket that is shared, and of keys only that they may have one of their own.
type keyedLevels struct {
	*keyedModel
	maybe  map[int]*keyedBucket
	levels []*keyedBucket
	shares int // how often it was certainly the shared one
}

// requireTake takes for a key. There has to be one bucket that explains what is
// told.
func (m *keyedLevels) requireTake(t *testing.T, k *ratelimit.Keyed[int], key, n int) {
	t.Helper()
	got := plain(k.Take(key, n))
	if b := m.own[key]; b != nil {
		if m.fill(b); b.have < m.worth(m.burst) {
			require.Equal(t, m.takeFrom(b, n), got, "Take(%d, %d) at %v", key, n, m.now)
			return
		}
		delete(m.own, key)
	}
	var own *keyedBucket
	candidates := []*keyedBucket{m.maybe[key]}
	if len(m.own) < m.maxKeys || m.live() < m.maxKeys {
		candidates = append(candidates, m.fresh())
	}
	for _, b := range candidates {
		if b != nil && own == nil {
			if m.fill(b); m.takeFrom(b, n) == got {
				own = b
			}
		}
	}
	var levels []*keyedBucket
	for _, b := range m.levels {
		m.fill(b)
		after := *b
		if m.takeFrom(&after, n) == got {
			levels = withLevel(levels, &after)
		}
	}
	require.True(t, own != nil || levels != nil, "Take(%d, %d) at %v: %+v", key, n, m.now, got)
	delete(m.maybe, key)
	switch {
	case levels == nil:
		if m.own[key] = own; own.have == m.worth(m.burst) {
			delete(m.own, key)
		}
	case own == nil:
		m.levels = levels
		m.shares++
	default:
		m.maybe[key] = own
		for _, b := range levels {
			m.levels = withLevel(m.levels, b)
		}
	}
}

// withLevel appends b, if its level is a new one.
func withLevel(levels []*keyedBucket, b *keyedBucket) []*keyedBucket {
	if slices.ContainsFunc(levels, func(l *keyedBucket) bool { return l.have == b.have }) {
		return levels
	}
	return append(levels, b)
}

func (m *keyedLevels) takeFrom(b *keyedBucket, n int) ratelimit.Result {
	one := keyedModel{interval: m.interval, burst: m.burst, maxKeys: 1, now: m.now, own: map[int]*keyedBucket{0: b}}
	return one.take(0, n)
}

// However keys come and go, no limit is ever reset.
func TestKeyed_churn(t *testing.T) {
	for seed, test := range []struct {
		interval             time.Duration
		burst, maxKeys, keys int
	}{
		{time.Second, 1, 1, 20},
		{time.Second, 3, 2, 20},
		{time.Microsecond, 1000, 2, 5},
		{1, 2, 40, 200},
		{time.Second, 1, 40, 1000},
		{time.Second, 5, 300, 2000},
		{100 * time.Millisecond, 2, 500, 1000},
		{time.Hour, 4, 1024, 1200},
		{1 << 9 * time.Hour, 3, 2100, 2500}, // in several shards
	} {
		t.Run(fmt.Sprintf("%+v", test), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(uint64(seed), 0))
				m := &keyedLevels{newKeyedModel(test.interval, test.burst, test.maxKeys), map[int]*keyedBucket{}, nil, 0}
				m.levels = append(m.levels, m.fresh())
				k := ratelimit.NewKeyed[int](m.rate(), test.burst, test.maxKeys)
				span := m.worth(test.burst)
				first := 0
				for range 2000 + 4*test.maxKeys {
					if r.IntN(3) == 0 {
						first++ // there are always new ones
					}
					key := first + r.IntN(test.keys)
					if r.IntN(2) == 0 {
						key = first + r.IntN(1+test.keys/20)
					}
					m.requireTake(t, k, key, 1+r.IntN(min(test.burst, 4)))
					require.LessOrEqual(t, k.Len(), test.maxKeys)
					if r.IntN(20+test.maxKeys) == 0 {
						d := []time.Duration{1, m.interval, m.interval / 3, span / 3, span - 1, span, 1 + span/50}[r.IntN(7)]
						time.Sleep(d)
						m.sleep(d)
					}
				}
				assert.Greater(t, m.shares, 10, "there were too many keys")
			})
		})
	}
}

// What is refused is as if it had not been asked.
func TestKeyed_refusalWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const burst = 10
		k, alone := ratelimit.NewKeyed[string](1, burst, 1), ratelimit.NewKeyed[string](1, burst, 1)
		for _, n := range []int{0, burst + 1, -1, math.MaxInt, math.MinInt} {
			k.Take("a", n)
			assert.Zero(t, k.Len())
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.Error(t, k.Wait(ctx, "a"))
		assert.Zero(t, k.Len())

		require.True(t, k.Take("a", burst).OK)
		require.True(t, alone.Take("a", burst).OK)
		for range burst {
			for _, n := range []int{0, burst, burst + 1, -1} {
				k.Take("a", n)
			}
			late, stop := context.WithTimeout(t.Context(), 1)
			if k.Take("a", 0).Remaining == 0 {
				require.Error(t, k.Wait(late, "a"))
			}
			stop()
			require.Equal(t, alone.Take("a", 0), k.Take("a", 0))
			time.Sleep(time.Second)
			k.Take("a", burst+1)
		}
		require.True(t, k.Take("b", 1).OK)
		assert.Equal(t, 1, k.Len())
		assert.Equal(t, burst-1, k.Take("b", 0).Remaining, "it has the place of a")
		require.True(t, k.Take("a", burst).OK)
		require.True(t, k.Take("b", burst-1).OK)
	})
}

// Many who ask only, or for too much, take no place.
func TestKeyed_keysThatAskOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := ratelimit.NewKeyed[int](1, 2, 100)
		for key := range 10000 {
			k.Take(key, 0)
			k.Take(key, 3)
			k.Take(key, -1)
		}
		assert.Zero(t, k.Len())
	})
}

// Who waits for RetryAfter gets it, and not before. After ResetAfter, all is as
// at first.
func TestKeyed_resultTimes(t *testing.T) {
	for _, rate := range []ratelimit.Rate{1, 3, 7, 10. / 13, 0.1, 1. / 3600, 100. / 60, 12.5, 1e6 / 7., math.Pi, 1e9, 1e9 / 1.5} {
		for _, burst := range []int{1, 2, 7, 1000} {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(uint64(burst), 0))
				k := ratelimit.NewKeyed[int](rate, burst, 3)
				interval := float64(time.Second) / float64(rate)
				key := 1
				require.True(t, k.Take(key, burst).OK)
				for range 50 {
					n := 1 + r.IntN(burst)
					res := k.Take(key, n)
					require.Equal(t, burst, res.Limit)
					require.InDelta(t, interval*float64(burst), res.Window, 1+1e-9*interval*float64(burst))
					if res.OK {
						require.Zero(t, res.RetryAfter)
						continue
					}
					require.Less(t, res.Remaining, n)
					require.LessOrEqual(t, res.RetryAfter, res.ResetAfter)
					require.LessOrEqual(t, res.ResetAfter, res.Window)
					require.Positive(t, res.RetryAfter)
					time.Sleep(res.RetryAfter - 1)
					before := k.Take(key, n)
					require.False(t, before.OK, "too early")
					require.Equal(t, time.Duration(1), before.RetryAfter)
					require.Equal(t, res.ResetAfter-(res.RetryAfter-1), before.ResetAfter)
					time.Sleep(time.Nanosecond)
					require.GreaterOrEqual(t, k.Take(key, 0).Remaining, n)
					require.True(t, k.Take(key, n).OK, "rate %v, burst %d, n %d: %+v", rate, burst, n, res)
				}
				left := k.Take(key, 0)
				if left.ResetAfter > 0 {
					time.Sleep(left.ResetAfter - 1)
					require.Less(t, k.Take(key, 0).Remaining, burst)
					require.Equal(t, time.Duration(1), k.Take(key, 0).ResetAfter)
					time.Sleep(time.Nanosecond)
				}
				require.Equal(t, burst, k.Take(key, 0).Remaining)
				require.Zero(t, k.Take(key, 0).ResetAfter)
			})
		}
	}
}

func TestKeyed_resultsAtTheLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := ratelimit.NewKeyed[string](0, 2, 10)
		want := ratelimit.Result{OK: true, Limit: 2, Remaining: 2, Window: -1}
		assert.Equal(t, want, plain(k.Take("a", 0)), "full, of what never comes")
		want.Remaining, want.ResetAfter = 1, -1
		assert.Equal(t, want, plain(k.Take("a", 1)))
		want.Remaining = 0
		assert.Equal(t, want, plain(k.Take("a", 1)))
		want.OK, want.RetryAfter = false, -1
		assert.Equal(t, want, plain(k.Take("a", 1)))
		time.Sleep(200 * 365 * 24 * time.Hour)
		assert.Equal(t, want, plain(k.Take("a", 1)))
		assert.False(t, k.Allow("a"))
		assert.True(t, k.Allow("b"))

		none := ratelimit.NewKeyed[string](1, 0, 10)
		for _, n := range []int{1, 2, -1, math.MinInt} {
			res := none.Take("a", n)
			assert.False(t, res.OK)
			assert.Zero(t, res.Limit)
			assert.Zero(t, res.Remaining)
			assert.Negative(t, res.RetryAfter)
			assert.Zero(t, res.ResetAfter)
			assert.Negative(t, res.Window, "none ever come")
		}
		assert.True(t, none.Take("a", 0).OK)
		assert.False(t, none.Allow("a"))
		require.ErrorIs(t, none.Wait(t.Context(), "a"), ratelimit.ErrExceedsBurst)
		assert.Zero(t, none.Len())

		inf := ratelimit.NewKeyed[string](ratelimit.Inf, 3, 1)
		for _, key := range []string{"a", "b", "c"} {
			for _, n := range []int{0, 1, 3, 4, math.MaxInt / 2} {
				res := inf.Take(key, n)
				assert.True(t, res.OK)
				assert.Positive(t, res.Remaining)
				assert.Zero(t, res.RetryAfter)
				assert.Zero(t, res.ResetAfter)
				assert.Zero(t, res.Window, "no limit")
			}
			assert.False(t, inf.Take(key, -1).OK)
			assert.Negative(t, inf.Take(key, -1).RetryAfter)
			for range 100 {
				require.True(t, inf.Allow(key))
				require.NoError(t, inf.Wait(t.Context(), key))
			}
		}

		slow := ratelimit.NewKeyed[string](1e-10, 3, 10) // one in 317 years
		res := slow.Take("a", 1)
		assert.True(t, res.OK)
		assert.Equal(t, 2, res.Remaining)
		assert.True(t, slow.Take("a", 2).OK)
		time.Sleep(200 * 365 * 24 * time.Hour)
		assert.False(t, slow.Allow("a"))
		assert.True(t, slow.Take("b", 3).OK)
	})
}

// With any rate, there is never more than it allows, nor much less, whatever
// time goes by.
func TestKeyed_oddRates(t *testing.T) {
	for _, rate := range []ratelimit.Rate{1e12, 3.14159e9, 1e9 / math.Pi, math.E, 1 / math.Pi, 10. / 13, 1e-3 / 7, 1e-10} {
		for _, burst := range []int{1, 10, 1e6, mostBurst} {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(uint64(burst), 0))
				k, start := ratelimit.NewKeyed[int](rate, burst, 2), time.Now()
				type levels struct {
					tokens float64
					at     time.Duration
				}
				var keys [2]levels
				perNano := float64(rate) / float64(time.Second)
				for i := range keys {
					keys[i].tokens = float64(burst)
				}
				for step := range 2000 {
					now := time.Since(start)
					key := r.IntN(len(keys))
					l := &keys[key]
					l.tokens, l.at = min(float64(burst), l.tokens+float64(now-l.at)*perNano), now
					slack := 2*perNano + 2e-6*float64(burst) + 1e-6
					n := 1 + r.IntN(burst)
					if r.IntN(2) == 0 {
						n = min(burst, 1+r.IntN(3), 1+int(l.tokens))
					}
					res := k.Take(key, n)
					if res.OK {
						require.GreaterOrEqual(t, l.tokens+slack, float64(n), "rate %v, burst %d, step %d", rate, burst, step)
						l.tokens = max(0, l.tokens-float64(n))
					} else {
						require.LessOrEqual(t, l.tokens-slack, float64(n), "rate %v, burst %d, step %d", rate, burst, step)
					}
					require.InDelta(t, l.tokens, res.Remaining, 1+slack, "rate %v, burst %d, step %d", rate, burst, step)
					l.tokens = min(float64(burst), max(l.tokens, float64(res.Remaining)))
					l.tokens = min(l.tokens, float64(res.Remaining)+1)
					var d time.Duration
					switch year := 365 * 24 * time.Hour; {
					case r.IntN(50) == 0 && now < 150*year:
						d = []time.Duration{time.Minute, 6 * time.Hour, 100 * 24 * time.Hour, year, 5 * year}[r.IntN(5)]
					case r.IntN(3) == 0:
						d = time.Duration(min(float64(year/20), float64(1+r.IntN(3))/perNano))
					}
					if now+d < keyedLimit {
						time.Sleep(d)
					}
				}
			})
		}
	}
}

// Those in a line that is longer than time can be counted in one go are served
// in time, while others come and go.
func TestKeyed_longLines(t *testing.T) {
	for _, test := range []struct {
		rate    ratelimit.Rate
		waiters int
	}{
		{0.1 / math.Pi, 500},       // four hours
		{1. / 86400 / math.E, 200}, // a year and a half
		{1e-9 / 3, 1},              // 95 years
		{3.14159e9, 200},           // less than a microsecond
		{1e12, 200},
	} {
		synctest.Test(t, func(t *testing.T) {
			k, start := ratelimit.NewKeyed[int](test.rate, 2, 50), time.Now()
			interval := float64(time.Second) / float64(test.rate)
			for range 2 {
				require.True(t, k.Allow(0))
			}
			served := make([]time.Duration, test.waiters)
			var wg sync.WaitGroup
			for i := range served {
				wg.Go(func() {
					assert.NoError(t, k.Wait(t.Context(), 0))
					served[i] = time.Since(start)
				})
				synctest.Wait()
			}
			total := time.Duration(interval * float64(test.waiters))
			for key := range 300 {
				k.Allow(1 + key)
				time.Sleep(total / 300)
			}
			wg.Wait()
			if interval > 1 {
				assert.True(t, slices.IsSorted(served))
			}
			for i, at := range served {
				due := interval * float64(i+1)
				require.InDelta(t, due, at, 1+due*1e-11, "rate %v, waiter %d", test.rate, i)
			}
			time.Sleep(min(200*365*24*time.Hour, time.Duration(3*interval)+1))
			if interval < 1e18 {
				assert.Equal(t, 2, k.Take(0, 0).Remaining)
			}
		})
	}
}

// The same if the line never ends, and some leave it.
func TestKeyed_endlessLine(t *testing.T) {
	for _, test := range []struct {
		rate   ratelimit.Rate
		events int // of each of three
	}{
		{1 / math.Pi, 300},
		{1e-3 / math.E, 300},
		{ratelimit.Every(365 * 24 * time.Hour), 62},
		{ratelimit.Every(10 * 365 * 24 * time.Hour), 6},
	} {
		synctest.Test(t, func(t *testing.T) {
			k, start := ratelimit.NewKeyed[int](test.rate, 2, 10), time.Now()
			interval := float64(time.Second) / float64(test.rate)
			require.True(t, k.Take(0, 2).OK)
			var mu sync.Mutex
			var served []time.Duration
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					for range test.events {
						if !assert.NoError(t, k.Wait(t.Context(), 0)) {
							return
						}
						mu.Lock()
						served = append(served, time.Since(start))
						mu.Unlock()
					}
				})
			}
			ctx, cancel := context.WithCancel(t.Context())
			wg.Go(func() {
				for key := 1; ctx.Err() == nil; key++ {
					k.Allow(key)
					soon, stop := context.WithCancel(ctx)
					time.AfterFunc(time.Duration(interval/2), stop)
					assert.ErrorIs(t, k.Wait(soon, 0), context.Canceled)
					time.Sleep(time.Duration(interval * 2))
				}
			})
			time.Sleep(time.Duration(interval * float64(3*test.events-3)))
			cancel()
			wg.Wait()
			require.Len(t, served, 3*test.events)
			for i, at := range served {
				due := interval * float64(i+1)
				require.InDelta(t, due, at, 1+due*1e-11, "rate %v, event %d", test.rate, i)
			}
		})
	}
}

func TestNewKeyed_panics(t *testing.T) {
	for _, test := range []struct {
		rate           ratelimit.Rate
		burst, maxKeys int
	}{
		{1, 1, 0},
		{1, 1, -1},
		{1, 1, math.MinInt},
		{1, -1, 1},
		{1, mostBurst + 1, 1},
		{-1, 1, 1},
		{ratelimit.Rate(math.NaN()), 1, 1},
		{ratelimit.Rate(math.Inf(-1)), 1, 1},
	} {
		assert.Panics(t, func() { ratelimit.NewKeyed[int](test.rate, test.burst, test.maxKeys) }, "%+v", test)
	}
	assert.NotPanics(t, func() {
		ratelimit.NewKeyed[int](1, 1, math.MaxInt).Allow(1)
		ratelimit.NewKeyed[int](ratelimit.Rate(math.Inf(1)), 1, 1).Allow(1)
		ratelimit.NewKeyed[int](0, mostBurst, 1).Allow(1)
	})
}

func requireKeys[K comparable](t *testing.T, keys ...K) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		k := ratelimit.NewKeyed[K](1, 2, len(keys))
		for range 2 {
			for _, key := range keys {
				require.True(t, k.Allow(key), "%v", key)
			}
		}
		for _, key := range keys {
			require.False(t, k.Allow(key), "%v", key)
		}
		require.Equal(t, len(keys), k.Len())
	})
}

func TestKeyed_keys(t *testing.T) {
	type pair struct {
		name string
		addr netip.Addr
	}
	local := netip.MustParseAddr("127.0.0.1")
	requireKeys(t, "", "a", "b", "a\x00")
	requireKeys(t, 0, 1, -1, math.MinInt, math.MaxInt)
	requireKeys(t, uint8(0), 255)
	requireKeys(t, struct{}{})
	requireKeys(t, local, netip.Addr{}, netip.MustParseAddr("::1"), netip.MustParseAddr("fe80::1%eth0"), netip.MustParseAddr("::ffff:127.0.0.1"))
	requireKeys(t, pair{}, pair{"a", local}, pair{"b", local}, pair{name: "a"})
	requireKeys[any](t, 1, int64(1), "1", nil, local)
	requireKeys(t, [2]float64{0, 1}, [2]float64{1, 0})
	requireKeys(t, new(int), new(int))
	synctest.Test(t, func(t *testing.T) {
		k := ratelimit.NewKeyed[float64](1, 1, 2)
		require.True(t, k.Allow(0))
		require.False(t, k.Allow(math.Copysign(0, -1)), "it is the same key")
	})
}

// A key that is not equal to itself is a new one each time.
func TestKeyed_NaN(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, start := ratelimit.NewKeyed[float64](1, 2, 100), time.Now()
		allowed := 0
		for range 1000 {
			if k.Allow(math.NaN()) {
				allowed++
			}
			k.Take(math.NaN(), 0)
		}
		assert.Equal(t, 100+2, allowed)
		assert.Equal(t, 100, k.Len())
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { assert.NoError(t, k.Wait(t.Context(), math.NaN())) })
		}
		wg.Wait()
		assert.LessOrEqual(t, time.Since(start), 10*time.Second)
		for range 1000 {
			time.Sleep(100 * time.Millisecond)
			require.True(t, k.Allow(math.NaN()))
			require.LessOrEqual(t, k.Len(), 100)
		}
	})
}

func TestKeyed_Wait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, start := ratelimit.NewKeyed[string](1, 1, 10), time.Now()
		require.NoError(t, k.Wait(t.Context(), "a"))
		require.Zero(t, time.Since(start))
		cause := errors.New("given up")
		ctx, cancel := context.WithCancelCause(t.Context())
		var mu sync.Mutex
		at := map[string]time.Duration{}
		wait := func(ctx context.Context, name string) {
			go func() {
				err := k.Wait(ctx, "a")
				mu.Lock()
				defer mu.Unlock()
				if at[name] = time.Since(start); name == "second" {
					assert.ErrorIs(t, err, context.Canceled)
					assert.ErrorIs(t, err, cause)
				} else {
					assert.NoError(t, err)
				}
			}()
			synctest.Wait()
		}
		wait(t.Context(), "first")
		wait(ctx, "second")
		wait(t.Context(), "third")
		late, stop := context.WithTimeout(t.Context(), 4*time.Second)
		defer stop()
		requireLimited(t, k.Wait(late, "a"), 4*time.Second)
		require.Zero(t, time.Since(start))
		require.NoError(t, k.Wait(late, "b"), "nobody waits for that")
		time.Sleep(time.Second / 2)
		assert.False(t, k.Allow("a"))
		assert.Equal(t, 3500*time.Millisecond, k.Take("a", 1).RetryAfter)
		cancel(cause)
		synctest.Wait()
		assert.Equal(t, 2500*time.Millisecond, k.Take("a", 1).RetryAfter)
		time.Sleep(2500 * time.Millisecond)
		assert.True(t, k.Allow("a"))
		synctest.Wait()
		assert.Equal(t, map[string]time.Duration{
			"first": time.Second, "second": time.Second / 2, "third": 2 * time.Second,
		}, at)
		require.ErrorIs(t, k.Wait(ctx, "new"), cause)
		assert.Equal(t, 2, k.Len())
	})
}

// Those without a bucket wait for the one that they share, and find room later.
func TestKeyed_waitWithoutBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, start := ratelimit.NewKeyed[string](1, 1, 1), time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for range 5 {
			go func() { _ = k.Wait(ctx, "a") }() // the fifth at 4s
		}
		synctest.Wait()
		require.True(t, k.Allow("b"))
		var order []string
		var mu sync.Mutex
		for _, key := range []string{"b", "c", "d"} {
			go func() {
				assert.NoError(t, k.Wait(t.Context(), key))
				mu.Lock()
				defer mu.Unlock()
				order = append(order, key)
			}()
			synctest.Wait()
		}
		late, stop := context.WithTimeout(t.Context(), 4*time.Second)
		defer stop()
		requireLimited(t, k.Wait(late, "e"), 4*time.Second)
		require.Zero(t, time.Since(start))
		assert.Equal(t, 1, k.Len())
		time.Sleep(3 * time.Second)
		synctest.Wait()
		assert.Equal(t, []string{"b", "c", "d"}, order)
		assert.False(t, k.Allow("b"))
		time.Sleep(2 * time.Second)
		assert.True(t, k.Allow("b"), "a is full")
		assert.True(t, k.Allow("a"), "of what is shared")
		assert.False(t, k.Allow("a"))
	})
}

// Many wait for many keys, and each key gets its own.
func TestKeyed_waitForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys, waiters = 200, 6
		k, start := ratelimit.NewKeyed[int](10, 2, keys), time.Now()
		var wg sync.WaitGroup
		var at [keys][]time.Duration
		var mu sync.Mutex
		for range waiters {
			for key := range keys {
				wg.Go(func() {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					assert.NoError(t, k.Wait(ctx, key))
					mu.Lock()
					defer mu.Unlock()
					at[key] = append(at[key], time.Since(start))
				})
			}
		}
		wg.Wait()
		for key := range keys {
			const ms = time.Millisecond
			require.Equal(t, []time.Duration{0, 0, 100 * ms, 200 * ms, 300 * ms, 400 * ms}, at[key])
		}
		assert.Equal(t, keys, k.Len())
	})
}

// Times are whole nanoseconds, of which the rounding does not add up.
func TestKeyed_lateByRounding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, start := ratelimit.NewKeyed[int](1e9/1.5, 1, 1), time.Now()
		for range 1001 {
			require.NoError(t, k.Wait(t.Context(), 0))
		}
		assert.InDelta(t, 1500, time.Since(start), 1)
	})
}

// While time does not move, exactly the burst is let through for each key,
// however many make buckets at once.
func TestKeyed_concurrent(t *testing.T) {
	for _, test := range []struct{ burst, maxKeys, keys int }{
		{1000, 1, 1}, {100, 10, 3}, {3, 3000, 500}, {2, 1500, 1500}, {1, 1, 300}, {2, 50, 150}, {1, 2100, 2200},
	} {
		t.Run(fmt.Sprintf("%+v", test), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := ratelimit.NewKeyed[int](ratelimit.Every(time.Hour), test.burst, test.maxKeys)
				allowed := make([]atomic.Int64, test.keys)
				var most atomic.Int64
				var wg sync.WaitGroup
				for g := range 32 {
					wg.Go(func() {
						r := rand.New(rand.NewPCG(uint64(g), 0))
						for range test.burst {
							for _, key := range r.Perm(test.keys) {
								if k.Allow(key) {
									allowed[key].Add(1)
								}
							}
							most.Store(max(most.Load(), int64(k.Len())))
						}
					})
				}
				wg.Wait()
				assert.LessOrEqual(t, int(most.Load()), test.maxKeys)
				assert.Equal(t, min(test.keys, test.maxKeys), k.Len())
				total, own := 0, 0
				for i := range allowed {
					n := int(allowed[i].Load())
					total += n
					require.LessOrEqual(t, n, 2*test.burst)
					if n >= test.burst {
						own++
					}
				}
				want := min(test.keys, test.maxKeys) * test.burst
				if test.keys > test.maxKeys {
					want += test.burst // of what the others share
				}
				assert.Equal(t, want, total)
				assert.GreaterOrEqual(t, own, min(test.keys, test.maxKeys))
			})
		})
	}
}

// While time moves, and with it keys come and go, no key gets more than what its
// own bucket and the shared one grant together; where there is room for all, it
// gets no more than its own.
func TestKeyed_concurrentlyInTime(t *testing.T) {
	for _, test := range []struct{ burst, maxKeys, keys int }{
		{3, 100, 20}, {2, 4, 40}, {1, 30, 200}, {5, 1, 3}, {2, 1100, 1200},
	} {
		t.Run(fmt.Sprintf("%+v", test), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const interval = 100 * time.Millisecond
				k, start := ratelimit.NewKeyed[int](10, test.burst, test.maxKeys), time.Now()
				var mu sync.Mutex
				at := map[int][]time.Duration{}
				var wg sync.WaitGroup
				for g := range 32 {
					wg.Go(func() {
						r := rand.New(rand.NewPCG(uint64(g), 1))
						for i := range 150 {
							key := (r.IntN(test.keys) + i) % test.keys
							ok := false
							switch r.IntN(6) {
							case 0:
								ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(5))*interval)
								ok = k.Wait(ctx, key) == nil
								cancel()
							case 1:
								ctx, cancel := context.WithCancel(t.Context())
								time.AfterFunc(time.Duration(r.IntN(300))*time.Millisecond, cancel)
								ok = k.Wait(ctx, key) == nil
								cancel()
							default:
								ok = k.Allow(key)
							}
							assert.LessOrEqual(t, k.Len(), test.maxKeys)
							if ok {
								mu.Lock()
								at[key] = append(at[key], time.Since(start))
								mu.Unlock()
							}
							if r.IntN(3) == 0 {
								time.Sleep(time.Duration(r.IntN(500)) * time.Millisecond)
							}
						}
					})
				}
				wg.Wait()
				buckets := 2
				if test.keys <= test.maxKeys {
					buckets = 1
				}
				for key, events := range at {
					for i, from := range events {
						for j, to := range events[i:] {
							most := buckets * (test.burst + int((to-from)/interval))
							require.LessOrEqual(t, j+1, most, "key %d from %v to %v", key, from, to)
						}
					}
				}
				time.Sleep(time.Duration(test.burst) * interval)
				for key := range min(test.keys, 20, test.maxKeys) {
					require.True(t, k.Take(key, test.burst).OK, "all is full again")
				}
			})
		})
	}
}

// Each key takes less than 100 bytes, also with so many that most shards have
// just grown.
func TestKeyed_memory(t *testing.T) {
	const keys = 100_000
	names := make([]string, keys)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	heap := func() int {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := heap()
	k := ratelimit.NewKeyed[string](0, 1, keys)
	for _, name := range names {
		if !k.Allow(name) {
			require.Fail(t, "no bucket", name)
		}
	}
	perKey := float64(heap()-before) / keys
	assert.Equal(t, keys, k.Len())
	assert.Less(t, perKey, 100.)
	assert.Greater(t, perKey, 30., "it is there still")
	runtime.KeepAlive(names)
	runtime.KeepAlive(k)
}

// Those with new keys, which nobody sees again, take no memory for ever.
func TestKeyed_memoryOfNewKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const maxKeys = 1000
		k := ratelimit.NewKeyed[[8]byte](1000, 1, maxKeys)
		var key [8]byte
		allowed := 0
		for i := range 100_000 {
			binary.LittleEndian.PutUint64(key[:], uint64(i))
			if k.Allow(key) {
				allowed++
			}
			if i%500 == 0 {
				time.Sleep(time.Millisecond)
				require.LessOrEqual(t, k.Len(), maxKeys)
			}
		}
		assert.Equal(t, 100_000, allowed, "there is always room")
	})
}

// Those without a bucket find the room that another shard has.
func TestKeyed_roomElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := ratelimit.NewKeyed[int](1, 2, 16_384)
		k.Allow(0)
		time.Sleep(time.Second / 2)
		for key := 1; key < 16_384; key++ {
			k.Allow(key)
		}
		time.Sleep(time.Second / 2) // now that of 0 is full again, and no other
		allowed := 0
		for range 10_000 {
			if k.Allow(-1) {
				allowed++
			}
		}
		assert.GreaterOrEqual(t, allowed, 2)
		assert.Zero(t, k.Take(-1, 0).Remaining)
		for k.Allow(-2) { // uses up what is shared
		}
		assert.Zero(t, k.Take(0, 0).Remaining, "its bucket has gone to the other")
		assert.Equal(t, 16_384, k.Len())
	})
}

// Nothing is kept for a key for which nobody waits any more.
func TestKeyed_lines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := ratelimit.NewKeyed[int](1, 1, 100)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for key := range 10 {
			require.True(t, k.Allow(key))
			wg.Go(func() { assert.NoError(t, k.Wait(t.Context(), key)) })
			synctest.Wait()
			wg.Go(func() { assert.ErrorIs(t, k.Wait(ctx, key), context.Canceled) })
		}
		synctest.Wait()
		assert.Equal(t, 10, k.Lines())
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, 10, k.Lines())
		cancel()
		wg.Wait()
		assert.Zero(t, k.Lines())
	})
}

// Nor for one whose only waiter has been served.
func TestKeyed_linesServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := ratelimit.NewKeyed[int](1, 1, 100)
		require.True(t, k.Allow(1))
		require.NoError(t, k.Wait(t.Context(), 1))
		assert.Zero(t, k.Lines())
	})
}
