package fsm_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/fsm"
)

// A gate is a definition whose event go waits in a handler, from a to b, and
// back; other does nothing but be counted.
func gate(tb testing.TB, inside func(ctx context.Context)) *fsm.Definition[string, int] {
	tb.Helper()
	b := fsm.New[string, int]("a")
	b.State("a")
	b.State("b")
	fsm.On(b, evGo, "a").Do(func(ctx context.Context, tx *fsm.Tx[string, int], _ fsm.None) error {
		inside(ctx)
		*tx.Data += 100
		return nil
	}).To("b")
	fsm.On(b, evBack, "b").To("a")
	fsm.On(b, evOther).Do(func(_ context.Context, tx *fsm.Tx[string, int], _ fsm.None) error {
		*tx.Data++
		return nil
	}).Stay()
	fsm.On(b, evText).Do(func(context.Context, *fsm.Tx[string, int], string) error { return errBoom }).Stay()
	return build(tb, b)
}

// One of many gets its event through, and each is told its own outcome.
func TestFire_oneShot(t *testing.T) {
	for _, handlers := range []bool{false, true} {
		b := fsm.New[string, int]("a")
		b.State("a")
		b.State("b").Final()
		r := fsm.On(b, evGo, "a")
		if handlers {
			r.If("zero", func(d *int, _ fsm.None) bool { return *d == 0 }).
				Do(func(_ context.Context, tx *fsm.Tx[string, int], _ fsm.None) error {
					runtime.Gosched()
					*tx.Data++
					return nil
				})
		}
		r.To("b")
		def := build(t, b)
		for range 50 {
			m := def.Start(0)
			var won, refused atomic.Int32
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					switch err := m.Fire(t.Context(), evGo); {
					case err == nil:
						won.Add(1)
					case errors.Is(err, fsm.ErrRefused):
						refused.Add(1)
					}
				})
			}
			wg.Wait()
			assert.EqualValues(t, 1, won.Load())
			assert.EqualValues(t, 15, refused.Load())
		}
	}
}

// Those who wait are served in their order, each in its own goroutine and with
// its own context; who leaves, or fails, disturbs nobody.
func TestFire_line(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		m := gate(t, func(context.Context) { <-open }).Start(0)
		first := m.Send(t.Context(), evGo)
		synctest.Wait()

		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		left := m.Send(ctx, evOther)
		leftToo := make(chan error, 1)
		go func() { leftToo <- m.Fire(ctx, evOther) }()
		synctest.Wait()
		failing := fsm.SendWith(t.Context(), m, evText, "")
		back := m.Send(t.Context(), evBack)
		refused := m.Send(t.Context(), evBack)
		other := m.Send(t.Context(), evOther)
		cancel(gone)
		for _, err := range []error{left.Wait(t.Context()), <-leftToo} {
			require.ErrorIs(t, err, gone)
			require.ErrorIs(t, err, context.Canceled)
			require.EqualError(t, err, "gone")
		}
		require.ErrorIs(t, m.Fire(ctx, evOther), gone)
		require.ErrorIs(t, m.Send(ctx, evOther).Wait(t.Context()), gone)
		require.ErrorIs(t, other.Wait(ctx), gone)
		assert.Zero(t, m.Snapshot().Version)

		close(open)
		require.NoError(t, first.Wait(t.Context()))
		require.ErrorIs(t, failing.Wait(t.Context()), errBoom)
		require.NoError(t, back.Wait(t.Context()))
		require.ErrorIs(t, refused.Wait(t.Context()), fsm.ErrRefused)
		require.NoError(t, other.Wait(t.Context()))
		assert.Equal(t, 101, m.Data())
		assert.Equal(t, "a", m.State())
		require.ErrorIs(t, m.Send(t.Context(), fsm.NewEvent[fsm.None]("typo")).Wait(t.Context()), fsm.ErrUnknownEvent)
		last := m.Send(t.Context(), evOther)
		synctest.Wait()
		require.NoError(t, last.Wait(ctx), "what is done is told")
	})
}

// A context that ends while the event runs is for the handler; after the commit
// it is too late.
func TestFire_cancelledInside(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	m := gate(t, func(ctx context.Context) { cancel(); <-ctx.Done() }).Start(0)
	require.NoError(t, m.Fire(ctx, evGo))
	assert.Equal(t, "b", m.State())
}

