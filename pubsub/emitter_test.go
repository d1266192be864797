package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/pubsub"
)

var errEmitter = errors.New("no such user")

// An emitterLog says which listeners were called, in the order of that.
type emitterLog struct {
	mu    sync.Mutex
	calls []string
}

// add returns a listener that notes its name, and then ends as after does.
func (l *emitterLog) add(name string, after func() error) pubsub.Handler[int] {
	return func(context.Context, int) error {
		l.mu.Lock()
		l.calls = append(l.calls, name)
		l.mu.Unlock()
		if after != nil {
			return after()
		}
		return nil
	}
}

// take returns the names, and forgets them.
func (l *emitterLog) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	calls := l.calls
	l.calls = nil
	return calls
}

// emitterErrors returns what Emit has joined.
func emitterErrors(t *testing.T, err error) (all []*pubsub.ListenerError) {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		var one *pubsub.ListenerError
		require.ErrorAs(t, err, &one)
		return append(all, one)
	}
	for _, err := range joined.Unwrap() {
		one, ok := errors.AsType[*pubsub.ListenerError](err)
		require.True(t, ok, "%T", err)
		all = append(all, one)
	}
	return all
}

// emitterPanics is to be found in a stack.
func emitterPanics() error { panic("out of mail") }

// emitterLimits are those with which an Emitter works differently.
var emitterLimits = []int{0, 1, 2, 3, 100}

// emitterEach runs the test with each limit.
func emitterEach(t *testing.T, test func(t *testing.T, e *pubsub.Emitter[int])) {
	t.Helper()
	for _, limit := range emitterLimits {
		t.Run(fmt.Sprintf("limit=%d", limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var e pubsub.Emitter[int]
				e.SetLimit(limit)
				test(t, &e)
			})
		})
	}
}

func TestEmitterZeroValue(t *testing.T) {
	var e pubsub.Emitter[string]
	assert.Zero(t, e.Len())
	require.NoError(t, e.Emit(t.Context(), "to nobody"))
	var got string
	e.On(func(_ context.Context, v string) error { got = v; return nil })
	assert.Equal(t, 1, e.Len())
	require.NoError(t, e.Emit(t.Context(), "to one"))
	assert.Equal(t, "to one", got)
}

func TestEmitterPanicDisturbsNoOther(t *testing.T) {
	emitterEach(t, func(t *testing.T, e *pubsub.Emitter[int]) {
		var log emitterLog
		e.On(log.add("profile", nil), pubsub.Named("profile"))
		e.On(log.add("mail", emitterPanics), pubsub.Named("mail"))
		e.On(log.add("audit", nil), pubsub.Named("audit"))
		for range 3 {
			err := e.Emit(t.Context(), 1)
			calls := log.take()
			slices.Sort(calls)
			assert.Equal(t, []string{"audit", "mail", "profile"}, calls)

			var listener *pubsub.ListenerError
			require.ErrorAs(t, err, &listener)
			assert.Equal(t, "mail", listener.Name)
			var panicked *pubsub.PanicError
			require.ErrorAs(t, err, &panicked)
			assert.Equal(t, "out of mail", panicked.Value)
			assert.Contains(t, string(panicked.Stack), "emitterPanics")
			for _, want := range []string{"mail", "out of mail", "emitterPanics"} {
				assert.Contains(t, err.Error(), want)
			}
			assert.Len(t, emitterErrors(t, err), 1)
		}
	})
}

func TestEmitterJoinsAllErrorsInOrder(t *testing.T) {
	emitterEach(t, func(t *testing.T, e *pubsub.Emitter[int]) {
		const n = 40 // more than a Topic keeps
		for i := range n {
			e.On(func(context.Context, int) error {
				time.Sleep(time.Duration(n-i) * time.Second) // the last returns first
				switch i % 4 {
				case 0:
					return fmt.Errorf("listener %d: %w", i, errEmitter)
				case 1:
					panic(fmt.Errorf("panic %d: %w", i, errEmitter))
				}
				return nil
			}, pubsub.Named(fmt.Sprint(i)))
		}
		err := e.Emit(t.Context(), 1)
		require.ErrorIs(t, err, errEmitter)
		errs := emitterErrors(t, err)
		require.Len(t, errs, n/2)
		for k, err := range errs {
			i := k/2*4 + k%2
			assert.Equal(t, fmt.Sprint(i), err.Name)
			require.ErrorIs(t, err, errEmitter)
			var panicked *pubsub.PanicError
			assert.Equal(t, k%2 == 1, errors.As(err, &panicked))
		}
	})
}

