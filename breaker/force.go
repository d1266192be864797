package breaker

import (
	"fmt"
	"math"
)

// Open opens b by hand: it stays open for OpenFor, as if it had tripped. If it
// is open already, this time begins anew. Calls in flight are not counted any
// more. Open does nothing while b is forced. To keep b open, force it.
func (b *Breaker) Open() {
	b.byHand(func() {
		b.engine = b.newEngine().trip()
		b.reopened = 0
		b.openLocked(b.clock(), nil)
	})
}

// Close closes b by hand and clears its counts, also if it is closed already.
// Calls in flight are not counted any more. Close does nothing while b is forced.
func (b *Breaker) Close() {
	b.byHand(func() { b.closeLocked(Auto) })
}

func (b *Breaker) byHand(change func()) {
	defer b.report()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.settleLocked(b.clock()).mode == Auto {
		change()
	}
}

// Force makes b open or closed whatever becomes of calls, until it is forced
// otherwise. Isolated means always open: every call is rejected, and After of
// its error is zero. Disabled means always closed: every call is let through,
// and counted. Auto ends that: b is closed then, with nothing counted. A change
// of the mode that leaves the state as it is is not reported to OnChange.
// Forcing the mode that b is in does nothing. Force panics if m is none of these.
func (b *Breaker) Force(m Mode) {
	if m != Auto && m != Isolated && m != Disabled {
		panic(fmt.Sprintf("breaker: Force of %v", m))
	}
	defer b.report()
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.settleLocked(b.clock()).mode == m:
	case m == Isolated:
		s := b.newStay(Open, b.clock())
		s.mode, s.until = m, math.MaxInt64
		b.changeLocked(s, nil)
	default:
		b.closeLocked(m)
	}
}

// closeLocked begins a closed stay. What probes there are belong to an engine
// that is not used any more.
func (b *Breaker) closeLocked(m Mode) {
	b.engine = b.newEngine()
	b.reopened = 0
	s := b.newStay(Closed, b.clock())
	if s.mode = m; m == Disabled {
		s.limit, s.gauges = math.MaxInt64, nil
		s.plain = !s.timed
	}
	b.changeLocked(s, nil)
}
