package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
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

// topicUnderRace tells whether the tests run under the race detector, which
// makes them some ten times as slow.
func topicUnderRace() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// topicIsClosed tells whether the topic takes no more subscriptions.
func topicIsClosed[T any](topic *pubsub.Topic[T]) bool {
	s := topic.Subscribe(context.Background(), pubsub.DropOldest)
	defer s.Stop()
	return errors.Is(s.Err(), pubsub.ErrClosed)
}

// requireTopicGoroutines fails if goroutines of the package are left. Others,
// such as those of the runtime, come and go.
func requireTopicGoroutines(t *testing.T, before int) {
	t.Helper()
	for i := range 100_000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
		if i%1000 == 999 {
			time.Sleep(time.Millisecond) // one may be about to end, and not running
		}
	}
	buf := make([]byte, 1<<20)
	stacks := string(buf[:runtime.Stack(buf, true)])
	require.NotContains(t, stacks, "concert/pubsub.", "goroutines are left")
}

// requireCollected fails if some of these are still held by something.
func requireCollected[T any](t *testing.T, held []weak.Pointer[T], what string) {
	t.Helper()
	left := 0
	for range 10 {
		runtime.GC()
		left = 0
		for _, w := range held {
			if w.Value() != nil {
				left++
			}
		}
		if left == 0 {
			return
		}
	}
	require.Zero(t, left, "%s: so many of %d are held", what, len(held))
}

// topicIgnores is a handler.
func topicIgnores(context.Context, int) error { return nil }

// topicCount returns the numbers from a up to, but not including, b.
func topicCount(a, b int) (all []int) {
	for i := a; i < b; i++ {
		all = append(all, i)
	}
	return all
}

// requirePublished publishes these, none of which has to wait for long.
func requirePublished(t *testing.T, topic *pubsub.Topic[int], values ...int) {
	t.Helper()
	for _, v := range values {
		require.NoError(t, topic.Publish(t.Context(), v))
	}
}

// topicLater lets time go by, in a bubble.
func topicLater(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// A topicCall is a call in a goroutine of its own, in a bubble.
type topicCall struct {
	done chan struct{}
	err  error
}

func topicGo(f func() error) *topicCall {
	c := &topicCall{done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.err = f()
	}()
	synctest.Wait()
	return c
}

func (c *topicCall) returned() bool {
	synctest.Wait()
	return topicClosed(c.done)
}

// requireReturned returns the error of the call.
func (c *topicCall) requireReturned(t *testing.T) error {
	t.Helper()
	require.True(t, c.returned(), "it has returned")
	return c.err
}

// A topicReader reads one after the other, in a bubble.
type topicReader struct {
	*pubsub.Subscription[int]

	want chan struct{}
	got  chan string
	busy bool
}

func newTopicReader(s *pubsub.Subscription[int]) *topicReader {
	r := &topicReader{Subscription: s, want: make(chan struct{}), got: make(chan string, 1)}
	go func() {
		if _, ok := <-r.want; !ok {
			return
		}
		for v, err := range s.All() {
			if err != nil {
				r.got <- strings.Join(topicErrors(err), ", ")
			} else {
				r.got <- strconv.Itoa(v)
			}
			if _, ok := <-r.want; !ok {
				return
			}
		}
		r.got <- "end"
	}()
	return r
}

// read tells what comes next: a number, an error, the end, or that it waits.
func (r *topicReader) read() string {
	if !r.busy {
		r.want <- struct{}{}
	}
	synctest.Wait()
	select {
	case got := <-r.got:
		r.busy = false
		return got
	default:
		r.busy = true
		return "waits"
	}
}

func (r *topicReader) leave() { close(r.want) }

// runTopicScript does what a script says, which is words:
//
//	a+  a subscribes         a=3  a gets 3, or lag2, full, closed, cause, end, waits
//	a-  a stops              a:2/1  a has 2 unread, and has missed 1
//	3   3 is published       3?  but its publisher waits
//	3!  he has returned      3x  his context ends    3c  he was refused
//	close, cancel (the context of all who subscribe)
//
// Nobody else returns.
func runTopicScript(t *testing.T, topic *pubsub.Topic[int], script string, opts ...pubsub.SubOption) {
	t.Helper()
	type publisher struct {
		*topicCall

		cancel context.CancelCauseFunc
	}
	waiting := map[int]publisher{}
	readers := map[string]*topicReader{}
	var stopped []*topicReader
	ctx, cancel := context.WithCancelCause(t.Context())
	defer func() {
		cancel(nil)
		for _, p := range waiting {
			p.cancel(nil)
		}
		for _, r := range readers {
			stopped = append(stopped, r)
		}
		for _, r := range stopped {
			r.Stop()
			r.leave()
		}
	}()
	for i, word := range strings.Fields(script) {
		at := fmt.Sprintf("word %d, %q", i, word)
		last := len(word) - 1
		name := word[:last]
		number, err := strconv.Atoi(strings.TrimRight(word, "?!xc"))
		if err != nil || word[last] == '?' {
			for v, p := range waiting {
				require.False(t, p.returned(), "%s: that of %d", at, v)
			}
		}
		switch p := waiting[number]; {
		case word == "close":
			require.NoError(t, topic.Close(t.Context()), at)
		case word == "cancel":
			cancel(errTopicCause)
			synctest.Wait()
		case strings.Contains(word, "="):
			name, want, _ := strings.Cut(word, "=")
			for i, want := range strings.Split(want, ",") {
				want = strings.Replace(want, "lag", "lag ", 1)
				require.Equal(t, want, readers[name].read(), "%s: %d", at, i)
			}
		case strings.Contains(word, ":"):
			name, want, _ := strings.Cut(word, ":")
			require.Equal(t, want, fmt.Sprintf("%d/%d", readers[name].Len(), readers[name].Missed()), at)
		case word[last] == '+':
			readers[name] = newTopicReader(topic.Subscribe(ctx, opts...))
		case word[last] == '-':
			readers[name].Stop()
			stopped = append(stopped, readers[name])
			delete(readers, name)
		case word[last] == '!':
			require.NoError(t, p.requireReturned(t), at)
			delete(waiting, number)
		case word[last] == 'x':
			p.cancel(errTopicCause)
			require.ErrorIs(t, p.requireReturned(t), errTopicCause, at)
			delete(waiting, number)
		case word[last] == 'c':
			require.ErrorIs(t, p.requireReturned(t), pubsub.ErrClosed, at)
			delete(waiting, number)
		default:
			ctx, cancel := context.WithCancelCause(t.Context())
			p := publisher{topicGo(func() error { return topic.Publish(ctx, number) }), cancel}
			if word[last] == '?' {
				waiting[number] = p
			} else {
				defer cancel(nil)
				require.NoError(t, p.requireReturned(t), at)
			}
		}
	}
	require.Empty(t, waiting, "those that have not returned")
}

// All subscriptions see the same order, which is that of each publisher.
func TestTopicHasOneOrder(t *testing.T) {
	const publishers, each, readers = 4, 1000, 9
	before := runtime.NumGoroutine()
	topic := pubsub.New[int](16)
	got := make([][]int, readers)
	var wg, reading sync.WaitGroup
	for i := range got {
		switch i % 3 {
		case 0:
			topic.Handle(func(_ context.Context, v int) error { got[i] = append(got[i], v); return nil })
		case 1:
			s := topic.Subscribe(t.Context())
			reading.Go(func() {
				for v, err := range s.All() {
					assert.NoError(t, err)
					got[i] = append(got[i], v)
				}
			})
		case 2:
			c := topic.Subscribe(t.Context()).C()
			reading.Go(func() {
				for v := range c {
					got[i] = append(got[i], v)
				}
			})
		}
	}
	assert.Equal(t, readers, topic.Len())
	for p := range publishers {
		wg.Go(func() { requirePublished(t, topic, topicCount(p*each, (p+1)*each)...) })
	}
	wg.Wait()
	require.NoError(t, topic.Close(t.Context()))
	reading.Wait()
	last := slices.Repeat([]int{-1}, publishers)
	for _, v := range got[0] {
		require.Less(t, last[v/each], v)
		last[v/each] = v
	}
	for _, g := range got {
		require.Len(t, g, publishers*each)
		require.Equal(t, got[0], g)
	}
	requireTopicGoroutines(t, before)
}

// Whoever subscribes gets what is published from then on, at once, while others
// publish, and before that what Replay says: without a gap, and none twice.
func TestTopicGivesAllFromSubscribeOn(t *testing.T) {
	for _, replay := range []int{0, 1, 20} {
		t.Run(fmt.Sprintf("replay=%d", replay), func(t *testing.T) {
			var opts []pubsub.TopicOption
			if replay > 0 {
				opts = append(opts, pubsub.Replay(replay))
			}
			topic := pubsub.New[int](20, opts...)
			var published atomic.Int64
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() {
				for i := 1; topic.Publish(ctx, i) == nil; i++ {
					published.Store(int64(i))
				}
			})
			for published.Load() < 100 {
				runtime.Gosched()
			}
			for range 200 {
				before := int(published.Load())
				s := topic.Subscribe(t.Context())
				after := int(published.Load())
				first, next := 0, 0
				for v, err := range s.All() {
					require.NoError(t, err)
					if first == 0 {
						first, next = v, v
					}
					require.Equal(t, next, v)
					if next++; next > first+25 {
						break
					}
				}
				require.GreaterOrEqual(t, first, before-replay+1)
				require.LessOrEqual(t, first, after-replay+2, "the next after that may be done, but not counted")
			}
			cancel()
			wg.Wait()
		})
	}
}

