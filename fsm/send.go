package fsm

import "context"

// A Pending is an event that was sent. Use [Machine.Send] or [SendWith].
type Pending struct {
	done chan struct{} // closed after err is set
	err  error
	busy func(context.Context) bool // whether Wait with it would wait for itself
}

// Wait waits until the event has ended, and returns what Fire would have; after
// [runtime.Goexit], a [*HandlerError] with [ErrGoexit]. If ctx ends before, it
// returns the cause, and the event goes on. With the context of the handler that
// the machine is busy with, it returns [ErrReentrant]. It may be called by any
// number of goroutines.
func (p *Pending) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	default:
	}
	if p.busy(ctx) {
		return ErrReentrant
	}
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return ended(ctx)
	}
}

// Send is [Machine.Fire] in a goroutine of its own. The place in the line is
// taken before Send returns. A handler may send to its own machine, but not wait
// for what it sent.
func (m *Machine[S, D]) Send(ctx context.Context, e Event[None]) *Pending {
	return m.send(ctx, e.kind, nil)
}

// SendWith is [Machine.Send] for an event with a payload.
func SendWith[S comparable, D, P any](ctx context.Context, m *Machine[S, D], e Event[P], p P) *Pending {
	return m.send(ctx, e.kind, &p)
}

func (m *Machine[S, D]) send(ctx context.Context, e *event, payload any) *Pending {
	p := &Pending{done: make(chan struct{}), busy: m.handledBy}
	i, w, owner, err := m.reserve(ctx, e)
	if w == nil && !owner {
		p.err = err
		close(p.done)
		return p
	}
	r := newRun(ctx, m, i, payload)
	go func() {
		defer close(p.done)
		if w != nil {
			if owner, p.err = m.wait(ctx, ctx.Done(), w); !owner {
				return
			}
		}
		defer func() { p.err = r.err }()
		r.work()
	}()
	return p
}

// reserve is begin, but does not wait: it returns the waiter that has to.
func (m *Machine[S, D]) reserve(ctx context.Context, e *event) (i int32, w *waiter, owner bool, err error) {
	if ctx.Err() != nil {
		return 0, nil, false, ended(ctx)
	}
	if i = m.def.event(e); i < 0 {
		return i, nil, false, unknownEvent(e)
	}
	m.mu.Lock()
	if m.busy && !m.closed {
		w = newWaiter()
		m.line.push(w)
		m.mu.Unlock()
		return i, w, false, nil
	}
	owner, err = m.try(i)
	return i, nil, owner, err
}
