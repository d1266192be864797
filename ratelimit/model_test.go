package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/ratelimit"
)

// A slowTake is what a reservation or one who waits has taken.
type slowTake struct {
	n        int
	reserved bool     // by Reserve
	need     *big.Rat // how many tokens it waits for yet
	due      int64    // when there was none of them missing any more; -1 before
	canceled bool
	loose    bool // one who waits, and it is not certain for how long
}

// A slowLimiter is a model of a Limiter in fractions of tokens. Its times are
// nanoseconds from when it was made.
type slowLimiter struct {
	rate  ratelimit.Rate
	burst int

	now    int64
	tokens *big.Rat    // without all that are taken, even if they are not there yet
	takes  []*slowTake // in the order in which they came
}

func newSlow(r ratelimit.Rate, burst int) *slowLimiter {
	return &slowLimiter{rate: r, burst: burst, tokens: rat(burst)}
}

func rat(n int) *big.Rat { return new(big.Rat).SetInt64(int64(n)) }

// float is the number that is nearest.
func float(r *big.Rat) float64 {
	f, _ := r.Float64()
	return f
}

func (m *slowLimiter) inf() bool { return m.rate == ratelimit.Inf }

// in returns how many tokens come in d nanoseconds.
func (m *slowLimiter) in(d int64) *big.Rat {
	perSecond := new(big.Rat).SetFloat64(float64(m.rate))
	return perSecond.Mul(perSecond, big.NewRat(d, 1e9))
}

// until returns in how many whole nanoseconds so many tokens have come.
func (m *slowLimiter) until(tokens *big.Rat) int64 {
	switch {
	case tokens.Sign() <= 0 || m.inf():
		return 0
	case m.rate == 0:
		return math.MaxInt64
	}
	d := new(big.Rat).Quo(tokens, m.in(1))
	whole, rest := new(big.Int).QuoRem(d.Num(), d.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		whole.Add(whole, big.NewInt(1))
	}
	if !whole.IsInt64() {
		return math.MaxInt64
	}
	return whole.Int64()
}

// dueIn returns how long it is until a take is due, negative if it is over.
func (m *slowLimiter) dueIn(take *slowTake) int64 {
	if take.due >= 0 {
		return take.due - m.now
	}
	return m.until(take.need)
}

func (m *slowLimiter) capTokens() {
	if burst := rat(m.burst); m.tokens.Cmp(burst) > 0 {
		m.tokens = burst
	}
}

// notice finds out who is due by now.
func (m *slowLimiter) notice() {
	for _, take := range m.takes {
		if take.due < 0 && m.until(take.need) == 0 {
			take.due = m.now
		}
	}
}

func (m *slowLimiter) sleep(d int64) {
	for _, take := range m.takes {
		if take.due >= 0 {
			continue
		}
		if wait := m.until(take.need); wait <= d {
			take.due = m.now + wait
		}
	}
	m.now += d
	if m.inf() {
		return
	}
	came := m.in(d)
	for _, take := range m.takes {
		take.need = new(big.Rat).Sub(take.need, came)
	}
	m.tokens = new(big.Rat).Add(m.tokens, came)
	m.capTokens()
}

// take takes n tokens, which may not be there.
func (m *slowLimiter) take(n int, reserved bool) *slowTake {
	take := &slowTake{n: n, reserved: reserved, need: new(big.Rat), due: -1}
	if m.inf() {
		take.due = m.now // and there is nothing to give back
		return take
	}
	m.tokens = new(big.Rat).Sub(m.tokens, rat(n))
	take.need = new(big.Rat).Neg(m.tokens)
	m.takes = append(m.takes, take)
	m.notice()
	return take
}

// giveBack gives back so many tokens of a take. Those who wait behind it, wait
// for less.
func (m *slowLimiter) giveBack(take *slowTake, tokens *big.Rat) {
	take.canceled = true
	m.tokens = new(big.Rat).Add(m.tokens, tokens)
	m.capTokens()
	for _, later := range m.takes[slices.Index(m.takes, take)+1:] {
		if !later.reserved {
			later.need = new(big.Rat).Sub(later.need, tokens)
		}
	}
	m.notice()
}

// after returns how many tokens were taken after a take.
func (m *slowLimiter) after(take *slowTake) int {
	tokens := 0
	for _, later := range m.takes[slices.Index(m.takes, take)+1:] {
		tokens += later.n
	}
	return tokens
}