func TestEmitterPanicsOfAllKinds(t *testing.T) {
	emitterEach(t, func(t *testing.T, e *pubsub.Emitter[int]) {
		e.On(func(context.Context, int) error { panic(nil) })                     //nolint:govet // on purpose
		e.On(func(context.Context, int) error { var p *int; *p = 1; return nil }) //nolint:govet // on purpose
		e.On(func(context.Context, int) error { panic(errEmitter) })
		e.On(func(context.Context, int) error { defer func() { panic("again") }(); panic("first") })
		errs := emitterErrors(t, e.Emit(t.Context(), 1))
		require.Len(t, errs, 4)
		var nilPanic *runtime.PanicNilError
		require.ErrorAs(t, errs[0], &nilPanic)
		var runtimeError runtime.Error
		require.ErrorAs(t, errs[1], &runtimeError)
		require.ErrorIs(t, errs[2], errEmitter)
		assert.Contains(t, errs[3].Error(), "again")
	})
}

// emitterGoroutine tells goroutines apart.
func emitterGoroutine() string {
	stack := make([]byte, 64)
	id, _, _ := strings.Cut(string(stack[:runtime.Stack(stack, false)]), " [")
	return id
}

func TestEmitterInlineRunsInOrderInTheGoroutineOfTheCaller(t *testing.T) {
	var e pubsub.Emitter[int]
	e.SetLimit(1)
	var order []int // unguarded: the race detector would tell of another goroutine
	var goroutines []string
	for i := range 10 {
		e.On(func(context.Context, int) error {
			order = append(order, i)
			goroutines = append(goroutines, emitterGoroutine())
			if i%3 == 0 {
				panic(i)
			}
			return nil
		})
	}
	require.Error(t, e.Emit(t.Context(), 1))
	assert.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, order)
	assert.Equal(t, slices.Repeat([]string{emitterGoroutine()}, 10), goroutines)
}

func TestEmitterWithoutLimitUsesOtherGoroutines(t *testing.T) {
	var e pubsub.Emitter[int]
	for range 2 {
		e.On(func(context.Context, int) error { return errors.New(emitterGoroutine()) })
		for _, err := range emitterErrors(t, e.Emit(t.Context(), 1)) {
			assert.NotEqual(t, emitterGoroutine(), err.Err.Error())
		}
	}
}

func TestEmitterLimit(t *testing.T) {
	const listeners = 7
	for limit, want := range map[int]time.Duration{0: 1, 1: 7, 2: 4, 3: 3, 6: 2, 7: 1, 8: 1} {
		t.Run(fmt.Sprintf("limit=%d", limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var e pubsub.Emitter[int]
				e.SetLimit(limit)
				var inside, peak [2]atomic.Int32
				var calls atomic.Int32
				for range listeners {
					e.On(func(_ context.Context, v int) error {
						calls.Add(1)
						n := inside[v].Add(1)
						defer inside[v].Add(-1)
						for old := peak[v].Load(); n > old && !peak[v].CompareAndSwap(old, n); old = peak[v].Load() {
						}
						time.Sleep(time.Second)
						return nil
					})
				}
				start := time.Now()
				var wg sync.WaitGroup
				for v := range inside { // the limit is that of one event
					wg.Go(func() { assert.NoError(t, e.Emit(t.Context(), v)) })
				}
				wg.Wait()
				assert.Equal(t, want*time.Second, time.Since(start))
				assert.EqualValues(t, 2*listeners, calls.Load())
				for v := range peak {
					wantPeak := listeners
					if limit > 0 {
						wantPeak = min(limit, listeners)
					}
					assert.EqualValues(t, wantPeak, peak[v].Load())
				}
			})
		})
	}
}

// Only the call of Goexit ends a goroutine, not the error of it.
func TestEmitterLimitHoldsForAListenerThatReturnsErrGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e pubsub.Emitter[int]
		e.SetLimit(2)
		var inside atomic.Int32
		for i := range 6 {
			e.On(func(context.Context, int) error {
				assert.LessOrEqual(t, inside.Add(1), int32(2))
				defer inside.Add(-1)
				time.Sleep(time.Second)
				if i < 2 {
					return pubsub.ErrGoexit
				}
				return nil
			})
		}
		start := time.Now()
		assert.Len(t, emitterErrors(t, e.Emit(t.Context(), 1)), 2)
		assert.Equal(t, 3*time.Second, time.Since(start))
	})
}

