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

	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/ratelimit"
)

// A slowPlace is one who wants a place, or has it.
type slowPlace struct {
	until int64 // when its context ends; -1 if only by cancel
	ctx   context.Context
	end   context.CancelCauseFunc
	got   <-chan error
}

// A slowBulkhead is a model of a Bulkhead: lists of those who are in it, and
// of those who wait, in the order in which they came.
type slowBulkhead struct {
	places, queue int
	now           int64
	in            int
	waiting       []*slowPlace
}

// acquire tells what becomes of p: in, waiting, or neither because it is full.
func (m *slowBulkhead) acquire(p *slowPlace) (in, waits bool) {
	switch {
	case m.in < m.places:
		m.in++
		return true, false
	case m.queue >= 0 && len(m.waiting) >= m.queue:
		return false, false
	}
	m.waiting = append(m.waiting, p)
	return false, true
}

// release returns who gets the place; ok is false if there was nothing to
// give back.
func (m *slowBulkhead) release() (next *slowPlace, ok bool) {
	switch {
	case m.in == 0:
		return nil, false
	case len(m.waiting) == 0:
		m.in--
		return nil, true
	}
	next, m.waiting = m.waiting[0], m.waiting[1:]
	return next, true
}

// leave takes p from the queue.
func (m *slowBulkhead) leave(p *slowPlace) {
	m.waiting = slices.DeleteFunc(m.waiting, func(w *slowPlace) bool { return w == p })
}

// sleep lets d pass, and returns whose contexts end.
func (m *slowBulkhead) sleep(d int64) []*slowPlace {
	m.now += d
	var gone []*slowPlace
	for _, p := range m.waiting {
		if p.until >= 0 && p.until <= m.now {
			gone = append(gone, p)
		}
	}
	for _, p := range gone {
		m.leave(p)
	}
	return gone
}

// bulkheadOperations are what a script may do.
const bulkheadOperations = "tT" + // TryAcquire
	"aaaA" + // Acquire, with a context that is not canceled before its time
	"w123" + // Acquire, until a deadline
	"e" + // Acquire with a context that has ended
	"rrrr" + // Release
	"R" + // two Releases without a pause
	"cC" + // cancel the first, the last who waits
	"x" + // cancel the first while a place is given to it
	"X" + // give a place to the first while it is canceled
	".,;" // sleep

type bulkheadScript struct {
	t    *testing.T
	b    *ratelimit.Bulkhead
	m    *slowBulkhead
	done []string // for messages
}

// requireLikeModel does ops with a Bulkhead and with its model.
func requireLikeModel(t *testing.T, places, queue byte, ops []byte) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &bulkheadScript{t: t, m: &slowBulkhead{places: 1 + int(places%4), queue: int(queue%6) - 1}}
		s.b = ratelimit.NewBulkhead(s.m.places, s.m.queue)
		s.done = append(s.done, fmt.Sprintf("NewBulkhead(%d, %d)", s.m.places, s.m.queue))
		for _, op := range ops {
			op = bulkheadOperations[int(op)%len(bulkheadOperations)]
			s.done = append(s.done, string(op))
			s.operate(op)
			s.compare()
			synctest.Wait()
			s.compare()
		}
		for len(s.m.waiting) > 0 {
			s.cancel(s.m.waiting[0])
		}
		for s.m.in > 0 {
			s.release()
		}
		requireUnused(t, s.b, s.m.places)
	})
}

func (s *bulkheadScript) compare() {
	s.t.Helper()
	require.Equal(s.t, s.m.in, s.b.InUse(), "in use after %v", s.done)
	require.Len(s.t, s.m.waiting, s.b.Waiting(), "waiting after %v", s.done)
	for i, w := range s.m.waiting {
		require.True(s.t, isWaiting(w.got), "waiter %d after %v", i, s.done)
	}
}

func (s *bulkheadScript) operate(op byte) {
	s.t.Helper()
	switch op {
	case 't', 'T':
		want := s.m.in < s.m.places
		require.Equal(s.t, want, s.b.TryAcquire(), "%v", s.done)
		if want {
			s.m.in++
		}
	case 'a', 'A':
		s.acquire(-1)
	case 'w':
		s.acquire(int64(time.Second))
	case '1', '2', '3':
		s.acquire(int64(op - '0'))
	case 'e':
		s.acquireEnded()
	case 'r':
		s.release()
	case 'R':
		s.releaseTwice()
	case 'c', 'C':
		if n := len(s.m.waiting); n > 0 {
			s.cancel(s.m.waiting[map[byte]int{'c': 0, 'C': n - 1}[op]])
		}
	case 'x', 'X':
		s.cancelWhileReleased(op == 'x')
	case '.', ',', ';':
		s.sleep(map[byte]int64{'.': 1, ',': 2, ';': int64(time.Second)}[op])
	}
}

