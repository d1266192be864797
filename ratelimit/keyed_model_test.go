package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/ratelimit"
)

// A keyedBucket is a plain token bucket, with those who wait at it.
type keyedBucket struct {
	have time.Duration // what is in it, as the time in which it comes
	at   time.Duration // when that was so
	line []*keyedWaiter
}

// A keyedModel is a model of a Keyed: a bucket for each key, and one more for
// those that find maxKeys of them in use. Its times are from when it was made.
type keyedModel struct {
	interval       time.Duration // in which a token comes
	frozen         bool          // none comes
	burst, maxKeys int
	now            time.Duration
	own            map[int]*keyedBucket
	shared         *keyedBucket
	swept          time.Duration // when those that are full were last forgotten
}

func newKeyedModel(interval time.Duration, burst, maxKeys int) *keyedModel {
	m := &keyedModel{interval: interval, burst: burst, maxKeys: maxKeys, own: map[int]*keyedBucket{}}
	if interval == 0 {
		m.interval, m.frozen = time.Second, true
	}
	m.shared = m.fresh()
	return m
}

// rate is the rate of the model. All intervals here have one that is exact.
func (m *keyedModel) rate() ratelimit.Rate {
	if m.frozen {
		return 0
	}
	return ratelimit.Every(m.interval)
}

func (m *keyedModel) worth(n int) time.Duration { return time.Duration(n) * m.interval }

func (m *keyedModel) fresh() *keyedBucket { return &keyedBucket{have: m.worth(m.burst), at: m.now} }

// fill puts into b what has come since.
func (m *keyedModel) fill(b *keyedBucket) {
	for len(b.line) > 0 && !m.frozen {
		due := b.at + m.interval - b.have
		if due > m.now {
			break
		}
		b.line[0].served = due
		b.line = b.line[1:]
		b.have, b.at = 0, due
	}
	if !m.frozen {
		b.have = min(b.have+m.now-b.at, m.worth(m.burst))
	}
	b.at = m.now
}

// live returns how many buckets are in use, and forgets the others.
func (m *keyedModel) live() int {
	if m.swept < m.now {
		m.swept = m.now
		for key, b := range m.own {
			if m.fill(b); b.have == m.worth(m.burst) {
				delete(m.own, key)
			}
		}
	}
	return len(m.own)
}

// bucket returns that of a key. If it is a new one, it is not kept.
func (m *keyedModel) bucket(key int) *keyedBucket {
	b := m.own[key]
	if b == nil {
		if len(m.own) < m.maxKeys || m.live() < m.maxKeys {
			return m.fresh()
		}
		b = m.shared
	}
	m.fill(b)
	return b
}

func (m *keyedModel) keep(key int, b *keyedBucket) {
	if b != m.shared {
		m.own[key] = b
	}
}

// delay is how long it takes until there are n tokens, for who comes now.
func (m *keyedModel) delay(b *keyedBucket, n int) time.Duration {
	return max(0, m.worth(n+len(b.line))-b.have)
}

// orNever is d, or negative if no token comes before.
func (m *keyedModel) orNever(d time.Duration) time.Duration {
	if m.frozen && d > 0 {
		return -1
	}
	return d
}

func (m *keyedModel) take(key, n int) ratelimit.Result {
	b := m.bucket(key)
	res := ratelimit.Result{Limit: m.burst, OK: n == 0 || n > 0 && n <= m.burst && m.delay(b, n) == 0}
	switch {
	case res.OK && n > 0:
		b.have -= m.worth(n)
		m.keep(key, b)
	case n < 0 || n > m.burst:
		res.RetryAfter = -1
	case n > 0:
		res.RetryAfter = m.orNever(m.delay(b, n))
	}
	if len(b.line) == 0 {
		res.Remaining = int(b.have / m.interval)
	}
	res.ResetAfter = m.orNever(m.delay(b, m.burst))
	res.Window = m.orNever(m.worth(m.burst))
	if m.burst == 0 {
		res.Window = -1
	}
	return res
}

// plain makes all negative times the same.
func plain(res ratelimit.Result) ratelimit.Result {
	res.RetryAfter = max(-1, res.RetryAfter)
	res.ResetAfter = max(-1, res.ResetAfter)
	res.Window = max(-1, res.Window)
	return res
}

// next returns how long it is until a token is there, or a bucket full. It is 0
// if nothing will change.
func (m *keyedModel) next() time.Duration {
	next := time.Duration(0)
	if m.frozen {
		return 0
	}
	m.live()
	for b := range m.all() {
		m.fill(b)
		if b.have < m.worth(m.burst) {
			if d := m.interval - (b.have%m.interval+m.interval)%m.interval; next == 0 || d < next {
				next = d
			}
		}
	}
	return next
}