func TestEmitterSetLimitHoldsForLaterEmits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e pubsub.Emitter[int]
		for range 4 {
			e.On(func(context.Context, int) error { time.Sleep(time.Second); return nil })
		}
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			assert.NoError(t, e.Emit(t.Context(), 1))
			assert.Equal(t, time.Second, time.Since(start), "all at once, as when it began")
		})
		synctest.Wait()
		e.SetLimit(1)
		require.NoError(t, e.Emit(t.Context(), 2))
		assert.Equal(t, 4*time.Second, time.Since(start))
		e.SetLimit(0)
		require.NoError(t, e.Emit(t.Context(), 3))
		assert.Equal(t, 5*time.Second, time.Since(start))
		wg.Wait()
	})
}

func TestEmitterSetLimitPanicsIfNegative(t *testing.T) {
	var e pubsub.Emitter[int]
	assert.Panics(t, func() { e.SetLimit(-1) })
	assert.Panics(t, func() { e.On(nil) })
	assert.Zero(t, e.Len())
}

// Up to four listeners, each of which fails in one of three ways.
func TestEmitterGoexitAmongOthers(t *testing.T) {
	ends := []func() error{
		func() error { return errEmitter },
		func() error { panic("out of mail") },
		func() error { runtime.Goexit(); return nil },
	}
	emitterEach(t, func(t *testing.T, e *pubsub.Emitter[int]) {
		for n, all := 1, 3; n <= 4; n, all = n+1, all*3 {
			for code := range all {
				var log emitterLog
				var names []string
				var offs []func()
				way := make([]int, n)
				for i, rest := 0, code; i < n; i, rest = i+1, rest/3 {
					way[i] = rest % 3
					names = append(names, fmt.Sprint(i))
					offs = append(offs, e.On(log.add(names[i], ends[way[i]]), pubsub.Named(names[i])))
				}
				var err error
				returned := false
				var wg sync.WaitGroup
				wg.Go(func() {
					err = e.Emit(t.Context(), 1)
					returned = true
				})
				wg.Wait()
				calls := log.take()
				slices.Sort(calls)
				require.Equal(t, names, calls)
				if returned {
					errs := emitterErrors(t, err)
					require.Len(t, errs, n)
					for i, err := range errs {
						var panicked *pubsub.PanicError
						assert.Equal(t, names[i], err.Name)
						assert.Equal(t, []bool{way[i] == 0, way[i] == 1, way[i] == 2},
							[]bool{errors.Is(err, errEmitter), errors.As(err, &panicked), errors.Is(err, pubsub.ErrGoexit)})
					}
				}
				for _, off := range offs {
					off()
				}
			}
		}
	})
}

func TestEmitterGoexitEndsTheCallerOnlyInline(t *testing.T) {
	for _, limit := range emitterLimits {
		for n := 1; n <= 3; n++ {
			for at := range n {
				var e pubsub.Emitter[int]
				e.SetLimit(limit)
				var after atomic.Int32
				for i := range n {
					e.On(func(context.Context, int) error {
						if i == at {
							runtime.Goexit()
						}
						after.Add(1)
						return nil
					})
				}
				returned := false
				var wg sync.WaitGroup
				wg.Go(func() {
					_ = e.Emit(context.WithoutCancel(t.Context()), 1)
					returned = true
				})
				wg.Wait()
				assert.Equal(t, limit != 1, returned, "limit %d, %d of %d", limit, at, n)
				assert.EqualValues(t, n-1, after.Load())
			}
		}
	}
}

func TestEmitterOnceAcrossConcurrentAndRecursiveEmits(t *testing.T) {
	emitterEach(t, func(t *testing.T, e *pubsub.Emitter[int]) {
		for range 20 {
			var once, always atomic.Int32
			for range 3 {
				e.On(func(ctx context.Context, v int) error {
					once.Add(1)
					if v < 3 {
						return e.Emit(ctx, v+1)
					}
					return nil
				}, pubsub.Once())
			}
			off := e.On(func(context.Context, int) error { always.Add(1); return nil })
			assert.Equal(t, 4, e.Len())
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() { assert.NoError(t, e.Emit(t.Context(), 0)) })
			}
			wg.Wait()
			assert.EqualValues(t, 3, once.Load())
			assert.EqualValues(t, 8+3, always.Load())
			assert.Equal(t, 1, e.Len())
			off()
		}
	})
}

