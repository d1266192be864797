package ratelimit_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/ratelimit"
)

// A slowWindow remembers all events, and counts them anew each time. Its times
// are from when it was made.
type slowWindow struct {
	n      int
	per    time.Duration
	events []time.Duration
}

// at is how many were in (t-per, t].
func (m *slowWindow) at(t time.Duration) int {
	n := 0
	for _, e := range m.events {
		if e > t-m.per && e <= t {
			n++
		}
	}
	return n
}

// after returns when one may happen that comes after so many others, from now
// on.
func (m *slowWindow) after(ahead int, now time.Duration) time.Duration {
	later := &slowWindow{m.n, m.per, slices.Clone(m.events)}
	for {
		for later.at(now) >= m.n {
			next := time.Duration(math.MaxInt64)
			for _, e := range later.events {
				if e+m.per > now {
					next = min(next, e+m.per)
				}
			}
			now = next
		}
		if ahead == 0 {
			return now
		}
		later.events = append(later.events, now)
		ahead--
	}
}

// requireKept looks at each span that ends with an event.
func (m *slowWindow) requireKept(t *testing.T) {
	t.Helper()
	for _, e := range m.events {
		require.LessOrEqual(t, m.at(e), m.n, "at %v: %v", e, m.events)
	}
}

func TestWindow_Allow(t *testing.T) {
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			m := &slowWindow{
				n:   []int{1, 2, 3, 7, 20}[r.IntN(5)],
				per: []time.Duration{1, 2, 10, time.Millisecond, time.Second, time.Hour}[r.IntN(6)],
			}
			w, start := ratelimit.NewWindow(m.n, m.per), time.Now()
			for range 100 {
				now := time.Since(start)
				want := m.at(now) < m.n
				require.Equal(t, want, w.Allow(), "seed %d, at %v, %d per %v: %v", seed, now, m.n, m.per, m.events)
				if want {
					m.events = append(m.events, now)
				}
				next := m.after(0, now) - now
				time.Sleep([]time.Duration{
					0, 0, 0, 1, next, max(0, next-1), m.per / 2, m.per/time.Duration(m.n) + 1, m.per, 3 * m.per,
				}[r.IntN(10)])
			}
			m.requireKept(t)
		})
	}
}

// A span is open at its beginning.
func TestWindow_edges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ratelimit.NewWindow(2, time.Second)
		assert.True(t, w.Allow())
		time.Sleep(time.Second - 1)
		assert.True(t, w.Allow())
		assert.False(t, w.Allow())
		time.Sleep(time.Nanosecond)
		assert.True(t, w.Allow(), "exactly per later")
		assert.False(t, w.Allow())
		time.Sleep(time.Second - 2)
		assert.False(t, w.Allow())
		time.Sleep(time.Nanosecond)
		assert.True(t, w.Allow())
		assert.False(t, w.Allow())
		time.Sleep(time.Nanosecond)
		assert.True(t, w.Allow())
	})
}

// What Limiter lets through, twice as many within a span, this does not.
func TestWindow_noMoreAtTheEdge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		w, start := ratelimit.NewWindow(n, time.Second), time.Now()
		m := &slowWindow{n: n, per: time.Second}
		for range 40 {
			time.Sleep(100 * time.Millisecond)
			for range 400 {
				if w.Allow() {
					m.events = append(m.events, time.Since(start))
				}
			}
		}
		m.requireKept(t)
		assert.Len(t, m.events, 4*n)
	})
}

func TestWindow_longSpans(t *testing.T) {
	for _, per := range []time.Duration{1, time.Hour, 100 * 365 * 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			w, start := ratelimit.NewWindow(1, per), time.Now()
			require.NoError(t, w.Wait(t.Context()))
			require.NoError(t, w.Wait(t.Context()))
			require.Equal(t, per, time.Since(start))
			time.Sleep(per - 1)
			require.False(t, w.Allow())
			time.Sleep(time.Nanosecond)
			require.True(t, w.Allow())
		})
	}
	synctest.Test(t, func(t *testing.T) { // that never ends
		w := ratelimit.NewWindow(1, math.MaxInt64)
		require.True(t, w.Allow())
		time.Sleep(200 * 365 * 24 * time.Hour)
		require.False(t, w.Allow())
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		require.ErrorIs(t, w.Wait(ctx), ratelimit.ErrLimited)
		time.AfterFunc(time.Minute, cancel)
		require.ErrorIs(t, w.Wait(ctx), ratelimit.ErrLimited)
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		require.ErrorIs(t, w.Wait(ctx), context.Canceled)
	})
}

func TestWindow_idle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ratelimit.NewWindow(3, time.Second)
		for range 4 {
			for range 3 {
				require.True(t, w.Allow())
			}
			require.False(t, w.Allow())
			time.Sleep(50 * 365 * 24 * time.Hour)
		}
	})
}

// A windowWaiter waits at a Window, and perhaps has given up.
type windowWaiter struct {
	id     int
	cancel context.CancelCauseFunc
	cause  error // why it has given up
	end    chan windowEnd
}

type windowEnd struct {
	at  time.Duration
	err error
}