// A queue holds as many as the capacity says, not one more or less; what a
// handler is called with, or a loop has got, is not in it.
func TestTopicCapacityIsExact(t *testing.T) {
	for _, capacity := range []int{1, 2, 3, 64, 65, 100} {
		for _, reading := range []int{0, 1} {
			for overflow, then := range map[pubsub.Overflow]string{
				pubsub.Block: "waits", pubsub.DropOldest: "ok", pubsub.DropNewest: "ok", pubsub.Disconnect: "ok",
			} {
				t.Run(fmt.Sprintf("%d+%d/%d", capacity, reading, overflow), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						topic := pubsub.New[int](capacity)
						release := make(chan struct{})
						loop := newTopicReader(topic.Subscribe(t.Context(), overflow))
						h := loop.Subscription
						if reading == 1 {
							h = topic.Handle(func(context.Context, int) error { <-release; return nil }, overflow)
						}
						if requirePublished(t, topic, 0); reading == 1 {
							require.Equal(t, "0", loop.read())
						}
						for i := 1; i < capacity+reading; i++ {
							requirePublished(t, topic, i)
							synctest.Wait()
						}
						require.Equal(t, capacity, loop.Len())
						require.Zero(t, loop.Missed())
						ctx, cancel := context.WithCancel(t.Context())
						more := topicGo(func() error { return topic.Publish(ctx, -1) })
						require.Equal(t, then == "waits", !more.returned())
						require.Equal(t, capacity, loop.Len())
						if then != "waits" {
							require.EqualValues(t, 1, loop.Missed())
						}
						require.Equal(t, capacity, h.Len())
						require.Equal(t, loop.Missed(), h.Missed())
						cancel()
						close(release)
						loop.Stop()
						loop.leave()
						require.NoError(t, topic.Close(t.Context()))
					})
				})
			}
		}
	}
}

