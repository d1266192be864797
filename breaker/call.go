package breaker

import (
	"context"
	"sync/atomic"
	"time"
)

// A call is one that was let through.
type call struct {
	breaker *Breaker
	stay    *stay
	probe   *probe        // if it is one
	start   time.Duration // if the stay is timed
	ended   bool          // its outcome is known
}

// A permit is a call that is no function.
type permit struct {
	call

	ctx  context.Context //nolint:containedctx // that of the call, for Classify
	used atomic.Bool
}

// done ends the call, once.
func (p *permit) done(err error) {
	if p.used.Swap(true) {
		return
	}
	defer p.leave()
	p.end(p.ctx, err)
}

// A probe is a call that began while the breaker was half-open.
type probe struct {
	due  time.Duration // when it has failed if it has not ended
	done func(error)   // tells the engine
}

// enter lets c through or rejects it. It takes no lock while the breaker is
// closed, or open for longer.
func (c *call) enter(b *Breaker) error {
	s := b.current.Load()
	c.breaker, c.stay = b, s
	if s.state != Closed {
		if now := b.clock(); s.state == Open && now < s.until {
			return c.reject(s.until - now)
		}
		return c.settleAndEnter()
	}
	if s.timed {
		c.start = b.clock()
	}
	return nil
}

// settleAndEnter is enter where the state may change. If OnChange does not
// return from that, the call is not made; if it was to be a probe, it is ignored.
func (c *call) settleAndEnter() error {
	err := c.settleAndEnterLocking()
	reported := false
	defer func() {
		if reported {
			return
		}
		c.ended = true
		if c.probe != nil {
			c.breaker.probeEnded(c, Ignored, false, c.start, nil)
		}
	}()
	c.breaker.report()
	reported = true
	return err
}

func (c *call) settleAndEnterLocking() error {
	b := c.breaker
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock()
	s := b.settleLocked(now)
	c.stay, c.start = s, now
	switch s.state {
	case Closed:
		return nil
	case Open:
		return c.reject(s.until - now)
	}
	done, err := b.engine.Allow()
	if err != nil {
		return c.reject(s.due() - now)
	}
	c.probe = &probe{due: later(now, b.settings.ProbeTimeout), done: done}
	s.probes = append(s.probes, c.probe)
	return nil
}

func (c *call) reject(after time.Duration) error {
	c.ended = true
	s := c.stay
	s.rejected.Add(1)
	if s.mode == Isolated {
		after = 0
	}
	return &OpenError{Name: c.breaker.settings.Name, State: s.state, After: after}
}

// end counts the call by its outcome.
func (c *call) end(ctx context.Context, err error) {
	o := Success
	if classify := c.breaker.settings.Classify; classify != nil {
		o = classify(ctx, err)
	} else if err != nil {
		o = DefaultClassify(ctx, err)
	}
	c.ended = true
	if s := c.stay; o == Success && s.plain {
		s.succeeded()
		return
	}
	c.count(o, err)
}

// leave counts the call as a failure if it did not come to its end, or if
// Classify did not. It is to be deferred, before enter if that may panic.
func (c *call) leave() {
	if !c.ended && c.stay != nil {
		c.count(Failure, errNotReturned)
	}
}

func (c *call) count(o Outcome, err error) {
	b, s := c.breaker, c.stay
	if s.plain {
		if s.add(o, false, 0) {
			b.trip(s, err)
		}
		return
	}
	now := b.clock()
	slow := s.timed && now-c.start >= b.settings.SlowCall
	if c.probe != nil {
		b.probeEnded(c, o, slow, now, err)
	} else if s.add(o, slow, now) {
		b.trip(s, err)
	}
}