// A windowScript plays random operations on a Window and on the model.
type windowScript struct {
	t       *testing.T
	w       *ratelimit.Window
	m       *slowWindow
	start   time.Time
	line    []*windowWaiter
	waiters int
}

func (s *windowScript) now() time.Duration { return time.Since(s.start) }

func (s *windowScript) allow() {
	s.t.Helper()
	want := len(s.line) == 0 && s.m.at(s.now()) < s.m.n
	require.Equal(s.t, want, s.w.Allow(), "Allow at %v, %d wait: %v", s.now(), len(s.line), s.m.events)
	if want {
		s.m.events = append(s.m.events, s.now())
	}
}

// wait begins a Wait, perhaps with a deadline that is by so much later than the
// end of the wait.
func (s *windowScript) wait(deadline bool, longer time.Duration) {
	s.t.Helper()
	delay := s.m.after(len(s.line), s.now()) - s.now()
	timeout := time.Duration(-1)
	if deadline {
		timeout = max(1, delay+longer)
	}
	ctx, cancel := cancelOrTimeout(s.t.Context(), timeout)
	if deadline && timeout <= delay {
		at := s.now()
		err := s.w.Wait(ctx)
		cancel(nil)
		requireLimited(s.t, err, delay)
		require.Equal(s.t, at, s.now())
		return
	}
	w := &windowWaiter{id: s.waiters, cancel: cancel, end: make(chan windowEnd, 1)}
	s.waiters++
	s.line = append(s.line, w)
	go func() {
		err := s.w.Wait(ctx)
		w.end <- windowEnd{s.now(), err}
	}()
	s.settle(0)
}

// cancelOrTimeout returns a context that ends with a cause, or after a timeout
// unless that is negative.
func cancelOrTimeout(parent context.Context, timeout time.Duration) (context.Context, context.CancelCauseFunc) {
	base, cancel := context.WithCancelCause(parent)
	if timeout < 0 {
		return base, cancel
	}
	ctx, stop := context.WithTimeout(base, timeout)
	return ctx, func(cause error) {
		cancel(cause)
		stop()
	}
}

// requireLimited looks at the error of one whose deadline comes before the end
// of its wait.
func requireLimited(t *testing.T, err error, after time.Duration) {
	t.Helper()
	var limit *ratelimit.LimitError
	require.ErrorAs(t, err, &limit)
	require.Equal(t, after, limit.After)
	require.Equal(t, after, limit.RetryAfter())
	require.ErrorIs(t, err, ratelimit.ErrLimited)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// settle sleeps, and compares who was served by then with the model.
func (s *windowScript) settle(d time.Duration) {
	s.t.Helper()
	until := s.now() + d
	from := s.now()
	time.Sleep(d)
	synctest.Wait()
	for len(s.line) > 0 {
		due := s.m.after(0, from)
		if due > until {
			break
		}
		w := s.line[0]
		s.line = s.line[1:]
		end := <-w.end
		require.NoError(s.t, end.err)
		require.Equal(s.t, due, end.at, "end of wait %d: %v", w.id, s.m.events)
		s.m.events = append(s.m.events, due)
		from = due
		w.cancel(nil)
	}
	for _, w := range s.line {
		require.Empty(s.t, w.end, "wait %d at %v: %v", w.id, until, s.m.events)
	}
}

func (s *windowScript) giveUp(i int) {
	s.t.Helper()
	w := s.line[i]
	s.line = slices.Delete(s.line, i, i+1)
	w.cause = errors.New("given up")
	w.cancel(w.cause)
	synctest.Wait()
	require.Len(s.t, w.end, 1)
	end := <-w.end
	require.ErrorIs(s.t, end.err, context.Canceled)
	require.ErrorIs(s.t, end.err, w.cause)
	s.settle(0)
}

// Those who wait, give up, and have deadlines, are served as in the model.
func TestWindow_Wait(t *testing.T) {
	for seed := range uint64(400) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			m := &slowWindow{
				n:   []int{1, 2, 3, 5}[r.IntN(4)],
				per: []time.Duration{1, 7, time.Second, time.Hour}[r.IntN(4)],
			}
			s := &windowScript{t: t, w: ratelimit.NewWindow(m.n, m.per), m: m, start: time.Now()}
			for range 60 {
				switch op := r.IntN(20); {
				case op < 5:
					s.allow()
				case op < 9:
					s.wait(false, 0)
				case op < 12:
					s.wait(true, []time.Duration{-1, 0, 1, m.per, -m.per}[r.IntN(5)])
				case op < 14 && len(s.line) > 0:
					s.giveUp(r.IntN(len(s.line)))
				case op == 14:
					ctx, cancel := context.WithCancel(t.Context())
					cancel()
					require.ErrorIs(t, s.w.Wait(ctx), context.Canceled)
				default:
					next := m.after(0, s.now()) - s.now()
					s.settle([]time.Duration{1, next, max(0, next-1), m.per / 2, m.per, 2 * m.per}[r.IntN(6)])
				}
			}
			for len(s.line) > 0 {
				s.settle(m.per)
			}
			m.requireKept(t)
		})
	}
}