// lose loses tokens.
func (m *slowLimiter) lose(tokens *big.Rat) {
	m.tokens = new(big.Rat).Sub(m.tokens, tokens)
	for _, take := range m.takes {
		if take.due < 0 {
			take.need = new(big.Rat).Add(take.need, tokens)
		}
	}
}

func (m *slowLimiter) set(r ratelimit.Rate, burst int) {
	wasInf := m.inf()
	m.rate, m.burst = r, burst
	if wasInf {
		m.tokens = rat(burst)
	}
	m.capTokens()
	m.notice()
	if m.inf() {
		m.takes = nil // nobody waits any more, and nothing is given back
	}
}

// A slowEvent is what the oracle is told: n events at a time, or a Set.
type slowEvent struct {
	at    int64
	n     int
	set   bool
	rate  ratelimit.Rate
	burst int
}

// excess is an oracle that knows nothing about waiting: it returns by how many
// tokens at most there were more events in a span of time than rate*t + burst.
// The burst is the largest so far, as those who wait may do so for more than
// the current one.
func excess(events []slowEvent) float64 {
	slices.SortStableFunc(events, func(a, b slowEvent) int { return int(a.at - b.at) })
	m := newSlow(events[0].rate, events[0].burst)
	most := new(big.Rat)
	for _, e := range events[1:] {
		m.sleep(e.at - m.now)
		switch {
		case e.set:
			m.set(e.rate, max(m.burst, e.burst))
		case !m.inf():
			m.tokens = new(big.Rat).Sub(m.tokens, rat(e.n))
			if m.tokens.Cmp(most) < 0 {
				most = m.tokens
			}
		}
	}
	return -float(most)
}

// The operations of a script.
const limiterOperations = "abcA" + // AllowN: 1, 2, 3, the burst
	"wvuW" + // the same for WaitN
	"fFdD" + // WaitN with a deadline: in half the time, 1ns too early, just right, in twice the time
	"rstR" + // as with AllowN, Reserve
	"xyX" + // the context ends of the first, the second, the last who waits
	"klLKz" + // cancel a reservation: the first, the second, the last but one, the last, one again
	"0-e" + // no events; what is refused; a context that has ended
	".:iIJnm_" + // sleep: 1ns, 10ns, half a token's time, a token's, 3 tokens', until the next is due, 1ns less, 100 tokens'
	"*/oO#gGhHZ" // Set: rate *2, /2, 0, as at first, to 37.123; burst +1, -1, *2, 0; Inf

type scriptedWaiter struct {
	take     *slowTake
	cancel   context.CancelCauseFunc
	deadline int64 // or 0

	ended chan struct{} // is closed after WaitN
	err   error
	at    int64
}

func (w *scriptedWaiter) done() bool {
	select {
	case <-w.ended:
		return true
	default:
		return false
	}
}

type scriptedReservation struct {
	*ratelimit.Reservation
	take   *slowTake
	at     int64 // when the events happen
	event  int   // which one it is, when that is over
	closed bool  // Cancel was called
}

// A limiterScript is played on a Limiter and on the model at the same time.
type limiterScript struct {
	t            *testing.T
	l            *ratelimit.Limiter
	m            *slowLimiter
	first        ratelimit.Rate
	exact        bool // no time is rounded
	loose        bool // what was given back is not certain
	unclear      bool // the burst was larger once, or a reservation gave back only a part
	released     int64
	fastest      ratelimit.Rate
	start        time.Time
	waiters      []*scriptedWaiter // who wait yet
	reservations []*scriptedReservation
	events       []slowEvent
	played       strings.Builder
}

var (
	// Of the first, a token takes a whole number of nanoseconds.
	scriptedRates = []ratelimit.Rate{
		10, 1, 1000, 2.5, 1e6, 1e9,
		7, 37.123, 1. / 3, 1e-3, 7e8, 2e9, 3.3e12, 0, ratelimit.Inf,
	}
	scriptedBursts = []int{4, 1, 2, 3, 10, 1000, 0, 50}
)

