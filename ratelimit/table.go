package ratelimit

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

const (
	keysOfShard = 1024 // at least, if there are several and all are used
	shardBits   = 8    // at most
	sweepSlots  = 512  // how many are looked at for one that may go
)

// A shard has the buckets of some of the keys. Those who find a bucket use it
// without the lock, which is for making and forgetting buckets, and for waiting.
type shard[K comparable] struct {
	table atomic.Pointer[table[K]] // changes only under mu

	mu    sync.Mutex  // guards the fields below, and hash and key of each slot
	used  int         // slots of the table that have a key
	hand  int         // where the next sweep begins
	lines map[K]*line // of the keys for which somebody waits

	_ [64]byte
}

// A table is a hash table with linear probing. A slot is filled once and never
// again: it is dead when its spent is replaced, and there is a new table, of what
// is left, when too many are in use.
type table[K comparable] struct {
	pace  *pace
	base  time.Duration // time is counted from it
	slots []slot[K]     // as many as a power of two; a quarter at least is empty
}

type slot[K comparable] struct {
	hash  atomic.Uint64 // 0 means empty; stored after the others
	spent atomic.Int64
	key   K
}

func newTable[K comparable](p *pace, base time.Duration, keys int) *table[K] {
	size := max(8, 1<<bits.Len(uint(2*keys-1)))
	return &table[K]{pace: p, base: base, slots: make([]slot[K], size)}
}

// find returns the slot of key, or nil.
func (t *table[K]) find(hash uint64, key K) *slot[K] {
	for i := hash >> 1; ; i++ {
		b := &t.slots[i&uint64(len(t.slots)-1)]
		switch h := b.hash.Load(); {
		case h == 0:
			return nil
		case h == hash && b.key == key && b.spent.Load() != replaced:
			return b
		}
	}
}

// put fills a slot.
func (t *table[K]) put(hash uint64, key K, spent int64) *slot[K] {
	for i := hash >> 1; ; i++ {
		b := &t.slots[i&uint64(len(t.slots)-1)]
		if b.hash.Load() == 0 {
			b.key = key
			b.spent.Store(spent)
			b.hash.Store(hash)
			return b
		}
	}
}

// take takes n tokens from b. If that is not in force any more, what is spent is
// replaced.
func (t *table[K]) take(b *slot[K], n int, now time.Duration) (at level, ok bool) {
	at.elapsed = now - t.base
	if at.elapsed > t.pace.horizon {
		return level{spent: replaced}, false
	}
	if n == 0 {
		at.spent = b.spent.Load()
		return at, true
	}
	at.spent, ok = t.pace.take(&b.spent, int64(n)*t.pace.cost, t.pace.earned(at.elapsed))
	return at, ok
}

// take takes n tokens for key, for which it may have to make a bucket. If there
// is no room for that, it is done with the bucket that many share.
func (s *shard[K]) take(k *Keyed[K], hash uint64, key K, n int) (at level, ok bool) {
	for {
		b, t, now := s.lockFor(k, hash, key, n > 0 && k.pace.cost > 0)
		if b != nil {
			at, ok = t.take(b, n, now)
		}
		s.mu.Unlock()
		switch {
		case b != nil:
			return at, ok
		case k.pace.cost == 0, n == 0 && k.keys.Load() < k.maxKeys:
			return level{spent: -k.pace.depth}, true // as it would be made
		case !k.sweep():
			return k.takeShared(n)
		}
	}
}

// lockFor takes the lock and returns the slot of key, which it makes if make is
// true and there is room. The slot is in force until the lock is given back.
func (s *shard[K]) lockFor(k *Keyed[K], hash uint64, key K, make bool) (b *slot[K], t *table[K], now time.Duration) {
	s.mu.Lock()
	t = s.table.Load()
	now = time.Since(k.born) // not before a key was last forgotten
	if now-t.base > t.pace.horizon {
		t = s.rebuild(k, now, now)
	}
	b = t.find(hash, key)
	if b != nil || !make || !k.enter() {
		return b, t, now
	}
	if 4*(s.used+1) > 3*len(t.slots) {
		t = s.rebuild(k, t.base, now)
	}
	s.used++
	return t.put(hash, key, t.pace.earned(now-t.base)-t.pace.depth), t, now
}

