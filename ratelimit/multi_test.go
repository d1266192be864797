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

// A multiBucket is a plain token bucket. Times are from when it was made.
type multiBucket struct {
	interval time.Duration // in which a token comes
	burst    int
	have     time.Duration // what is in it, as the time in which it comes
	at       time.Duration // when that was so
}

func (b *multiBucket) worth(n int) time.Duration { return time.Duration(n) * b.interval }

// from is what is in it at some time, which is not before at.
func (b *multiBucket) from(at time.Duration) time.Duration {
	return min(b.have+at-b.at, b.worth(b.burst))
}

// due is when n tokens are there, if that is not before at.
func (b *multiBucket) due(n int, at time.Duration) time.Duration {
	return at + max(0, b.worth(n)-b.from(at))
}

func (b *multiBucket) take(n int, at time.Duration) {
	b.have, b.at = b.from(at)-b.worth(n), at
}

// A multiModel is of some limiters and several Multis of them.
type multiModel struct {
	buckets []multiBucket
	multis  [][]int // their limiters, perhaps some of them twice
	lines   [][]*multiWaiter
}

// due is when n tokens are there in all of some limiters.
func (m *multiModel) due(of []int, n int, at time.Duration) time.Duration {
	latest := at
	for _, i := range of {
		latest = max(latest, m.buckets[i].due(n, at))
	}
	return latest
}

func (m *multiModel) take(of []int, n int, at time.Duration) {
	for i := range m.buckets {
		if slices.Contains(of, i) {
			m.buckets[i].take(n, at)
		}
	}
}

// dueBehind is when n tokens are there for one who comes now, if nobody else
// comes.
func (m *multiModel) dueBehind(multi, n int, at time.Duration) time.Duration {
	later := &multiModel{buckets: slices.Clone(m.buckets)}
	of := m.multis[multi]
	for _, w := range m.lines[multi] {
		at = later.due(of, w.n, at)
		later.take(of, w.n, at)
	}
	return later.due(of, n, at)
}

// A multiWaiter waits at a Multi.
type multiWaiter struct {
	n        int
	first    time.Duration // since when it is, or negative
	deadline time.Duration // or negative
	cancel   context.CancelCauseFunc
	cause    error // why it has given up
	end      chan multiEnd
	ended    *multiEnd
}

type multiEnd struct {
	at  time.Duration
	err error
}

// A multiScript plays random operations on Multis and on the model.
type multiScript struct {
	t        *testing.T
	r        *rand.Rand
	seed     uint64
	m        *multiModel
	limiters []*ratelimit.Limiter
	multis   []*ratelimit.Multi
	start    time.Time
}

func newMultiScript(t *testing.T, seed uint64) *multiScript {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	s := &multiScript{t: t, r: r, seed: seed, m: &multiModel{}, start: time.Now()}
	for range 1 + r.IntN(4) {
		b := multiBucket{
			interval: []time.Duration{1, 8, 100 * time.Millisecond, time.Second, 10 * time.Second, 4096 * time.Second}[r.IntN(6)],
			burst:    []int{1, 2, 3, 5, 10, 100}[r.IntN(6)],
		}
		b.have = b.worth(b.burst)
		s.m.buckets = append(s.m.buckets, b)
		s.limiters = append(s.limiters, ratelimit.New(ratelimit.Every(b.interval), b.burst))
	}
	for range 1 + r.IntN(3) {
		var of []int
		var ls []*ratelimit.Limiter
		for range r.IntN(5) {
			i := r.IntN(len(s.limiters))
			of, ls = append(of, i), append(ls, s.limiters[i])
		}
		s.m.multis, s.multis = append(s.m.multis, of), append(s.multis, ratelimit.All(ls...))
	}
	s.m.lines = make([][]*multiWaiter, len(s.multis))
	return s
}

func (s *multiScript) now() time.Duration { return time.Since(s.start) }