func playLimiter(t *testing.T, rate, burst byte, ops []byte) {
	t.Helper()
	i := int(rate) % len(scriptedRates)
	r, b := scriptedRates[i], scriptedBursts[int(burst)%len(scriptedBursts)]
	s := &limiterScript{t: t, l: ratelimit.New(r, b), m: newSlow(r, b), first: r, exact: i < 6, start: time.Now()}
	if r < ratelimit.Inf {
		s.fastest = r
	}
	s.events = []slowEvent{{rate: r, burst: b}}
	fmt.Fprintf(&s.played, "New(%v, %d) ", float64(r), b)
	s.compare()
	for _, op := range ops {
		if strings.IndexByte(limiterOperations, op) < 0 {
			op = limiterOperations[int(op)%len(limiterOperations)]
		}
		s.played.WriteByte(op)
		s.operate(op)
		s.compare()
	}
	for range len(s.waiters) {
		s.played.WriteByte('n')
		s.operate('n')
		s.compare()
	}
	for len(s.waiters) > 0 {
		s.played.WriteByte('x')
		s.operate('x')
		s.compare()
	}
	for _, r := range s.reservations {
		if !r.take.canceled && r.event == 0 && r.at < math.MaxInt64 {
			s.events = append(s.events, slowEvent{at: r.at, n: r.take.n})
		}
	}
	fmt.Fprintf(&s.played, " %+v", s.events)
	allowed := nearly
	if !s.exact { // times are rounded up to nanoseconds, not all by as much
		allowed += float64(s.fastest) / 1e9
	}
	require.LessOrEqual(t, excess(s.events), allowed, "more than rate*t + burst after %s", &s.played)
}

// nearly is how many tokens off is near enough.
const nearly = 1e-6

// slack is how many nanoseconds off is near enough.
func (s *limiterScript) slack() int64 {
	if s.exact {
		return 0
	}
	return 2 + int64(1e-12*float64(s.interval())*float64(s.m.burst+10))
}

// requireNear requires that got is want, nearly if times are rounded.
func (s *limiterScript) requireNear(want, got int64, what string) {
	s.t.Helper()
	slack := s.slack()
	if slack > 0 {
		slack += int64(1e-12 * math.Abs(float64(want)))
	}
	require.True(s.t, want-slack <= got && got-slack <= want,
		"%s is %d instead of %d after %s", what, got, want, &s.played)
}

// compare compares what can be seen, without changing anything.
func (s *limiterScript) compare() {
	s.t.Helper()
	synctest.Wait()
	require.Equal(s.t, s.m.rate, s.l.Rate(), "after %s", &s.played)
	require.Equal(s.t, s.m.burst, s.l.Burst(), "after %s", &s.played)
	switch {
	case s.m.inf():
		require.True(s.t, math.IsInf(s.l.Tokens(), 1), "after %s", &s.played)
	case s.loose:
		require.LessOrEqual(s.t, s.l.Tokens(), float64(s.m.burst)+nearly, "after %s", &s.played)
		s.m.tokens = new(big.Rat).SetFloat64(s.l.Tokens())
	default:
		require.InDelta(s.t, float(s.m.tokens), s.l.Tokens(), nearly, "tokens after %s", &s.played)
	}
	waits := false
	for _, w := range s.waiters {
		due := s.m.dueIn(w.take)
		if !w.done() {
			require.True(s.t, w.take.loose || due > -s.slack(), "one still waits after %s", &s.played)
			waits = true
			continue
		}
		require.NoError(s.t, w.err, "after %s", &s.played)
		require.False(s.t, waits, "one who came earlier still waits after %s", &s.played)
		require.GreaterOrEqual(s.t, w.at, s.released, "one came earlier, but after %s", &s.played)
		s.released = w.at
		if !w.take.loose {
			s.requireNear(due, w.at-s.m.now, "the time of one who waits")
		}
		s.events = append(s.events, slowEvent{at: w.at, n: w.take.n})
		w.cancel(nil)
	}
	s.waiters = slices.DeleteFunc(s.waiters, (*scriptedWaiter).done)
	for _, r := range s.reservations {
		if r.take.canceled || r.closed {
			continue
		}
		d := int64(r.Delay())
		s.requireNear(max(0, s.m.dueIn(r.take)), d, "a delay")
		switch {
		case d > math.MaxInt64-s.m.now:
			r.at = math.MaxInt64
		case d > 0:
			r.at = s.m.now + d
		case r.event == 0:
			r.event = len(s.events)
			s.events = append(s.events, slowEvent{at: min(r.at, s.m.now), n: r.take.n})
		}
	}
	if s.loose && len(s.waiters) == 0 && !s.reserved(-s.slack()) {
		s.loose, s.m.takes = false, nil
	}
}