// A publisher that waits goes on when there is room, or nobody any more that
// needs it, and otherwise with the error of what has ended.
func TestTopicReleasesPublishers(t *testing.T) {
	type gate struct {
		topic   *pubsub.Topic[int]
		loop    *topicReader // is full
		cancel  context.CancelFunc
		publish context.CancelCauseFunc
	}
	for name, test := range map[string]struct {
		release func(t *testing.T, g gate)
		want    []error
	}{
		"room":                                {func(_ *testing.T, g gate) { g.loop.read() }, nil},
		"stop":                                {func(_ *testing.T, g gate) { g.loop.Stop() }, nil},
		"leaving the loop":                    {func(_ *testing.T, g gate) { g.loop.read(); g.loop.read(); g.loop.leave() }, nil},
		"the end of its subscriber's context": {func(_ *testing.T, g gate) { g.cancel() }, nil},
		"the end of its context":              {func(_ *testing.T, g gate) { g.publish(nil) }, []error{context.Canceled}},
		"with a cause":                        {func(_ *testing.T, g gate) { g.publish(errTopicCause) }, []error{context.Canceled, errTopicCause}},
		"a deadline":                          {func(*testing.T, gate) { time.Sleep(time.Hour) }, []error{context.DeadlineExceeded}},
		"close": {
			func(t *testing.T, g gate) { require.NoError(t, g.topic.Close(t.Context())) },
			[]error{pubsub.ErrClosed},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				topic := pubsub.New[int](1)
				subscription, cancel := context.WithCancel(t.Context())
				defer cancel()
				ctx, cancelTime := context.WithTimeout(t.Context(), time.Hour)
				defer cancelTime()
				ctx, publish := context.WithCancelCause(ctx)
				defer publish(nil)
				g := gate{topic, newTopicReader(topic.Subscribe(subscription)), cancel, publish}
				requirePublished(t, topic, 1)
				call := topicGo(func() error { return topic.Publish(ctx, 2) })
				require.False(t, call.returned())
				test.release(t, g)
				err := call.requireReturned(t)
				for _, want := range test.want {
					require.ErrorIs(t, err, want)
				}
				if test.want == nil {
					require.NoError(t, err)
				} else if name != "close" {
					require.Equal(t, 1, g.loop.Len(), "2 is not in the queue")
				}
				g.loop.Stop()
				if name != "leaving the loop" {
					g.loop.leave()
				}
			})
		})
	}
}

// A context that has ended is an error even if there is room.
func TestTopicPublishWithAnEndedContext(t *testing.T) {
	topic := pubsub.New[int](1)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errTopicCause)
	s := topic.Subscribe(t.Context())
	err := topic.Publish(ctx, 1)
	require.ErrorIs(t, err, errTopicCause)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, errTopicCause.Error(), err.Error())
	require.Zero(t, s.Len())
}

// Those who wait are served in their order, whoever gives up.
func TestTopicServesPublishersInTheirOrder(t *testing.T) {
	for name, test := range map[string]string{
		"room":   "a+ 1 2 3? 4? 5? 6? a=1 3! a=2 4! a=3 5! a=4 6! a=5,6",
		"first":  "a+ 1 2 3? 4? 5? 6? 3x a=1 4! a=2 5! a=4 6! a=5,6",
		"middle": "a+ 1 2 3? 4? 5? 6? 4x a=1 3! 5x a=2 6! a=3,6",
		"last":   "a+ 1 2 3? 4? 5? 6? 6x a=1 3! a=2 4! a=3 5! a=4,5,waits",
		"all":    "a+ 1 2 3? 4? 4x 3x a=1,2,waits 5 a=5 6 7 8? a=6 8!",
		// those who wait find room for as many as there is
		"stop":       "a+ b+ 1 2 3? 4? 5? 6? b=1,2 a- 3! 4! b=3 5! b=4 6! b=5,6",
		"two gates":  "a+ b+ 1 2 3? 4? a=1 b=1 3! a=2 a=3 b=2 4! a=4 b=3,4",
		"gates left": "a+ b+ 1 2 3? 4? 5? a=1 a- b=1 3! b- 4! 5! 6 7 8 9",
		// who subscribes meanwhile has to read, too
		"newcomer": "a+ 1 2 3? b+ a=1 3! a=2 4 5? a=3 b:2/0 b=3 5! a=4,5 b=4,5",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runTopicScript(t, pubsub.New[int](2), test) })
		})
	}
}

// OnSlow names the one that is waited for, once for each publisher.
func TestTopicOnSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []pubsub.SlowEvent
		topic := pubsub.New[int](2, pubsub.OnSlow(time.Minute, func(e pubsub.SlowEvent) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, e)
		}))
		events := func() []pubsub.SlowEvent {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(got)
		}
		topic.Handle(topicIgnores, pubsub.Named("fast"))
		slow := newTopicReader(topic.Subscribe(t.Context(), pubsub.Named("slow")))
		requirePublished(t, topic, 1, 2)
		start := time.Now()
		call := topicGo(func() error { return topic.Publish(t.Context(), 3) })
		topicLater(time.Minute - 1)
		require.Empty(t, events())
		topicLater(time.Hour)
		require.Equal(t, []pubsub.SlowEvent{{Name: "slow", Queued: 2, Blocked: time.Minute}}, events())
		require.Equal(t, "1", slow.read())
		require.NoError(t, call.requireReturned(t))

		four := topicGo(func() error { return topic.Publish(t.Context(), 4) })
		topicLater(30 * time.Second)
		five := topicGo(func() error { return topic.Publish(t.Context(), 5) })
		topicLater(31 * time.Second)
		require.Len(t, events(), 2)
		topicLater(time.Hour)
		require.Len(t, events(), 3)
		slow.Stop()
		require.NoError(t, four.requireReturned(t))
		require.NoError(t, five.requireReturned(t))

		quick := topicGo(func() error { return topic.Publish(t.Context(), 6) })
		require.NoError(t, quick.requireReturned(t))
		require.Len(t, events(), 3)
		require.GreaterOrEqual(t, time.Since(start), 2*time.Hour)
		slow.leave()
		require.NoError(t, topic.Close(t.Context()))
	})
}

