package fsm

import (
	"context"
	"fmt"
)

// Fire lets e happen, and returns nil when it, and all events that it raised,
// have. If there is no error, the step was committed, or the event ignored; if
// there is one, this event has changed nothing, and it is
//
//   - the cause of ctx, if that ended before the event began;
//   - [ErrUnknownEvent], if the definition has no such event;
//   - [ErrClosed], if the machine is closed before the event begins;
//   - [ErrReentrant], if the machine is busy and ctx is that of a handler or an
//     observer which is what it is busy with, or made from that;
//   - a [*RefusedError], which matches [ErrRefused];
//   - a [*HandlerError], with what a handler returned, or a [*PanicError].
//
// While another event runs it waits; those who wait are served in their order.
// Handlers are called in the goroutine of Fire, and with ctx.
func (m *Machine[S, D]) Fire(ctx context.Context, e Event[None]) error {
	i, owner, err := m.begin(ctx, e.kind)
	if !owner {
		return err
	}
	return m.own(ctx, i, nil)
}

// FireWith is [Machine.Fire] for an event with a payload.
func FireWith[S comparable, D, P any](ctx context.Context, m *Machine[S, D], e Event[P], p P) error {
	i, owner, err := m.begin(ctx, e.kind)
	if !owner {
		return err
	}
	boxed := p // it is on the heap, and p is not
	return m.own(ctx, i, &boxed)
}

// FireNamed is [Machine.Fire] for an event that is known by its name. If the
// payload is not of the event's type, the error matches [ErrPayload]; for
// [None], it may be nil. To make one of text, see [Definition.Decode].
func (m *Machine[S, D]) FireNamed(ctx context.Context, event string, payload any) error {
	i, err := m.def.named(event)
	if err != nil {
		return err
	}
	e := m.def.events[i]
	boxed, err := e.box(payload)
	if err != nil {
		return fmt.Errorf("%w, for %s", err, e.name)
	}
	i, owner, err := m.begin(ctx, e)
	if !owner {
		return err
	}
	return m.own(ctx, i, boxed)
}

// begin waits until the caller owns the machine, to let e happen. It reports
// false if that is not needed, or there is an error.
func (m *Machine[S, D]) begin(ctx context.Context, e *event) (i int32, owner bool, err error) {
	if ctx.Err() != nil {
		return 0, false, ended(ctx)
	}
	if i = m.def.event(e); i < 0 {
		return i, false, unknownEvent(e)
	}
	m.mu.Lock()
	if m.busy && !m.closed {
		m.mu.Unlock()
		owner, err = m.queue(ctx, i)
		return i, owner, err
	}
	owner, err = m.try(i)
	return i, owner, err
}

// try lets the event happen if that is simple; if not, the caller owns the
// machine. It requires mu, that the machine is not busy, or is closed, and
// unlocks mu.
func (m *Machine[S, D]) try(i int32) (owner bool, err error) {
	if m.closed {
		m.mu.Unlock()
		return false, ErrClosed
	}
	state := m.state
	c := m.def.cell(state, i)
	switch {
	case c.quick == quickRefuse:
		m.mu.Unlock()
		return false, m.def.refusal(state, i)
	case c.quick == quickIgnore:
	case c.quick == quickMove && !m.watched:
		m.state = c.target
		m.version++
	default:
		m.busy = true
		owner = true
	}
	m.mu.Unlock()
	return owner, nil
}

// queue is begin for a machine that is, or just was, busy.
func (m *Machine[S, D]) queue(ctx context.Context, i int32) (owner bool, err error) {
	handler, done := m.handler(ctx), ctx.Done()
	m.mu.Lock()
	if !m.busy || m.closed {
		return m.try(i)
	}
	return m.lineUp(ctx, handler, done)
}

// acquire waits until the caller owns the machine.
func (m *Machine[S, D]) acquire(ctx context.Context) error {
	handler, done := m.handler(ctx), ctx.Done()
	m.mu.Lock()
	switch {
	case m.closed:
		m.mu.Unlock()
		return ErrClosed
	case m.busy:
		_, err := m.lineUp(ctx, handler, done)
		return err
	}
	m.busy = true
	m.mu.Unlock()
	return nil
}

// lineUp waits until the caller owns the machine, which is busy. It requires
// mu, and unlocks it.
func (m *Machine[S, D]) lineUp(ctx context.Context, handler *handlerContext[S, D], done <-chan struct{}) (owner bool, err error) {
	if handler.running() {
		m.mu.Unlock()
		return false, ErrReentrant
	}
	w := newWaiter()
	m.line.push(w)
	m.mu.Unlock()
	return m.wait(ctx, done, w)
}

// wait waits until w owns the machine, or ctx, which ends with done, has ended.
func (m *Machine[S, D]) wait(ctx context.Context, done <-chan struct{}, w *waiter) (owner bool, err error) {
	select {
	case <-w.ready:
	case <-done:
		m.mu.Lock()
		left := m.line.remove(w)
		m.mu.Unlock()
		if left {
			return false, ended(ctx)
		}
		<-w.ready // it was taken out of the line before
	}
	if w.closed {
		return false, ErrClosed
	}
	if ctx.Err() != nil {
		m.pass()
		return false, ended(ctx)
	}
	return true, nil
}

// own lets the event happen. The caller owns the machine, and does no longer
// when it returns, or does not.
func (m *Machine[S, D]) own(ctx context.Context, i int32, payload any) error {
	r := newRun(ctx, m, i, payload)
	r.work()
	return r.free()
}

// pass hands the machine, which the caller owns, to the next in the line.
func (m *Machine[S, D]) pass() {
	m.mu.Lock()
	m.passLocked()
}

// passLocked is pass. It requires mu, and unlocks it.
func (m *Machine[S, D]) passLocked() {
	if w := m.line.first; w != nil {
		m.line.remove(w)
		m.mu.Unlock()
		w.ready <- struct{}{}
		return
	}
	m.busy = false
	var idle chan struct{}
	if m.closed {
		idle, m.more.idle = m.more.idle, nil
	}
	m.mu.Unlock()
	if idle != nil {
		close(idle)
	}
}
