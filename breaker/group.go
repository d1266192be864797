package breaker

import (
	"container/list"
	"iter"
	"sync"
)

// A Group holds a Breaker for each of many things that may be down, such as
// hosts or tenants. Use [NewGroup] to make one; it must not be copied. It may be
// used concurrently.
type Group[K comparable] struct {
	most     int
	settings func(K) Settings

	mu      sync.Mutex // guards the fields below
	entries map[K]*list.Element
	recent  *list.List // of *entry[K], the one that was asked for last in front
}

type entry[K comparable] struct {
	key     K
	breaker *Breaker
}

// NewGroup returns a Group of at most max breakers, which are made, by the
// settings for their key, when they are first asked for. The function is called
// in the goroutine that asks, without a lock held; more than once for a key if
// several ask at the same time. NewGroup panics if max is less than 1 or settings
// is nil.
func NewGroup[K comparable](max int, settings func(K) Settings) *Group[K] {
	if max < 1 {
		panic("breaker: NewGroup of less than 1")
	}
	if settings == nil {
		panic("breaker: NewGroup with a nil function")
	}
	return &Group[K]{most: max, settings: settings, entries: map[K]*list.Element{}, recent: list.New()}
}

// Get returns the Breaker for key. If there is none yet it makes one. Where
// that would be too many, the one that was asked for longest ago has to go; it is
// still good for those who have it. One that is open, half-open with a probe
// under way, or forced, never goes; once its open time is over without a call, it
// may. Up to a hundred are looked at, and those that have to stay then count as
// just asked for; if none of them may go, the new one is not kept.
func (g *Group[K]) Get(key K) *Breaker {
	if b := g.find(key, nil); b != nil {
		return b
	}
	return g.find(key, New(g.settings(key)))
}

// find returns the breaker for key, which is made if there is none yet, unless
// that is nil.
func (g *Group[K]) find(key K, made *Breaker) *Breaker {
	g.mu.Lock()
	defer g.mu.Unlock()
	if e, ok := g.entries[key]; ok {
		g.recent.MoveToFront(e)
		return e.Value.(*entry[K]).breaker
	}
	if made == nil || len(g.entries) >= g.most && !g.evictLocked() {
		return made
	}
	g.entries[key] = g.recent.PushFront(&entry[K]{key, made})
	return made
}

// mayLook is how many breakers are looked at for one that may go.
const mayLook = 100

// evictLocked makes room, if it can. Those that must stay it takes out of the
// way of the next search.
func (g *Group[K]) evictLocked() bool {
	for range min(mayLook, len(g.entries)) {
		e := g.recent.Back()
		v := e.Value.(*entry[K])
		if v.breaker.idle() {
			g.recent.Remove(e)
			delete(g.entries, v.key)
			return true
		}
		g.recent.MoveToFront(e)
	}
	return false
}

// idle reports whether b can be forgotten: it is closed, or its open time, or
// the time of its probes, is over and nobody has asked for it since; and it is
// not forced.
func (b *Breaker) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch s := b.current.Load(); {
	case s.mode != Auto:
		return false
	case s.state == Open:
		return b.clock() >= s.until
	case s.state == HalfOpen:
		return len(s.probes) == 0 || b.clock() >= later(s.due(), b.settings.longestOpen())
	}
	return true
}

// Delete forgets the Breaker for key, if there is one. It is still good for
// those who have it.
func (g *Group[K]) Delete(key K) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if e, ok := g.entries[key]; ok {
		g.recent.Remove(e)
		delete(g.entries, key)
	}
}

// All returns the breakers and their keys, as they are when the loop begins, in
// no particular order. The body of the loop may use the group.
func (g *Group[K]) All() iter.Seq2[K, *Breaker] {
	return func(yield func(K, *Breaker) bool) {
		for _, e := range g.snapshot() {
			if !yield(e.key, e.breaker) {
				return
			}
		}
	}
}

func (g *Group[K]) snapshot() []*entry[K] {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]*entry[K], 0, len(g.entries))
	for e := g.recent.Front(); e != nil; e = e.Next() {
		all = append(all, e.Value.(*entry[K]))
	}
	return all
}
