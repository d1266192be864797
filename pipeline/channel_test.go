package pipeline_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/pipeline"
)

func TestChan(t *testing.T) {
	for _, n := range []int{0, 1, 1000} {
		ch, stop := pipeline.Chan(t.Context(), pipeline.FromSlice(countTo(n)))
		got := []int{}
		for v := range ch {
			got = append(got, v)
		}
		assert.Equal(t, countTo(n), got)
		require.NoError(t, stop())
		require.NoError(t, stop())
	}
}

func TestChanBeginsAtOnceAndWaitsForItsReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var taken atomic.Int64
		ch, stop := pipeline.Chan(t.Context(), counted(-1, &taken))
		synctest.Wait()
		assert.EqualValues(t, 1, taken.Load())
		assert.Equal(t, 0, <-ch)
		synctest.Wait()
		assert.EqualValues(t, 2, taken.Load())
		require.NoError(t, stop())
		_, ok := <-ch
		assert.False(t, ok, "closed")
		assert.EqualValues(t, 2, taken.Load())
	})
}

func TestChanStoppedEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ended := false
		ch, stop := pipeline.Chan(t.Context(), pipeline.Generate(func(ctx context.Context, emit func(int) bool) error {
			emit(1)
			<-ctx.Done()
			time.Sleep(time.Minute) // clean-up
			ended = true
			return errSpoilt // of no interest any more
		}))
		assert.Equal(t, 1, <-ch)
		synctest.Wait()
		require.NoError(t, stop())
		assert.True(t, ended)
		assert.Equal(t, time.Minute, time.Since(start), "it is waited for")
		require.NoError(t, stop())
	})
}

func TestChanStoppedWithoutAReceive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, stop := pipeline.Chan(t.Context(), pipeline.Buffer(counted(-1, new(atomic.Int64)), 10))
		require.NoError(t, stop())
		_, stop = pipeline.Chan(t.Context(), pipeline.FromChan[int](nil))
		synctest.Wait()
		require.NoError(t, stop())
	})
}

func TestChanReturnsTheFirstError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := append(every(time.Second, 3), coming{5 * time.Second, 0, errSpoilt}, coming{6 * time.Second, 4, nil})
		ch, stop := pipeline.Chan(t.Context(), arriving(all, time.Hour))
		start := time.Now()
		n := 0
		for range ch {
			n++
		}
		assert.Equal(t, 3, n)
		assert.Equal(t, 5*time.Second, time.Since(start), "closed at the error")
		for range 3 {
			require.ErrorIs(t, stop(), errSpoilt)
		}
	})
}

func TestChanEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, receive := range map[string]bool{"while it waits for items": true, "while it waits for a receiver": false} {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 2500*time.Millisecond, errSpoilt)
			ch, stop := pipeline.Chan(ctx, arriving(every(time.Second, 10), time.Hour))
			start := time.Now()
			n := 0
			for receive {
				if _, ok := <-ch; !ok {
					break
				}
				n++
			}
			if !receive {
				time.Sleep(3 * time.Second)
				_, ok := <-ch
				assert.False(t, ok)
			} else {
				assert.Equal(t, 3, n)
				assert.Equal(t, 2500*time.Millisecond, time.Since(start))
			}
			err := stop()
			cancel()
			require.ErrorIs(t, err, errSpoilt, name)
			require.ErrorIs(t, err, context.DeadlineExceeded, name)
		}
	})
}

func TestChanPanicsWhereItIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := pipeline.Map(pipeline.Of(1, 2, 3), func(_ context.Context, v int) (int, error) {
			if v == 3 {
				panic(errSpoilt)
			}
			return v, nil
		})
		for name, s := range map[string]pipeline.Stream[int]{"its goroutine": s, "another": pipeline.Buffer(s, 5)} {
			ch, stop := pipeline.Chan(t.Context(), s)
			n := pipeline.Drain(ch)
			assert.LessOrEqual(t, n, 2, name)
			for range 2 {
				func() {
					defer func() {
						p, ok := recover().(*pipeline.PanicError)
						require.True(t, ok, name)
						require.ErrorIs(t, p, errSpoilt, name)
						assert.Contains(t, string(p.Stack), "channel_test.go", name)
					}()
					stop()
					assert.Fail(t, "did not panic", name)
				}()
			}
		}
	})
}

func TestChanTellsOfGoexit(t *testing.T) {
	for range 200 {
		ch, stop := pipeline.Chan(t.Context(), failing(2, runtime.Goexit))
		assert.Equal(t, 2, pipeline.Drain(ch))
		require.ErrorIs(t, stop(), pipeline.ErrGoexit)
		require.ErrorIs(t, stop(), pipeline.ErrGoexit)
	}
}

