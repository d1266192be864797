package fsm_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/fsm"
)

// byHand is what people write: a switch and a mutex.
type byHand struct {
	mu    sync.Mutex
	state int
}

func (m *byHand) toggle() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch m.state {
	case 0:
		m.state = 1
	case 1:
		m.state = 0
	default:
		return fsm.ErrRefused
	}
	return nil
}

func build[S comparable, D any](tb testing.TB, b *fsm.Builder[S, D]) *fsm.Definition[S, D] {
	tb.Helper()
	def, err := b.Build()
	require.NoError(tb, err)
	return def
}

var (
	benchToggle = fsm.NewEvent[fsm.None]("toggle")
	benchOther  = fsm.NewEvent[fsm.None]("other")
	benchSet    = fsm.NewEvent[int]("set")
)

func flat(tb testing.TB, handlers bool) *fsm.Definition[int, int] {
	tb.Helper()
	b := fsm.New[int, int](0)
	for s := range 2 {
		spec := b.State(s)
		r := fsm.On(b, benchToggle, s)
		if handlers {
			f := func(_ context.Context, tx *fsm.Tx[int, int]) error { *tx.Data++; return nil }
			spec.Entry("in", f).Exit("out", f)
			r = r.If("ok", func(d *int, _ fsm.None) bool { return *d >= 0 })
		}
		r.To(1 - s)
		fsm.On(b, benchSet, s).To(1 - s)
	}
	b.State(2).Final()
	fsm.On(b, benchOther, 1).If("never", func(*int, fsm.None) bool { return false }).To(2)
	return build(tb, b)
}

// nested has as many handlers as flat.
func nested(tb testing.TB) *fsm.Definition[int, int] {
	tb.Helper()
	b := fsm.New[int, int](10)
	f := func(_ context.Context, tx *fsm.Tx[int, int]) error { *tx.Data++; return nil }
	for s := range 2 {
		b.State(10*s+10, s).Entry("in", f).Exit("out", f)
		b.State(s)
		fsm.On(b, benchToggle, 10*s+10).If("ok", func(d *int, _ fsm.None) bool { return *d >= 0 }).To(10*(1-s) + 10)
	}
	return build(tb, b)
}

func BenchmarkFire(b *testing.B) {
	ctx := b.Context()
	b.Run("toggle/byhand", func(b *testing.B) {
		b.ReportAllocs()
		var m byHand
		for b.Loop() {
			_ = m.toggle()
		}
	})
	for _, c := range []struct {
		name string
		def  *fsm.Definition[int, int]
		opts []fsm.Option
	}{
		{"toggle", flat(b, false), nil},
		{"guard+entry+exit", flat(b, true), nil},
		{"nested", nested(b), nil},
		{"observed", flat(b, false), []fsm.Option{fsm.Observe(func(context.Context, fsm.Transition[int]) {})}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			m := c.def.Start(0, c.opts...)
			for b.Loop() {
				if err := m.Fire(ctx, benchToggle); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("payload", func(b *testing.B) {
		b.ReportAllocs()
		m := flat(b, false).Start(0)
		for b.Loop() {
			_ = fsm.FireWith(ctx, m, benchSet, 7)
		}
	})
	b.Run("refused", func(b *testing.B) {
		b.ReportAllocs()
		m := flat(b, false).Start(0)
		for b.Loop() {
			_ = m.Fire(ctx, benchOther)
		}
	})
}

func BenchmarkFire_parallel(b *testing.B) {
	ctx := b.Context()
	b.Run("byhand", func(b *testing.B) {
		var m byHand
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_ = m.toggle()
			}
		})
	})
	for name, handlers := range map[string]bool{"toggle": false, "guard+entry+exit": true} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			m := flat(b, handlers).Start(0)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_ = m.Fire(ctx, benchToggle)
				}
			})
		})
	}
}

func BenchmarkStart(b *testing.B) {
	b.Run("byhand", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sink = &byHand{}
		}
	})
	b.Run("fsm", func(b *testing.B) {
		b.ReportAllocs()
		def := flat(b, false)
		for b.Loop() {
			sink = def.Start(0)
		}
	})
}

var sink any
