package ratelimit_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/ratelimit"
)

// A lineScript is what happens to a Limiter whose tokens take some nanoseconds
// each: those who wait, reserve, give up and cancel in any order.
type lineScript struct {
	t      *testing.T
	rand   *rand.Rand
	l      *ratelimit.Limiter
	burst  int
	start  time.Time
	played strings.Builder

	rates    []lineRate
	events   []lineEvent
	reserved []*lineReservation
	waiting  []*lineWaiter
	came     int // who has waited
	served   int // who of them was served last
}

type lineRate struct{ from, interval int64 }

type lineEvent struct {
	at int64
	n  int
}

type lineReservation struct {
	*ratelimit.Reservation
	lineEvent
	over bool
}

type lineWaiter struct {
	lineEvent
	number int
	cancel context.CancelFunc
	done   bool
	err    error
}

func (s *lineScript) now() int64 { return int64(time.Since(s.start)) }

func (s *lineScript) step() {
	n := 1 + s.rand.IntN(s.burst)
	switch op := s.rand.IntN(14); {
	case op < 2:
		if s.l.AllowN(n) {
			s.note("allowed %d", n)
			s.events = append(s.events, lineEvent{s.now(), n})
		}
	case op < 5:
		r, ok := s.l.Reserve(n)
		require.True(s.t, ok)
		s.note("reserve %d", n)
		s.reserved = append(s.reserved, &lineReservation{r, lineEvent{s.now() + int64(r.Delay()), n}, false})
	case op < 8:
		if i := s.rand.IntN(len(s.reserved) + 1); i < len(s.reserved) && !s.reserved[i].over {
			s.note("cancel %d at %d", s.reserved[i].n, s.reserved[i].at)
			s.reserved[i].Cancel()
			s.reserved[i].over = true
		}
	case op < 10:
		s.wait(n)
	case op < 11:
		if len(s.waiting) > 0 {
			w := s.waiting[s.rand.IntN(len(s.waiting))]
			s.note("give up #%d", w.number)
			w.cancel()
		}
	case op < 13:
		for range 1 + s.rand.IntN(25) { // so that what is due is seen at its time
			time.Sleep(time.Nanosecond)
			s.settle()
		}
	case len(s.rates) > 0:
		interval := []int64{5, 7, 10, 20, 40}[s.rand.IntN(5)]
		s.note("a token in %d", interval)
		s.l.Set(ratelimit.Every(time.Duration(interval)), s.burst)
		s.rates = append(s.rates, lineRate{s.now(), interval})
	}
	s.settle()
}

func (s *lineScript) note(format string, args ...any) {
	fmt.Fprintf(&s.played, "%d: %s; ", s.now(), fmt.Sprintf(format, args...))
}

func (s *lineScript) wait(n int) {
	ctx, cancel := context.WithCancel(s.t.Context())
	w := &lineWaiter{lineEvent: lineEvent{n: n}, number: s.came, cancel: cancel}
	s.note("#%d waits for %d", w.number, n)
	s.came++
	s.waiting = append(s.waiting, w)
	go func() {
		w.err = s.l.WaitN(ctx, n)
		w.at = s.now()
		w.done = true
	}()
	synctest.Wait()
}

// settle notes what has happened by now.
func (s *lineScript) settle() {
	synctest.Wait()
	s.waiting = slices.DeleteFunc(s.waiting, func(w *lineWaiter) bool {
		if w.done && w.err == nil {
			require.GreaterOrEqual(s.t, w.number, s.served, "in turn, after %s", &s.played)
			s.served = w.number
			s.events = append(s.events, w.lineEvent)
		}
		if w.done {
			w.cancel()
		}
		return w.done
	})
	for _, r := range s.reserved {
		switch d := r.Delay(); {
		case r.over:
		case d == 0:
			r.over = true
			s.events = append(s.events, r.lineEvent)
		default:
			r.at = s.now() + int64(d)
		}
	}
	require.LessOrEqual(s.t, s.l.Tokens(), float64(s.burst)+nearly, "after %s", &s.played)
}

// earned returns how many tokens have come by a time.
func (s *lineScript) earned(at int64) (sum float64) {
	for i, r := range s.rates {
		until := at
		if i+1 < len(s.rates) {
			until = min(at, s.rates[i+1].from)
		}
		sum += float64(max(0, until-r.from)) / float64(r.interval)
	}
	return sum
}

// requireBound requires that in no span there was more than there may be.
func (s *lineScript) requireBound() {
	slices.SortStableFunc(s.events, func(a, b lineEvent) int { return int(a.at - b.at) })
	for i, first := range s.events {
		sum := 0
		for _, last := range s.events[i:] {
			sum += last.n
			bound := s.earned(last.at) - s.earned(first.at) + float64(s.burst)
			require.LessOrEqual(s.t, float64(sum), bound+nearly, "from %d to %d after %s", first.at, last.at, &s.played)
		}
	}
}