// full returns how long it is until all buckets are full.
func (m *keyedModel) full() time.Duration {
	full := time.Duration(0)
	for b := range m.all() {
		m.fill(b)
		full = max(full, m.delay(b, m.burst))
	}
	return full
}

func (m *keyedModel) all() func(func(*keyedBucket) bool) {
	return func(yield func(*keyedBucket) bool) {
		for _, b := range m.own {
			if !yield(b) {
				return
			}
		}
		yield(m.shared)
	}
}

func (m *keyedModel) sleep(d time.Duration) {
	m.now += d
	for b := range m.all() {
		if len(b.line) > 0 {
			m.fill(b)
		}
	}
}

// A keyedWaiter is one that waits, in the model and really.
type keyedWaiter struct {
	key    int
	bucket *keyedBucket
	served time.Duration // when the model served it, or negative
	cancel context.CancelCauseFunc
	cause  error
	gone   time.Duration // when it was cancelled, or negative

	end chan keyedEnd // what Wait returned
}

type keyedEnd struct {
	at  time.Duration
	err error
}

// The alphabets of a script, which is a sequence of triples of them.
const (
	keyedKeys       = "abcdefghijkl"
	keyedOperations = "1" + "A" + // take one: Take, Allow
		"0" + "23" + "B" + // Take: none, some, the burst
		"b-" + // and what is never granted: more than that, and less than none
		"w" + // wait
		"tT" + // with a deadline: when it would be due, and 1ns later
		"x" + // with a context that has ended
		"cC" // cancel the first who waits for the key, the last of all
	keyedSleeps = " " + // none
		".,-" + // 1ns, half of the interval, all of it
		"nm" + // until something changes, 1ns before that
		"f" + // until all is full
		"hdy" // an hour, a day, ten years
)

var (
	keyedIntervals = []time.Duration{
		time.Second, 100 * time.Millisecond, time.Microsecond, 1, 8 * time.Second, 1 << 9 * time.Second, 0,
	}
	keyedBursts  = []int{1, 2, 3, 10, 1000, 0}
	keyedMaxKeys = []int{1, 2, 3, 4, 8, 11, 12, 3000}
)

// The time of a bubble ends in 2262, and what is waited for has to be before.
const keyedLimit = 200 * 365 * 24 * time.Hour

// A keyedScript is played on a Keyed and on the model at the same time.
type keyedScript struct {
	t       *testing.T
	k       *ratelimit.Keyed[int]
	m       *keyedModel
	start   time.Time
	waiters []*keyedWaiter // who still do, or did in the last step
	seen    map[int]bool   // the keys that were granted something
	played  strings.Builder
}

func pick(alphabet string, b byte) byte {
	if strings.IndexByte(alphabet, b) >= 0 {
		return b
	}
	return alphabet[int(b)%len(alphabet)]
}

// playKeyed plays a script. If it watches, it looks at all keys after each step.
func playKeyed(t *testing.T, settings [3]byte, ops []byte, watch bool) {
	t.Helper()
	interval := keyedIntervals[int(settings[0])%len(keyedIntervals)]
	burst := keyedBursts[int(settings[1])%len(keyedBursts)]
	maxKeys := keyedMaxKeys[int(settings[2])%len(keyedMaxKeys)]
	s := &keyedScript{t: t, m: newKeyedModel(interval, burst, maxKeys), start: time.Now(), seen: map[int]bool{}}
	s.k = ratelimit.NewKeyed[int](s.m.rate(), burst, maxKeys)
	fmt.Fprintf(&s.played, "every %v, burst %d, maxKeys %d: ", interval, burst, maxKeys)
	defer func() {
		for _, w := range s.waiters {
			w.cancel(nil)
		}
		synctest.Wait()
	}()
	for len(ops) >= 3 {
		key, op, sleep := pick(keyedKeys, ops[0]), pick(keyedOperations, ops[1]), pick(keyedSleeps, ops[2])
		ops = ops[3:]
		fmt.Fprintf(&s.played, "%c%c%c", key, op, sleep)
		s.operate(int(key), op)
		s.compare()
		s.sleep(sleep)
		s.compare()
		if watch {
			for i := range len(keyedKeys) {
				s.take(int(keyedKeys[i]), 0)
			}
		}
	}
	s.sleep('f')
	s.compare()
	for i := range len(keyedKeys) {
		s.take(int(keyedKeys[i]), 1)
	}
}