// least is the least burst of the limiters of a Multi.
func (s *multiScript) least(multi int) int {
	least := math.MaxInt
	for _, i := range s.m.multis[multi] {
		least = min(least, s.m.buckets[i].burst)
	}
	return least
}

func (s *multiScript) allow() {
	s.t.Helper()
	i, n, now := s.r.IntN(len(s.multis)), s.r.IntN(4), s.now()
	want := n == 0 || n <= s.least(i) && len(s.m.lines[i]) == 0 && s.m.due(s.m.multis[i], n, now) == now
	require.Equal(s.t, want, s.multis[i].AllowN(n), "seed %d, AllowN(%d) of %v at %v: %+v", s.seed, n, s.m.multis[i], now, s.m.buckets)
	if want {
		s.m.take(s.m.multis[i], n, now)
	}
}

// direct uses a limiter alone.
func (s *multiScript) direct() {
	s.t.Helper()
	i, n, now := s.r.IntN(len(s.limiters)), s.r.IntN(4), s.now()
	b := &s.m.buckets[i]
	want := n <= b.burst && b.due(n, now) == now
	require.Equal(s.t, want, s.limiters[i].AllowN(n), "seed %d, AllowN(%d) of limiter %d", s.seed, n, i)
	if want {
		b.take(n, now)
	}
}

func (s *multiScript) wait() {
	s.t.Helper()
	i, now := s.r.IntN(len(s.multis)), s.now()
	n := []int{1, 1, 1, 2, 3, min(100, s.least(i))}[s.r.IntN(6)]
	if n > s.least(i) {
		require.ErrorIs(s.t, s.multis[i].WaitN(s.t.Context(), n), ratelimit.ErrExceedsBurst)
		return
	}
	delay := s.m.dueBehind(i, n, now) - now
	timeout := delay + []time.Duration{1, 0, -1, time.Second, 100 * time.Second, -delay / 2}[s.r.IntN(6)]
	w := &multiWaiter{n: n, first: -1, deadline: now + timeout, end: make(chan multiEnd, 1)}
	if s.r.IntN(2) == 0 || timeout <= 0 {
		timeout, w.deadline = -1, -1
	}
	ctx, cancel := cancelOrTimeout(s.t.Context(), timeout)
	w.cancel = cancel
	go func() {
		err := s.multis[i].WaitN(ctx, n)
		w.end <- multiEnd{s.now(), err}
	}()
	synctest.Wait()
	if w.deadline >= 0 && delay > 0 && timeout <= delay {
		ahead := len(s.m.lines[i])
		if len(w.end) > 0 || ahead == 0 {
			s.requireTooLate(w, delay, ahead == 0)
			return
		}
	}
	s.m.lines[i] = append(s.m.lines[i], w)
	s.settle(0)
}

// requireTooLate looks at the error of one who did not wait.
func (s *multiScript) requireTooLate(w *multiWaiter, delay time.Duration, exactly bool) {
	s.t.Helper()
	require.Len(s.t, w.end, 1, "seed %d: it waits, %v, although the deadline is before", s.seed, delay)
	end := <-w.end
	w.cancel(nil)
	var limit *ratelimit.LimitError
	require.ErrorAs(s.t, end.err, &limit, "seed %d", s.seed)
	require.ErrorIs(s.t, end.err, ratelimit.ErrLimited)
	require.ErrorIs(s.t, end.err, context.DeadlineExceeded)
	require.LessOrEqual(s.t, limit.After, delay, "seed %d", s.seed)
	if exactly {
		require.Equal(s.t, delay, limit.After, "seed %d", s.seed)
	}
}

func (s *multiScript) giveUp() {
	s.t.Helper()
	i := s.r.IntN(len(s.multis))
	if len(s.m.lines[i]) == 0 {
		return
	}
	w := s.m.lines[i][s.r.IntN(len(s.m.lines[i]))*s.r.IntN(2)]
	w.cause = errors.New("given up")
	w.cancel(w.cause)
	s.settle(0)
}