func (s *lineScript) play() {
	s.l = ratelimit.New(ratelimit.Every(10), s.burst)
	s.start = time.Now()
	s.rates = []lineRate{{0, 10}}
	for range 40 {
		s.step()
	}
	for len(s.waiting) > 0 || slices.ContainsFunc(s.reserved, func(r *lineReservation) bool { return !r.over }) {
		time.Sleep(time.Nanosecond)
		s.settle()
		require.Less(s.t, s.now(), int64(time.Millisecond), "somebody waits for ever after %s", &s.played)
	}
	for range 2 { // who comes then gets no more than is left
		for s.l.Allow() {
			s.events = append(s.events, lineEvent{s.now(), 1})
		}
		time.Sleep(15 * time.Nanosecond)
	}
	s.requireBound()
}

// Whoever gives up, and cancels, in whatever order: in no span of time there is
// more than there may be, and who waits is served in turn.
func TestLimiter_line(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 5))
			(&lineScript{t: t, rand: random, burst: 1 + random.IntN(5)}).play()
		})
	}
}

// A stalled is a context whose error is only told after a while, as if the
// goroutine that asks had been held up.
type stalled struct {
	context.Context
	stall func()
}

func (c stalled) Err() error {
	c.stall()
	return c.Context.Err()
}

// One that gives up late, when its turn is over, gives back no more than the
// bucket has had room for since.
func TestLimiter_givesUpLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(10, 1)
		require.True(t, l.Allow())
		ctx, cancel := context.WithCancel(t.Context())
		asked := 0
		late := stalled{ctx, func() {
			if asked++; asked == 2 { // its turn has come
				time.Sleep(100 * time.Millisecond)
				assert.True(t, l.Allow())
				cancel()
			}
		}}
		done := make(chan error)
		go func() {
			done <- l.Wait(late)
		}()
		require.ErrorIs(t, <-done, context.Canceled)
		assert.False(t, l.Allow(), "the second at once")
	})
}

// A context may be the caller's own, and use the limiter.
type curious struct {
	context.Context
	look func()
}

func (c curious) Deadline() (time.Time, bool) {
	c.look()
	return c.Context.Deadline()
}

// No lock is held while a context is asked.
func TestWait_contextLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w := ratelimit.New(1, 1), ratelimit.NewWindow(1, time.Second)
		m, k := ratelimit.All(l), ratelimit.NewKeyed[int](1, 1, 1)
		require.True(t, m.Allow() && w.Allow() && k.Allow(1))
		ctx := curious{t.Context(), func() {
			l.Tokens()
			m.Allow()
			w.Allow()
			k.Allow(1)
		}}
		require.NoError(t, l.Wait(ctx))
		require.NoError(t, m.Wait(ctx))
		require.NoError(t, w.Wait(ctx))
		require.NoError(t, k.Wait(ctx, 1))
	})
}

// What is owed stays owed when the rate gets as slow as can be, and fast again.
func TestLimiter_setKeepsDebt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(10, 1)
		for range 1001 {
			_, ok := l.Reserve(1)
			require.True(t, ok)
		}
		for _, r := range []ratelimit.Rate{ratelimit.Every(365 * 24 * time.Hour), 1e-10, 1e-20, 0, 10} {
			l.Set(r, 1)
			assert.InDelta(t, -1000, l.Tokens(), 1e-3, "%v", r)
		}
	})
}

// A rate at which nothing ever comes is no rate at which all comes.
func TestLimiter_rateOfNearlyNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, r := range []ratelimit.Rate{1e-300, 1e-30, 1e-20, 1e-18} {
			l := ratelimit.New(r, mostBurst)
			require.True(t, l.AllowN(mostBurst))
			time.Sleep(time.Hour)
			assert.False(t, l.Allow(), "%v", r)
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			require.ErrorIs(t, l.Wait(ctx), ratelimit.ErrLimited)
			cancel()
		}
	})
}

// What is counted in small units is counted anew before they get too many,
// whoever comes first.
func TestLimiter_beyondHorizon(t *testing.T) {
	for name, first := range map[string]func(*ratelimit.Limiter) bool{
		"Tokens":  func(l *ratelimit.Limiter) bool { return l.Tokens() == 1000 },
		"Reserve": func(l *ratelimit.Limiter) bool { r, ok := l.Reserve(1000); return ok && r.Delay() == 0 },
	} {
		synctest.Test(t, func(t *testing.T) {
			for range 40 {
				l := ratelimit.New(3.14159e9, 1000)
				require.True(t, l.AllowN(1000))
				time.Sleep(time.Duration(1 + rand.Int64N(int64(1000*time.Hour))))
				assert.True(t, first(l), name)
			}
		})
	}
}