func TestWindow_inOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, start := ratelimit.NewWindow(2, time.Second), time.Now()
		var mu sync.Mutex
		var order []int
		var at []time.Duration
		for i := range 6 {
			go func() {
				assert.NoError(t, w.Wait(t.Context()))
				mu.Lock()
				defer mu.Unlock()
				order, at = append(order, i), append(at, time.Since(start))
			}()
			synctest.Wait()
		}
		assert.False(t, w.Allow())
		time.Sleep(time.Second)
		assert.False(t, w.Allow(), "others wait")
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, []time.Duration{0, 0, time.Second, time.Second, 2 * time.Second, 2 * time.Second}, at)
		assert.ElementsMatch(t, []int{0, 1}, order[:2])
		assert.ElementsMatch(t, []int{2, 3}, order[2:4])
		assert.ElementsMatch(t, []int{4, 5}, order[4:])
		time.Sleep(time.Second)
		assert.True(t, w.Allow())
	})
}

// Allow is false also at the moment when an event may happen, if it is that of
// another who waits.
func TestWindow_AllowWhileOthersWait(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			w := ratelimit.NewWindow(1, time.Second)
			require.True(t, w.Allow())
			allow := func() { assert.False(t, w.Allow()) }
			for range 10 {
				time.AfterFunc(time.Second, allow)
			}
			for range 3 {
				go func() { assert.NoError(t, w.Wait(t.Context())) }()
			}
			synctest.Wait()
			for range 10 {
				time.AfterFunc(time.Second, allow)
				time.AfterFunc(2*time.Second, allow)
			}
			time.Sleep(3 * time.Second)
			synctest.Wait()
			assert.False(t, w.Allow())
		})
	}
}

// The deadline is looked at as if all those ahead stayed.
func TestWindow_deadlineBehindOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ratelimit.NewWindow(1, time.Second)
		require.True(t, w.Allow())
		ctx, cancel := context.WithCancel(t.Context())
		for range 3 {
			go func() { assert.ErrorIs(t, w.Wait(ctx), context.Canceled) }()
		}
		synctest.Wait()
		start := time.Now()
		late, stop := context.WithTimeout(t.Context(), 4*time.Second)
		defer stop()
		requireLimited(t, w.Wait(late), 4*time.Second)
		require.Zero(t, time.Since(start))
		early, stop := context.WithTimeout(t.Context(), 4*time.Second+1)
		defer stop()
		time.AfterFunc(time.Second/2, cancel)
		require.NoError(t, w.Wait(early))
		require.Equal(t, time.Second, time.Since(start), "those ahead have gone")
	})
}

// Who comes just when another is served, or refused, waits for no more than one
// that is served.
func TestWindow_deadlineAtATurn(t *testing.T) {
	for range 5000 {
		synctest.Test(t, func(t *testing.T) {
			w := ratelimit.NewWindow(1, time.Second)
			require.True(t, w.Allow())
			var wg sync.WaitGroup
			wg.Go(func() { assert.NoError(t, w.Wait(t.Context())) })
			wg.Go(func() {
				time.Sleep(time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
				defer cancel()
				assert.ErrorIs(t, w.Wait(ctx), ratelimit.ErrLimited)
			})
			wg.Go(func() {
				time.Sleep(time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second/2)
				defer cancel()
				assert.NoError(t, w.Wait(ctx), "within a second")
			})
			wg.Wait()
		})
	}
}

// Of many at once, no more are let through than may be.
func TestWindow_concurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, goroutines = 100, 32
		w, start := ratelimit.NewWindow(n, time.Second), time.Now()
		var mu sync.Mutex
		m := &slowWindow{n: n, per: time.Second}
		var wg sync.WaitGroup
		for i := range goroutines {
			wg.Go(func() {
				for j := range 40 {
					switch {
					case i%4 == 0 && w.Wait(t.Context()) == nil, i%4 == 1 && w.Allow():
					case i%4 == 2:
						ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
						err := w.Wait(ctx)
						cancel()
						if err != nil {
							continue
						}
					case i%4 == 3:
						ctx, cancel := context.WithCancel(t.Context())
						time.AfterFunc(time.Duration(j)*time.Millisecond, cancel)
						if w.Wait(ctx) != nil {
							continue
						}
					default:
						continue
					}
					mu.Lock()
					m.events = append(m.events, time.Since(start))
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		m.requireKept(t)
		assert.GreaterOrEqual(t, len(m.events), goroutines/4*40, "who waits is served in the end")
		time.Sleep(time.Second)
		for range n {
			require.True(t, w.Allow())
		}
		require.False(t, w.Allow())
	})
}

func TestNewWindow_panics(t *testing.T) {
	for _, n := range []int{0, -1, math.MinInt} {
		assert.Panics(t, func() { ratelimit.NewWindow(n, time.Second) })
	}
	for _, per := range []time.Duration{0, -1, math.MinInt64} {
		assert.Panics(t, func() { ratelimit.NewWindow(1, per) })
	}
	assert.NotPanics(t, func() { ratelimit.NewWindow(math.MaxInt, math.MaxInt64) }, "memory is for what happens")
}