// A context that ends when it is one's turn: either way, the next has its turn.
func TestFire_cancelRace(t *testing.T) {
	def := gate(t, func(context.Context) { runtime.Gosched() })
	for range 300 {
		m := def.Start(0)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var n atomic.Int32
		wg.Go(func() { _ = m.Fire(t.Context(), evGo) })
		wg.Go(cancel)
		for range 4 {
			wg.Go(func() {
				if err := m.Fire(ctx, evOther); err == nil {
					n.Add(1)
				} else {
					assert.ErrorIs(t, err, context.Canceled)
				}
			})
			wg.Go(func() { assert.NoError(t, m.Fire(t.Context(), evOther)); n.Add(1) })
		}
		wg.Wait()
		assert.EqualValues(t, 100+n.Load(), m.Data())
	}
}

// Close waits for the event that runs, and what it raises, and wakes all others.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		m := gate(t, func(context.Context) { <-open }).Start(0)
		running := m.Send(t.Context(), evGo)
		synctest.Wait()
		waiting := m.Send(t.Context(), evOther)
		awaiting := make(chan error, 1)
		go func() { _, err := m.Await(t.Context(), "b"); awaiting <- err }()
		synctest.Wait()
		var closed [2]bool
		for i := range closed {
			go func() { m.Close(); closed[i] = true }()
		}
		synctest.Wait()
		assert.Equal(t, [2]bool{}, closed)
		require.ErrorIs(t, waiting.Wait(t.Context()), fsm.ErrClosed)
		require.ErrorIs(t, <-awaiting, fsm.ErrClosed)
		require.ErrorIs(t, m.Fire(t.Context(), evOther), fsm.ErrClosed)
		require.ErrorIs(t, m.Send(t.Context(), evOther).Wait(t.Context()), fsm.ErrClosed)
		assert.False(t, m.Can(evOther))
		close(open)
		synctest.Wait()
		assert.Equal(t, [2]bool{true, true}, closed)
		require.NoError(t, running.Wait(t.Context()))
		assert.Equal(t, "b", m.State())
		s, err := m.Await(t.Context(), "b")
		require.NoError(t, err)
		assert.Equal(t, "b", s)
		_, err = m.Await(t.Context(), "a")
		require.ErrorIs(t, err, fsm.ErrClosed)
		m.Close()
	})
}

// Await sees what is only passed through.
func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fsm.New[string, int]("a")
		b.State("a")
		b.State("p", "b")
		b.State("b")
		fsm.On(b, evGo, "a").Do(func(_ context.Context, tx *fsm.Tx[string, int], _ fsm.None) error {
			tx.Raise(evBack)
			return nil
		}).To("b")
		fsm.On(b, evBack, "b").To("a")
		fsm.On(b, evOther).Stay()
		var observed atomic.Bool
		m := build(t, b).Start(0, fsm.Observe(func(context.Context, fsm.Transition[string]) { observed.Store(true) }))
		type result struct {
			state string
			err   error
		}
		results := map[string]chan result{}
		ctx, cancel := context.WithCancel(t.Context())
		await := func(name string, states ...string) {
			c := make(chan result, 1)
			results[name] = c
			go func() {
				s, err := m.Await(ctx, states...)
				if name == "outer" {
					assert.True(t, observed.Load())
				}
				c <- result{s, err}
			}()
		}
		await("outer", "p")
		await("inner", "x", "b")
		await("inner", "b")
		await("at once", "a")
		await("next")
		synctest.Wait()
		assert.Equal(t, result{"a", nil}, <-results["at once"])
		require.NoError(t, m.Fire(t.Context(), evGo))
		for _, name := range []string{"outer", "inner", "next"} {
			assert.Equal(t, result{"b", nil}, <-results[name])
		}
		await("never", "b")
		synctest.Wait()
		cancel()
		r := <-results["never"]
		require.ErrorIs(t, r.err, context.Canceled)
		_, err := m.Await(ctx, "a")
		require.ErrorIs(t, err, context.Canceled)
		_, err = m.Await(t.Context(), "typo")
		require.ErrorIs(t, err, fsm.ErrUnknownState)
		m.Close()
	})
}

