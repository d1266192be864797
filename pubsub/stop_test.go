package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/pubsub"
)

// Once Stop has returned, no call starts or runs, whoever publishes meanwhile.
func TestStopHammered(t *testing.T) {
	before := runtime.NumGoroutine()
	topic := pubsub.New[int](8)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for topic.Publish(ctx, 1) == nil {
			}
		})
	}
	for i := range 40 {
		var running, late, calls atomic.Int64
		var stopped atomic.Bool
		s := topic.Handle(func(context.Context, int) error {
			running.Add(1)
			if stopped.Load() {
				late.Add(1)
			}
			runtime.Gosched()
			calls.Add(1)
			running.Add(-1)
			return nil
		}, pubsub.Overflow(i%4))
		for calls.Load() < int64(i%5) && s.Err() == nil {
			runtime.Gosched()
		}
		var stopping sync.WaitGroup
		for range 1 + i%3 {
			stopping.Go(func() {
				s.Stop()
				stopped.Store(true)
				assert.Zero(t, running.Load())
			})
		}
		stopping.Wait()
		s.Stop() // again
		for range 3 {
			runtime.Gosched()
		}
		require.Zero(t, late.Load()+running.Load())
	}
	cancel()
	wg.Wait()
	assert.Zero(t, topic.Len())
	requireTopicGoroutines(t, before)
}

// Stop waits for the call that runs, whose context ends, and not for more.
func TestStopWaitsForTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := pubsub.New[int](8)
		calls := 0
		var at time.Duration
		start := time.Now()
		s := topic.Handle(func(ctx context.Context, _ int) error {
			calls++
			<-ctx.Done()
			at = time.Since(start)
			time.Sleep(time.Hour)
			return ctx.Err()
		}, pubsub.Named("s"))
		requirePublished(t, topic, 1, 2, 3)
		time.Sleep(time.Minute)
		synctest.Wait()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				s.Stop()
				assert.Equal(t, time.Minute+time.Hour, time.Since(start))
			})
		}
		wg.Wait()
		assert.Equal(t, time.Minute, at)
		assert.Equal(t, 1, calls)
		assert.Zero(t, s.Len())
		assert.Zero(t, s.Missed(), "it was not too far behind")
		assert.ErrorIs(t, s.Err(), context.Canceled)
		require.ErrorIs(t, topic.Close(t.Context()), context.Canceled)
	})
}

// Stop inside the handler's own call does not wait for that, which is the last.
func TestStopInsideItsHandler(t *testing.T) {
	for name, inner := range map[string]func(f func()){
		"directly": func(f func()) { f() },
		"deferred": func(f func()) { defer f() },
		"twice":    func(f func()) { f(); f() },
		"panic":    func(f func()) { defer func() { _ = recover() }(); defer f(); panic("oh") },
		"emitter": func(f func()) {
			var e pubsub.Emitter[int]
			e.SetLimit(1)
			e.On(func(context.Context, int) error { f(); return nil })
			_ = e.Emit(context.Background(), 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				topic := pubsub.New[int](8)
				var s *pubsub.Subscription[int]
				calls := 0
				s = topic.Handle(func(ctx context.Context, _ int) error {
					calls++
					inner(s.Stop)
					assert.Error(t, ctx.Err())
					return nil
				})
				requirePublished(t, topic, 1, 2, 3)
				synctest.Wait()
				assert.Equal(t, 1, calls)
				assert.NoError(t, s.Err())
				assert.Zero(t, topic.Len())
				require.NoError(t, topic.Close(t.Context()))
			})
		})
	}
}

// Stop inside a filter does not wait either, and the handler is called no more.
func TestStopInsideItsFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := pubsub.New[int](8)
		var s *pubsub.Subscription[int]
		var got []int
		s = topic.Handle(func(_ context.Context, v int) error { got = append(got, v); return nil }, pubsub.Filter(func(v int) bool {
			if v == 2 {
				s.Stop()
			}
			return true
		}))
		requirePublished(t, topic, 1, 2, 3)
		synctest.Wait()
		assert.Equal(t, []int{1}, got)
		require.NoError(t, topic.Close(t.Context()))
	})
}