// reserved reports whether there are reservations that are due in d or later.
func (s *limiterScript) reserved(d int64) bool {
	return slices.ContainsFunc(s.reservations, func(r *scriptedReservation) bool {
		return !r.take.canceled && s.m.dueIn(r.take) >= d
	})
}

// loosen is for when something is given back while some have reserved and some
// wait. It then depends on the details who profits how much. That there are
// never too many events, and those who wait are served in turn, remains.
func (s *limiterScript) loosen() {
	s.loose, s.exact = true, false
	for _, w := range s.waiters {
		w.take.loose = true
	}
}

// sleep stops at each deadline.
func (s *limiterScript) sleep(d int64) {
	if d > int64(150*365*24*time.Hour)-s.m.now {
		return // the time of a bubble is limited
	}
	for d > 0 {
		step := d
		for _, w := range s.waiters {
			if w.deadline > s.m.now {
				step = min(step, w.deadline-s.m.now)
			}
		}
		time.Sleep(time.Duration(step))
		s.m.sleep(step)
		d -= step
		synctest.Wait()
		for _, w := range s.waiters {
			if w.done() && w.err != nil {
				require.Equal(s.t, w.deadline, s.m.now, "after %s", &s.played)
				require.ErrorIs(s.t, w.err, context.DeadlineExceeded, "after %s", &s.played)
				s.waiterGone(w)
				break // no two have the same deadline
			}
		}
		s.compare()
	}
}

// waiterGone gives back what one who waited has not taken.
func (s *limiterScript) waiterGone(w *scriptedWaiter) {
	s.waiters = slices.Delete(s.waiters, slices.Index(s.waiters, w), slices.Index(s.waiters, w)+1)
	tokens := rat(w.take.n)
	if s.loose || s.unclear || s.reserved(1) {
		s.loosen()
		tokens = s.givenBack(w.take.n)
	}
	s.m.giveBack(w.take, tokens)
}

// givenBack returns how many of n tokens the Limiter has given back.
func (s *limiterScript) givenBack(n int) *big.Rat {
	s.t.Helper()
	now := s.l.Tokens()
	got := now - float(s.m.tokens)
	if now >= float64(s.m.burst)-nearly {
		return rat(n) // it is full, or over
	}
	require.True(s.t, -nearly < got && got < float64(n)+nearly, "%v tokens given back after %s", got, &s.played)
	if math.Abs(got-math.Round(got)) < 1e-10 {
		return rat(int(math.Round(got)))
	}
	s.exact = false
	return new(big.Rat).SetFloat64(got)
}

// interval is about how long it takes until there is another token.
func (s *limiterScript) interval() int64 {
	if s.m.inf() || s.m.rate == 0 {
		return int64(time.Second)
	}
	return max(1, int64(1e9/s.m.rate))
}

// next is how long it takes until the next one is due, or there is another
// whole token.
func (s *limiterScript) next() int64 {
	next := int64(math.MaxInt64)
	for _, take := range s.m.takes {
		if due := s.m.dueIn(take); due > 0 {
			next = min(next, due)
		}
	}
	if next == math.MaxInt64 {
		whole := rat(int(math.Floor(float(s.m.tokens))) + 1)
		next = s.m.until(whole.Sub(whole, s.m.tokens))
	}
	return next
}

// number is what a letter means.
func (s *limiterScript) number(i int) int { return [...]int{1, 2, 3, s.m.burst}[i] }

