package gather

import (
	"context"
	"errors"
	"strconv"
	"sync"

	"golang.org/x/sync/singleflight"
)

// errDeserted is why a run of a Flight is cancelled.
var errDeserted = errors.New("gather: nobody waits for this call any more")

// A Flight shares one run of a function among all who ask for the same key
// while it lasts. It keeps nothing after that; before a cache it prevents a
// stampede. There the function should look into the cache once more, for a run
// may have ended since its caller did.
//
// Unlike [singleflight.Group], on which it is built, a Flight has keys and
// values of any type, lets each caller leave when the caller's own context
// ends, and hands panics and Goexit to all callers as errors.
//
// The zero Flight is ready. It may be used by several goroutines at once, and
// must not be copied.
type Flight[K comparable, V any] struct {
	group singleflight.Group

	mu      sync.Mutex    // guards the fields below
	flying  map[K]*flight // what the next Do of a key joins or waits for
	flights uint64        // how many there have been, for their ids
}

// A flight is one run for a key.
type flight struct {
	id     string                  // its key in the singleflight group
	cancel context.CancelCauseFunc // of the context of the run
	done   chan struct{}           // closed by the run at its end

	waiting int   // callers, guarded by mu; at 0 the run is cancelled and cannot be joined
	shared  bool  // more than one has called; guarded by mu, final once done is closed
	err     error // what the run came to, set before done is closed
	exited  bool  // its goroutine exits, so that singleflight delivers nothing; set before done is closed
}

// Do returns what fn returns, or, if a run for key is under way, what that
// one returns, without calling fn. The value is the same for all callers, so
// none may change or close it; shared tells whether others have asked too.
//
// The function runs in a goroutine of its own, with the values of the context
// of the caller who started it but not with its end. Its context is cancelled
// when the last of its callers has left, and what it then returns is dropped.
// If it returns before that, its context is left alone, for the value may
// depend on it. As all callers get the value, it should not depend on who the
// first one was.
//
// A caller leaves when ctx ends: Do then returns at once, and its error matches
// the error and the cause of ctx. If ctx has already ended, Do does nothing
// else.
//
// If the last caller of a run has left, the next Do of its key waits until
// that run or its own ctx has ended, and then runs its own fn: the runs of a
// key do not overlap, but for [Flight.Forget]. So fn must not call Do for its
// own key.
//
// A panic in fn becomes a [*PanicError] for all callers, a Goexit becomes
// [ErrGoexit]. Do panics if fn is nil.
func (f *Flight[K, V]) Do(ctx context.Context, key K, fn Task[V]) (v V, shared bool, err error) {
	if fn == nil {
		panic("gather: Do of a nil function")
	}
	for ctx.Err() == nil {
		c, result := f.board(ctx, key, fn)
		if result == nil { // deserted, but not over
			select {
			case <-c.done:
			case <-ctx.Done():
			}
			continue
		}
		select {
		case <-c.done:
			if c.exited {
				return v, c.shared, c.err
			}
			r := <-result    // which is sent right after done is closed
			v, _ = r.Val.(V) // which fails for a nil interface only
			return v, c.shared, r.Err
		case <-ctx.Done():
			f.leave(c)
		}
	}
	return v, false, ended(nil, ctx)
}

// board returns the run that the caller takes part in from now on, with the
// channel of its result; or, with a nil channel, the deserted run that must
// end before there can be another.
func (f *Flight[K, V]) board(ctx context.Context, key K, fn Task[V]) (*flight, <-chan singleflight.Result) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.flying[key]
	switch {
	case c == nil:
		f.flights++
		c = &flight{id: strconv.FormatUint(f.flights, 36), done: make(chan struct{})}
		ctx, c.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
		if f.flying == nil {
			f.flying = make(map[K]*flight)
		}
		f.flying[key] = c
	case c.waiting == 0:
		return c, nil
	default:
		c.shared = true
	}
	c.waiting++
	// DoChan starts a goroutine at most; it neither calls fn nor waits. It does
	// not start a second run of c either: c is found in flying only until its
	// run is over, and singleflight forgets the id after that.
	return c, f.group.DoChan(c.id, func() (any, error) { return f.fly(ctx, c, key, fn) })
}

// fly is the run of c.
func (f *Flight[K, V]) fly(ctx context.Context, c *flight, key K, fn Task[V]) (v V, err error) {
	// fn may call Goexit and panic on the way out: what settle reports does not
	// tell whether the goroutine goes on.
	c.exited = true
	defer func() {
		f.mu.Lock()
		if f.flying[key] == c { // not so after Forget
			delete(f.flying, key)
		}
		f.mu.Unlock()
		close(c.done)
	}()
	settle(ctx, fn, func(r Result[V]) { v, c.err = r.Value, r.Err })
	c.exited = false
	return v, c.err
}

// leave takes a caller away from c.
func (f *Flight[K, V]) leave(c *flight) {
	f.mu.Lock()
	c.waiting--
	deserted := c.waiting == 0
	f.mu.Unlock()
	if deserted { // for good: nobody can join any more
		c.cancel(errDeserted)
	}
}

// Forget makes the next Do for key run its own fn at once, even while an
// earlier run is under way, whose callers still get its result. It thus frees a
// key, too, whose run was left by everybody but does not end.
func (f *Flight[K, V]) Forget(key K) {
	f.mu.Lock()
	delete(f.flying, key)
	f.mu.Unlock()
}
