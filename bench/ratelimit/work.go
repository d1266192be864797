package ratelimitbench

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// A work tells a loop how many calls to make, and of which keys.
type work struct {
	calls int
	keys  []string // asked for one after another, and again
	next  int

	_ [64]byte // keeps the next work off its cache lines
}

// newWorks returns n works, which begin with different keys, if there are as
// many.
func newWorks(n int, keys []string) []*work {
	works := make([]*work, n)
	for i := range works {
		works[i] = &work{calls: calls, keys: keys, next: i * len(keys) / n}
	}
	return works
}

// key returns the key of the next call.
func (w *work) key() string {
	key := w.keys[w.next]
	if w.next++; w.next == len(w.keys) {
		w.next = 0
	}
	return key
}

// check ends a loop. It panics unless as many calls were let through as should.
func check(passed, want int) {
	if passed != want {
		panic(fmt.Sprintf("ratelimitbench: %d calls were let through, want %d", passed, want))
	}
}

// must panics if something has failed that cannot.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// A keyring holds keys twice, in different memory and order: as a limiter sees
// them first, and keeps them, and as they come with the calls that are timed.
type keyring struct{ first, later []string }

func newKeyring(n int) keyring {
	var k keyring
	for i := range n {
		key := "key-" + strconv.Itoa(i)
		k.first = append(k.first, key)
		k.later = append(k.later, strings.Clone(key))
	}
	rand.Shuffle(n, func(i, j int) { k.first[i], k.first[j] = k.first[j], k.first[i] })
	return k
}