func (s *limiterScript) operate(op byte) {
	i := strings.IndexByte(limiterOperations, op)
	switch op {
	case 'a', 'b', 'c', 'A':
		s.allow(s.number(i))
	case 'w', 'v', 'u', 'W':
		s.wait(s.number(i-4), 0)
	case 'f', 'F', 'd', 'D':
		s.waitUntil(op)
	case 'r', 's', 't', 'R':
		s.reserve(s.number(i - 12))
	case 'x', 'y', 'X':
		if n := len(s.waiters); n > 0 {
			s.endWait(s.waiters[map[byte]int{'x': 0, 'y': min(1, n-1), 'X': n - 1}[op]])
		}
	case 'k', 'l', 'L', 'K', 'z':
		s.pickCancel(op)
	case '0':
		require.True(s.t, s.l.AllowN(0), "after %s", &s.played)
		require.NoError(s.t, s.l.WaitN(s.t.Context(), 0), "after %s", &s.played)
	case '-':
		s.refused()
	case 'e':
		ctx, cancel := context.WithCancelCause(s.t.Context())
		cancel(errScripted)
		err := s.l.Wait(ctx)
		require.ErrorIs(s.t, err, context.Canceled, "after %s", &s.played)
		require.ErrorIs(s.t, err, errScripted, "after %s", &s.played)
	case 'n':
		s.sleep(s.next())
	case 'm':
		s.sleep(s.next() - 1)
	case '.', ':', 'i', 'I', 'J', '_':
		d := s.interval()
		s.sleep(map[byte]int64{'.': 1, ':': 10, 'i': d / 2, 'I': d, 'J': 3 * d, '_': 100 * d}[op])
	default:
		s.set(op)
	}
}

func (s *limiterScript) allow(n int) {
	ok := s.l.AllowN(n)
	left := new(big.Rat).Sub(s.m.tokens, rat(n))
	want := s.m.inf() || n == 0 || n <= s.m.burst && left.Sign() >= 0
	unsure := nearly + float(s.m.in(s.slack()))
	if s.exact || n > s.m.burst || math.Abs(float(left)) > unsure {
		require.Equal(s.t, want, ok, "AllowN(%d) after %s", n, &s.played)
	}
	if !ok {
		return
	}
	s.events = append(s.events, slowEvent{at: s.m.now, n: n})
	if !s.m.inf() {
		s.m.tokens = left
	}
}

// errScripted is why a context of a script ends.
var errScripted = errors.New("scripted")

// wait begins to wait, until a deadline if timeout is not 0.
func (s *limiterScript) wait(n int, timeout int64) {
	parent, cancel := context.WithCancelCause(s.t.Context())
	w := &scriptedWaiter{cancel: cancel, ended: make(chan struct{})}
	ctx, stop := parent, context.CancelFunc(func() {})
	if timeout > 0 {
		w.deadline = s.m.now + timeout
		ctx, stop = context.WithTimeout(parent, time.Duration(timeout))
	}
	go func() {
		defer stop()
		w.err = s.l.WaitN(ctx, n)
		w.at = int64(time.Since(s.start))
		close(w.ended)
	}()
	synctest.Wait()
	if n > s.m.burst && !s.m.inf() {
		require.True(s.t, w.done(), "after %s", &s.played)
		require.ErrorIs(s.t, w.err, ratelimit.ErrExceedsBurst, "after %s", &s.played)
		cancel(nil)
		return
	}
	need := s.m.until(new(big.Rat).Sub(rat(n), s.m.tokens))
	if timeout > 0 && n > 0 && need > 0 && s.tooLate(w, need-timeout) {
		require.True(s.t, w.done(), "after %s", &s.played)
		var limited *ratelimit.LimitError
		require.ErrorAs(s.t, w.err, &limited, "after %s", &s.played)
		require.ErrorIs(s.t, w.err, context.DeadlineExceeded, "after %s", &s.played)
		if need == math.MaxInt64 {
			require.Negative(s.t, limited.After, "after %s", &s.played)
		} else {
			s.requireNear(need, int64(limited.After), "After")
		}
		cancel(nil)
		return
	}
	if n == 0 {
		require.True(s.t, w.done(), "after %s", &s.played)
		require.NoError(s.t, w.err, "after %s", &s.played)
		cancel(nil)
		return
	}
	w.take = s.m.take(n, false)
	w.take.loose = s.loose
	s.waiters = append(s.waiters, w)
}

// tooLate reports whether one has to wait for so much longer than until the
// deadline that WaitN returns at once.
func (s *limiterScript) tooLate(w *scriptedWaiter, by int64) bool {
	if s.loose || -s.slack() <= by && by <= s.slack() && !s.exact {
		return w.done() && w.err != nil
	}
	return by >= 0
}

// waitUntil waits for one until a deadline.
func (s *limiterScript) waitUntil(op byte) {
	need := min(s.m.until(new(big.Rat).Sub(rat(1), s.m.tokens)), int64(50*365*24*time.Hour))
	timeout := max(1, map[byte]int64{'f': need / 2, 'F': need, 'd': need + 1, 'D': 2 * need}[op])
	for slices.ContainsFunc(s.waiters, func(w *scriptedWaiter) bool { return w.deadline == s.m.now+timeout }) {
		timeout++
	}
	s.wait(1, timeout)
}