// The function of OnSlow is called without a lock, and may end the publisher's
// goroutine: the others are served.
func TestTopicOnSlowFunctionsThatDoMore(t *testing.T) {
	for name, f := range map[string]func(topic *pubsub.Topic[int], s *topicReader){
		"stop":   func(_ *pubsub.Topic[int], s *topicReader) { s.Stop() },
		"read":   func(_ *pubsub.Topic[int], s *topicReader) { s.want <- struct{}{}; <-s.got },
		"panic":  func(*pubsub.Topic[int], *topicReader) { panic("oh") },
		"goexit": func(*pubsub.Topic[int], *topicReader) { runtime.Goexit() },
		"more":   func(topic *pubsub.Topic[int], _ *topicReader) { topic.Handle(topicIgnores).Stop(); topic.Len() },
		"cancel": nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				var topic *pubsub.Topic[int]
				var s *topicReader
				var once sync.Once
				topic = pubsub.New[int](1, pubsub.OnSlow(time.Second, func(pubsub.SlowEvent) {
					once.Do(func() {
						if f == nil {
							cancel(errTopicCause)
						} else {
							f(topic, s)
						}
					})
				}))
				s = newTopicReader(topic.Subscribe(t.Context()))
				requirePublished(t, topic, 1)
				var panicked any
				first := topicGo(func() error {
					defer func() { panicked = recover() }()
					return topic.Publish(ctx, 2)
				})
				topicLater(time.Second / 2)
				second := topicGo(func() error { return topic.Publish(t.Context(), 3) })
				topicLater(time.Minute)
				assert.Equal(t, name == "panic", panicked != nil)
				assert.Equal(t, name != "more", first.returned())
				assert.Equal(t, name == "cancel", errors.Is(first.err, errTopicCause))
				if name != "stop" && name != "read" {
					assert.Equal(t, "1", s.read())
					if name == "more" {
						assert.Equal(t, "2", s.read())
					}
				} else if name == "read" {
					assert.Equal(t, "2", s.read())
				}
				assert.NoError(t, second.requireReturned(t))
				s.Stop()
				s.leave()
				require.NoError(t, topic.Close(t.Context()))
			})
		})
	}
}

// All methods may be called by a handler.
func TestTopicMethodsInsideAHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := pubsub.New[int](8)
		var got []int
		var other *pubsub.Subscription[int]
		inner := 0
		s := topic.Handle(func(ctx context.Context, v int) error {
			if got = append(got, v); v > 0 {
				return nil
			}
			defer topic.Handle(topicIgnores).Stop()
			other.Stop()
			pulled := topic.Subscribe(ctx)
			topic.Handle(func(_ context.Context, v int) error { inner += v; return nil })
			for i := range 5 {
				assert.NoError(t, topic.Publish(ctx, i+1))
			}
			assert.Equal(t, 5, pulled.Len())
			pulled.Stop()
			assert.Equal(t, 2+1, topic.Len())
			return nil
		})
		other = topic.Handle(func(ctx context.Context, _ int) error { <-ctx.Done(); return nil })
		requirePublished(t, topic, 0)
		synctest.Wait()
		assert.Equal(t, topicCount(0, 6), got)
		assert.Equal(t, 15, inner)
		assert.NoError(t, s.Err())
		require.NoError(t, topic.Close(t.Context()))
	})
}

// A handler that fills its own queue gets an error, with its context and those
// that are made of it; with that of another topic's handler it waits.
func TestTopicReentrantPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		topic, other := pubsub.New[int](4), pubsub.New[int](1)
		gate := newTopicReader(other.Subscribe(t.Context()))
		requirePublished(t, other, 0)
		var errs []error
		topic.Handle(func(ctx context.Context, v int) error {
			if v > 0 {
				return nil
			}
			for i := range 3000 {
				errs = append(errs, topic.Publish(ctx, i+1))
			}
			ctx, cancel := context.WithTimeout(context.WithValue(ctx, key{}, 1), time.Hour)
			defer cancel()
			errs = append(errs, topic.Publish(ctx, 5), topic.Publish(context.WithoutCancel(ctx), 5))
			return other.Publish(ctx, 1)
		})
		requirePublished(t, topic, 0)
		synctest.Wait()
		require.Len(t, errs, 3002)
		for i, err := range errs {
			if i < 4 {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, pubsub.ErrReentrant)
			}
		}
		require.Equal(t, "0", gate.read())
		require.Equal(t, "1", gate.read())
		gate.leave()
		require.NoError(t, topic.Close(t.Context()))
		require.NoError(t, other.Close(t.Context()))
	})
}

// Handlers that hand on to each other's topics know both.
func TestTopicReentrantPublishByWayOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pubsub.New[int](1), pubsub.New[int](1)
		var full error
		a.Handle(func(ctx context.Context, v int) error {
			if v > 0 {
				return nil
			}
			e := new(pubsub.Emitter[int])
			e.On(func(ctx context.Context, v int) error { return a.Publish(ctx, v) })
			full = errors.Join(e.Emit(ctx, 1), e.Emit(ctx, 2))
			return b.Publish(ctx, v)
		})
		b.Handle(func(ctx context.Context, v int) error { return a.Publish(ctx, v+1) })
		requirePublished(t, a, 0)
		synctest.Wait()
		require.ErrorIs(t, full, pubsub.ErrReentrant)
		require.NoError(t, a.Close(t.Context()))
		require.NoError(t, b.Close(t.Context()))
	})
}

// Close refuses, and returns when all that was published is handled.
func TestTopicCloseDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := runtime.NumGoroutine()
		topic := pubsub.New[int](200)
		var slow, fast atomic.Int64
		topic.Handle(func(context.Context, int) error { time.Sleep(time.Second); slow.Add(1); return nil })
		topic.Handle(func(context.Context, int) error { fast.Add(1); return nil }, pubsub.DropOldest)
		s := topic.Subscribe(t.Context())
		c := topic.Subscribe(t.Context())
		left := c.C()
		start := time.Now()
		requirePublished(t, topic, topicCount(0, 200)...)
		closing := topicGo(func() error { return topic.Close(t.Context()) })
		require.ErrorIs(t, topic.Publish(t.Context(), 200), pubsub.ErrClosed)
		require.ErrorIs(t, topic.Handle(topicIgnores).Err(), pubsub.ErrClosed)
		late := topic.Subscribe(t.Context())
		require.ErrorIs(t, late.Err(), pubsub.ErrClosed)
		for _, err := range late.All() {
			require.ErrorIs(t, err, pubsub.ErrClosed)
		}
		_, ok := <-late.C()
		require.False(t, ok)
		<-closing.done
		require.NoError(t, closing.err)
		assert.EqualValues(t, 200, slow.Load())
		assert.EqualValues(t, 200, fast.Load())
		assert.Equal(t, 200*time.Second, time.Since(start))
		var got, received []int
		for v, err := range s.All() {
			require.NoError(t, err)
			got = append(got, v)
		}
		for v := range left {
			received = append(received, v)
		}
		assert.Equal(t, topicCount(0, 200), got, "it reads what is left")
		assert.Equal(t, topicCount(0, 200), received)
		require.NoError(t, s.Err())
		require.NoError(t, c.Err())
		assert.Zero(t, topic.Len())
		requireTopicGoroutines(t, before)
	})
}

