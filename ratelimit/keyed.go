package ratelimit

import (
	"context"
	"hash/maphash"
	"math/bits"
	"sync/atomic"
	"time"
)

// A Keyed limits events by key, such as an address or a user: each key has a
// token bucket of its own, as of a [Limiter], which is full at first. Use
// [NewKeyed] to make one; it must not be copied. It may be used concurrently.
//
// It starts no goroutine. A bucket that is full again is as good as none, and is
// forgotten when room is needed; one that is not never is, so that to be
// forgotten resets no limit. There are at most maxKeys buckets. When all of them
// are in use, those keys that have none share one more, until there is room.
type Keyed[K comparable] struct {
	pace    pace
	maxKeys int64
	seed    maphash.Seed
	born    time.Time // all times are counted from it
	shards  []shard[K]
	bits    int // the shard is chosen by so many bits of the hash

	shared *Limiter // for keys without a bucket

	_    [64]byte // what is read is on another cache line than what is written
	keys atomic.Int64

	swept atomic.Uint64 // how often there was a sweep
}

// NewKeyed returns a Keyed for r events a second and key, and up to burst of
// them at once, with the same meaning as in [New], at which it also panics, and
// for up to maxKeys keys. It panics if that is less than 1.
//
// With keys that are strings it takes some 70 bytes for each of them, besides
// the bytes of the string.
func NewKeyed[K comparable](r Rate, burst, maxKeys int) *Keyed[K] {
	if maxKeys < 1 {
		panic("ratelimit: NewKeyed for less than one key")
	}
	k := &Keyed[K]{
		pace: newPace(r, burst), maxKeys: int64(maxKeys),
		seed: maphash.MakeSeed(), born: time.Now(), shared: New(r, burst),
		bits: min(bits.Len(uint(maxKeys)/(2*keysOfShard)), shardBits),
	}
	k.shards = make([]shard[K], 1<<k.bits)
	for i := range k.shards {
		k.shards[i].table.Store(newTable[K](&k.pace, 0, 1))
	}
	return k
}

// Allow reports whether an event may happen now for key. If so, it has taken a
// token.
func (k *Keyed[K]) Allow(key K) bool {
	_, ok := k.take(key, 1)
	return ok
}

// Take takes n tokens for key, if they are there, and tells what there is then.
// An n of 0 only tells. It makes no bucket, and neither does what is refused.
func (k *Keyed[K]) Take(key K, n int) Result {
	at, ok := k.take(key, max(n, 0))
	return k.pace.result(n, at, ok && n >= 0)
}

// Wait waits until an event may happen for key, takes a token and returns nil.
// Those who wait for the same key are served in the order in which they came,
// before those who ask Allow; one who waits for the bucket that is shared goes on
// doing so when there is room. The errors are those of [Limiter.WaitN].
func (k *Keyed[K]) Wait(ctx context.Context, key K) error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	if k.Allow(key) {
		return nil
	}
	if k.pace.most < 1 {
		return exceeds(1, k.pace.most)
	}
	s, hash := k.shard(key)
	for {
		w, found, err := s.join(deadline(ctx), k, hash, key)
		switch {
		case w != nil:
			return w.await(ctx,
				func(w *place) bool { return s.arrive(k, hash, key, w) },
				func(w *place) { s.leave(k, hash, key, w) })
		case found:
			return err
		case !k.sweep():
			return k.shared.Wait(ctx)
		}
	}
}

// Len returns the number of buckets, those among them that are full again but
// not forgotten yet.
func (k *Keyed[K]) Len() int { return int(k.keys.Load()) }

// A level is what was spent of a bucket, at a time of its.
type level struct {
	spent   int64
	elapsed time.Duration
}

// take takes n tokens for key, if they are there, and returns what is spent
// then.
func (k *Keyed[K]) take(key K, n int) (at level, ok bool) {
	if n > k.pace.most {
		at, _ = k.take(key, 0)
		return at, false
	}
	s, hash := k.shard(key)
	now := time.Since(k.born)
	t := s.table.Load()
	if b := t.find(hash, key); b != nil {
		if at, ok = t.take(b, n, now); at.spent != replaced {
			return at, ok
		}
	}
	return s.take(k, hash, key, n)
}

// takeShared takes n tokens from the bucket of those keys that have none.
func (k *Keyed[K]) takeShared(n int) (at level, ok bool) {
	for {
		b, elapsed := k.shared.at(time.Now())
		at = level{b.spent.Load(), elapsed}
		if ok = n == 0; !ok {
			at.spent, ok = b.take(&b.spent, int64(n)*b.cost, b.earned(elapsed))
		}
		if at.spent != replaced {
			return at, ok
		}
	}
}

// shard returns the shard that has key, and the hash, which is not 0.
func (k *Keyed[K]) shard(key K) (s *shard[K], hash uint64) {
	hash = maphash.Comparable(k.seed, key)
	return &k.shards[k.index(hash)], hash | 1
}

// index returns the index of the shard for a hash.
func (k *Keyed[K]) index(hash uint64) uint64 { return hash >> (64 - k.bits) }
