package breaker_test

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/breaker"
)

func named(key string) breaker.Settings { return breaker.Settings{Name: key} }

func keys(g *breaker.Group[string]) []string {
	var ks []string
	for k, b := range g.All() {
		if b.Name() != k {
			ks = append(ks, "wrong breaker")
		}
		ks = append(ks, k)
	}
	return ks
}

func TestGroup(t *testing.T) {
	g := breaker.NewGroup(2, named)
	a := g.Get("a")
	assert.Equal(t, "a", a.Name())
	assert.Same(t, a, g.Get("a"))
	g.Get("b")
	g.Get("a")
	g.Get("c")
	assert.ElementsMatch(t, []string{"c", "a"}, keys(g), "b was asked for longest ago")
	assert.Same(t, a, g.Get("a"))
	g.Delete("a")
	g.Delete("nobody")
	assert.Equal(t, []string{"c"}, keys(g))
	assert.NotSame(t, a, g.Get("a"))
}

func TestGroup_keepsOpenOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := breaker.NewGroup(2, named)
		g.Get("a").Open()
		g.Get("b")
		g.Get("c")
		assert.ElementsMatch(t, []string{"c", "a"}, keys(g))
		g.Get("c").Open()
		time.Sleep(time.Minute)
		assert.Equal(t, halfOpen, g.Get("a").State())
		_, err := g.Get("a").Allow(t.Context())
		require.NoError(t, err)
		g.Get("c").Open()
		d := g.Get("d")
		assert.Equal(t, "d", d.Name())
		assert.NotSame(t, d, g.Get("d"), "there was no place for it")
		assert.ElementsMatch(t, []string{"a", "c"}, keys(g))
	})
}

// Those that nobody asks for any more do not fill the group for ever.
func TestGroup_forgetsTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changed := 0
		g := breaker.NewGroup(3, func(string) breaker.Settings {
			return breaker.Settings{OpenFor: time.Second, OnChange: func(breaker.Change) { changed++ }}
		})
		for _, k := range []string{"open", "half-open", "lost"} {
			g.Get(k).Open()
		}
		assert.NotSame(t, g.Get("new"), g.Get("new"))
		time.Sleep(time.Second)
		require.Equal(t, halfOpen, g.Get("half-open").State())
		require.Equal(t, halfOpen, g.Get("lost").State())
		_, err := g.Get("lost").Allow(t.Context())
		require.NoError(t, err)
		changed = 0
		lost := g.Get("lost")
		assert.Same(t, g.Get("new"), g.Get("new"), "in the place of the open one")
		assert.Same(t, g.Get("newer"), g.Get("newer"), "and of the half-open one")
		assert.Same(t, lost, g.Get("lost"), "but a probe is under way there")
		g.Get("new").Open()
		g.Get("newer").Open()
		time.Sleep(2*time.Second - 1)
		g.Get("new").Open()
		g.Get("newer").Open()
		g.Get("other")
		assert.Same(t, lost, g.Get("lost"))
		time.Sleep(time.Nanosecond)
		g.Get("other")
		assert.NotSame(t, lost, g.Get("lost"), "it could be half-open again by now")
		assert.Equal(t, 6, changed, "those by hand alone, two of them after the time was over")
	})
}

// What somebody has forced is not forgotten.
func TestGroup_keepsForcedOnes(t *testing.T) {
	g := breaker.NewGroup(2, named)
	for k, m := range map[string]breaker.Mode{"a": breaker.Disabled, "b": breaker.Isolated} {
		g.Get(k).Force(m)
	}
	g.Get("c")
	assert.ElementsMatch(t, []string{"a", "b"}, keys(g))
}

// Of many that are open no more than a hundred are looked at, and one behind them
// is found in the end.
func TestGroup_manyOpen(t *testing.T) {
	g := breaker.NewGroup(1000, func(int) breaker.Settings { return breaker.Settings{} })
	for i := range 999 {
		g.Get(i + 1).Open()
	}
	g.Get(0)
	keptAfter := 0
	for {
		keptAfter++
		if b := g.Get(-1); g.Get(-1) == b {
			break
		}
		require.Less(t, keptAfter, 20)
	}
	assert.Greater(t, keptAfter, 1)
}

// A lost probe leaves the breaker open for longer each time: it is kept so long.
func TestGroup_keepsGrownOnes(t *testing.T) {
	for _, s := range []breaker.Settings{
		{OpenFor: time.Second, MaxOpenFor: 10 * time.Second},
		{OpenFor: time.Second, Jitter: 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			for range 20 {
				g := breaker.NewGroup(1, func(string) breaker.Settings { return s })
				a := g.Get("a")
				a.Open()
				time.Sleep(2 * time.Second)
				_, err := a.Allow(t.Context())
				require.NoError(t, err)
				time.Sleep(2500 * time.Millisecond) // the probe was due after one
				g.Get("b")
				if a.State() == open {
					assert.Same(t, a, g.Get("a"))
				}
				time.Sleep(10 * time.Second)
				g.Get("b")
				g.Get("b")
				assert.NotSame(t, a, g.Get("a"))
			}
		})
	}
}

func TestGroup_All(t *testing.T) {
	g := breaker.NewGroup(9, named)
	for _, k := range []string{"a", "b", "c"} {
		g.Get(k)
	}
	for k := range g.All() {
		g.Delete(k) // may use the group
		g.Get("d")
		if k == "b" {
			break
		}
	}
	assert.Equal(t, []string{"a", "d"}, slices.Sorted(maps.Keys(maps.Collect(g.All()))))
}

func TestGroup_concurrent(t *testing.T) {
	g := breaker.NewGroup(10, named)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for j := range 200 {
				k := fmt.Sprint((i + j) % 20)
				b := g.Get(k)
				assert.Equal(t, k, b.Name())
				assert.LessOrEqual(t, len(keys(g)), 10)
				if j%50 == 0 {
					g.Delete(k)
				}
			}
		})
	}
	wg.Wait()
}

// Those who ask for the same key at the same time get the same breaker.
func TestGroup_sameKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := breaker.NewGroup(10, func(k string) breaker.Settings {
			time.Sleep(time.Second) // all of them are here
			return named(k)
		})
		var mu sync.Mutex
		got := map[*breaker.Breaker]bool{}
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				b := g.Get("a")
				mu.Lock()
				defer mu.Unlock()
				got[b] = true
			})
		}
		wg.Wait()
		assert.Len(t, got, 1)
	})
}

func TestGroup_panics(t *testing.T) {
	assert.PanicsWithValue(t, "breaker: NewGroup of less than 1", func() { breaker.NewGroup(0, named) })
	assert.PanicsWithValue(t, "breaker: NewGroup with a nil function", func() { breaker.NewGroup[string](1, nil) })
	armed := true
	var g *breaker.Group[string]
	g = breaker.NewGroup(1, func(k string) breaker.Settings {
		if armed {
			_ = keys(g) // may use the group
			panic("settings")
		}
		return named(k)
	})
	assert.PanicsWithValue(t, "settings", func() { g.Get("a") })
	armed = false
	assert.Equal(t, "a", g.Get("a").Name())
}
