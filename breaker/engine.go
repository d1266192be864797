package breaker

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sony/gobreaker/v2"
)

// An engine is what decides about the state: gobreaker, which here hears only
// of what matters to it, the decision to open and the probes. How long it stays
// open is not left to it: its own time is the shortest there is.
type engine struct {
	*gobreaker.TwoStepCircuitBreaker[struct{}]

	state gobreaker.State
}

// What the engine hears.
var (
	errFailed  = errors.New("breaker: failed")
	errIgnored = errors.New("breaker: ignored")
)

func (b *Breaker) newEngine() *engine {
	e := new(engine)
	e.TwoStepCircuitBreaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:   uint32(min(int64(b.settings.Probes), math.MaxUint32)),
		Timeout:       1,
		ReadyToTrip:   func(gobreaker.Counts) bool { return true },
		OnStateChange: func(_ string, _, to gobreaker.State) { e.state = to },
		IsExcluded:    func(err error) bool { return err == errIgnored }, //nolint:errorlint // nobody wraps it
	})
	return e
}

// trip makes a closed engine open.
func (e *engine) trip() *engine {
	done, err := e.Allow()
	if err == nil { // always, as it is closed
		done(errFailed)
	}
	return e
}

// clock returns the time since the breaker was made.
func (b *Breaker) clock() time.Duration { return time.Since(b.born) }

// later returns t + d, or the latest time.
func later(t, d time.Duration) time.Duration {
	if t > math.MaxInt64-d {
		return math.MaxInt64
	}
	return t + d
}

// settled returns the current stay, after the changes that are due.
func (b *Breaker) settled() *stay {
	s := b.current.Load()
	if s.state == Closed {
		return s
	}
	defer b.report()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.settleLocked(b.clock())
}

// settleLocked makes the changes that time has brought about, and returns the
// current stay.
func (b *Breaker) settleLocked(now time.Duration) *stay {
	for {
		s := b.current.Load()
		switch {
		case s.state == Open && now >= s.until && s.mode == Auto:
			b.engine.State() // notices that its time is over
			if b.engine.state != gobreaker.StateHalfOpen {
				return s // in the same nanosecond it does not
			}
			b.spare = b.newEngine().trip()
			b.changeLocked(b.newStay(HalfOpen, now), nil)
		case s.state == HalfOpen && now >= s.due():
			// The engine could only open now, but it was to be open since the
			// probe fell due, and may be half-open again. One that has been
			// open since before that takes its place.
			b.engine = b.spare
			b.reopened++
			s.add(Failure, s.timed && b.settings.ProbeTimeout >= b.settings.SlowCall, now)
			b.openLocked(s.due(), errNoAnswer)
		default:
			return s
		}
	}
}

// due returns when the first of the probes that have not ended falls due.
func (s *stay) due() time.Duration {
	if len(s.probes) == 0 {
		return math.MaxInt64
	}
	return s.probes[0].due
}

// probeEnded counts a probe, unless it comes too late.
func (b *Breaker) probeEnded(c *call, o Outcome, slow bool, now time.Duration, err error) {
	defer b.report()
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.settleLocked(now)
	if s != c.stay {
		return
	}
	s.probes = slices.DeleteFunc(s.probes, func(p *probe) bool { return p == c.probe })
	s.add(o, slow, now)
	switch o {
	case Success:
		c.probe.done(nil)
	case Failure:
		c.probe.done(errFailed)
	default:
		c.probe.done(errIgnored)
	}
	switch b.engine.state {
	case gobreaker.StateOpen:
		b.reopened++
		b.openLocked(now, err)
	case gobreaker.StateClosed:
		b.reopened = 0
		b.changeLocked(b.newStay(Closed, now), err)
	}
}

// trip opens the breaker, unless s is over already.
func (b *Breaker) trip(s *stay, err error) {
	defer b.report()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current.Load() == s {
		b.engine.trip()
		b.openLocked(b.clock(), err)
	}
}

// openLocked begins an open stay at the given time. The engine is open.
func (b *Breaker) openLocked(at time.Duration, err error) {
	s := b.newStay(Open, at)
	s.until = later(s.since, b.openFor())
	b.changeLocked(s, err)
}

// openFor returns how long to stay open.
func (b *Breaker) openFor() time.Duration {
	d, most := b.settings.OpenFor, b.settings.MaxOpenFor
	if most > 0 {
		for range b.reopened {
			if d >= most {
				break
			}
			d = later(d, d)
		}
		d = min(d, most)
	} else {
		most = math.MaxInt64
	}
	if b.settings.Jitter > 0 {
		spread := d
		if f := b.settings.Jitter * float64(d); f < float64(d) { // otherwise f may not fit
			spread = time.Duration(f)
		}
		shortest := d - spread
		d = shortest + time.Duration(rand.Uint64N(uint64(min(later(d, spread), most)-shortest)+1))
	}
	return max(d, 2) // for less the engine is too slow
}

// longestOpen returns the longest time that openFor may return.
func (s Settings) longestOpen() time.Duration {
	if s.MaxOpenFor > 0 {
		return s.MaxOpenFor
	}
	if s.Jitter > 0 {
		return later(s.OpenFor, s.OpenFor) // and more than that
	}
	return s.OpenFor
}

// changeLocked ends the current stay for another.
func (b *Breaker) changeLocked(to *stay, err error) {
	from := b.current.Swap(to)
	if from.state != to.state && b.settings.OnChange != nil {
		now := time.Now() // not counted from born: the wall clock may have been set since
		b.changes = append(b.changes, Change{
			Name: b.settings.Name, From: from.state, To: to.state,
			Counts: from.counts(), Err: err, At: now.Add(to.since - now.Sub(b.born)),
		})
	}
}

// report calls OnChange for the changes that were not reported yet, unless
// another goroutine does so already. It requires that mu is not locked.
func (b *Breaker) report() {
	if b.settings.OnChange == nil {
		return
	}
	for b.reportNext() {
	}
}

// reportNext reports one change, and returns whether it did.
func (b *Breaker) reportNext() bool {
	b.mu.Lock()
	if b.reporting || len(b.changes) == 0 {
		b.mu.Unlock()
		return false
	}
	b.reporting = true
	c := b.changes[0]
	b.changes[0] = Change{} // keeps no error alive
	b.changes = b.changes[1:]
	b.mu.Unlock()

	returned := false
	defer func() {
		b.mu.Lock()
		b.reporting = false
		b.mu.Unlock()
		if !returned {
			b.report() // the others, before the panic goes on
		}
	}()
	b.settings.OnChange(c)
	returned = true
	return true
}