// settle sleeps, and plays what happened by then to those who wait on the model,
// in the order of time.
func (s *multiScript) settle(d time.Duration) {
	s.t.Helper()
	for i := range s.m.lines {
		s.first(i, s.now())
	}
	time.Sleep(d)
	synctest.Wait()
	for {
		multi, k, at := -1, -1, time.Duration(0)
		for i, line := range s.m.lines {
			for j, w := range line {
				if w.ended == nil && len(w.end) > 0 {
					end := <-w.end
					w.ended = &end
				}
				if w.ended != nil && (multi < 0 || w.ended.at < at) {
					multi, k, at = i, j, w.ended.at
				}
			}
		}
		if multi < 0 {
			break
		}
		s.left(multi, k)
	}
	now := s.now()
	for i, line := range s.m.lines {
		if len(line) > 0 {
			require.Greater(s.t, s.m.due(s.m.multis[i], line[0].n, now), now, "seed %d: it still waits", s.seed)
		}
	}
	for i, l := range s.limiters {
		b := s.m.buckets[i]
		require.InDelta(s.t, float64(b.from(now))/float64(b.interval), l.Tokens(), 1e-9, "seed %d, limiter %d at %v, %v", s.seed, i, now, s.m.multis)
	}
}

// first notes who is first in line.
func (s *multiScript) first(multi int, at time.Duration) {
	if line := s.m.lines[multi]; len(line) > 0 && line[0].first < 0 {
		line[0].first = at
	}
}

// left plays that one who waited does not any more.
func (s *multiScript) left(multi, k int) {
	s.t.Helper()
	w, of := s.m.lines[multi][k], s.m.multis[multi]
	at, err := w.ended.at, w.ended.err
	s.m.lines[multi] = slices.Delete(s.m.lines[multi], k, k+1)
	w.cancel(nil)
	switch {
	case err == nil:
		require.NoError(s.t, w.cause)
		require.Zero(s.t, k, "seed %d: out of order", s.seed)
		require.Equal(s.t, at, s.m.due(of, w.n, at), "seed %d: served too early", s.seed)
		if w.first >= 0 && w.first < at && slices.IndexFunc(of, func(i int) bool { return s.m.buckets[i].at == at }) < 0 {
			require.Equal(s.t, at, s.m.due(of, w.n, at-1), "seed %d: served too late", s.seed)
		}
		if w.deadline >= 0 {
			require.Less(s.t, at, w.deadline)
		}
		s.m.take(of, w.n, at)
	case w.cause != nil:
		require.ErrorIs(s.t, err, context.Canceled)
		require.ErrorIs(s.t, err, w.cause)
	default:
		require.ErrorIs(s.t, err, context.DeadlineExceeded)
		require.GreaterOrEqual(s.t, w.deadline, at)
		if at < w.deadline {
			require.ErrorIs(s.t, err, ratelimit.ErrLimited)
			require.GreaterOrEqual(s.t, s.afterAll(at).due(of, w.n, at), w.deadline, "seed %d: it would have been in time", s.seed)
		}
	}
	s.first(multi, at)
}

// afterAll is the model after all have taken something that did so at that time.
func (s *multiScript) afterAll(at time.Duration) *multiModel {
	later := &multiModel{buckets: slices.Clone(s.m.buckets)}
	for i, line := range s.m.lines {
		for _, w := range line {
			if w.ended != nil && w.ended.at == at && w.ended.err == nil {
				later.take(s.m.multis[i], w.n, at)
			}
		}
	}
	return later
}

// step is how long it is until something may happen, or less by one.
func (s *multiScript) step() time.Duration {
	i := s.r.IntN(len(s.multis))
	now := s.now()
	switch s.r.IntN(5) {
	case 0:
		return 1
	case 1:
		return []time.Duration{8, 50 * time.Millisecond, time.Second, time.Minute, time.Hour}[s.r.IntN(5)]
	case 2:
		return max(0, s.m.dueBehind(i, min(1, s.least(i)), now)-now-1)
	default:
		return s.m.dueBehind(i, min(1+s.r.IntN(3), s.least(i)), now) - now
	}
}

