package fsm_test

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"

	"github.com/seed4886185c/concert/fsm"
)

// Plain events allocate nothing, and a machine is small.
func TestAllocs(t *testing.T) {
	ctx := t.Context()
	m := flat(t, false).Start(0)
	assert.Zero(t, testing.AllocsPerRun(100, func() { _ = m.Fire(ctx, benchToggle) }))
	assert.Zero(t, testing.AllocsPerRun(100, func() { _ = fsm.FireWith(ctx, m, benchSet, 7) }))
	assert.Zero(t, testing.AllocsPerRun(100, func() { _, _, _ = m.State(), m.In(1), m.Data() }))
	fresh := flat(t, false).Start(0)
	assert.Zero(t, testing.AllocsPerRun(100, func() { _ = fresh.Fire(ctx, benchOther) }))
	handled := flat(t, true).Start(0)
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { _ = handled.Fire(ctx, benchToggle) }), 1.0)
	assert.LessOrEqual(t, unsafe.Sizeof(fsm.Machine[int, struct{}]{}), uintptr(96))
}
