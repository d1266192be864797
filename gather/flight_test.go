package gather_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/gather"
)

type key struct{ tenant, id int }

func TestFlightSharesOneRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f gather.Flight[key, int]
		var runs atomic.Int64
		slow := func(context.Context) (int, error) {
			time.Sleep(time.Second)
			return int(runs.Add(1)), errBoom // a value beside an error, too
		}
		var callers sync.WaitGroup
		for range 100 {
			callers.Go(func() {
				v, shared, err := f.Do(t.Context(), key{1, 2}, slow)
				assert.Equal(t, 1, v)
				assert.True(t, shared)
				assert.Equal(t, errBoom, err)
			})
		}
		callers.Go(func() {
			v, shared, err := f.Do(t.Context(), key{1, 3}, give(7))
			assert.Equal(t, 7, v)
			assert.False(t, shared)
			assert.NoError(t, err)
		})
		callers.Wait()
		v, shared, err := f.Do(t.Context(), key{1, 2}, slow)
		assert.Equal(t, 2, v, "nothing is kept after the run")
		assert.False(t, shared)
		assert.Equal(t, errBoom, err)
	})
}

func TestFlightOfANilInterface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f gather.Flight[string, error]
		v, _, err := f.Do(t.Context(), "", give[error](nil))
		require.NoError(t, err)
		require.NoError(t, v)
	})
}

func TestFlightPanicAndGoexitReachEveryCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f gather.Flight[string, int]
		for name, end := range map[string]func(){"panic": func() { panic(errBoom) }, "Goexit": runtime.Goexit} {
			var callers sync.WaitGroup
			for range 10 {
				callers.Go(func() {
					v, shared, err := f.Do(t.Context(), "k", func(context.Context) (int, error) {
						time.Sleep(time.Second)
						end()
						return 1, nil
					})
					assert.Zero(t, v)
					assert.True(t, shared)
					if name == "panic" {
						var p *gather.PanicError
						assert.ErrorAs(t, err, &p)
						assert.ErrorIs(t, err, errBoom)
					} else {
						assert.Equal(t, gather.ErrGoexit, err)
					}
				})
			}
			callers.Wait()
		}
		v, _, err := f.Do(t.Context(), "k", give(1))
		require.NoError(t, err)
		assert.Equal(t, 1, v)
	})
}

func TestFlightIsDetachedFromItsCallers(t *testing.T) {
	type name struct{}
	synctest.Test(t, func(t *testing.T) {
		var f gather.Flight[string, string]
		first, leave := context.WithCancelCause(context.WithValue(t.Context(), name{}, "first"))
		go func() {
			_, _, err := f.Do(first, "k", func(ctx context.Context) (string, error) {
				time.Sleep(time.Second)
				_, ok := ctx.Deadline()
				assert.False(t, ok)
				return ctx.Value(name{}).(string), ctx.Err()
			})
			assert.ErrorIs(t, err, errBoom)
			assert.ErrorIs(t, err, context.Canceled)
			assert.EqualError(t, err, "gather: boom")
		}()
		synctest.Wait()
		time.AfterFunc(time.Second/2, func() { leave(errBoom) })
		v, shared, err := f.Do(t.Context(), "k", nil2)
		require.NoError(t, err, "one has left, the other has not")
		assert.True(t, shared)
		assert.Equal(t, "first", v)
	})
}

// nil2 must not be run.
func nil2(context.Context) (string, error) { return "", errors.New("the wrong function was run") }