// Close returns the errors of all handlers, of ended subscriptions, too, and
// does so each time.
func TestTopicCloseJoinsErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := pubsub.New[int](8)
		fails := func(n int) pubsub.Handler[int] {
			return func(_ context.Context, v int) error {
				if v == n {
					return fmt.Errorf("%w %d", errTopicBoom, v)
				}
				return nil
			}
		}
		gone := topic.Handle(fails(0), pubsub.Named("gone"))
		topic.Handle(fails(1))
		topic.Handle(topicIgnores)
		requirePublished(t, topic, 0)
		synctest.Wait()
		gone.Stop()
		requirePublished(t, topic, 1, 2)
		for range 2 {
			err := topic.Close(t.Context())
			require.ErrorIs(t, err, errTopicBoom)
			require.Equal(t, []string{"#2 boom", "gone boom"}, topicErrors(err))
			var one *pubsub.ListenerError
			require.ErrorAs(t, err, &one)
			require.Equal(t, "gone", one.Name)
		}
	})
}

// Of many errors, the first and the last are kept.
func TestTopicKeepsFewErrors(t *testing.T) {
	topic := pubsub.New[int](1)
	s := topic.Handle(func(_ context.Context, v int) error { return fmt.Errorf("number %d;", v) })
	requirePublished(t, topic, topicCount(0, 100)...)
	for _, err := range []error{topic.Close(t.Context()), s.Err()} {
		for i := range 100 {
			require.Equal(t, i < 8 || i >= 92, strings.Contains(err.Error(), fmt.Sprintf("number %d;", i)), err)
		}
	}
}

// If the context of Close ends, handlers are called no more, and their contexts
// end; what they have not got is missed.
func TestTopicCloseEndsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := pubsub.New[int](20)
		calls, ended := 0, 0
		s := topic.Handle(func(ctx context.Context, _ int) error {
			calls++
			<-ctx.Done()
			ended++
			assert.ErrorIs(t, context.Cause(ctx), errTopicCause)
			assert.Equal(t, context.Canceled, ctx.Err())
			time.Sleep(time.Hour)
			return errTopicBoom
		})
		lossy := topic.Handle(func(ctx context.Context, _ int) error { <-ctx.Done(); return nil }, pubsub.DropOldest)
		pulled := newTopicReader(topic.Subscribe(t.Context()))
		for i := range 21 {
			requirePublished(t, topic, i)
			synctest.Wait()
			if i == 0 {
				require.Equal(t, "0", pulled.read())
			}
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errTopicCause)
		defer cancel()
		start := time.Now()
		err := topic.Close(ctx)
		require.ErrorIs(t, err, errTopicCause)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, errTopicBoom)
		require.Equal(t, []string{"#1 lag 20", "#2 lag 20", "cause", "context deadline exceeded"}, topicErrors(err))
		require.Equal(t, time.Minute, time.Since(start), "it does not wait for the call")
		synctest.Wait()
		assert.Equal(t, 1, ended)
		assert.EqualValues(t, 20, s.Missed())
		assert.EqualValues(t, 20, lossy.Missed())
		assert.Equal(t, []string{"lag 20"}, topicErrors(s.Err()))
		again := topicGo(func() error { return topic.Close(t.Context()) })
		require.False(t, again.returned(), "the call goes on")
		<-again.done
		require.Equal(t, []string{"#1 boom", "#1 lag 20", "#2 lag 20"}, topicErrors(again.err))
		require.Equal(t, time.Minute+time.Hour, time.Since(start))
		assert.Equal(t, 1, calls)
		assert.Equal(t, 20, pulled.Len(), "there is time to read")
		require.Equal(t, "1", pulled.read())
		pulled.leave()
	})
}

// Close may be called by many, and by a handler, who does not wait for himself.
func TestTopicCloseTwiceAndInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := pubsub.New[int](5)
		var inside error
		handled := 0
		topic.Handle(func(ctx context.Context, v int) error {
			handled++
			if v == 0 {
				time.Sleep(time.Second) // until all are published
				inside = topic.Close(ctx)
				time.Sleep(time.Second)
			}
			return nil
		})
		requirePublished(t, topic, 0, 1, 2)
		var wg sync.WaitGroup
		topicLater(time.Second)
		for range 5 {
			wg.Go(func() {
				assert.NoError(t, topic.Close(t.Context()))
				assert.Equal(t, 3, handled)
			})
		}
		wg.Wait()
		require.ErrorIs(t, inside, pubsub.ErrReentrant)
		require.ErrorIs(t, topic.Publish(t.Context(), 3), pubsub.ErrClosed)
		require.NoError(t, topic.Close(t.Context()))
		require.NoError(t, pubsub.New[int](1).Close(t.Context()))
	})
}

// Close waits for calls of subscriptions that have ended by themselves.
func TestTopicCloseWaitsForCallsOfTheEnded(t *testing.T) {
	for name, opts := range map[string][]pubsub.SubOption{"once": {pubsub.Once()}, "stopped": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				topic := pubsub.New[int](5)
				var s *pubsub.Subscription[int]
				returned := false
				s = topic.Handle(func(ctx context.Context, _ int) error {
					if opts == nil {
						s.Stop()
					}
					assert.Equal(t, opts == nil, ctx.Err() != nil)
					time.Sleep(time.Hour)
					assert.Equal(t, opts == nil, ctx.Err() != nil)
					returned = true
					return nil
				}, opts...)
				requirePublished(t, topic, 1)
				synctest.Wait()
				require.Zero(t, topic.Len())
				require.NoError(t, topic.Close(t.Context()))
				require.True(t, returned)
			})
		})
	}
}