// Whatever is played, nobody is let through for whom not all of the limiters
// have tokens, or too late, and the limiters have what is left.
func TestMulti_likeModel(t *testing.T) {
	for seed := range uint64(1000) {
		synctest.Test(t, func(t *testing.T) {
			s := newMultiScript(t, seed)
			for range 60 {
				switch op := s.r.IntN(20); {
				case op < 5:
					s.allow()
				case op < 8:
					s.direct()
				case op < 13:
					s.wait()
				case op < 15:
					s.giveUp()
				default:
					s.settle(s.step())
				}
			}
			for slices.ContainsFunc(s.m.lines, func(line []*multiWaiter) bool { return len(line) > 0 }) {
				s.giveUp()
			}
			s.settle(1000 * time.Hour)
		})
	}
}

func TestMulti(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		second, hour := ratelimit.New(10, 10), ratelimit.New(ratelimit.Per(1000, time.Hour), 1000)
		m := ratelimit.All(second, hour)
		allowed := 0
		for range 3600 {
			for range 20 {
				if m.Allow() {
					allowed++
				}
			}
			time.Sleep(time.Second)
		}
		// 1000 there were, and 0.2777… come a second, of which the last is too late.
		assert.Equal(t, 1000+999, allowed)
		assert.InDelta(t, 1, hour.Tokens(), 1e-6)
		assert.InDelta(t, 10, second.Tokens(), 1e-6)
		for range 100 {
			require.NoError(t, m.Wait(t.Context()))
		}
	})
}

// What is refused has taken nothing, whichever of the limiters it is that has
// not enough.
func TestMulti_allOrNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for scarce := range 3 {
			var ls []*ratelimit.Limiter
			for range 3 {
				ls = append(ls, ratelimit.New(1, 5))
			}
			m := ratelimit.All(ls...)
			require.True(t, ls[scarce].AllowN(3))
			for range 10 {
				assert.False(t, m.AllowN(3))
				assert.False(t, m.AllowN(6))
				assert.False(t, m.AllowN(-1))
				assert.False(t, m.AllowN(math.MinInt))
				assert.False(t, m.AllowN(math.MaxInt))
			}
			for i, l := range ls {
				assert.InDelta(t, map[bool]float64{true: 2, false: 5}[i == scarce], l.Tokens(), 0)
			}
			assert.True(t, m.AllowN(2))
			assert.False(t, m.Allow())
		}
	})
}

// No events are always allowed, as by a Limiter, and also while tokens are owed.
func TestMulti_noEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(1, 2)
		m := ratelimit.All(l, ratelimit.New(1, 2))
		require.True(t, m.AllowN(2))
		assert.True(t, m.AllowN(0))
		_, ok := l.Reserve(2)
		require.True(t, ok)
		assert.True(t, l.AllowN(0))
		assert.True(t, m.AllowN(0))
		start := time.Now()
		require.NoError(t, m.WaitN(t.Context(), 0))
		assert.Zero(t, time.Since(start))
	})
}

func TestMulti_errors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := ratelimit.New(1, 5), ratelimit.New(ratelimit.Every(time.Hour), 2)
		m := ratelimit.All(a, b)
		start := time.Now()
		require.ErrorIs(t, m.WaitN(t.Context(), 3), ratelimit.ErrExceedsBurst)
		require.ErrorIs(t, ratelimit.All(b, a).WaitN(t.Context(), 3), ratelimit.ErrExceedsBurst)
		require.Error(t, m.WaitN(t.Context(), -1))
		cause := errors.New("over")
		done, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		require.ErrorIs(t, m.Wait(done), context.Canceled)
		require.ErrorIs(t, m.Wait(done), cause)
		require.ErrorIs(t, m.WaitN(done, 0), context.Canceled)
		require.True(t, m.AllowN(2))
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		requireLimited(t, m.Wait(ctx), time.Hour)
		assert.Zero(t, time.Since(start))
		assert.InDelta(t, 3, a.Tokens(), 0)
		assert.InDelta(t, 0, b.Tokens(), 0)

		b.Set(0, 2)
		err := m.Wait(ctx)
		var limit *ratelimit.LimitError
		require.ErrorAs(t, err, &limit)
		assert.Negative(t, limit.After, "never")
		assert.InDelta(t, 3, a.Tokens(), 0)
	})
}