// Small histories of events fired at the same time are as if they had been fired
// in some order: an append-only text, whose length each event tells back.
func TestFire_linearizable(t *testing.T) {
	type call struct {
		text       string
		before     string // what its handler saw
		start, end int64
	}
	b := fsm.New[int, string](0)
	add := fsm.NewEvent[*call]("add")
	b.State(0)
	b.State(1)
	for s := range 2 {
		fsm.On(b, add, s).Do(func(_ context.Context, tx *fsm.Tx[int, string], c *call) error {
			c.before = *tx.Data
			runtime.Gosched()
			*tx.Data += c.text
			return nil
		}).To(1 - s)
	}
	def := build(t, b)
	for range 20 {
		m := def.Start("")
		var clock atomic.Int64
		calls := make([]*call, 64)
		var wg sync.WaitGroup
		for i := range calls {
			wg.Go(func() {
				c := &call{text: string(rune('A' + i)), start: clock.Add(1)}
				assert.NoError(t, fsm.FireWith(t.Context(), m, add, c))
				c.end = clock.Add(1)
				calls[i] = c
			})
		}
		wg.Wait()
		// The order is that of the text; it must be one that time allows.
		text := m.Data()
		require.Len(t, []rune(text), len(calls))
		for _, c := range calls {
			before, _, ok := strings.Cut(text, c.text)
			require.True(t, ok)
			assert.Equal(t, before, c.before)
			for _, d := range calls {
				if d.end < c.start {
					assert.Contains(t, before, d.text)
				}
			}
		}
		assert.EqualValues(t, 64, m.Snapshot().Version)
		assert.Zero(t, m.State())
	}
}

// All that may be called at the same time is.
func TestMachine_race(t *testing.T) {
	var seen atomic.Int64
	m := gate(t, func(context.Context) {}).Start(0, fsm.HistorySize(4),
		fsm.Observe(func(context.Context, fsm.Transition[string]) { seen.Add(1) }))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				_ = m.Fire(t.Context(), evGo)
				_ = m.Fire(t.Context(), evBack)
				_ = m.Send(t.Context(), evOther).Wait(t.Context())
			}
		})
		wg.Go(func() {
			for range 100 {
				_, _, _, _, _, _ = m.State(), m.Data(), m.Can(evGo), m.Permitted(), m.History(), m.Snapshot()
				_ = m.In("b")
				ctx, cancel := context.WithCancel(t.Context())
				go cancel()
				_, _ = m.Await(ctx, "b")
			}
		})
	}
	wg.Wait()
	m.Close()
	assert.Len(t, m.History(), 4)
	assert.EqualValues(t, seen.Load(), m.Snapshot().Version)
}

// The outcomes of events fired at the same time are those of some order of them,
// found by trying each that time allows.
func TestFire_sequential(t *testing.T) {
	b := fsm.New[int, int](0)
	up, down := fsm.NewEvent[fsm.None]("up"), fsm.NewEvent[fsm.None]("down")
	for s := range 3 {
		b.State(s)
	}
	slow := func(context.Context, *fsm.Tx[int, int], fsm.None) error { runtime.Gosched(); return nil }
	fsm.On(b, up, 0).Do(slow).To(1)
	fsm.On(b, up, 1).To(2)
	fsm.On(b, down, 2).If("yes", yes).To(1)
	fsm.On(b, down, 1).Do(slow).To(0)
	def := build(t, b)

	type call struct {
		up, ok     bool
		start, end int64
	}
	var explains func(calls []call, done, state int) bool
	explains = func(calls []call, done, state int) bool {
		if done == 1<<len(calls)-1 {
			return true
		}
	next:
		for i, c := range calls {
			if done&(1<<i) != 0 {
				continue
			}
			for j, other := range calls {
				if done&(1<<j) == 0 && other.end < c.start {
					continue next
				}
			}
			to := state - 1
			if c.up {
				to = state + 1
			}
			if ok := to >= 0 && to <= 2; ok != c.ok {
				continue
			} else if !ok {
				to = state
			}
			if explains(calls, done|1<<i, to) {
				return true
			}
		}
		return false
	}
	for round := range 200 {
		m := def.Start(0)
		var clock atomic.Int64
		calls := make([]call, 8)
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for k := range 2 {
					c := call{up: (round>>(g*2+k))&1 == 0, start: clock.Add(1)}
					e := down
					if c.up {
						e = up
					}
					c.ok = m.Fire(t.Context(), e) == nil
					c.end = clock.Add(1)
					calls[g*2+k] = c
				}
			})
		}
		wg.Wait()
		require.True(t, explains(calls, 0, 0), "%+v", calls)
	}
}

// A guard that panics in Can is the caller's; the machine does not notice.
func TestCan_panics(t *testing.T) {
	b := fsm.New[string, int]("a")
	b.State("a")
	fsm.On(b, evGo).If("boom", func(*int, fsm.None) bool { panic("boom") }).Stay()
	fsm.On(b, evOther).Stay()
	m := build(t, b).Start(0)
	assert.PanicsWithValue(t, "boom", func() { m.Can(evGo) })
	require.NoError(t, m.Fire(t.Context(), evOther))
}

