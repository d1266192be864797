package fsm

import "context"

// A handlerContext is what handlers and observers are called with. It has a
// value for their machine: itself.
//
// It is not used again, as the rest of a run is: who keeps it has that of the
// caller.
type handlerContext[S comparable, D any] struct {
	context.Context //nolint:containedctx // it is one

	m    *Machine[S, D]
	over bool // guarded by mu of the machine: that is busy with something else
}

func (c *handlerContext[S, D]) Value(key any) any { //nolint:ireturn // as context has it
	if key == any(c.m) {
		return c
	}
	return c.Context.Value(key)
}

// handler returns the context of the handler of the machine that ctx is, or is
// made from, or nil.
func (m *Machine[S, D]) handler(ctx context.Context) *handlerContext[S, D] {
	c, _ := ctx.Value(m).(*handlerContext[S, D])
	return c
}

// running reports whether the machine is busy with the handler. It requires mu.
func (c *handlerContext[S, D]) running() bool { return c != nil && !c.over }

// handledBy reports whether ctx is that of a handler with which the machine is
// busy.
func (m *Machine[S, D]) handledBy(ctx context.Context) bool {
	c := m.handler(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	return c.running()
}
