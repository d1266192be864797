package pubsub

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/seed4886185c/concert/internal/panics"
)

// An Emitter calls its listeners with an event, and waits for them: each is
// called, whatever the others do. The zero value is ready to use. An Emitter
// must not be copied.
type Emitter[T any] struct {
	limit atomic.Int64 // 0 means none

	mu        sync.Mutex // guards changes of listeners, and added
	listeners atomic.Pointer[[]entry[T]]
	added     int64
}

// An entry is a listener, and beside each other what is looked at for each
// event.
type entry[T any] struct {
	handle Handler[T]
	once   bool
	*listener
}

type listener struct {
	name   string
	number int64
	off    atomic.Bool // it is not to be called any more
}

// On adds a listener, and returns the function that removes it, and no other,
// even if the same function was added twice. That may be called again. No Emit
// that begins after it has returned calls h; one that is under way may still be
// about to, and is not waited for.
//
// With [Once] and [Named]. On panics if h is nil.
func (e *Emitter[T]) On(h Handler[T], opts ...ListenOption) (off func()) {
	if h == nil {
		panic("pubsub: On with a nil function")
	}
	var s settings
	for _, o := range opts {
		o.subscribe(&s)
	}
	l := &listener{name: s.name}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.added++
	l.number = e.added
	e.store(append(e.load(), entry[T]{h, s.once, l}))
	return func() { e.remove(l) }
}

// SetLimit lets at most n listeners run at the same time for one event. With 1,
// they run in the goroutine that calls [Emitter.Emit], in the order in which
// they were added. With 0, as at first, there is no limit. It holds for the
// calls of Emit that begin after it. SetLimit panics if n is negative.
func (e *Emitter[T]) SetLimit(n int) {
	if n < 0 {
		panic("pubsub: negative limit")
	}
	e.limit.Store(int64(n))
}

// Len returns the number of listeners.
func (e *Emitter[T]) Len() int { return len(e.load()) }

// Emit calls all listeners with ctx and v, in other goroutines, as many at the
// same time as SetLimit says, and returns when all have returned. Its error
// joins a [*ListenerError] for each that failed, in the order in which the
// listeners were added. It calls them even if ctx has ended: that is theirs to
// look at.
//
// A listener may emit, add and remove; who is added meanwhile gets the next
// event. With a limit of 1, a listener that calls [runtime.Goexit]
// ends the goroutine of the caller, but not before the others have run; their
// errors are lost then.
func (e *Emitter[T]) Emit(ctx context.Context, v T) error {
	all := e.load()
	if e.limit.Load() == 1 {
		var errs []error
		for next := 0; next < len(all); {
			next = e.inline(ctx, v, all, next, &errs)
		}
		if errs == nil {
			return nil
		}
		return errors.Join(errs...)
	}
	if len(all) == 0 {
		return nil
	}
	return errors.Join(e.concurrent(ctx, v, all)...)
}

// inline calls the listeners from the number next on, up to the first that
// panics, and returns the number of the one after that.
func (e *Emitter[T]) inline(ctx context.Context, v T, all []entry[T], from int, errs *[]error) (next int) {
	next = from
	defer func() {
		if next >= len(all) {
			return
		}
		if value := recover(); value != nil {
			*errs = append(*errs, all[next].failed(panics.New(value)))
			next++
			return
		}
		for next++; next < len(all); { // Goexit; the others run before the goroutine ends
			next = e.inline(ctx, v, all, next, errs)
		}
	}()
	for i := from; i < len(all); i++ {
		next = i
		l := &all[i]
		if l.off.Load() || l.once && !e.claim(l) {
			continue
		}
		if err := l.handle(ctx, v); err != nil {
			*errs = append(*errs, l.failed(err))
		}
	}
	next = len(all)
	return next
}

// concurrent returns the error of each listener.
func (e *Emitter[T]) concurrent(ctx context.Context, v T, all []entry[T]) []error {
	var (
		wg   sync.WaitGroup
		next atomic.Int64 // the number of the listener that nobody has taken
		errs = make([]error, len(all))
		work func()
	)
	work = func() {
		for {
			i := int(next.Add(1)) - 1
			if i >= len(all) {
				return
			}
			if l := &all[i]; !l.off.Load() && (!l.once || e.claim(l)) {
				returned := false
				func() {
					defer func() {
						if value := recover(); value != nil {
							errs[i] = panics.New(value)
						} else if !returned {
							errs[i] = ErrGoexit
							wg.Go(work) // in the place of the goroutine that ends
						}
					}()
					errs[i] = l.handle(ctx, v)
					returned = true
				}()
			}
		}
	}
	workers := len(all)
	if limit := e.limit.Load(); limit > 0 {
		workers = int(min(limit, int64(workers)))
	}
	for range workers {
		wg.Go(work)
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			errs[i] = all[i].failed(err)
		}
	}
	return errs
}

// remove takes l off the listeners, if it is one of them.
func (e *Emitter[T]) remove(l *listener) {
	l.off.Store(true)
	e.mu.Lock()
	defer e.mu.Unlock()
	all := e.load()
	if i := slices.IndexFunc(all, func(o entry[T]) bool { return o.listener == l }); i >= 0 {
		e.store(slices.Concat(all[:i], all[i+1:]))
	}
}

// load returns the listeners. Nobody changes those that are in the slice; only
// On appends to it, to the latest.
func (e *Emitter[T]) load() []entry[T] {
	if p := e.listeners.Load(); p != nil {
		return *p
	}
	return nil
}

func (e *Emitter[T]) store(all []entry[T]) { e.listeners.Store(&all) }

// claim takes a listener off that is to be called once, and reports whether it
// was the caller who did.
func (e *Emitter[T]) claim(l *entry[T]) bool {
	won := l.off.CompareAndSwap(false, true)
	if won {
		e.remove(l.listener)
	}
	return won
}

func (l *listener) failed(err error) error {
	return &ListenerError{Name: nameOf(l.name, l.number), Err: err}
}

// nameOf returns the name, or what stands for it where there is none.
func nameOf(name string, number int64) string {
	if name == "" {
		return "#" + strconv.FormatInt(number, 10)
	}
	return name
}