// Each event is handled or counted as missed, whenever Close is cut short.
func TestTopicCloseEndsEarlyUnderRace(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 1000 {
		for _, overflow := range []pubsub.Overflow{pubsub.Block, pubsub.DropOldest, pubsub.DropNewest} {
			topic := pubsub.New[int](1 + i%3)
			calls := 0
			s := topic.Handle(func(context.Context, int) error { calls++; return nil }, overflow)
			n := 5 + i%20
			requirePublished(t, topic, topicCount(0, n)...)
			lost := int(s.Missed())
			err := topic.Close(ended)
			again := topic.Close(t.Context())
			require.Equal(t, n, calls+int(s.Missed()), "%v", overflow)
			var told int
			if lag := (*pubsub.LaggedError)(nil); errors.As(err, &lag) {
				told = int(lag.Missed)
				require.Equal(t, []string{fmt.Sprintf("#1 lag %d", told)}, topicErrors(again))
				require.ErrorIs(t, err, context.Canceled)
			} else {
				require.NoError(t, again)
			}
			require.LessOrEqual(t, told, 1+i%3, "no more than were unread")
			if overflow != pubsub.DropOldest { // which may lose one while its reader takes it
				require.Equal(t, int(s.Missed()), lost+told, "%v", overflow)
			}
		}
	}
}

// The call of Once ends with the context of Close, too.
func TestTopicCloseEndsTheCallOfOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := pubsub.New[int](5)
		var cause error
		topic.Handle(func(ctx context.Context, _ int) error {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return errTopicBoom
		}, pubsub.Once())
		requirePublished(t, topic, 1, 2)
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errTopicCause)
		defer cancel()
		require.Equal(t, []string{"cause", "context deadline exceeded"}, topicErrors(topic.Close(ctx)), "it has missed nothing")
		require.Equal(t, []string{"#1 boom"}, topicErrors(topic.Close(t.Context())))
		require.ErrorIs(t, cause, errTopicCause)
	})
}

// Close that is cut short tells which handlers have events unread, and how
// many, and tells the calls why; what was lost before is another matter.
func TestTopicCloseCutShortTells(t *testing.T) {
	for overflow, lost := range map[pubsub.Overflow]int{pubsub.DropOldest: 3, pubsub.DropNewest: 3, pubsub.Disconnect: 1} {
		t.Run(overflow.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				topic := pubsub.New[int](2)
				causes := map[string]error{}
				var mu sync.Mutex // guards causes
				handle := func(name string, opts ...pubsub.SubOption) *pubsub.Subscription[int] {
					return topic.Handle(func(ctx context.Context, _ int) error {
						<-ctx.Done()
						mu.Lock()
						defer mu.Unlock()
						causes[name] = context.Cause(ctx)
						return nil
					}, append(opts, pubsub.Named(name))...)
				}
				behind := handle("behind", overflow)
				handle("once", pubsub.Once())
				idle := topic.Handle(topicIgnores)
				loop := topic.Subscribe(t.Context(), overflow)
				c := topic.Subscribe(t.Context(), overflow).C()
				for i := range 6 {
					requirePublished(t, topic, i)
					synctest.Wait()
				}
				late := handle("late")
				stopped := handle("stopped")
				requirePublished(t, topic, 6)
				synctest.Wait()
				stopped.Stop()
				requireCount := func(unread, missed int) {
					t.Helper()
					require.Equal(t, unread, behind.Len())
					require.EqualValues(t, missed, behind.Missed())
				}
				if overflow != pubsub.Disconnect {
					lost++ // of the last one
				}
				requireCount(2, lost)

				ctx, cancel := context.WithCancelCause(t.Context())
				cancel(errTopicCause)
				err := topic.Close(ctx)
				require.Equal(t, []string{"behind lag 2", "cause"}, topicErrors(err))
				requireCount(0, lost+2)
				require.Zero(t, idle.Missed()+late.Missed())
				synctest.Wait()
				require.Len(t, causes, 4)
				for name, cause := range causes {
					if name == "stopped" {
						require.Equal(t, context.Canceled, cause)
					} else {
						require.ErrorIs(t, cause, errTopicCause, name)
					}
				}
				require.Equal(t, 2, loop.Len(), "there is time to read")
				for range c { // to the end
				}
				err = topic.Close(t.Context())
				require.NotErrorIs(t, err, errTopicCause)
				lag := (*pubsub.LaggedError)(nil)
				require.ErrorAs(t, err, &lag, "it is kept")
				require.EqualValues(t, 2, lag.Missed)
			})
		})
	}
}

// Each of 100,000 events whose Publish returned nil is handled, however Close
// comes in between.
func TestTopicCloseAgainstPublish(t *testing.T) {
	before := runtime.NumGoroutine()
	const publishers = 4
	closes := 1000
	for range closes {
		topic := pubsub.New[int](16)
		var handled [2]int
		topic.Handle(func(context.Context, int) error { handled[0]++; return nil })
		topic.Handle(func(context.Context, int) error { handled[1]++; return nil }, pubsub.Disconnect, pubsub.DropNewest, pubsub.Block)
		var published, tried atomic.Int64
		var wg sync.WaitGroup
		for range publishers {
			wg.Go(func() {
				for range 25 {
					tried.Add(1)
					switch err := topic.Publish(t.Context(), 1); {
					case err == nil:
						published.Add(1)
					case !errors.Is(err, pubsub.ErrClosed):
						assert.NoError(t, err)
					}
				}
			})
		}
		for tried.Load() < 10 {
			runtime.Gosched()
		}
		require.NoError(t, topic.Close(t.Context()))
		at := handled
		wg.Wait()
		require.Equal(t, at, handled, "nothing is handled after Close")
		require.EqualValues(t, published.Load(), handled[0])
		require.Equal(t, handled[0], handled[1])
	}
	requireTopicGoroutines(t, before)
}

// The context of a publisher, and the end of the one that holds it up, may come
// at the same time: it is published, or it is an error, and the topic goes on.
func TestTopicReleaseAgainstCancel(t *testing.T) {
	for range 2000 {
		topic := pubsub.New[int](1)
		gate := topic.Subscribe(t.Context())
		requirePublished(t, topic, 0)
		got := 0
		topic.Handle(func(context.Context, int) error { got++; return nil })
		ctx, cancel := context.WithCancel(t.Context())
		var published atomic.Int64
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				if topic.Publish(ctx, i) == nil {
					published.Add(1)
				}
			})
		}
		for range 10 {
			runtime.Gosched()
		}
		wg.Go(cancel)
		wg.Go(gate.Stop)
		wg.Wait()
		requirePublished(t, topic, 4, 5, 6)
		require.NoError(t, topic.Close(t.Context()))
		require.EqualValues(t, published.Load()+3, got)
	}
}