func TestFlightWithoutCallersIsCancelledAndNotOverlapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f gather.Flight[string, int]
		var running gauge
		slow := func(v int) gather.Task[int] {
			return func(ctx context.Context) (int, error) {
				defer running.enter()()
				<-ctx.Done()
				assert.EqualError(t, context.Cause(ctx), "gather: nobody waits for this call any more")
				time.Sleep(time.Minute) // clean-up
				return v, nil
			}
		}
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			var callers sync.WaitGroup
			for range 3 {
				callers.Go(func() {
					_, _, err := f.Do(ctx, "k", slow(1))
					assert.ErrorIs(t, err, context.DeadlineExceeded)
				})
			}
			callers.Wait()
			cancel()
		}
		// The second round came while the first run was cleaning up, and left before it began.
		start := time.Now()
		var callers sync.WaitGroup
		for range 5 {
			callers.Go(func() {
				v, _, err := f.Do(t.Context(), "k", func(context.Context) (int, error) {
					defer running.enter()()
					time.Sleep(time.Second)
					return 2, nil
				})
				assert.NoError(t, err)
				assert.Equal(t, 2, v, "the outcome of its own run, not of the deserted one")
			})
		}
		callers.Wait()
		assert.Equal(t, time.Minute, time.Since(start), "59 s of clean-up, 1 s of its own")
		assert.EqualValues(t, 1, running.peak.Load())
	})
}

func TestFlightForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f gather.Flight[string, int]
		var callers sync.WaitGroup
		do := func(d time.Duration, v, want int) {
			callers.Go(func() {
				got, _, err := f.Do(t.Context(), "k", after(d, v, nil))
				assert.NoError(t, err)
				assert.Equal(t, want, got)
			})
			synctest.Wait()
		}
		do(2*time.Second, 1, 1)
		f.Forget("k")
		do(4*time.Second, 2, 2)
		time.Sleep(3 * time.Second) // the end of the old run ...
		do(0, 3, 2)                 // ... has not deleted the new one
		callers.Wait()
		f.Forget("k")
		f.Forget("unknown")
	})
}

func TestFlightForgetOfADesertedRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f gather.Flight[string, int]
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := f.Do(ctx, "k", stubborn(time.Hour, 1, nil))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		f.Forget("k")
		v, _, err := f.Do(t.Context(), "k", give(2))
		require.NoError(t, err)
		assert.Equal(t, 2, v)
		time.Sleep(time.Hour)
	})
}

func TestFlightOfAnEndedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f gather.Flight[string, string]
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, shared, err := f.Do(ctx, "k", nil2)
		require.ErrorIs(t, err, context.Canceled)
		assert.False(t, shared)
	})
}

func TestFlightContextOfTheValueLivesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f gather.Flight[string, context.Context]
		ctx, _, err := f.Do(t.Context(), "k", func(ctx context.Context) (context.Context, error) { return ctx, nil })
		require.NoError(t, err)
		require.NoError(t, ctx.Err())
	})
}

func TestFlightUnderLoad(t *testing.T) {
	var f gather.Flight[int, int]
	var running [4]gauge
	var callers sync.WaitGroup
	for i := range 16 {
		callers.Go(func() {
			for j := range 500 {
				k := (i + j) % len(running)
				ctx, cancel := context.WithCancel(t.Context())
				if j%3 == 0 {
					go cancel()
				}
				v, _, err := f.Do(ctx, k, func(context.Context) (int, error) {
					defer running[k].enter()()
					runtime.Gosched()
					if j%7 == 0 {
						runtime.Goexit()
					}
					return k, nil
				})
				cancel()
				if err == nil {
					assert.Equal(t, k, v)
				} else {
					assert.True(t, errors.Is(err, gather.ErrGoexit) || errors.Is(err, context.Canceled))
				}
			}
		})
	}
	callers.Wait()
	for k := range running {
		assert.EqualValues(t, 1, running[k].peak.Load(), "runs of a key do not overlap")
	}
}

func TestFlightGoexitAndPanicOnTheWayOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f gather.Flight[string, int]
		_, _, err := f.Do(t.Context(), "k", func(context.Context) (int, error) {
			defer panic(errBoom)
			runtime.Goexit()
			return 1, nil
		})
		require.ErrorIs(t, err, errBoom)
		v, _, err := f.Do(t.Context(), "k", func(context.Context) (int, error) { return 42, gather.ErrGoexit })
		assert.Equal(t, gather.ErrGoexit, err)
		assert.Equal(t, 42, v, "returned, not exited")
	})
}