func TestMulti_inOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := ratelimit.New(1, 3), ratelimit.New(ratelimit.Every(2*time.Second), 3)
		m, start := ratelimit.All(a, b), time.Now()
		require.True(t, m.AllowN(3))
		var mu sync.Mutex
		var order []int
		var at []time.Duration
		for i, n := range []int{3, 1, 2} {
			go func() {
				assert.NoError(t, m.WaitN(t.Context(), n))
				mu.Lock()
				defer mu.Unlock()
				order, at = append(order, i), append(at, time.Since(start))
			}()
			synctest.Wait()
		}
		time.Sleep(5 * time.Second)
		assert.False(t, m.Allow(), "others wait")
		assert.InDelta(t, 3, a.Tokens(), 0, "those who wait hold nothing")
		assert.InDelta(t, 2.5, b.Tokens(), 0)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		assert.Equal(t, []int{0, 1, 2}, order)
		assert.Equal(t, []time.Duration{6 * time.Second, 8 * time.Second, 12 * time.Second}, at)
		time.Sleep(3 * time.Second)
		assert.True(t, m.Allow())
	})
}

// Those behind one who gives up are served as if it had not been there, and
// tokens that could not be kept meanwhile are not there.
func TestMulti_firstGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fast, slow := ratelimit.New(1, 10), ratelimit.New(ratelimit.Every(time.Hour), 100)
		m := ratelimit.All(fast, slow)
		require.True(t, slow.AllowN(95))
		require.True(t, fast.AllowN(7))
		ctx, cancel := context.WithCancel(t.Context())
		go func() { assert.ErrorIs(t, m.WaitN(ctx, 10), context.Canceled) }()
		synctest.Wait()
		go func() { assert.NoError(t, m.WaitN(t.Context(), 2)) }()
		synctest.Wait()
		assert.InDelta(t, 3, fast.Tokens(), 0)
		time.Sleep(time.Hour)
		cancel()
		synctest.Wait()
		assert.InDelta(t, 8, fast.Tokens(), 0)
		assert.InDelta(t, 4, slow.Tokens(), 0)
	})
}

// No limiter lets through more than its burst at once, however long those have
// waited who were behind another.
func TestMulti_noBurstOfThoseBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const burst, waiters = 10, 50
		a, b := ratelimit.New(1, burst), ratelimit.New(0, 1)
		m, start := ratelimit.All(a, b), time.Now()
		require.True(t, b.Allow())
		ctx, cancel := context.WithCancel(t.Context())
		go func() { assert.ErrorIs(t, m.Wait(ctx), context.Canceled) }()
		synctest.Wait()
		var mu sync.Mutex
		var at []time.Duration
		for range waiters {
			go func() {
				assert.NoError(t, m.Wait(t.Context()))
				mu.Lock()
				defer mu.Unlock()
				at = append(at, time.Since(start))
			}()
		}
		time.Sleep(time.Hour)
		cancel()
		b.Set(ratelimit.Inf, 1)
		synctest.Wait()
		assert.Len(t, at, burst)
		assert.InDelta(t, 0, a.Tokens(), 0)
		time.Sleep(time.Hour)
		synctest.Wait()
		var want []time.Duration
		for i := range waiters {
			want = append(want, time.Hour+time.Duration(max(0, i-burst+1))*time.Second)
		}
		assert.Equal(t, want, at)
	})
}