// The same of Close: an event is delivered if, and only if, it is published.
func TestTopicCloseAgainstCancel(t *testing.T) {
	for range 1500 {
		topic := pubsub.New[int](1)
		s := topic.Subscribe(t.Context())
		requirePublished(t, topic, 0)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var errs [3]error
		wg.Go(func() { errs[1] = topic.Publish(ctx, 1) })
		wg.Go(func() { errs[2] = topic.Publish(t.Context(), 2) })
		for range 30 {
			runtime.Gosched()
		}
		cancel()
		require.NoError(t, topic.Close(t.Context()))
		wg.Wait()
		var got []int
		for v, err := range s.All() {
			require.NoError(t, err)
			got = append(got, v)
		}
		var want []int
		for v, err := range errs {
			if err == nil {
				want = append(want, v)
			}
		}
		require.Equal(t, want, got)
	}
}

// With nothing to wait for, Close does not look at its context.
func TestTopicCloseWithAnEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	topic := pubsub.New[int](1)
	topic.Handle(topicIgnores)
	require.NoError(t, topic.Close(t.Context()))
	for range 100 { // either may be chosen by chance
		require.NoError(t, topic.Close(ctx))
		require.NoError(t, pubsub.New[int](1).Close(ctx))
	}
}

// A subscription that has ended costs nothing: it is not in the topic any more.
func TestTopicForgetsTheEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := pubsub.New[int](1)
		for name, test := range map[string]func(s *pubsub.Subscription[int], cancel func()){
			"context": func(_ *pubsub.Subscription[int], cancel func()) { cancel() },
			"stop":    func(s *pubsub.Subscription[int], _ func()) { s.Stop() },
			"loop": func(s *pubsub.Subscription[int], _ func()) {
				for range s.All() {
					break
				}
			},
			"channel": func(s *pubsub.Subscription[int], _ func()) { s.C(); s.Stop() },
		} {
			for overflow := range pubsub.Overflow(4) {
				ctx, cancel := context.WithCancel(t.Context())
				s := topic.Subscribe(ctx, overflow)
				requirePublished(t, topic, 1)
				assert.Equal(t, 1, topic.Len())
				test(s, cancel)
				synctest.Wait()
				cancel()
				assert.Zero(t, topic.Len(), name)
				requirePublished(t, topic, 1, 2, 3)
				assert.Zero(t, s.Len())
				assert.Zero(t, s.Missed())
			}
		}
		ended, cancel := context.WithCancelCause(t.Context())
		cancel(errTopicCause)
		s := topic.Subscribe(ended)
		synctest.Wait()
		assert.ErrorIs(t, s.Err(), errTopicCause)
		assert.Zero(t, topic.Len())
	})
}

// Nor is it held by the topic, even if nothing is published any more.
func TestTopicDoesNotHoldTheEnded(t *testing.T) {
	for _, kind := range []string{"loop", "channel", "handler"} {
		for overflow := range pubsub.Overflow(4) {
			synctest.Test(t, func(t *testing.T) {
				topic := pubsub.New[int](1)
				ctx, cancel := context.WithCancel(t.Context())
				var held weak.Pointer[pubsub.Subscription[int]]
				go func() {
					s := topic.Subscribe(ctx, overflow)
					switch kind {
					case "handler":
						s = topic.Handle(topicIgnores, overflow)
						<-ctx.Done()
						s.Stop()
					case "channel":
						for range s.C() { //nolint:contextcheck // until it has ended; it takes none
						}
					default:
						for range s.All() { // until it has ended
						}
					}
					held = weak.Make(s)
				}()
				synctest.Wait()
				cancel()
				synctest.Wait()
				require.NotZero(t, held)
				requireCollected(t, []weak.Pointer[pubsub.Subscription[int]]{held}, fmt.Sprintf("%s, %v", kind, overflow))
				runtime.KeepAlive(topic)
			})
		}
	}
}

// Nor by the topic whose publisher had waited for it, and gave up.
func TestTopicDoesNotHoldWhoHeldUpAPublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := pubsub.New[int](1)
		var held []weak.Pointer[pubsub.Subscription[int]]
		func() {
			s := topic.Subscribe(context.Background())
			held = append(held, weak.Make(s))
			requirePublished(t, topic, 1)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, topic.Publish(ctx, 2), context.DeadlineExceeded)
			s.Stop()
		}()
		requireCollected(t, held, "subscriptions")
		runtime.KeepAlive(topic)
	})
}

// Nor by others with which it was woken.
func TestTopicDoesNotHoldThoseWokenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := pubsub.New[int](8)
		var held []weak.Pointer[pubsub.Subscription[int]]
		kept := make([]*topicReader, 3)
		func() {
			for i := range 30 {
				if i%10 == 5 {
					kept[i/10] = newTopicReader(topic.Subscribe(t.Context()))
					require.Equal(t, "waits", kept[i/10].read())
					continue
				}
				s := topic.Subscribe(context.Background())
				held = append(held, weak.Make(s))
				go func() {
					for range s.All() {
						break
					}
				}()
				synctest.Wait()
			}
		}()
		requirePublished(t, topic, 1)
		synctest.Wait()
		requireCollected(t, held, "subscriptions")
		require.Equal(t, len(kept), topic.Len())
		for _, r := range kept {
			require.Equal(t, "1", r.read())
			r.Stop()
			r.leave()
		}
	})
}

// Nor by others that wait for events as it did, in whatever order they leave.
func TestTopicDoesNotHoldThoseWhoLeftWhileTheyWaited(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {1, 0, 2}, {2, 0, 1}, {0, 2, 1}} {
		synctest.Test(t, func(t *testing.T) {
			topic := pubsub.New[int](1)
			var held []weak.Pointer[pubsub.Subscription[int]]
			var got atomic.Int64
			keep := func() {
				topic.Handle(func(context.Context, int) error { got.Add(1); return nil }, pubsub.Once())
				synctest.Wait()
			}
			keep()
			func() {
				left := make([]*pubsub.Subscription[int], len(order))
				for i := range left {
					left[i] = topic.Handle(topicIgnores)
					synctest.Wait()
					held = append(held, weak.Make(left[i]))
				}
				keep()
				for _, i := range order {
					left[i].Stop()
				}
			}()
			synctest.Wait()
			requireCollected(t, held, fmt.Sprint(order))
			requirePublished(t, topic, 1)
			require.NoError(t, topic.Close(t.Context()))
			require.EqualValues(t, 2, got.Load(), "they are woken")
		})
	}
}