// acquire lets one come who gives up after d, if that is not negative.
func (s *bulkheadScript) acquire(d int64) {
	s.t.Helper()
	p := &slowPlace{until: -1}
	ctx := s.t.Context()
	if d >= 0 {
		p.until = s.m.now + d
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(d))
		s.t.Cleanup(cancel)
	}
	p.ctx, p.end = context.WithCancelCause(ctx)
	s.t.Cleanup(func() { p.end(nil) })
	p.got = acquireLater(p.ctx, s.b)
	synctest.Wait()
	switch in, waits := s.m.acquire(p); {
	case in:
		s.requireIn(p)
	case !waits:
		require.False(s.t, isWaiting(p.got), "%v", s.done)
		require.ErrorIs(s.t, <-p.got, ratelimit.ErrFull, "%v", s.done)
	}
}

// acquireEnded lets one come whose context has ended. Which error it gets when
// it is full, too, is not said.
func (s *bulkheadScript) acquireEnded() {
	s.t.Helper()
	ctx, cancel := context.WithCancelCause(s.t.Context())
	cancel(errGaveUp)
	err := s.b.Acquire(ctx)
	require.Error(s.t, err, "%v", s.done)
	if s.m.queue < 0 || len(s.m.waiting) < s.m.queue || s.m.in < s.m.places {
		requireEnded(s.t, ctx, err)
	}
}

func (s *bulkheadScript) requireIn(p *slowPlace) {
	s.t.Helper()
	require.False(s.t, isWaiting(p.got), "%v", s.done)
	require.NoError(s.t, <-p.got, "%v", s.done)
}

func (s *bulkheadScript) release() {
	s.t.Helper()
	next, ok := s.m.release()
	if !ok {
		requireOurPanic(s.t, s.b.Release)
		return
	}
	s.b.Release()
	s.compare() // before next has run
	synctest.Wait()
	if next != nil {
		s.requireIn(next)
	}
}

func (s *bulkheadScript) releaseTwice() {
	s.t.Helper()
	if s.m.in < 2 {
		return
	}
	first, _ := s.m.release()
	s.b.Release()
	second, _ := s.m.release()
	s.b.Release()
	s.compare()
	synctest.Wait()
	for _, p := range []*slowPlace{first, second} {
		if p != nil {
			s.requireIn(p)
		}
	}
}

func (s *bulkheadScript) cancel(p *slowPlace) {
	s.t.Helper()
	p.end(errGaveUp)
	synctest.Wait()
	s.m.leave(p)
	requireEnded(s.t, p.ctx, <-p.got)
}

// cancelWhileReleased lets a place and the end of the context of who waits
// first come at once. Either may win, but if it gets nothing, the next does.
func (s *bulkheadScript) cancelWhileReleased(cancelFirst bool) {
	s.t.Helper()
	if s.m.in == 0 || len(s.m.waiting) == 0 {
		return
	}
	p := s.m.waiting[0]
	if cancelFirst {
		p.end(errGaveUp)
		s.b.Release()
	} else {
		s.b.Release()
		p.end(errGaveUp)
	}
	synctest.Wait()
	require.False(s.t, isWaiting(p.got), "%v", s.done)
	if err := <-p.got; err != nil {
		requireEnded(s.t, p.ctx, err)
		s.m.leave(p)
	}
	if next, _ := s.m.release(); next != nil && next != p {
		s.requireIn(next)
	}
}

func (s *bulkheadScript) sleep(d int64) {
	s.t.Helper()
	time.Sleep(time.Duration(d))
	synctest.Wait()
	for _, p := range s.m.sleep(d) {
		require.False(s.t, isWaiting(p.got), "%v", s.done)
		requireEnded(s.t, p.ctx, <-p.got)
	}
}

func FuzzBulkhead(f *testing.F) {
	for _, script := range []string{
		"aaaaarrrrr",
		"taaaraarcCrr",
		"aa12.3,rrr",
		"aaaaRRRtttt",
		"aaaxaaXaarrr",
		"aeeaaeerr",
		"aw;r" + "r",
	} {
		for places := range byte(3) {
			for queue := range byte(4) {
				ops := []byte(script)
				for i, op := range ops {
					ops[i] = byte(strings.IndexByte(bulkheadOperations, op))
				}
				f.Add(places, queue, ops)
			}
		}
	}
	f.Fuzz(func(t *testing.T, places, queue byte, ops []byte) {
		requireLikeModel(t, places, queue, ops[:min(len(ops), 200)])
	})
}

func TestBulkhead_likeModel(t *testing.T) {
	for seed := range uint64(400) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		ops := make([]byte, 100)
		for i := range ops {
			ops[i] = byte(rnd.IntN(256))
		}
		requireLikeModel(t, byte(rnd.IntN(256)), byte(rnd.IntN(256)), ops)
	}
}