// Those who use a limiter alone may overtake those who wait at a Multi.
func TestMulti_overtaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := ratelimit.New(1, 1), ratelimit.New(ratelimit.Every(3*time.Second), 1)
		m, start := ratelimit.All(a, b), time.Now()
		require.True(t, m.Allow())
		var at time.Duration
		go func() {
			assert.NoError(t, m.Wait(t.Context()))
			at = time.Since(start)
		}()
		time.Sleep(2 * time.Second)
		require.True(t, a.Allow(), "nobody holds it")
		time.Sleep(800 * time.Millisecond)
		require.NoError(t, a.Wait(t.Context()), "at 3s, before the Multi")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		assert.Contains(t, []time.Duration{3 * time.Second, 4 * time.Second}, at)
	})
}

func TestMulti_deadlineTurnsOutLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := ratelimit.New(1, 1), ratelimit.New(1, 1)
		m, start := ratelimit.All(a, b), time.Now()
		require.True(t, m.Allow())
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		time.AfterFunc(time.Second/2, func() {
			_, ok := b.Reserve(1)
			assert.True(t, ok)
		})
		err := m.Wait(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, ratelimit.ErrLimited)
		assert.LessOrEqual(t, time.Since(start), 1500*time.Millisecond)
		time.Sleep(1500*time.Millisecond - time.Since(start))
		assert.InDelta(t, 1, a.Tokens(), 0)
		assert.InDelta(t, 0.5, b.Tokens(), 0)
	})
}

// Who comes just when another is served waits for no more than one that is
// served.
func TestMulti_deadlineAtATurn(t *testing.T) {
	for range 5000 {
		synctest.Test(t, func(t *testing.T) {
			m := ratelimit.All(ratelimit.New(1, 1), ratelimit.New(1, 2))
			require.True(t, m.Allow())
			var wg sync.WaitGroup
			wg.Go(func() { assert.NoError(t, m.Wait(t.Context())) })
			wg.Go(func() {
				time.Sleep(time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second/2)
				defer cancel()
				assert.NoError(t, m.Wait(ctx), "within a second")
			})
			wg.Wait()
		})
	}
}

// Set of one of the limiters lets those who wait go on as soon as they may.
func TestMulti_Set(t *testing.T) {
	for _, test := range []struct {
		name  string
		set   func(l *ratelimit.Limiter)
		after time.Duration // the Set, which is after a second
	}{
		{"rate", func(l *ratelimit.Limiter) { l.Set(1, 1) }, time.Second - time.Second/100},
		{"unlimited", func(l *ratelimit.Limiter) { l.Set(ratelimit.Inf, 1) }, 0},
		{"slower", func(l *ratelimit.Limiter) { l.Set(ratelimit.Every(200*time.Second), 1) }, 198 * time.Second},
		{"stopped for a moment", func(l *ratelimit.Limiter) { l.Set(0, 1); l.Set(ratelimit.Every(100*time.Second), 1) }, 99 * time.Second},
	} {
		for which := range 2 {
			t.Run(test.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					quick, slow := ratelimit.New(ratelimit.Inf, 1), ratelimit.New(ratelimit.Every(100*time.Second), 1)
					m := ratelimit.All(quick, slow)
					if which == 1 {
						m = ratelimit.All(slow, quick)
					}
					require.True(t, m.Allow())
					set := time.Now().Add(time.Second)
					time.AfterFunc(time.Second, func() { test.set(slow) })
					require.NoError(t, m.Wait(t.Context()))
					assert.InDelta(t, test.after, time.Since(set), 1000) // the rounding of a part of a token
				})
			})
		}
	}
}

func TestMulti_SetBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := ratelimit.New(1, 5), ratelimit.New(1, 5)
		m, start := ratelimit.All(a, b), time.Now()
		require.True(t, m.AllowN(5))
		time.AfterFunc(time.Second, func() { b.Set(1, 3) })
		require.ErrorIs(t, m.WaitN(t.Context(), 4), ratelimit.ErrExceedsBurst)
		assert.Equal(t, time.Second, time.Since(start), "it will never be")
		assert.InDelta(t, 1, a.Tokens(), 0)
		assert.InDelta(t, 1, b.Tokens(), 0)
	})
}

