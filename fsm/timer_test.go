package fsm_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/fsm"
)

var evTimeout = fsm.NewEvent[fsm.None]("timeout")

// timed is
//
//	p (a minute, back): a (10 s, timeout), b
//	end
func timed(tb testing.TB, inside func()) *fsm.Definition[string, int] {
	tb.Helper()
	b := fsm.New[string, int]("p")
	b.State("p", "a", "b").After(time.Minute, evBack)
	b.State("a").After(10*time.Second, evTimeout).Entry("in", func(context.Context, *fsm.Tx[string, int]) error { return nil })
	b.State("b")
	b.State("end").Final()
	fsm.On(b, evTimeout, "a").Do(func(_ context.Context, tx *fsm.Tx[string, int], _ fsm.None) error {
		*tx.Data++
		if *tx.Data > 100 {
			return errBoom
		}
		return nil
	}).To("b")
	fsm.On(b, evTimeout).Stay()
	fsm.On(b, evGo, "b").To("a")
	fsm.On(b, evGo, "a").To("a")
	fsm.On(b, evOther).Do(func(context.Context, *fsm.Tx[string, int], fsm.None) error {
		if inside != nil {
			inside()
		}
		return nil
	}).Stay()
	fsm.On(b, evBack).To("end")
	fsm.On(b, evText, "a").To("b")
	return build(tb, b)
}

func deadlines(m *fsm.Machine[string, int], start time.Time) map[string]time.Duration {
	at := map[string]time.Duration{}
	for _, t := range m.Snapshot().Timers {
		at[t.State+" "+t.Event] = t.At.Sub(start)
	}
	return at
}

// Timers start with their state, stop with it, and start anew with it.
func TestAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx := t.Context()
		m := timed(t, nil).Start(0)
		assert.Equal(t, map[string]time.Duration{"p back": time.Minute, "a timeout": 10 * time.Second}, deadlines(m, start))
		time.Sleep(6 * time.Second)
		require.NoError(t, m.Fire(ctx, evOther)) // Stay
		assert.Equal(t, map[string]time.Duration{"p back": time.Minute, "a timeout": 10 * time.Second}, deadlines(m, start))
		require.NoError(t, m.Fire(ctx, evGo)) // a again
		assert.Equal(t, map[string]time.Duration{"p back": time.Minute, "a timeout": 16 * time.Second}, deadlines(m, start))
		time.Sleep(9 * time.Second)
		assert.Equal(t, "a", m.State())
		time.Sleep(2 * time.Second)
		assert.Equal(t, "b", m.State())
		assert.Equal(t, map[string]time.Duration{"p back": time.Minute}, deadlines(m, start))
		assert.Equal(t, 1, m.Data())

		require.NoError(t, m.Fire(ctx, evGo))
		require.NoError(t, fsm.FireWith(ctx, m, evText, "")) // left in time
		time.Sleep(20 * time.Second)
		assert.Equal(t, "b", m.State())
		time.Sleep(time.Minute)
		assert.Equal(t, "end", m.State())
		assert.Empty(t, m.Snapshot().Timers)
		m.Close()
	})
}

// A timer that expires while another event runs, by which its state is left and
// entered again, does not fire.
func TestAfter_stale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := timed(t, func() { time.Sleep(10 * time.Second) }).Start(0)
		time.Sleep(5 * time.Second)
		slow := m.Send(t.Context(), evOther) // from 5 to 15
		time.Sleep(time.Second)
		again := m.Send(t.Context(), evGo) // before the timer, which is in the line from 10
		require.NoError(t, slow.Wait(t.Context()))
		require.NoError(t, again.Wait(t.Context()))
		synctest.Wait()
		assert.Equal(t, "a", m.State())
		assert.EqualValues(t, 2, m.Snapshot().Version)
		time.Sleep(9 * time.Second)
		assert.Equal(t, "a", m.State())
		time.Sleep(2 * time.Second)
		assert.Equal(t, "b", m.State())
		m.Close()
	})
}

// While an expired timer waits for its turn it is in snapshots, and it has it.
func TestAfter_waits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		m := timed(t, func() { time.Sleep(10 * time.Second) }).Start(0)
		time.Sleep(5 * time.Second)
		slow := m.Send(t.Context(), evOther)
		time.Sleep(7 * time.Second)
		assert.Equal(t, 10*time.Second, deadlines(m, start)["a timeout"])
		require.NoError(t, slow.Wait(t.Context()))
		synctest.Wait()
		assert.Equal(t, "b", m.State())

		// Close takes it out of the line.
		require.NoError(t, m.Fire(t.Context(), evGo))
		time.Sleep(5 * time.Second)
		slow = m.Send(t.Context(), evOther)
		time.Sleep(7 * time.Second)
		m.Close()
		require.NoError(t, slow.Wait(t.Context()))
		synctest.Wait()
		assert.Equal(t, "a", m.State())
		assert.Len(t, m.Snapshot().Timers, 2)
	})
}

// The error of a timed event goes to observers, and it is not fired again.
func TestAfter_fails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []fsm.Transition[string]
		m := timed(t, nil).Start(100, fsm.Observe(func(_ context.Context, tr fsm.Transition[string]) { seen = append(seen, tr) }))
		time.Sleep(30 * time.Second)
		synctest.Wait()
		require.Len(t, seen, 1)
		require.ErrorIs(t, seen[0].Err, errBoom)
		assert.Equal(t, 100, m.Data())
		assert.Equal(t, "a", m.State())
		assert.Len(t, m.Snapshot().Timers, 1)
		m.Close()
	})
}

