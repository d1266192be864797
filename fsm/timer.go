package fsm

import (
	"context"
	"time"
)

// A running is a timer of a machine. It is armed from when its state is entered
// until that is left, or the event of the timer has run.
type running struct {
	armed bool
	entry uint64 // how often it was armed: who comes late has another number
	at    time.Time
	timer *time.Timer // nil if the machine is closed
}

func (t *running) halt() {
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
}

// startTimers arms the timers of the state and of those around it.
func (m *Machine[S, D]) startTimers() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.extra().timers = make([]running, len(m.def.timers))
	if m.def.states[m.state].final {
		return
	}
	now := time.Now()
	for s := m.state; s >= 0; s = m.def.states[s].parent {
		for _, i := range m.def.states[s].timers {
			m.arm(i, now.Add(m.def.timers[i].delay))
		}
	}
}

// turn stops and starts the timers of a path. It requires mu.
func (m *Machine[S, D]) turn(p *path[S, D]) {
	for _, i := range p.stop {
		m.more.timers[i].halt()
		m.more.timers[i].armed = false
	}
	if len(p.start) == 0 {
		return
	}
	now := time.Now()
	for _, i := range p.start {
		m.arm(i, now.Add(m.def.timers[i].delay))
	}
}

// arm starts a timer. It requires mu.
func (m *Machine[S, D]) arm(i int32, at time.Time) {
	t := &m.more.timers[i]
	t.armed, t.at = true, at
	t.entry++
	if entry := t.entry; !m.closed && !m.more.manual {
		t.timer = time.AfterFunc(time.Until(at), func() { m.expire(i, entry) })
	}
}

// expire fires the event of a timer, if it is still that of its entry when
// nobody else's runs.
func (m *Machine[S, D]) expire(i int32, entry uint64) {
	t := &m.more.timers[i]
	m.mu.Lock()
	if m.closed || !t.armed || t.entry != entry {
		m.mu.Unlock()
		return
	}
	if m.busy {
		w := newWaiter()
		m.line.push(w)
		m.mu.Unlock()
		if owner, _ := m.wait(context.Background(), nil, w); !owner {
			return
		}
	} else {
		m.busy = true
		m.mu.Unlock()
	}
	if !t.armed || t.entry != entry { // it is for the owner to write them
		m.pass()
		return
	}
	r := newRun(context.Background(), m, m.def.timers[i].event, nil)
	r.timer, r.orphan = i+1, true
	r.work()
	_ = r.free() // observers were told
}

// FireDue fires the event of the timer whose deadline is the earliest, if that is
// not after now, and returns when it has run, as [Machine.Fire] does, with the
// same errors. It reports false if there is no such timer, or the event has not
// begun. If it has, the timer does not fire again, whatever the error.
//
// It is for machines with [ManualTimers]; with others it does what would soon
// happen by itself.
func (m *Machine[S, D]) FireDue(ctx context.Context, now time.Time) (fired bool, err error) {
	if ctx.Err() != nil {
		return false, ended(ctx)
	}
	if err := m.acquire(ctx); err != nil {
		return false, err
	}
	due := int32(-1)
	if len(m.def.timers) > 0 {
		due = m.due(now)
	}
	if due < 0 {
		m.pass()
		return false, nil
	}
	r := newRun(ctx, m, m.def.timers[due].event, nil)
	r.timer = due + 1
	r.work()
	return true, r.free()
}

// due returns the timer whose deadline is the earliest, and not after now, or
// -1. The caller owns the machine, and so nobody else writes them; but for
// halt.
func (m *Machine[S, D]) due(now time.Time) int32 {
	due := int32(-1)
	for i := range m.more.timers {
		t := &m.more.timers[i]
		if t.armed && !t.at.After(now) && (due < 0 || t.at.Before(m.more.timers[due].at)) {
			due = int32(i)
		}
	}
	return due
}

// spent disarms a timer whose event has run without a commit.
func (m *Machine[S, D]) spent(i int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.more.timers[i].halt()
	m.more.timers[i].armed = false
}