// Two goroutines that fire from within a handler, with a context of their own,
// have their turn after it: what runs is run to its end.
func TestFire_fromGoroutines(t *testing.T) {
	var m *fsm.Machine[string, int]
	var wg sync.WaitGroup
	fire := func() { assert.NoError(t, m.Fire(t.Context(), evOther)) }
	m = gate(t, func(context.Context) {
		for range 2 {
			wg.Go(fire)
		}
		runtime.Gosched()
		assert.Equal(t, "a", m.State())
		assert.Zero(t, m.Data())
	}).Start(0)
	require.NoError(t, m.Fire(t.Context(), evGo))
	wg.Wait()
	assert.Equal(t, 102, m.Data())
}

// Who awaits a state that was reached, and has no time to wait for observers,
// does not.
func TestAwait_endedWhileObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		m := gate(t, func(context.Context) {}).Start(0, fsm.Observe(func(context.Context, fsm.Transition[string]) { <-open }))
		ctx, cancel := context.WithCancel(t.Context())
		var state string
		go func() { state, _ = m.Await(ctx, "b") }()
		synctest.Wait()
		sent := m.Send(t.Context(), evGo)
		synctest.Wait()
		assert.Empty(t, state)
		cancel()
		synctest.Wait()
		assert.Equal(t, "b", state)
		close(open)
		require.NoError(t, sent.Wait(t.Context()))
	})
}

// Timers that expire at any moment, while states are left and entered, and the
// machine is closed: each ends in a commit from its own state, or not at all.
func TestAfter_race(t *testing.T) {
	b := fsm.New[string, int]("a")
	b.State("a").After(0, evTimeout)
	b.State("b").After(1, evTick)
	fsm.On(b, evTimeout, "a").Do(func(context.Context, *fsm.Tx[string, int], fsm.None) error { return nil }).To("b")
	fsm.On(b, evTick, "b").To("a")
	fsm.On(b, evGo, "a").To("a")
	fsm.On(b, evGo, "b").To("b")
	fsm.On(b, evBack, "b").To("a")
	fsm.On(b, evBack, "a").To("b")
	def := build(t, b)
	for range 20 {
		m := def.Start(0, fsm.Observe(func(_ context.Context, tr fsm.Transition[string]) {
			assert.NoError(t, tr.Err)
		}))
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for range 50 {
					assert.NoError(t, m.Fire(t.Context(), evGo))
					assert.NoError(t, m.Fire(t.Context(), evBack))
					for _, timer := range m.Snapshot().Timers {
						assert.Contains(t, []string{"a", "b"}, timer.State)
					}
				}
			})
		}
		wg.Wait()
		m.Close()
		s := m.Snapshot()
		runtime.Gosched()
		assert.Equal(t, s, m.Snapshot())
	}
}

var evTick = fsm.NewEvent[fsm.None]("tick")

// What is cancelled before its turn never runs, and be it only just before.
func TestFire_cancelledAtTurn(t *testing.T) {
	for range 200 {
		entered, open := make(chan struct{}), make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		m := gate(t, func(context.Context) { close(entered); <-open; cancel() }).Start(0)
		first := m.Send(t.Context(), evGo)
		<-entered
		cancelled := m.Send(ctx, evOther)
		last := m.Send(t.Context(), evOther)
		close(open)
		require.NoError(t, first.Wait(t.Context()))
		require.ErrorIs(t, cancelled.Wait(t.Context()), context.Canceled)
		require.NoError(t, last.Wait(t.Context()))
		require.Equal(t, 101, m.Data())
	}
}

// The context of a handler that has returned is as good as any: it waits.
func TestFire_contextKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept context.Context
		open := make(chan struct{})
		m := gate(t, func(ctx context.Context) {
			if kept != nil {
				<-open
			}
			kept = ctx
		}).Start(0)
		require.NoError(t, m.Fire(t.Context(), evGo))
		require.NoError(t, m.Fire(t.Context(), evBack))
		old := kept
		second := m.Send(t.Context(), evGo)
		synctest.Wait()
		waits := make(chan error, 1)
		go func() { waits <- m.Fire(old, evBack) }()
		synctest.Wait()
		close(open)
		require.NoError(t, second.Wait(t.Context()))
		require.NoError(t, <-waits)
		assert.Equal(t, "a", m.State())
	})
}