func (s *keyedScript) operate(key int, op byte) {
	switch op {
	case 'A':
		want := s.m.take(key, 1).OK
		require.Equal(s.t, want, s.k.Allow(key), "after %s", &s.played)
		s.seen[key] = s.seen[key] || want
	case '0', '1', '2', '3':
		s.take(key, int(op-'0'))
	case 'B':
		s.take(key, s.m.burst)
	case 'b':
		s.take(key, s.m.burst+1)
	case '-':
		s.take(key, -1)
	case 'w':
		s.wait(key, -1)
	case 't':
		s.wait(key, s.m.delay(s.m.bucket(key), 1))
	case 'T':
		s.wait(key, s.m.delay(s.m.bucket(key), 1)+1)
	case 'x':
		ctx, cancel := context.WithCancel(s.t.Context())
		cancel()
		require.ErrorIs(s.t, s.k.Wait(ctx, key), context.Canceled, "after %s", &s.played)
	case 'c':
		s.cancel(slices.IndexFunc(s.waiters, func(w *keyedWaiter) bool { return w.key == key }))
	case 'C':
		s.cancel(len(s.waiters) - 1)
	}
}

func (s *keyedScript) take(key, n int) {
	s.t.Helper()
	want := s.m.take(key, n)
	require.Equal(s.t, want, plain(s.k.Take(key, n)), "Take(%c, %d) after %s", key, n, &s.played)
	s.seen[key] = s.seen[key] || want.OK && n > 0
}

// wait begins a Wait, with a timeout unless that is negative.
func (s *keyedScript) wait(key int, timeout time.Duration) {
	b := s.m.bucket(key)
	w := &keyedWaiter{key: key, bucket: b, served: -1, gone: -1, end: make(chan keyedEnd, 1)}
	ctx, cancel := cancelOrTimeout(s.t.Context(), timeout)
	w.cancel = cancel
	delay := s.m.delay(b, 1)
	switch {
	case timeout == 0 || s.m.burst == 0 || timeout > 0 && (timeout <= delay || s.m.frozen && delay > 0):
		err := s.k.Wait(ctx, key)
		cancel(nil)
		s.refused(err, timeout, delay)
		return
	case delay == 0:
		b.have -= s.m.interval
		w.served = s.m.now
	default:
		b.line = append(b.line, w)
	}
	s.m.keep(key, b)
	s.seen[key] = true
	s.waiters = append(s.waiters, w)
	go func() {
		err := s.k.Wait(ctx, key)
		w.end <- keyedEnd{time.Since(s.start), err}
	}()
	synctest.Wait()
}

// refused looks at the error of a wait that could not be.
func (s *keyedScript) refused(err error, timeout, delay time.Duration) {
	s.t.Helper()
	var limit *ratelimit.LimitError
	switch {
	case timeout == 0:
		require.ErrorIs(s.t, err, context.DeadlineExceeded, "after %s", &s.played)
	case s.m.burst == 0:
		require.ErrorIs(s.t, err, ratelimit.ErrExceedsBurst, "after %s", &s.played)
	default:
		require.ErrorAs(s.t, err, &limit, "after %s", &s.played)
		require.ErrorIs(s.t, err, ratelimit.ErrLimited)
		require.ErrorIs(s.t, err, context.DeadlineExceeded)
		require.Equal(s.t, s.m.orNever(delay), max(-1, limit.After), "after %s", &s.played)
	}
}

func (s *keyedScript) cancel(i int) {
	if i < 0 {
		return
	}
	w := s.waiters[i]
	w.gone = s.m.now
	w.cause = errors.New("given up")
	b := w.bucket
	b.line = slices.DeleteFunc(b.line, func(other *keyedWaiter) bool { return other == w })
	w.cancel(w.cause)
	synctest.Wait()
}

func (s *keyedScript) sleep(op byte) {
	var d time.Duration
	switch op {
	case '.':
		d = 1
	case ',':
		d = s.m.interval / 2
	case '-':
		d = s.m.interval
	case 'n':
		d = s.m.next()
	case 'm':
		d = max(0, s.m.next()-1)
	case 'f':
		d = s.m.full()
	case 'h':
		d = time.Hour
	case 'd':
		d = 24 * time.Hour
	case 'y':
		d = 10 * 365 * 24 * time.Hour
	}
	if s.m.now+d > keyedLimit {
		return
	}
	time.Sleep(d)
	synctest.Wait()
	s.m.sleep(d)
}