// rebuild makes a new table, whose time is counted from base, of what is not
// full, with room for as many again. It requires mu.
func (s *shard[K]) rebuild(k *Keyed[K], base, now time.Duration) *table[K] {
	t := s.table.Load()
	s.forget(k, now, len(t.slots))
	var rest []*slot[K]
	for i := range t.slots {
		if b := &t.slots[i]; b.hash.Load() != 0 && b.spent.Load() != replaced {
			rest = append(rest, b)
		}
	}
	next := newTable[K](t.pace, base, len(rest)+1)
	before := t.pace.everEarned(base - t.base)
	for _, b := range rest {
		next.put(b.hash.Load(), b.key, b.spent.Swap(replaced)-before)
	}
	for _, q := range s.lines {
		q.carry(func(at int64) int64 { return at - before }, func(units int64) int64 { return units }, t.pace, now-base)
	}
	s.used, s.hand = len(rest), 0
	s.table.Store(next)
	return next
}

// forget looks at so many slots, from the hand on, and forgets what is full. It
// requires mu.
func (s *shard[K]) forget(k *Keyed[K], now time.Duration, slots int) (forgotten bool) {
	t := s.table.Load()
	earned := t.pace.everEarned(now - t.base)
	for range slots {
		b := &t.slots[s.hand]
		s.hand = (s.hand + 1) % len(t.slots)
		if b.hash.Load() == 0 {
			continue
		}
		spent := b.spent.Load()
		if spent <= earned-t.pace.depth && b.spent.CompareAndSwap(spent, replaced) {
			k.keys.Add(-1)
			forgotten = true
		}
	}
	return forgotten
}

// enter counts one key more, unless there are as many as there may be.
func (k *Keyed[K]) enter() bool {
	for {
		keys := k.keys.Load()
		if keys >= k.maxKeys {
			return false
		}
		if k.keys.CompareAndSwap(keys, keys+1) {
			return true
		}
	}
}

// sweep looks for buckets that are full, to forget them, and reports whether it
// found any. It goes on where it was before, and looks only at a few, so that
// those who come with new keys pay for what they cost: it may take some of them
// until one is found.
func (k *Keyed[K]) sweep() bool {
	slots := sweepSlots
	first := k.swept.Add(1)
	for i := range k.shards {
		s := &k.shards[(first+uint64(i))%uint64(len(k.shards))]
		s.mu.Lock()
		n := min(slots, len(s.table.Load().slots))
		forgotten := s.forget(k, time.Since(k.born), n)
		s.mu.Unlock()
		if slots -= n; forgotten || slots == 0 {
			return forgotten
		}
	}
	return false
}

// join returns a place in the line for key, an error, or neither if a token was
// there; or that the key has no bucket.
func (s *shard[K]) join(by time.Time, k *Keyed[K], hash uint64, key K) (w *place, found bool, err error) {
	b, t, now := s.lockFor(k, hash, key, true)
	defer s.mu.Unlock()
	if b == nil {
		return nil, false, nil
	}
	q := s.lines[key]
	if q == nil {
		q = new(line)
	}
	w, err = q.join(by, t.pace, &b.spent, 1, now-t.base)
	if w != nil {
		if s.lines == nil {
			s.lines = map[K]*line{}
		}
		s.lines[key] = q
	}
	return w, true, err
}

// arrive reports whether the turn of w has come, which then leaves the line.
func (s *shard[K]) arrive(k *Keyed[K], hash uint64, key K, w *place) bool {
	_, t, now := s.lockFor(k, hash, key, false)
	defer s.mu.Unlock()
	defer s.tidy(key)
	return s.lines[key].arrive(w, t.pace, now-t.base)
}

// leave takes w out of the line and gives back its token.
func (s *shard[K]) leave(k *Keyed[K], hash uint64, key K, w *place) {
	b, t, _ := s.lockFor(k, hash, key, false)
	defer s.mu.Unlock()
	defer s.tidy(key)
	if b == nil { // it is full again, and forgotten
		s.lines[key].remove(w)
		return
	}
	s.lines[key].leave(w, w.units, t.pace, &b.spent, func() time.Duration { return time.Since(k.born) - t.base })
}

// tidy removes the line of key if it is empty. It requires mu.
func (s *shard[K]) tidy(key K) {
	if len(s.lines[key].places) == 0 {
		delete(s.lines, key)
	}
}