// From a rate of 0 there is a way back.
func TestMulti_rateZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(0, 1)
		m, start := ratelimit.All(ratelimit.New(1000, 1), l), time.Now()
		require.True(t, m.Allow())
		time.AfterFunc(1000*24*time.Hour, func() { l.Set(1, 1) })
		require.NoError(t, m.Wait(t.Context()))
		assert.Equal(t, 1000*24*time.Hour+time.Second, time.Since(start))
	})
}

// What somebody gives back is there for those who wait.
func TestMulti_reservationIsCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Every(time.Minute), 3)
		m, start := ratelimit.All(l, ratelimit.New(1, 3)), time.Now()
		require.True(t, l.AllowN(2))
		r, ok := l.Reserve(3)
		require.True(t, ok)
		time.AfterFunc(time.Second, r.Cancel)
		require.NoError(t, m.Wait(t.Context()))
		assert.Equal(t, time.Second, time.Since(start))
	})
}

// Times are whole nanoseconds, of which the rounding does not add up.
func TestMulti_lateByRounding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, start := ratelimit.All(ratelimit.New(1e9/1.5, 2), ratelimit.New(1e12, 10000)), time.Now()
		require.True(t, m.AllowN(2))
		for range 1000 {
			require.NoError(t, m.Wait(t.Context()))
		}
		assert.InDelta(t, 1500, time.Since(start), 1)
	})
}

func TestAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(1, 3)
		twice := ratelimit.All(l, l, ratelimit.New(1, 5), l)
		assert.True(t, twice.AllowN(2))
		assert.InDelta(t, 1, l.Tokens(), 0)
		assert.True(t, twice.Allow())
		assert.False(t, twice.Allow())

		none, start := ratelimit.All(), time.Now()
		for _, n := range []int{0, 1, math.MaxInt} {
			assert.True(t, none.AllowN(n))
			require.NoError(t, none.WaitN(t.Context(), n))
		}
		assert.True(t, none.Allow())
		require.NoError(t, none.Wait(t.Context()))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, none.Wait(ctx), context.Canceled)
		unlimited := ratelimit.All(ratelimit.New(ratelimit.Inf, 0))
		assert.True(t, unlimited.AllowN(1000000))
		require.NoError(t, unlimited.WaitN(t.Context(), 1000000))
		assert.Zero(t, time.Since(start))
	})
	assert.Panics(t, func() { ratelimit.All(nil) })
	assert.Panics(t, func() { ratelimit.All(ratelimit.New(1, 1), nil) })
}

// The limiters that are given may be used for something else afterwards.
func TestAll_copies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ls := []*ratelimit.Limiter{ratelimit.New(1, 1)}
		m := ratelimit.All(ls...)
		ls[0] = ratelimit.New(ratelimit.Inf, 1)
		assert.True(t, m.Allow())
		assert.False(t, m.Allow())
	})
}