// compare compares those who wait, and the number of buckets, with the model.
func (s *keyedScript) compare() {
	s.t.Helper()
	s.waiters = slices.DeleteFunc(s.waiters, func(w *keyedWaiter) bool {
		select {
		case end := <-w.end:
			s.requireEnd(w, end)
			w.cancel(nil)
			return true
		default:
			require.Negative(s.t, w.gone, "a cancelled wait goes on after %s", &s.played)
			require.Negative(s.t, w.served, "a wait for %c goes on after %s", w.key, &s.played)
			return false
		}
	})
	require.LessOrEqual(s.t, s.k.Len(), min(s.m.maxKeys, len(s.seen)), "after %s", &s.played)
	require.GreaterOrEqual(s.t, s.k.Len(), s.m.live(), "after %s", &s.played)
}

func (s *keyedScript) requireEnd(w *keyedWaiter, end keyedEnd) {
	s.t.Helper()
	if w.gone >= 0 {
		require.Equal(s.t, w.gone, end.at, "end of a cancelled wait after %s", &s.played)
		require.ErrorIs(s.t, end.err, context.Canceled, "after %s", &s.played)
		require.ErrorIs(s.t, end.err, w.cause, "after %s", &s.played)
		return
	}
	require.NoError(s.t, end.err, "wait for %c after %s", w.key, &s.played)
	require.Equal(s.t, w.served, end.at, "end of a wait for %c after %s", w.key, &s.played)
}

// FuzzKeyed plays scripts on a Keyed and on the model.
func FuzzKeyed(f *testing.F) {
	for _, seed := range []struct {
		interval, burst, maxKeys byte
		ops                      string
	}{
		{0, 1, 7, "a1 a1 a1.b1ma1.a1 a2na2-a2 "},                    // on its own each
		{0, 1, 0, "a1,b1 b1 b1 c1 a1 c1-c0nb1 c1na1 "},              // one bucket, and that for all others
		{0, 2, 1, "aB bB c1 d2 e1na1 bB fc1 d1 e1 "},                // two, and room later
		{1, 0, 1, "a1 b1 c1 d1 e1ma1 c1.c1 d1 a1 b1 "},              // full at the same time
		{0, 0, 7, "a1 aw aw aw c1,ac nA1 aA na1 -a1 "},              // in line, and one leaves it
		{0, 0, 7, "aw at aT at aC aC at na1 fA1 "},                  // deadlines
		{0, 0, 0, "a1 b1 bw cw dw cc nb1 na1 fb1 "},                 // in line at the bucket of all others
		{0, 1, 0, "aw aw bw bw bw cw ac bc nnnbw fcw "},             // in both
		{6, 1, 1, "a1 a1 a1 aw at aT b1 c1 c1 c1 aCybw ccfb2 "},     // nothing ever comes
		{0, 5, 1, "a1 a0 aw aT ab fbw "},                            // nothing is ever there
		{5, 4, 2, "aB bB cB dB ewyfwya1yb1yc1yd1yawyfB aB "},        // years
		{3, 4, 1, "aB bB cB dw.dw.a3.b3.c3.d3nawhaB cB dB "},        // each nanosecond
		{5, 3, 3, "aB aw aw awdawhaw.aCna1maw.a1 bw yaB cB dB eB "}, // days in line
		{2, 3, 2, "ab bb c- dx e0 fx a0 b0 "},                       // what makes no bucket
	} {
		f.Add(seed.interval, seed.burst, seed.maxKeys, []byte(seed.ops))
	}
	f.Fuzz(func(t *testing.T, interval, burst, maxKeys byte, ops []byte) {
		if len(ops) > 300 {
			return
		}
		for _, watch := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				playKeyed(t, [3]byte{interval, burst, maxKeys}, ops, watch)
			})
		}
	})
}

// Scripts of the usual operations agree with the model, too.
func TestKeyed_likeModel(t *testing.T) {
	const usual, sleeps = "1111111AAAAA022233BBb-wwwwwwtTxccC", "                ....,,,,--------nnnnnnnnmmmmmfhdy"
	for seed := range uint64(700) {
		r := rand.New(rand.NewPCG(seed, 0))
		settings := [3]byte{byte(r.UintN(256)), byte(r.UintN(256)), byte(r.UintN(256))}
		some := 1 + r.IntN(len(keyedKeys))
		var ops []byte
		for range r.IntN(60) {
			ops = append(ops, keyedKeys[r.IntN(some)], usual[r.IntN(len(usual))], sleeps[r.IntN(len(sleeps))])
		}
		synctest.Test(t, func(t *testing.T) { playKeyed(t, settings, ops, seed%2 == 0) })
	}
}