// A filter that is called when the context of Close ends makes no difference:
// its event is missed, and the handler is called no more.
func TestStopByCloseDuringAFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := pubsub.New[int](8)
		calls := 0
		s := topic.Handle(func(context.Context, int) error { calls++; return nil },
			pubsub.Filter(func(int) bool { time.Sleep(time.Hour); return true }))
		requirePublished(t, topic, 1, 2, 3)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := topic.Close(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, []string{"#1 lag 2", "context deadline exceeded"}, topicErrors(err), "one was read")
		require.Equal(t, []string{"#1 lag 2"}, topicErrors(topic.Close(t.Context())))
		assert.Zero(t, calls)
		assert.EqualValues(t, 3, s.Missed())
	})
}

// A handler that was ended by Goexit, and goes on in another goroutine, stops
// itself without waiting, too.
func TestStopInsideItsHandlerAfterGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := pubsub.New[int](8)
		var s *pubsub.Subscription[int]
		calls := 0
		s = topic.Handle(func(context.Context, int) error {
			if calls++; calls == 1 {
				runtime.Goexit()
			}
			s.Stop()
			return nil
		})
		requirePublished(t, topic, 1, 2, 3)
		synctest.Wait()
		require.Equal(t, 2, calls)
		require.ErrorIs(t, topic.Close(t.Context()), pubsub.ErrGoexit)
	})
}

// Handlers that stop each other, in a ring, do not wait for ever.
func TestStopOfEachOther(t *testing.T) {
	for _, n := range []int{2, 3, 10} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				topic := pubsub.New[int](8)
				subs := make([]*pubsub.Subscription[int], n)
				release := make(chan struct{})
				stopped := make([]bool, n)
				for i := range n {
					subs[i] = topic.Handle(func(context.Context, int) error {
						<-release // when all are called
						subs[(i+1)%n].Stop()
						stopped[i] = true
						return nil
					})
				}
				requirePublished(t, topic, 1, 2, 3)
				synctest.Wait()
				outside := topicGo(func() error { subs[0].Stop(); return nil })
				require.False(t, outside.returned())
				close(release)
				require.NoError(t, outside.requireReturned(t))
				for i := range n {
					assert.True(t, stopped[i])
				}
				assert.Zero(t, topic.Len())
				require.NoError(t, topic.Close(t.Context()))
			})
		})
	}
	for range 100 { // and under race, in different topics
		a, b := pubsub.New[int](8), pubsub.New[int](8)
		var inA, inB *pubsub.Subscription[int]
		ready := make(chan struct{})
		inA = a.Handle(func(context.Context, int) error { <-ready; inB.Stop(); return nil })
		inB = b.Handle(func(context.Context, int) error { <-ready; inA.Stop(); return nil })
		requirePublished(t, a, 1, 2)
		requirePublished(t, b, 1, 2)
		close(ready)
		require.NoError(t, a.Close(t.Context()))
		require.NoError(t, b.Close(t.Context()))
	}
}

// A handler that stops another one waits for the call of that, as others do.
func TestStopOfAnotherHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := pubsub.New[int](8)
		ended := false
		began := make(chan struct{})
		other := topic.Handle(func(ctx context.Context, _ int) error {
			close(began)
			<-ctx.Done()
			time.Sleep(time.Hour)
			ended = true
			return nil
		})
		topic.Handle(func(context.Context, int) error {
			<-began
			other.Stop()
			assert.True(t, ended)
			return nil
		})
		requirePublished(t, topic, 1)
		require.NoError(t, topic.Close(t.Context()))
		require.True(t, ended)
	})
}