func (s *limiterScript) endWait(w *scriptedWaiter) {
	w.cancel(errScripted)
	synctest.Wait()
	require.True(s.t, w.done(), "after %s", &s.played)
	require.ErrorIs(s.t, w.err, context.Canceled, "after %s", &s.played)
	require.ErrorIs(s.t, w.err, errScripted, "after %s", &s.played)
	s.waiterGone(w)
}

func (s *limiterScript) reserve(n int) {
	r, ok := s.l.Reserve(n)
	wait := s.m.until(new(big.Rat).Sub(rat(n), s.m.tokens))
	want := n == 0 || n <= s.m.burst && wait < math.MaxInt64 || s.m.inf()
	if !want || s.m.inf() || wait < int64(100*365*24*time.Hour) {
		require.Equal(s.t, want, ok, "Reserve(%d) after %s", n, &s.played)
	}
	if !ok {
		require.Nil(s.t, r)
		return
	}
	if n == 0 { // is free
		require.Zero(s.t, r.Delay(), "after %s", &s.played)
		return
	}
	take := s.m.take(n, true)
	if off := int64(r.Delay()) - max(0, s.m.dueIn(take)); s.loose && max(off, -off) > s.slack() {
		take.need, take.due = s.m.in(int64(r.Delay())), -1
		s.m.notice()
	}
	s.reservations = append(s.reservations, &scriptedReservation{r, take, math.MaxInt64, 0, false})
}

func (s *limiterScript) pickCancel(op byte) {
	var live, gone []*scriptedReservation
	for _, r := range s.reservations {
		if r.take.canceled {
			gone = append(gone, r)
		} else if s.m.dueIn(r.take) >= 0 || op == 'z' {
			live = append(live, r)
		}
	}
	if op == 'z' { // canceled or over
		if gone = append(gone, live...); len(gone) > 0 {
			s.cancel(gone[0])
		}
		return
	}
	if n := len(live); n > 0 {
		s.cancel(live[map[byte]int{'k': 0, 'l': min(1, n-1), 'L': max(0, n-2), 'K': n - 1}[op]])
	}
}

func (s *limiterScript) cancel(r *scriptedReservation) {
	r.Cancel()
	r.closed = true
	synctest.Wait()
	due := s.m.dueIn(r.take)
	if r.take.canceled || due < -s.slack() || !slices.Contains(s.m.takes, r.take) {
		return // nothing happens
	}
	tokens := rat(r.take.n)
	unsure := due <= s.slack() && !s.exact // whether it is over
	if len(s.waiters) > 0 {
		s.loosen()
	}
	if later := s.m.after(r.take); later > 0 || unsure || s.loose || s.unclear {
		tokens = s.givenBack(r.take.n)
		require.True(s.t, unsure || s.loose || s.unclear || float(tokens) > float64(r.take.n-later)-nearly,
			"%v tokens given back after %s", float(tokens), &s.played)
	}
	if due < 0 && tokens.Sign() == 0 {
		return // it was over
	}
	s.unclear = s.unclear || tokens.Cmp(rat(r.take.n)) < 0
	s.m.giveBack(r.take, tokens)
	if r.event > 0 {
		s.events[r.event].n = 0 // it has not happened
	}
}

// refused tries what is refused always.
func (s *limiterScript) refused() {
	for _, n := range []int{-1, math.MinInt, s.m.burst + 1, math.MaxInt} {
		if n > 0 && s.m.inf() {
			continue
		}
		require.False(s.t, s.l.AllowN(n), "AllowN(%d) after %s", n, &s.played)
		r, ok := s.l.Reserve(n)
		require.False(s.t, ok, "Reserve(%d) after %s", n, &s.played)
		require.Nil(s.t, r)
		require.Error(s.t, s.l.WaitN(s.t.Context(), n), "WaitN(%d) after %s", n, &s.played)
		s.compare()
	}
}