// While time does not move, Multis that share limiters in different orders let
// through no more than there is, and lose nothing.
func TestMulti_concurrent(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			bursts := []int{50, 200, 1000}
			var ls []*ratelimit.Limiter
			for _, burst := range bursts {
				ls = append(ls, ratelimit.New(ratelimit.Every(time.Hour), burst))
			}
			orders := [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2}, {2, 1}, {0}, {2, 0, 1}}
			var multis []*ratelimit.Multi
			for _, order := range orders {
				var of []*ratelimit.Limiter
				for _, i := range order {
					of = append(of, ls[i])
				}
				multis = append(multis, ratelimit.All(of...))
			}
			ctx, cancel := context.WithCancel(t.Context())
			var mu sync.Mutex
			taken := make([]int, len(ls))
			took := func(of []int, n int) {
				mu.Lock()
				defer mu.Unlock()
				for _, i := range of {
					taken[i] += n
				}
			}
			var wg sync.WaitGroup
			for g := range 32 {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(seed, uint64(g)))
					for range 50 {
						i, n := r.IntN(len(multis)), 1+r.IntN(3)
						direct := r.IntN(len(ls))
						switch {
						case r.IntN(20) == 0 && multis[i].WaitN(ctx, n) == nil, multis[i].AllowN(n):
							took(orders[i], n)
						case ls[direct].AllowN(1):
							took([]int{direct}, 1)
						}
					}
				})
			}
			synctest.Wait() // all have come to an end or wait
			cancel()
			wg.Wait()
			for i, l := range ls {
				assert.InDelta(t, bursts[i]-taken[i], l.Tokens(), 0)
				assert.LessOrEqual(t, taken[i], bursts[i])
			}
			for i, m := range multis {
				for m.Allow() {
					took(orders[i], 1)
				}
			}
			for i := range ls {
				for ls[i].Allow() {
					took([]int{i}, 1)
				}
			}
			assert.Equal(t, bursts, taken)
		})
	}
}

// While it moves, each limiter keeps to its rate, and has what is left.
func TestMulti_concurrentlyInTime(t *testing.T) {
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			buckets := []multiBucket{{interval: 10 * time.Millisecond, burst: 5}, {interval: 25 * time.Millisecond, burst: 20}, {interval: time.Millisecond, burst: 3}}
			var ls []*ratelimit.Limiter
			for i := range buckets {
				b := &buckets[i]
				b.have = b.worth(b.burst)
				ls = append(ls, ratelimit.New(ratelimit.Every(b.interval), b.burst))
			}
			orders := [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2}, {0, 2}}
			multis := []*ratelimit.Multi{
				ratelimit.All(ls[0], ls[1], ls[2]), ratelimit.All(ls[2], ls[1], ls[0]), ratelimit.All(ls[1], ls[2]), ratelimit.All(ls[0], ls[2]),
			}
			type event struct {
				at time.Duration
				of []int
				n  int
			}
			var mu sync.Mutex
			var events []event
			start := time.Now()
			took := func(of []int, n int) {
				mu.Lock()
				defer mu.Unlock()
				events = append(events, event{time.Since(start), of, n})
			}
			var wg sync.WaitGroup
			for g := range 32 {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(seed, uint64(g)))
					for range 30 {
						i, n := r.IntN(len(multis)), 1+r.IntN(3)
						ctx, cancel := context.WithCancel(t.Context())
						timeout := time.Duration(1+r.IntN(2000)) * time.Millisecond
						switch r.IntN(4) {
						case 0:
							ctx, cancel = context.WithTimeout(t.Context(), timeout)
						case 1:
							time.AfterFunc(timeout, cancel)
						case 2:
							i = r.IntN(len(ls))
							if ls[i].AllowN(n) {
								took([]int{i}, n)
							}
							n = 0
						}
						if n > 0 && multis[i%len(multis)].WaitN(ctx, n) == nil {
							took(orders[i], n)
						}
						cancel()
						time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
					}
				})
			}
			wg.Wait()
			slices.SortStableFunc(events, func(a, b event) int { return int(a.at - b.at) })
			for _, e := range events {
				for _, i := range e.of {
					require.Equal(t, e.at, buckets[i].due(e.n, e.at), "seed %d: limiter %d had not as many", seed, i)
					buckets[i].take(e.n, e.at)
				}
			}
			now := time.Since(start)
			for i, b := range buckets {
				assert.InDelta(t, float64(b.from(now))/float64(b.interval), ls[i].Tokens(), 1e-9, "seed %d, limiter %d", seed, i)
			}
		})
	}
}

// Of no limiters, too, a negative number is never allowed.
func TestMulti_negativeOfNone(t *testing.T) {
	m := ratelimit.All()
	assert.True(t, m.AllowN(1_000_000))
	assert.False(t, m.AllowN(-1))
	require.Error(t, m.WaitN(t.Context(), -1))
}