func TestChanStoppedByMany(t *testing.T) {
	var wg sync.WaitGroup
	ch, stop := pipeline.Chan(t.Context(), counted(-1, new(atomic.Int64)))
	<-ch
	for range 10 {
		wg.Go(func() { assert.NoError(t, stop()) })
	}
	wg.Wait()
}

func TestChanPanics(t *testing.T) {
	assertPanics(t, "pipeline: Chan ", func() { pipeline.Chan[int](t.Context(), nil) })
}

func TestSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ch := make(chan int)
		go func() {
			time.Sleep(time.Second)
			assert.Equal(t, 7, <-ch)
		}()
		start := time.Now()
		require.NoError(t, pipeline.Send(t.Context(), ch, 7))
		assert.Equal(t, time.Second, time.Since(start))
	})
}

func TestRecv(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ch := make(chan int, 1)
		ch <- 7
		v, ok, err := pipeline.Recv(t.Context(), ch)
		require.NoError(t, err)
		assert.True(t, ok)
		assert.Equal(t, 7, v)
		time.AfterFunc(time.Second, func() { close(ch) })
		v, ok, err = pipeline.Recv(t.Context(), ch)
		require.NoError(t, err)
		assert.False(t, ok)
		assert.Zero(t, v)
	})
}

func TestSendAndRecvEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, ch := range map[string]chan int{"nil": nil, "nobody there": make(chan int)} {
			for what, wait := range map[string]func(context.Context) error{
				"send": func(ctx context.Context) error { return pipeline.Send(ctx, ch, 1) },
				"recv": func(ctx context.Context) error {
					_, ok, err := pipeline.Recv(ctx, ch)
					assert.False(t, ok)
					return err
				},
			} {
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errSpoilt)
				start := time.Now()
				err := wait(ctx)
				cancel()
				require.ErrorIs(t, err, errSpoilt, what, name)
				require.ErrorIs(t, err, context.DeadlineExceeded, what, name)
				assert.Equal(t, time.Minute, time.Since(start), what, name)
			}
		}
	})
}

func TestAnEndedContextWinsOverAReadyChannel(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errSpoilt)
	ch := make(chan int, 100)
	for range 50 {
		require.ErrorIs(t, pipeline.Send(ctx, ch, 1), errSpoilt)
	}
	assert.Empty(t, ch)
	ch <- 7
	for range 50 {
		v, ok, err := pipeline.Recv(ctx, ch)
		require.ErrorIs(t, err, errSpoilt)
		assert.False(t, ok)
		assert.Zero(t, v)
	}
	assert.Len(t, ch, 1, "it stays")
	close(ch)
	_, _, err := pipeline.Recv(ctx, ch)
	require.ErrorIs(t, err, context.Canceled)
}

func TestFan(t *testing.T) {
	var ins []<-chan int
	for i := range 5 {
		in := make(chan int)
		ins = append(ins, in)
		go func() {
			defer close(in)
			for j := range 100 {
				in <- i*100 + j
			}
		}()
	}
	next := make([]int, 5)
	for v := range pipeline.Fan(t.Context(), ins...) {
		require.Equal(t, next[v/100], v%100, "the order of each is kept")
		next[v/100]++
	}
	assert.Equal(t, slices.Repeat([]int{100}, 5), next)
}

func TestFanOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ok := <-pipeline.Fan[int](t.Context())
		assert.False(t, ok)
		closed := make(chan int)
		close(closed)
		assert.Zero(t, pipeline.Drain(pipeline.Fan(t.Context(), closed, closed)))
	})
}

func TestFanEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		full := make(chan int, 3)
		full <- 1
		full <- 2
		out := pipeline.Fan(ctx, nil, make(chan int), full)
		assert.Equal(t, 1, <-out)
		time.Sleep(2 * time.Minute) // it holds one for whom nobody comes
		_, ok := <-out
		assert.False(t, ok)
		start := time.Now()
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		assert.Zero(t, pipeline.Drain(pipeline.Fan[int](ctx, nil)))
		assert.Equal(t, time.Minute, time.Since(start))
	})
}

func TestDrain(t *testing.T) {
	ch := make(chan int)
	go func() {
		defer close(ch)
		for i := range 10 {
			ch <- i
		}
	}()
	assert.Equal(t, 10, pipeline.Drain(ch))
	assert.Zero(t, pipeline.Drain(ch))
}