func TestEmitterOnceThatFailsIsNotCalledAgain(t *testing.T) {
	emitterEach(t, func(t *testing.T, e *pubsub.Emitter[int]) {
		e.On(func(context.Context, int) error { return errEmitter }, pubsub.Once())
		e.On(func(context.Context, int) error { panic("out of mail") }, pubsub.Once(), pubsub.Named("mail"))
		assert.Len(t, emitterErrors(t, e.Emit(t.Context(), 1)), 2)
		require.NoError(t, e.Emit(t.Context(), 2))
		assert.Zero(t, e.Len())
	})
}

func TestEmitterOffOfOnce(t *testing.T) {
	emitterEach(t, func(t *testing.T, e *pubsub.Emitter[int]) {
		var log emitterLog
		off := e.On(log.add("removed", nil), pubsub.Once())
		off()
		fired := e.On(log.add("fired", nil), pubsub.Once())
		require.NoError(t, e.Emit(t.Context(), 1))
		e.On(log.add("other", nil))
		fired()
		off()
		assert.Equal(t, 1, e.Len())
		require.NoError(t, e.Emit(t.Context(), 2))
		assert.Equal(t, []string{"fired", "other"}, log.take())
	})
}

func TestEmitterOffRemovesThatOne(t *testing.T) {
	var e pubsub.Emitter[int]
	e.SetLimit(1)
	h := func(context.Context, int) error { return errEmitter }
	var offs []func()
	for _, name := range []string{"a", "b", "c", "d", "e"} { // the same function
		offs = append(offs, e.On(h, pubsub.Named(name)))
	}
	names := func() (all string) {
		for _, err := range emitterErrors(t, e.Emit(t.Context(), 1)) {
			all += err.Name
		}
		return all
	}
	assert.Equal(t, "abcde", names())
	offs[2]()
	assert.Equal(t, "abde", names())
	offs[2]()
	assert.Equal(t, "abde", names())
	assert.Equal(t, 4, e.Len())
	offs[0]()
	assert.Equal(t, "bde", names())
	e.On(h, pubsub.Named("f"))
	offs[0]()
	offs[4]()
	assert.Equal(t, "bdf", names())
}

// A listener may do anything to its Emitter.
func TestEmitterReentry(t *testing.T) {
	var e pubsub.Emitter[int]
	e.SetLimit(1)
	var log emitterLog
	var offs [3]func()
	offs[0] = e.On(log.add("first", nil))
	offs[1] = e.On(func(ctx context.Context, v int) error {
		if v == 1 {
			offs[0]()
			offs[1]() // itself
			offs[2]() // which is next
			e.On(log.add("added", nil))
			assert.Equal(t, 2, e.Len())
			e.SetLimit(3) // for the next
			return e.Emit(ctx, 2)
		}
		return nil
	})
	offs[2] = e.On(log.add("third", nil))
	e.On(log.add("last", nil))
	require.NoError(t, e.Emit(t.Context(), 1))
	calls := log.take()
	require.Len(t, calls, 4)
	slices.Sort(calls[1:3])
	assert.Equal(t, []string{"first", "added", "last", "last"}, calls, "the added one gets the event after")
}

func TestEmitterReentryAtTheSameTime(t *testing.T) {
	emitterEach(t, func(t *testing.T, e *pubsub.Emitter[int]) {
		var calls atomic.Int32
		for range 5 {
			var off func()
			off = e.On(func(ctx context.Context, depth int) error {
				calls.Add(1)
				if depth == 3 {
					return nil
				}
				off()
				e.On(func(context.Context, int) error { calls.Add(1); return nil }, pubsub.Once())
				return e.Emit(ctx, depth+1)
			})
		}
		require.NoError(t, e.Emit(t.Context(), 0))
		require.NoError(t, e.Emit(t.Context(), 3))
		assert.GreaterOrEqual(t, calls.Load(), int32(10))
		assert.Zero(t, e.Len())
	})
}

