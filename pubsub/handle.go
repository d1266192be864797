package pubsub

import (
	"bytes"
	"context"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/seed4886185c/concert/internal/panics"
)

// run calls the handler with events until the subscription ends.
func (s *Subscription[T]) run() {
	s.goroutine.Store(goroutineID()) // before it reads anything: others may wait for it then
	returned := false
	defer func() {
		if returned {
			s.exit()
			return
		}
		s.fail(ErrGoexit)
		go s.run() // in the place of the goroutine that ends
	}()
	for !s.work() {
	}
	returned = true
}

// work calls the handler with events until it panics, or, when it reports true,
// until the subscription ends.
func (s *Subscription[T]) work() (finished bool) {
	defer func() {
		if v := recover(); v != nil {
			s.fail(panics.New(v))
		}
	}()
	for {
		v, missed, ok := s.read()
		switch {
		case missed > 0: // Missed tells
		case !ok:
			return true
		case s.wants(v):
			if s.options.once {
				s.end(nil, false)
			}
			if err := s.handle(s.ctx, v); err != nil {
				s.fail(err)
			}
		}
	}
}

// fail notes an error of the handler.
func (s *Subscription[T]) fail(err error) {
	err = &ListenerError{Name: s.name(), Err: err}
	s.errs.add(err)
	s.topic.errs.add(err)
}

// exit is what the goroutine does last.
func (s *Subscription[T]) exit() {
	t := s.topic
	s.batch = nil
	s.cancel()
	if s.unwatch != nil {
		s.unwatch()
	}
	if s.out != nil {
		close(s.out)
	}
	close(s.done)
	t.mu.Lock()
	if s.waitedFor {
		if t.handlers--; t.handlers == 0 && t.closed {
			close(t.drained)
		}
	}
	t.mu.Unlock()
	if t.unused != nil {
		t.unused()
	}
}

// A handlerContext is what handlers are called with. It has a value for the
// account of its Topic or Bus.
type handlerContext struct {
	context.Context //nolint:containedctx // it is one

	account *account
}

func (c handlerContext) Value(key any) any { //nolint:ireturn // as context has it
	if key == any(c.account) {
		return true
	}
	return c.Context.Value(key)
}

// handledBy reports whether ctx is that of a handler of the Topic, or Bus, that
// the account is of.
func handledBy(ctx context.Context, a *account) bool { return ctx.Value(a) != nil }

// stops has, for each goroutine that waits in Stop, the goroutine of the
// handler for which it waits.
var stops = struct { //nolint:gochecknoglobals // goroutines are global, too
	sync.Mutex

	waitsFor map[uint64]uint64
}{waitsFor: map[uint64]uint64{}}

// join waits until done is closed, which is done by the goroutine of a handler;
// but not if that is the caller's, or waits, maybe by way of others, for that.
//
// Stop has no context that could tell on whose behalf it is called; hence the
// numbers of goroutines.
func join(done <-chan struct{}, goroutine *atomic.Uint64) {
	for range patience {
		if isClosed(done) {
			return
		}
		runtime.Gosched()
	}
	me, other := goroutineID(), goroutine.Load()
	stops.Lock()
	for id, waits := other, true; waits; id, waits = stops.waitsFor[id] {
		if id == me {
			stops.Unlock()
			return
		}
	}
	stops.waitsFor[me] = other
	stops.Unlock()

	<-done

	stops.Lock()
	delete(stops.waitsFor, me)
	stops.Unlock()
}

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// goroutineID returns the number of the goroutine, which is what a stack begins
// with: "goroutine 7 [running]:".
func goroutineID() uint64 {
	var stack [32]byte
	text, _ := bytes.CutPrefix(stack[:runtime.Stack(stack[:], false)], []byte("goroutine "))
	number, _, _ := bytes.Cut(text, []byte(" "))
	id, _ := strconv.ParseUint(string(number), 10, 64)
	return id
}