// The context of Subscribe ends the subscription, before or after its events.
func TestStopByContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runTopicScript(t, pubsub.New[int](4), "a+ b+ a=waits 1 a=1 b=1 2 b=2 b=waits 3 4 5 6? cancel 6! a=cause,end b=3,cause,end a:0/0 7")
	})
	synctest.Test(t, func(t *testing.T) {
		topic := pubsub.New[int](4)
		ctx, cancel := context.WithCancelCause(t.Context())
		s, c := topic.Subscribe(ctx), topic.Subscribe(ctx)
		received := c.C()
		requirePublished(t, topic, 1, 2, 3)
		cancel(errTopicCause)
		synctest.Wait()
		for _, sub := range []*pubsub.Subscription[int]{s, c, topic.Subscribe(ctx)} {
			synctest.Wait()
			assert.Zero(t, sub.Len())
			assert.ErrorIs(t, sub.Err(), errTopicCause)
			assert.ErrorIs(t, sub.Err(), context.Canceled)
			sub.Stop()
			assert.ErrorIs(t, sub.Err(), errTopicCause, "that was first")
		}
		_, ok := <-received
		assert.False(t, ok)
		for _, err := range s.All() {
			assert.ErrorIs(t, err, errTopicCause)
		}
		ended := topic.Subscribe(ctx)
		for v, err := range ended.All() {
			assert.ErrorIs(t, err, errTopicCause, v)
		}
		_, ok = <-topic.Subscribe(ctx).C()
		assert.False(t, ok)
		assert.Zero(t, topic.Len())

		timed, cancelTime := context.WithTimeout(t.Context(), time.Hour)
		defer cancelTime()
		for _, err := range topic.Subscribe(timed).All() {
			assert.ErrorIs(t, err, context.DeadlineExceeded)
		}
	})
}

// Stop comes first: the context that ends then does not become the error.
func TestStopBeforeContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := pubsub.New[int](4)
		ctx, cancel := context.WithCancel(t.Context())
		s := topic.Subscribe(ctx)
		s.Stop()
		cancel()
		synctest.Wait()
		require.NoError(t, s.Err())
	})
}

// Leaving the loop stops the subscription, however it is left.
func TestStopByLeavingTheLoop(t *testing.T) {
	for name, leave := range map[string]func(){"break": nil, "panic": func() { panic("oh") }, "goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				topic := pubsub.New[int](4)
				s := topic.Subscribe(t.Context())
				requirePublished(t, topic, 1, 2, 3)
				var got []int
				var recovered any
				<-topicGo(func() error {
					defer func() { recovered = recover() }()
					for v := range s.All() {
						if got = append(got, v); v < 2 {
							continue
						}
						if leave == nil {
							break
						}
						leave()
					}
					return nil
				}).done
				assert.Equal(t, []int{1, 2}, got)
				assert.Equal(t, name == "panic", recovered == "oh")
				assert.Zero(t, topic.Len())
				assert.Zero(t, s.Len())
				assert.NoError(t, s.Err())
				for range s.All() {
					assert.Fail(t, "it has ended")
				}
			})
		})
	}
}

// A loop may stop its own subscription, and publish to its own topic.
func TestStopInsideItsLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := pubsub.New[int](4)
		s := topic.Subscribe(t.Context())
		requirePublished(t, topic, 1, 2, 3)
		var got []int
		for v, err := range s.All() {
			require.NoError(t, err)
			if got = append(got, v); v == 2 {
				requirePublished(t, topic, 4)
				s.Stop()
			}
		}
		assert.Equal(t, []int{1, 2}, got)
		assert.Zero(t, topic.Len())
	})
}

// The channel is closed by Stop, even if nobody receives; nothing comes then.
func TestStopOfAChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := runtime.NumGoroutine()
		for _, published := range [][]int{nil, {1}, {1, 2, 3}} {
			topic := pubsub.New[int](4)
			s := topic.Subscribe(t.Context())
			c := s.C()
			requirePublished(t, topic, published...)
			synctest.Wait()
			require.Equal(t, max(0, len(published)-1), s.Len(), "one is read before")
			s.Stop()
			_, ok := <-c
			require.False(t, ok)
			require.NoError(t, s.Err())
			stopped := topic.Subscribe(t.Context())
			stopped.Stop()
			_, ok = <-stopped.C()
			require.False(t, ok)
		}
		requireTopicGoroutines(t, before)
	})
}