// What is restored goes on where it was: no entry, deadlines as they were, those
// that are past at once, and once.
func TestRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := timed(t, nil)
		m := def.Start(7)
		time.Sleep(4 * time.Second)
		m.Close()
		s := m.Snapshot()
		assert.Len(t, s.Timers, 2)
		time.Sleep(2 * time.Second)

		again, err := def.Restore(s)
		require.NoError(t, err)
		assert.Equal(t, s, again.Snapshot())
		time.Sleep(3 * time.Second)
		assert.Equal(t, "a", again.State())
		time.Sleep(2 * time.Second)
		assert.Equal(t, "b", again.State())
		again.Close()

		time.Sleep(20 * time.Second)
		n := 0
		s.Timers = append(s.Timers, s.Timers[1])
		again, err = def.Restore(s, fsm.Observe(func(context.Context, fsm.Transition[string]) { n++ }))
		require.NoError(t, err)
		synctest.Wait()
		assert.Equal(t, "b", again.State())
		time.Sleep(20 * time.Second)
		synctest.Wait()
		assert.Equal(t, 1, n)
		again.Close()

		end := fsm.Snapshot[string, int]{State: "end"}
		_, err = def.Restore(end)
		require.NoError(t, err)
		end.Timers = s.Timers
		_, err = def.Restore(end)
		require.ErrorContains(t, err, "which state end has not")
		_, err = def.Restore(fsm.Snapshot[string, int]{State: "b", Timers: s.Timers})
		require.ErrorContains(t, err, "a timer of state a for timeout, which state b has not")
		_, err = def.Restore(fsm.Snapshot[string, int]{State: "typo"})
		require.ErrorIs(t, err, fsm.ErrUnknownState)
		_, err = def.Restore(fsm.Snapshot[string, int]{State: "p"})
		require.ErrorContains(t, err, "has children")
	})
}

// A machine that starts where it ends has no timers.
func TestStart_final(t *testing.T) {
	b := fsm.New[string, int]("p")
	b.State("p", "end", "x").After(time.Second, evGo)
	b.State("end").Final()
	b.State("x")
	fsm.On(b, evGo, "p").To("end")
	_, err := b.Build()
	require.ErrorContains(t, err, "x cannot be reached")
	b = fsm.New[string, int]("p")
	b.State("p", "end").After(time.Second, evGo)
	b.State("end").Final()
	m := build(t, b).Start(0)
	assert.Empty(t, m.Snapshot().Timers)
}

// Timers that no time is between take their turns; a machine that closes while
// an event runs arms none.
func TestAfter_zero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fsm.New[int, int](0)
		for s := range 5 {
			b.State(s).After(0, evGo)
			fsm.On(b, evGo, s).To(s + 1)
		}
		b.State(5).Final()
		m := build(t, b).Start(0)
		synctest.Wait()
		assert.Equal(t, 5, m.State())

		open := make(chan struct{})
		def := timed(t, func() { <-open })
		c := def.Start(0)
		slow := c.Send(t.Context(), evOther)
		go c.Close()
		synctest.Wait()
		close(open)
		require.NoError(t, slow.Wait(t.Context()))
		time.Sleep(time.Hour)
		assert.Equal(t, "a", c.State())
	})
}

// Timers that do not fire by themselves are fired when they are asked for, the
// earliest first.
func TestFireDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		def := timed(t, nil)
		m := def.Start(0, fsm.ManualTimers())
		fired, err := m.FireDue(ctx, time.Now())
		require.NoError(t, err)
		assert.False(t, fired)
		time.Sleep(2 * time.Minute)
		assert.Equal(t, "a", m.State())
		s := m.Snapshot()

		fired, err = m.FireDue(ctx, time.Now())
		require.NoError(t, err)
		assert.True(t, fired)
		assert.Equal(t, "b", m.State())
		fired, err = m.FireDue(ctx, time.Now())
		require.NoError(t, err)
		assert.True(t, fired)
		assert.Equal(t, "end", m.State())
		fired, _ = m.FireDue(ctx, time.Now())
		assert.False(t, fired)

		// Its error is the caller's.
		s.Data = 100
		m, err = def.Restore(s, fsm.ManualTimers(), fsm.Observe(func(context.Context, fsm.Transition[string]) { assert.Fail(t, "observed") }))
		require.NoError(t, err)
		fired, err = m.FireDue(ctx, time.Now())
		assert.True(t, fired)
		require.ErrorIs(t, err, errBoom)
		assert.Len(t, m.Snapshot().Timers, 1)

		// It waits for its turn.
		open := make(chan struct{})
		m = timed(t, func() { <-open }).Start(0, fsm.ManualTimers())
		slow := m.Send(ctx, evOther)
		due := make(chan bool)
		go func() { fired, _ := m.FireDue(ctx, time.Now().Add(time.Hour)); due <- fired }()
		synctest.Wait()
		close(open)
		require.NoError(t, slow.Wait(ctx))
		assert.True(t, <-due)

		m.Close()
		_, err = m.FireDue(ctx, time.Now())
		require.ErrorIs(t, err, fsm.ErrClosed)
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		_, err = m.FireDue(ctx, time.Now())
		require.ErrorIs(t, err, context.Canceled)
		plain := flat(t, false).Start(0)
		fired, err = plain.FireDue(t.Context(), time.Now())
		assert.False(t, fired)
		require.NoError(t, err)
	})
}

// A timer that leads to its own state starts anew each time.
func TestAfter_self(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fsm.New[string, int]("a")
		b.State("a").After(time.Second, evTimeout)
		fsm.On(b, evTimeout, "a").Do(func(_ context.Context, tx *fsm.Tx[string, int], _ fsm.None) error {
			*tx.Data++
			return nil
		}).To("a")
		m := build(t, b).Start(0)
		time.Sleep(10*time.Second + 1)
		assert.Equal(t, 10, m.Data())
		assert.Len(t, m.Snapshot().Timers, 1)
		m.Close()
	})
}