// Nor by the context of Subscribe, which goes on.
func TestTopicContextDoesNotHoldTheEnded(t *testing.T) {
	for name, test := range map[string]func(topic *pubsub.Topic[int], s *pubsub.Subscription[int]){
		"loop": func(_ *pubsub.Topic[int], s *pubsub.Subscription[int]) {
			for range s.All() { // to the end
			}
		},
		"channel": func(_ *pubsub.Topic[int], s *pubsub.Subscription[int]) {
			for range s.C() { // to the end
			}
		},
		"stopped": func(_ *pubsub.Topic[int], s *pubsub.Subscription[int]) { s.Stop() },
		"closed":  nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var held []weak.Pointer[pubsub.Subscription[int]]
				for range 10 {
					func() {
						topic := pubsub.New[int](1)
						if test == nil {
							require.NoError(t, topic.Close(ctx))
						}
						s := topic.Subscribe(ctx, pubsub.Once())
						held = append(held, weak.Make(s))
						if test != nil {
							require.NoError(t, topic.Publish(ctx, 1))
							test(topic, s)
						}
					}()
				}
				synctest.Wait()
				requireCollected(t, held, "subscriptions")
			})
		})
	}
}

// What makes a context for each handler leaves none of them with the topic.
func TestTopicDoesNotHoldContexts(t *testing.T) {
	for _, name := range []string{"once", "closed"} {
		synctest.Test(t, func(t *testing.T) {
			topic := pubsub.New[int](1)
			if name == "closed" {
				require.NoError(t, topic.Close(t.Context()))
			}
			const n = 500
			var before uint64
			for i := range n + 1 {
				topic.Handle(topicIgnores, pubsub.Once())
				if name == "once" {
					requirePublished(t, topic, i)
				}
				if synctest.Wait(); i == 0 {
					before, _ = busLive()
				}
			}
			after, _ := busLive()
			assert.Less(t, after, before+n/2, name)
			runtime.KeepAlive(topic)
		})
	}
}

// A reader that waits holds no events, but for those that the topic has.
func TestTopicReaderThatWaitsHoldsNoEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := pubsub.New[*[1 << 10]byte](2)
		s := topic.Subscribe(t.Context())
		var held []weak.Pointer[[1 << 10]byte]
		for range 2 {
			v := new([1 << 10]byte)
			held = append(held, weak.Make(v))
			require.NoError(t, topic.Publish(t.Context(), v))
		}
		go func() {
			for range s.All() { // until it is stopped
			}
		}()
		for range 2 { // of what it copies, one takes the place of the first each time
			synctest.Wait()
			require.NoError(t, topic.Publish(t.Context(), nil))
		}
		synctest.Wait()
		requireCollected(t, held, "events")
		s.Stop()
	})
}

// A topic may be of longer life than the bubbles in which it is used.
func TestTopicInSeveralBubbles(t *testing.T) {
	topic := pubsub.New[int](1)
	for range 3 {
		synctest.Test(t, func(t *testing.T) {
			s := topic.Subscribe(t.Context())
			time.AfterFunc(time.Second, s.Stop)
			start := time.Now()
			requirePublished(t, topic, 1, 2)
			require.Equal(t, time.Second, time.Since(start), "it had to wait")
		})
	}
}

// Publishers and readers, who all wait all the time, always wake each other.
func TestTopicLosesNoWakeUp(t *testing.T) {
	n := 100_000
	if testing.Short() || topicUnderRace() {
		n = 10_000
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, test := range []struct{ publishers, readers int }{{1, 1}, {1, 2}, {3, 1}, {3, 2}} {
		topic := pubsub.New[int](1)
		counts := make([]int, test.readers)
		var reading, publishing sync.WaitGroup
		for i := range counts {
			s := topic.Subscribe(t.Context())
			reading.Go(func() {
				for range s.All() {
					counts[i]++
				}
			})
		}
		each := n / test.publishers / test.publishers
		for range test.publishers {
			publishing.Go(func() {
				for i := range each {
					if !assert.NoError(t, topic.Publish(ctx, i)) {
						return
					}
				}
			})
		}
		publishing.Wait()
		require.False(t, t.Failed(), "it is stuck")
		require.NoError(t, topic.Close(t.Context()))
		reading.Wait()
		for _, got := range counts {
			require.Equal(t, test.publishers*each, got)
		}
	}
}

// What cannot work panics where it is made, and says whose it is.
func TestTopicPanics(t *testing.T) {
	topic := pubsub.New[int](1)
	keep := func(string) bool { return true }
	for name, f := range map[string]func(){
		"capacity":        func() { pubsub.New[int](0) },
		"nil handler":     func() { topic.Handle(nil) },
		"replay 0":        func() { pubsub.Replay(0) },
		"replay too much": func() { pubsub.New[int](2, pubsub.Replay(3)) },
		"slow at once":    func() { pubsub.OnSlow(0, func(pubsub.SlowEvent) {}) },
		"slow nil":        func() { pubsub.OnSlow(1, nil) },
		"nil filter":      func() { pubsub.Filter[int](nil) },
		"its filter":      func() { topic.Handle(topicIgnores, pubsub.Filter(keep)) },
		"their filter":    func() { topic.Subscribe(t.Context(), pubsub.Filter(keep)) },
		"all of handler":  func() { topic.Handle(topicIgnores).All() },
		"c of handler":    func() { topic.Handle(topicIgnores).C() },
		"all of channel":  func() { s := topic.Subscribe(t.Context()); s.C(); s.All() },
		"all, then c": func() {
			s := topic.Subscribe(t.Context())
			all := s.All()
			s.C()
			s.Stop()
			for range all {
				assert.Fail(t, "it has a channel")
			}
		},
		"after its end": func() { s := topic.Handle(topicIgnores); s.Stop(); s.All() },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				text, _ := recover().(string)
				assert.True(t, strings.HasPrefix(text, "pubsub: "), text)
			}()
			f()
		})
	}
	require.NoError(t, topic.Close(t.Context()))
}