// A handler that panics, exits or fails is called with the next event; Err and
// Close tell, with the stack.
func TestStopIsNotWhatFailuresDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := pubsub.New[int](8)
		var got, others []int
		s := topic.Handle(func(_ context.Context, v int) error {
			got = append(got, v)
			switch v {
			case 1:
				panic(errTopicCause)
			case 2:
				runtime.Goexit()
			case 3:
				return errTopicBoom
			case 4:
				panic("oh")
			}
			return nil
		}, pubsub.Named("s"))
		other := topic.Handle(func(_ context.Context, v int) error { others = append(others, v); return nil })
		requirePublished(t, topic, 1, 2, 3, 4, 5)
		synctest.Wait()
		assert.Equal(t, topicCount(1, 6), got)
		assert.Equal(t, topicCount(1, 6), others)
		assert.NoError(t, other.Err())
		assert.Equal(t, 2, topic.Len())
		for _, err := range []error{s.Err(), topic.Close(t.Context())} {
			assert.Equal(t, []string{"s boom", "s goexit", "s panic", "s panic"}, topicErrors(err))
			for _, want := range []error{errTopicCause, pubsub.ErrGoexit, errTopicBoom} {
				assert.ErrorIs(t, err, want)
			}
			var p *pubsub.PanicError
			require.ErrorAs(t, err, &p)
			assert.Equal(t, errTopicCause, p.Value)
			assert.Contains(t, string(p.Stack), "stop_test.go")
			var named *pubsub.ListenerError
			require.True(t, errors.As(err, &named))
			assert.Equal(t, "s", named.Name)
		}
	})
}

// Stop while a handler panics or exits waits for that, too.
func TestStopWhileAHandlerDies(t *testing.T) {
	for name, die := range map[string]func(){"panic": func() { panic("oh") }, "goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				before := runtime.NumGoroutine()
				topic := pubsub.New[int](8)
				ended := false
				s := topic.Handle(func(ctx context.Context, _ int) error {
					defer func() { time.Sleep(time.Second); ended = true }()
					<-ctx.Done()
					die()
					return nil
				})
				requirePublished(t, topic, 1, 2)
				synctest.Wait()
				s.Stop()
				assert.True(t, ended)
				require.Error(t, s.Err())
				require.Error(t, topic.Close(t.Context()))
				requireTopicGoroutines(t, before)
			})
		})
	}
}

// The context of a handler lives from call to call, and carries nothing of the
// publisher's.
func TestStopEndsTheContextOfTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		topic := pubsub.New[int](8)
		var ctxs []context.Context
		s := topic.Handle(func(ctx context.Context, _ int) error { ctxs = append(ctxs, ctx); return nil })
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, 1))
		require.NoError(t, topic.Publish(ctx, 1))
		cancel()
		requirePublished(t, topic, 2)
		synctest.Wait()
		require.Len(t, ctxs, 2)
		for _, ctx := range ctxs {
			assert.NoError(t, ctx.Err())
			assert.Nil(t, ctx.Value(key{}))
			_, ok := ctx.Deadline()
			assert.False(t, ok)
		}
		s.Stop()
		assert.ErrorIs(t, ctxs[1].Err(), context.Canceled)
		require.NoError(t, topic.Close(t.Context()))
	})
}

// A context that ends while Subscribe runs, or has before, ends the
// subscription.
func TestStopByContextWhileSubscribing(t *testing.T) {
	topic := pubsub.New[int](1, pubsub.Replay(1))
	requirePublished(t, topic, 1)
	for i := range 2000 {
		ctx, cancel := context.WithCancel(t.Context())
		if i%2 == 0 {
			cancel()
		} else {
			go cancel()
		}
		s := topic.Subscribe(ctx, pubsub.Overflow(i/2%4))
		for range s.All() { // until it has ended
		}
		require.ErrorIs(t, s.Err(), context.Canceled)
		require.Zero(t, s.Missed())
	}
	require.Zero(t, topic.Len())
}

// A subscription that was stopped, and is kept, holds no events.
func TestStopLetsGoOfEvents(t *testing.T) {
	for overflow := range pubsub.Overflow(4) {
		topic := pubsub.New[*[1 << 10]byte](32)
		s := topic.Subscribe(t.Context(), overflow)
		var held []weak.Pointer[[1 << 10]byte]
		for range 32 {
			v := new([1 << 10]byte)
			held = append(held, weak.Make(v))
			require.NoError(t, topic.Publish(t.Context(), v))
		}
		for range s.All() {
			break
		}
		for range 32 { // which take their place
			require.NoError(t, topic.Publish(t.Context(), nil))
		}
		requireCollected(t, held, overflow.String())
		runtime.KeepAlive(topic)
		runtime.KeepAlive(s)
	}
}