// What has not been called when off returns is not called by an Emit that is
// under way either.
func TestEmitterOffDuringEmit(t *testing.T) {
	for _, limit := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			var e pubsub.Emitter[int]
			e.SetLimit(limit)
			var log emitterLog
			gate := make(chan struct{})
			for range limit {
				e.On(func(context.Context, int) error { <-gate; return nil })
			}
			off := e.On(log.add("removed", nil))
			e.On(log.add("kept", nil))
			var wg sync.WaitGroup
			wg.Go(func() { assert.NoError(t, e.Emit(t.Context(), 1)) })
			synctest.Wait()
			off()
			close(gate)
			wg.Wait()
			assert.Equal(t, []string{"kept"}, log.take())
		})
	}
}

func TestEmitterOffDoesNotWaitForACall(t *testing.T) {
	emitterEach(t, func(t *testing.T, e *pubsub.Emitter[int]) {
		gate := make(chan struct{})
		off := e.On(func(context.Context, int) error { <-gate; return errEmitter })
		var wg sync.WaitGroup
		wg.Go(func() { assert.ErrorIs(t, e.Emit(t.Context(), 1), errEmitter) })
		synctest.Wait()
		off() // a deadlock otherwise
		assert.Zero(t, e.Len())
		close(gate)
		wg.Wait()
	})
}

func TestEmitterContext(t *testing.T) {
	emitterEach(t, func(t *testing.T, e *pubsub.Emitter[int]) {
		type key struct{}
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
		cancel()
		var calls atomic.Int32
		for range 3 {
			e.On(func(ctx context.Context, _ int) error {
				calls.Add(1)
				assert.Equal(t, "value", ctx.Value(key{}))
				return ctx.Err()
			})
		}
		err := e.Emit(ctx, 1)
		require.ErrorIs(t, err, context.Canceled)
		assert.Len(t, emitterErrors(t, err), 3)
		assert.EqualValues(t, 3, calls.Load(), "an ended context is for them to look at")
	})
}

func TestEmitterNames(t *testing.T) {
	var e pubsub.Emitter[int]
	h := func(context.Context, int) error { return errEmitter }
	off := e.On(h)
	e.On(h)
	e.On(h, pubsub.Named("audit"), pubsub.Once())
	off()
	e.On(h)
	var names []string
	for _, err := range emitterErrors(t, e.Emit(t.Context(), 1)) {
		names = append(names, err.Name)
	}
	assert.Equal(t, []string{"#2", "audit", "#4"}, names, "numbers are not given again")
}

func TestEmitterAllocations(t *testing.T) {
	for _, n := range []int{0, 1, 10, 100} {
		var e pubsub.Emitter[int]
		e.SetLimit(1)
		sum := 0
		for range n {
			e.On(func(_ context.Context, v int) error { sum += v; return nil })
		}
		ctx := t.Context()
		assert.Zero(t, testing.AllocsPerRun(100, func() { _ = e.Emit(ctx, 1) }), "%d listeners", n)
		assert.Equal(t, 101*n, sum)
	}
}

func TestEmitterHammer(t *testing.T) {
	for _, limit := range []int{0, 1, 2} {
		synctest.Test(t, func(t *testing.T) {
			var e pubsub.Emitter[int64]
			e.SetLimit(limit)
			var epoch atomic.Int64
			var always, once, added atomic.Int64
			e.On(func(context.Context, int64) error { always.Add(1); return nil })
			stop := make(chan struct{})
			var emitters, others sync.WaitGroup
			emits := [4]int64{}
			for i := range emits {
				emitters.Go(func() {
					for n := 0; ; n++ {
						select {
						case <-stop:
							return
						default:
						}
						assert.NoError(t, e.Emit(t.Context(), epoch.Load()))
						emits[i]++
						if n%16 == 0 {
							runtime.Gosched()
						}
					}
				})
			}
			for range 4 {
				others.Go(func() {
					for i := range 200 {
						var removed atomic.Int64
						removed.Store(1 << 62)
						off := e.On(func(_ context.Context, began int64) error {
							if began >= removed.Load() {
								t.Error("called by an Emit that began after off had returned")
							}
							return nil
						})
						if i%4 == 0 {
							added.Add(1)
							e.On(func(context.Context, int64) error { once.Add(1); return nil }, pubsub.Once())
						}
						off()
						removed.Store(epoch.Add(1))
						off()
					}
				})
			}
			others.Wait()
			close(stop)
			emitters.Wait()
			require.NoError(t, e.Emit(t.Context(), 0))
			assert.Equal(t, 1, e.Len())
			assert.Equal(t, added.Load(), once.Load())
			assert.Equal(t, emits[0]+emits[1]+emits[2]+emits[3]+1, always.Load())
		})
	}
}