func (s *limiterScript) set(op byte) {
	r, burst := s.m.rate, s.m.burst
	switch op {
	case '*':
		if !s.m.inf() && r < 1e13 {
			r *= 2
		}
	case '/':
		if !s.m.inf() && r > 1e-3 {
			r /= 2
		}
	case 'o':
		r = 0
	case 'O':
		r = s.first
	case '#':
		r = 37.123
	case 'Z':
		r = ratelimit.Inf
	case 'g':
		burst = min(burst+1, 2000)
	case 'G':
		burst = max(burst-1, 0)
	case 'h':
		burst = min(2*burst, 2000)
	case 'H':
		burst = 0
	}
	s.exact = s.exact && r == s.m.rate
	s.unclear = s.unclear || burst < s.m.burst
	if r < ratelimit.Inf {
		s.fastest = max(s.fastest, r)
	}
	s.events = append(s.events, slowEvent{at: s.m.now, set: true, rate: r, burst: burst})
	most := max(float64(r), float64(s.m.rate), 1e9) / 1e9
	finite := r != s.m.rate && r < ratelimit.Inf && !s.m.inf()
	s.l.Set(r, burst)
	s.m.set(r, burst)
	fmt.Fprintf(&s.played, "(%v,%d)", float64(r), burst)
	if finite { // a part of a token may be lost
		left := new(big.Rat).SetFloat64(s.l.Tokens())
		lost := left.Sub(s.m.tokens, left)
		require.True(s.t, -nearly < float(lost) && float(lost) < most+nearly, "%v lost after %s", float(lost), &s.played)
		s.m.lose(lost)
		s.adoptDelays(most)
	}
}

// adoptDelays is for when other parts of tokens may be lost for reservations
// than for the Limiter.
func (s *limiterScript) adoptDelays(most float64) {
	for _, r := range s.reservations {
		d := r.Delay()
		off := int64(d) - max(0, s.m.dueIn(r.take))
		if r.take.canceled || max(off, -off) <= s.slack() {
			continue
		}
		need := s.m.in(int64(d))
		if s.m.rate == 0 && d > 0 {
			need = rat(max(1, int(math.Ceil(float(r.take.need)-nearly))))
		}
		require.InDelta(s.t, float(need), float(r.take.need), most+nearly, "reserved tokens after %s", &s.played)
		r.take.need, r.take.due = need, -1
	}
	s.m.notice()
}

// FuzzLimiter plays scripts on a Limiter and on the model.
func FuzzLimiter(f *testing.F) {
	for _, ops := range []string{
		"aaaaaIaJbba__A",          // Allow
		"AaIaiamanambInbb.A",      // exactly when there is one
		"AwwvuWInxInnnnnnaa",      // in the order in which they came
		"AuvwwxInyInnXnnn",        // some of whom do not wait to the end
		"AfFdDInfFdDJJwwwdDnnnnn", // or have a deadline
		"AtrrLKkzInnn",            // reservations, canceled
		"AtrrkrlkzInnn",           // one that others build on
		"AtwrwkInnnn",             // together with those who wait
		"AvvsInsK",
		"A0-eww0-eInt0-e", // what changes nothing
		"AwvrI*n/nOnonOnngnhnGnGnHnZnOnaA",
		"Zaaarwk-0eOkazZzO",
	} {
		for rate := range scriptedRates {
			f.Add(byte(rate), byte(rate%4), []byte(ops))
		}
	}
	f.Fuzz(func(t *testing.T, rate, burst byte, ops []byte) {
		if len(ops) <= 300 {
			synctest.Test(t, func(t *testing.T) { playLimiter(t, rate, burst, ops) })
		}
	})
}

// Scripts of the usual operations agree with the model, too.
func TestLimiter_likeModel(t *testing.T) {
	const (
		basic = "aabbccA0-e..:iIIJnnnnmm_"
		set   = "*/oO#gGhHZ"
		wait  = "wwvvuuWWfFdDxxyX"
		take  = "rrssttRRkklLKz"
	)
	for name, usual := range map[string]string{
		"allow":            basic + set,
		"wait":             basic + wait,
		"reserve":          basic + take,
		"wait and set":     basic + wait + wait + set,
		"reserve and set":  basic + take + take + set,
		"wait and reserve": basic + wait + take,
		"all":              limiterOperations + basic + wait + take,
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(100) {
				r := rand.New(rand.NewPCG(seed, 0))
				ops := make([]byte, 60)
				for i := range ops {
					ops[i] = usual[r.IntN(len(usual))]
				}
				synctest.Test(t, func(t *testing.T) { playLimiter(t, byte(r.UintN(256)), byte(r.UintN(256)), ops) })
			}
		})
	}
}
