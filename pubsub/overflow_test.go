package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
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

// What a subscription loses is counted to the event, and told where it is lost:
// the scripts of tokio's broadcast channel, and those of others.
func TestOverflowScripts(t *testing.T) {
	const oldest, newest, disconnect = pubsub.DropOldest, pubsub.DropNewest, pubsub.Disconnect
	for name, test := range map[string]struct {
		capacity int
		overflow pubsub.Overflow
		script   string
	}{
		// tests/sync_broadcast.rs of tokio
		"single_capacity_recvs":                 {1, oldest, "a+ 1 a=1,waits"},
		"single_capacity_recvs_after_drop_1":    {1, oldest, "a+ 1 2 a=lag1,2,waits"},
		"single_capacity_recvs_after_drop_2":    {1, oldest, "a+ 1 2 close a=lag1,2,end"},
		"dropping_sender_does_not_overwrite":    {2, oldest, "a+ 1 2 close a=1,2,end"},
		"send_two_recv":                         {16, oldest, "a+ b+ 1 a=1 b=1 2 a=2 3 a=3 b=2,3 a=waits b=waits"},
		"send_recv_bounded":                     {16, oldest, "a+ b+ 1 2 a=1,2 b=1,2 a=waits b=waits 3 a=3 b=3"},
		"send_slow_rx":                          {16, oldest, "a+ b+ a=waits b=waits 1 a=1 2 a=2 b=1,2 3 4 a=3,4 a=waits b=3,4,waits"},
		"capacity_overflow_reports_lagged":      {4, oldest, "a+ 1 2 3 4 5 6 7 8 a=lag4,5,6,7,8,waits"},
		"lagged_count_matches":                  {2, oldest, "a+ 1 2 3 a:2/1 a=lag1 a:2/1 a=2,3 4 5 6 7 8 a:2/4 a=lag3,7,8"},
		"lag_is_per_receiver":                   {2, oldest, "a+ b+ 1 a=1 2 a=2 3 a=3 b=lag1,2,3 a=waits a:0/0 b:0/1"},
		"lag_catch_up_then_lag_again":           {2, oldest, "a+ 1 2 3 a=lag1,2,3,waits 4 a=4 5 6 7 8 a=lag2,7,8,waits a:0/3"},
		"lag_again_before_reading_retained":     {2, oldest, "a+ 1 2 3 a=lag1 4 5 a=lag2 6 a=lag1,5 7 a=6,7,waits a:0/4"},
		"receiver_len_after_lag_error":          {3, oldest, "a+ 1 2 3 4 a:3/1 a=lag1 a:3/1 a=2 a:2/1 a=3,4 a:0/1"},
		"lagging_receiver_recovers_after_wrap1": {2, oldest, "a+ b+ 1 2 3 b=lag1,2 a=lag1,2 4 b=3 5 b=4,5 a=lag1,4,5"},
		"no_rounding_of_the_capacity":           {3, oldest, "a+ 1 2 3 4 5 a=lag2,3,4,5 6 7 8 9 a=lag1,7,8,9"},
		"no_error_without_receivers":            {1, oldest, "1 2 3 a+ 4 a=4 a- 5 6"},
		"subscribed_late":                       {2, oldest, "a+ 1 2 b+ 3 4 5 a=lag3,4 b=lag1,4,5 a=5"},
		"lag_then_cancel":                       {2, oldest, "a+ 1 2 3 cancel a=cause,end a:0/1"},
		"stop_keeps_the_count":                  {2, oldest, "a+ 1 2 3 4 a=lag2,3 5 6 a:2/3 cancel a:0/3 a=cause,end"},

		"newest":                    {2, newest, "a+ 1 2 3 4 a:2/2 a=1 a=2 a=lag2,waits 5 a=5"},
		"newest, two gaps":          {2, newest, "a+ 1 2 3 a=1 4 5 a=2,lag1 6 a=4,lag1,6,waits a:0/2"},
		"newest, at the end":        {1, newest, "a+ 1 2 3 close a=1,lag2,end"},
		"newest, waiting":           {1, newest, "a+ a=waits 1 a=1 a=waits 2 a=2"},
		"newest, each its own":      {1, newest, "a+ b+ 1 a=1 2 b=1,lag1 a=2 3 b=3 a=3"},
		"disconnect":                {2, disconnect, "a+ 1 2 3 4 a:2/1 a=1 5 a=2 6 a=full,end 7 a:0/1"},
		"disconnect, each its own":  {2, disconnect, "a+ b+ 1 2 b=1,2 3 4 b=3,4 a=1,2,full,end a:0/1 5 b=5,waits b:0/0"},
		"disconnect, then close":    {1, disconnect, "a+ 1 2 close a=1,full,end"},
		"disconnect, then cancel":   {1, disconnect, "a+ 1 2 cancel a=full,end a:0/1"},
		"disconnect, read, cancel":  {2, disconnect, "a+ 1 2 3 a=1 cancel 4 a=full,end a:0/1"},
		"cancel, before it's full":  {1, disconnect, "a+ 1 cancel 2 3 a=cause,end a:0/0"},
		"disconnect, not when it's": {2, disconnect, "a+ 1 2 a=1 3 a=2 4 a=3,4,waits"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				runTopicScript(t, pubsub.New[int](test.capacity), test.script, test.overflow)
			})
		})
	}
}

// The scripts of Kotlin's SharedFlow; the replay cache is never reset.
func TestOverflowReplayScripts(t *testing.T) {
	for name, test := range map[string]struct {
		capacity, replay int
		overflow         pubsub.Overflow
		script           string
	}{
		"testReplay1Extra2": {3, 1, pubsub.Block, `1 2 3 4 a+ a=4 5 6 7 8? a=5 8! 9? a=6 9! 10? 11? 12?
			a=7 10! a=8 11! a=9 12! a=10,11,12 13 14 15 16? 17? 18? 17x a=13 16! a=14 18!
			19? 20? 21? 21x a=15 19! a=16 20! a=18,19,20 22 23 24 25? 26? 27? 25x b+ b=24
			a=22 26! b=26 a=23 27! a=24,26,27 28 29 a=28,29 30? 31? 32? 33? 34? 35? 36? 37? 38? 39?
			31x b- 30! 32! 33! c+ c=33 34x a=30 35! 37x a- 36! 38! c=35 39! c=36,38,39 c- 40 41 42 43 44 d+ d=44`},
		"testReplay1": {1, 1, pubsub.Block, `0 1 2 3 4 a+ a=4 5 a=5 6 7? 8? 9? a=6 7! b+ b=7 a=7 8! b=8
			10? 11? 12? 9x a=8 10! a=10 11x b=10 12! a=12 b=12 13 b=13 14? 15? 16? 14x a- 15! b=15 16! b=16`},
		"testReplay2Extra2DropOldest": {4, 2, pubsub.DropOldest, `0 1 2 3 4 a+ a=3 5 6 7 8 9 a:4/2 a=lag2,6,7 b+ b=8,9
			10 a=8,9,10 11 12 13 14 b:4/1 b=lag1,11,12,13,14 a=11,12,13,14 15 a=15 b=15`},
		"testResumeFastSubscriberOnResumedEmitter": {1, 1, pubsub.Block, `a+ a=waits b+ b=waits 0 a=0 b=0 1 a=1
			2? a=waits b=1 2! a=2 3? b=2 3! a=3`},
		"testSuspendedConcurrentEmitAndCancelSubscriberReplay1": {
			1, 1, pubsub.Block,
			"a+ 0 a=0 1 2? 3? a- 2! 3! b+ b=3 4 b=4",
		},
		"testSuspendedConcurrentEmitAndCancelSubscriberReplay1ExtraBuffer1": {
			2, 1, pubsub.Block,
			"a+ 0 a=0 1 2 3? 4? 5? a- 3! 4! 5! b+ b=5 6 b=6",
		},
		"replay fills the queue":       {2, 2, pubsub.Block, "1 2 3 a+ a:2/0 4? a=2 4! a=3,4,waits"},
		"replay, then lag":             {2, 2, pubsub.DropOldest, "1 2 3 a+ 4 a=lag1,3,4"},
		"replay, then newest":          {2, 2, pubsub.DropNewest, "1 2 3 a+ 4 a=2,3,lag1 5 a=5"},
		"replay, then disconnect":      {2, 2, pubsub.Disconnect, "1 2 3 a+ 4 5 a:2/1 a=2,3,full,end"},
		"replay of fewer than asked":   {5, 5, pubsub.Block, "1 a+ a=1,waits b+ b=1,waits"},
		"replay ends with the topic":   {5, 5, pubsub.Block, "1 close a+ a=closed,end"},
		"replay of a blocked publish":  {1, 1, pubsub.Block, "a+ 1 2? b+ b=1 a=1 2! c+ c=2 a=2 b=2"},
		"close refuses those who wait": {2, 1, pubsub.Block, "a+ 1 2 3? 4? close 3c 4c a=1,2,end b+ b=closed"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				runTopicScript(t, pubsub.New[int](test.capacity, pubsub.Replay(test.replay)), test.script, test.overflow)
			})
		})
	}
}

// A long replay is contiguous with what comes then, for many who come and go.
func TestOverflowReplayUnderChurn(t *testing.T) {
	for overflow := range pubsub.Overflow(4) {
		topic := pubsub.New[int](100, pubsub.Replay(100))
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		for range 4 {
			wg.Go(func() {
				for range 50 {
					first, next, got := -1, 0, 0
					for v, err := range topic.Subscribe(t.Context(), overflow).All() {
						lag := (*pubsub.LaggedError)(nil)
						if errors.As(err, &lag) {
							next += int(lag.Missed)
							continue
						} else if err != nil {
							assert.ErrorIs(t, err, pubsub.ErrFull)
							break
						}
						if first < 0 && (overflow != pubsub.DropOldest || next == 0) {
							first, next = v, v
						} else if first < 0 {
							first, next = v-next, v
						}
						if !assert.Equal(t, next, v) {
							break
						}
						next++
						if got++; got == 150 {
							break
						}
					}
				}
			})
		}
		var publishing sync.WaitGroup
		publishing.Go(func() {
			for i := 0; topic.Publish(ctx, i) == nil; i++ {
			}
		})
		wg.Wait()
		cancel()
		publishing.Wait()
		require.NoError(t, topic.Close(t.Context()))
	}
}

// Lossy loops that are slow see each event, or know that it is lost.
func TestOverflowCountsUnderRace(t *testing.T) {
	for _, overflow := range []pubsub.Overflow{pubsub.DropOldest, pubsub.DropNewest} {
		for _, capacity := range []int{1, 3, 64, 100} {
			topic := pubsub.New[int](capacity)
			const n = 5000
			var wg sync.WaitGroup
			subs := make([]*pubsub.Subscription[int], 4)
			for i := range subs {
				s := topic.Subscribe(t.Context(), overflow)
				subs[i] = s
				wg.Go(func() {
					next, missed := 0, uint64(0)
					for v, err := range s.All() {
						if lag := (*pubsub.LaggedError)(nil); errors.As(err, &lag) {
							next += int(lag.Missed)
							missed += lag.Missed
							assert.NotZero(t, lag.Missed)
						} else if assert.NoError(t, err) && assert.Equal(t, next, v) {
							next++
						} else {
							return
						}
						for range i {
							runtime.Gosched()
						}
					}
					assert.Equal(t, n, next)
					assert.Equal(t, missed, s.Missed())
				})
			}
			handled := 0
			h := topic.Handle(func(context.Context, int) error { handled++; return nil }, overflow)
			requirePublished(t, topic, topicCount(0, n)...)
			require.NoError(t, topic.Close(t.Context()))
			wg.Wait()
			require.EqualValues(t, n, handled+int(h.Missed()))
		}
	}
}

// Missed never goes down, whatever the reader does meanwhile.
func TestOverflowMissedNeverGoesDown(t *testing.T) {
	topic := pubsub.New[int](4)
	s := topic.Subscribe(t.Context(), pubsub.DropOldest)
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		for range s.All() { // until it has ended
			runtime.Gosched()
		}
	})
	wg.Go(func() {
		for i := 0; topic.Publish(ctx, i) == nil; i++ {
			if i%5 == 0 {
				runtime.Gosched()
			}
		}
		s.Stop()
	})
	for range 2 {
		wg.Go(func() {
			for last := uint64(0); ctx.Err() == nil; {
				missed := s.Missed()
				if missed < last {
					assert.Failf(t, "it went down", "from %d to %d", last, missed)
					return
				}
				last = missed
			}
		})
	}
	wg.Wait()
}

// A handler and a channel are not told where events are lost, but Err says how
// many, whether or not their Filter would have let them pass.
func TestOverflowOfHandlersAndChannels(t *testing.T) {
	odd := pubsub.Filter(func(v int) bool { return v%2 == 1 })
	for _, test := range []struct {
		overflow pubsub.Overflow
		want     []int // 1 is read before the others are published
		missed   int
		err      []string
	}{
		{pubsub.DropOldest, []int{1, 7, 9}, 5, []string{"lag 5"}},
		{pubsub.DropNewest, []int{1, 3, 5}, 5, []string{"lag 5"}},
		{pubsub.Disconnect, []int{1, 3, 5}, 1, []string{"full", "lag 1"}},
	} {
		for _, kind := range []string{"handler", "channel"} {
			t.Run(fmt.Sprintf("%v/%s", test.overflow, kind), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					topic := pubsub.New[int](4)
					var got []int
					release := make(chan struct{})
					var s *pubsub.Subscription[int]
					var c <-chan int
					if kind == "handler" {
						s = topic.Handle(func(_ context.Context, v int) error { <-release; got = append(got, v); return nil }, odd, test.overflow)
					} else {
						s = topic.Subscribe(t.Context(), odd, test.overflow)
						c = s.C()
						require.True(t, c == s.C(), "it is the same") //nolint:testifylint // of channels
					}
					requirePublished(t, topic, 1)
					synctest.Wait()
					requirePublished(t, topic, topicCount(2, 11)...)
					require.Equal(t, 4, s.Len())
					require.EqualValues(t, test.missed, s.Missed())
					require.Contains(t, topicErrors(s.Err()), fmt.Sprintf("lag %d", test.missed))
					close(release)
					require.NoError(t, topic.Close(t.Context()))
					if c != nil {
						for v := range c {
							got = append(got, v)
						}
					}
					require.Equal(t, test.want, got)
					require.Equal(t, test.err, topicErrors(s.Err()))
					require.EqualValues(t, test.missed, s.Missed())
				})
			})
		}
	}
}

// A Filter takes what it wants; all have to. What it leaves out is in the queue
// until it is called.
func TestOverflowFilter(t *testing.T) {
	even := pubsub.Filter(func(v int) bool { return v%2 == 0 })
	third := pubsub.Filter(func(v int) bool { return v%3 == 0 })
	synctest.Test(t, func(t *testing.T) {
		runTopicScript(t, pubsub.New[int](4), "a+ 1 2 3 4 a:4/0 5? 6? a=2 5! 6! 7? a=4 7! a=6 a=waits 8 9 10 a=8,10,waits a:0/0", even)
		runTopicScript(t, pubsub.New[int](4), "a+ 1 2 3 4 a=waits 5 6 a=6 7 8 9 10 11? a=waits 11! 12 a=12 close a=end", even, third)
		runTopicScript(t, pubsub.New[int](3), "a+ 1 2 3 4 5 a:3/2 a=lag2,4 6 7 8 9 a=lag2 a=8,waits a:0/4", even, pubsub.DropOldest)
	})
}

// A filter that panics, or ends its goroutine, is an error of the handler or
// the channel, and that of the loop's goroutine: what comes then is as before.
func TestOverflowFilterThatDies(t *testing.T) {
	for name, die := range map[string]func(){"panic": func() { panic("oh") }, "goexit": runtime.Goexit} {
		keep := pubsub.Filter(func(v int) bool {
			if v == 2 {
				die()
			}
			return true
		})
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				topic := pubsub.New[int](4)
				var handled []int
				h := topic.Handle(func(_ context.Context, v int) error { handled = append(handled, v); return nil }, keep, pubsub.Named("s"))
				s := topic.Subscribe(t.Context(), keep, pubsub.Named("s"))
				c := s.C()
				loop := topic.Subscribe(t.Context(), keep)
				requirePublished(t, topic, 1, 2, 3)
				for _, want := range []int{1, 3} {
					require.Equal(t, want, <-c)
				}
				var looped []int
				var panicked any
				<-topicGo(func() error {
					defer func() { panicked = recover() }()
					for v := range loop.All() {
						looped = append(looped, v)
					}
					return nil
				}).done
				assert.Equal(t, []int{1, 3}, handled)
				assert.Equal(t, []int{1}, looped)
				assert.Equal(t, name == "panic", panicked != nil)
				assert.Equal(t, []string{"s " + name}, topicErrors(h.Err()))
				assert.Equal(t, []string{"s " + name}, topicErrors(s.Err()))
				assert.Equal(t, 2, topic.Len(), "the loop is left")
				err := topic.Close(t.Context())
				require.Contains(t, topicErrors(err), "s "+name)
			})
		})
	}
}

// Once takes the first, or the first that the Filter lets pass, and no other:
// however many are published, also by its own handler.
func TestOverflowOnce(t *testing.T) {
	third := pubsub.Filter(func(v int) bool { return v%3 == 0 })
	synctest.Test(t, func(t *testing.T) {
		runTopicScript(t, pubsub.New[int](4), "a+ 1 2 a=1 a:0/0 a=end 3 4 5 6 7", pubsub.Once())
		runTopicScript(t, pubsub.New[int](4), "a+ 1 2 a=waits 3 4 a=3,end", pubsub.Once(), third)
		runTopicScript(t, pubsub.New[int](1), "a+ 3 4? a=3 4! 5 6 a=end", pubsub.Once(), third)
		runTopicScript(t, pubsub.New[int](2), "a+ 1 2 3 4 a:2/2 a=lag2 a=3,end a:0/2", pubsub.Once(), third, pubsub.DropOldest)
		runTopicScript(t, pubsub.New[int](2), "a+ 1 2 3 4 a:2/2 a=lag2 5 6 a=6,end a:0/2", pubsub.Once(), third, pubsub.DropNewest)
		runTopicScript(t, pubsub.New[int](2), "a+ 1 2 3 4 a:2/1 a=full,end", pubsub.Once(), third, pubsub.Disconnect)
		runTopicScript(t, pubsub.New[int](2), "a+ 2 3 4 5 a=3,full,end a:0/1", pubsub.Once(), third, pubsub.Disconnect)

		topic := pubsub.New[int](8) // so that there is always room
		calls, filtered := 0, 0
		s := topic.Handle(func(ctx context.Context, v int) error {
			calls++
			return errors.Join(topic.Publish(ctx, v), ctx.Err(), errTopicBoom)
		}, pubsub.Once(), pubsub.Named("once"))
		topic.Handle(func(context.Context, int) error { filtered++; return nil }, pubsub.Once(), third)
		c := topic.Subscribe(t.Context(), pubsub.Once()).C()
		requirePublished(t, topic, 1, 1, 2, 3, 3, 3)
		require.Equal(t, 1, <-c)
		_, ok := <-c
		require.False(t, ok)
		synctest.Wait()
		require.Equal(t, 1, calls)
		require.Equal(t, 1, filtered)
		require.Equal(t, []string{"once boom"}, topicErrors(s.Err()))
		require.Zero(t, topic.Len())
		require.ErrorIs(t, topic.Close(t.Context()), errTopicBoom)
	})
}

// Without a Filter, Once takes the first event, be it one of the replay, and
// then no other: it holds up nobody, and misses nothing, whatever its Overflow
// is, and whatever others do with the same events.
func TestOverflowOnceTakesTheFirst(t *testing.T) {
	type row struct {
		capacity, replay int
		script           string
	}
	for overflow := range pubsub.Overflow(4) {
		for _, test := range []row{
			{1, 0, "a+ 1 2 3 a:1/0 a=1 a:0/0 4 a=end"},
			{1, 0, "a+ b+ 1 2 3 a=1,end b:1/0 4 b=1,end b:0/0"},
			{1, 0, "a+ a=waits 1 a=1 2 3 a=end"},
			{3, 0, "a+ 1 2 3 4 5 6 7 a:1/0 a=1,end"},
			{2, 0, "a+ 1 2 close a:1/0 a=1,end b+ b=closed"},
			{2, 0, "a+ 1 2 cancel a:0/0 a=cause,end a:0/0 3 4"},
			{2, 2, "1 2 3 a+ a:1/0 4 5 6 a:1/0 a=2 7 8 9 a=end a:0/0"},
			{3, 1, "1 2 3 a+ a:1/0 4 5 b+ b=5 a=3,end b=end"},
		} {
			t.Run(fmt.Sprintf("%v/%s", overflow, test.script), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var opts []pubsub.TopicOption
					if test.replay > 0 {
						opts = append(opts, pubsub.Replay(test.replay))
					}
					topic := pubsub.New[int](test.capacity, opts...)
					lossy := topic.Subscribe(t.Context(), pubsub.DropOldest)
					requirePublished(t, topic, topicCount(0, 20)...)
					runTopicScript(t, topic, test.script, pubsub.Once(), overflow)
					require.Equal(t, test.capacity, lossy.Len())
					lossy.Stop()
					require.Zero(t, topic.Len())
				})
			})
		}
	}
}

// All that come first take the same event, though many publish.
func TestOverflowOnceUnderRace(t *testing.T) {
	for range 50 {
		topic := pubsub.New[int](3)
		var first atomic.Int64
		gate := topic.Handle(func(_ context.Context, v int) error { first.CompareAndSwap(0, int64(v)); return nil })
		var wg sync.WaitGroup
		var got [24]atomic.Int64
		subs := make([]*pubsub.Subscription[int], len(got))
		for i := range subs {
			opts := []pubsub.SubOption{pubsub.Once(), pubsub.Overflow(i % 4)}
			topic.Subscribe(t.Context(), pubsub.DropOldest) // nobody reads it
			switch i / 4 % 3 {
			case 0:
				subs[i] = topic.Handle(func(_ context.Context, v int) error { got[i].Add(int64(v)); return nil }, opts...)
			case 1:
				subs[i] = topic.Subscribe(t.Context(), opts...)
				wg.Go(func() {
					for v, err := range subs[i].All() {
						assert.NoError(t, err)
						got[i].Add(int64(v))
					}
				})
			case 2:
				subs[i] = topic.Subscribe(t.Context(), opts...)
				wg.Go(func() {
					for v := range subs[i].C() {
						got[i].Add(int64(v))
					}
				})
			}
		}
		for p := range 4 {
			wg.Go(func() { requirePublished(t, topic, topicCount(1+100*p, 100+100*p)...) })
		}
		wg.Wait()
		require.NoError(t, topic.Close(t.Context()))
		for i, s := range subs {
			require.Equal(t, first.Load(), got[i].Load(), "%d", i)
			require.NoError(t, s.Err(), "it has missed nothing")
			require.Zero(t, s.Missed())
		}
		require.NoError(t, gate.Err())
	}
}

// Who is disconnected knows at once, and for good, however it ends afterwards;
// that it has missed one is told by no other error in the loop.
func TestOverflowDisconnectTellsAtOnce(t *testing.T) {
	for _, kind := range []string{"loop", "handler", "channel"} {
		for _, test := range []struct {
			how    string
			rest   []int // what is read afterwards: 1 is read, or held by the channel, before
			missed int   // by a handler
		}{
			{"drained", []int{2, 3}, 1},
			{"Stop", nil, 1},
			{"context", nil, 1},
			{"Close", []int{2, 3}, 1},
			{"Close, cut short", []int{2, 3}, 3},
		} {
			if kind == "handler" && test.how == "context" {
				continue // it has none
			}
			t.Run(kind+"/"+test.how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					topic := pubsub.New[int](2)
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					var s *pubsub.Subscription[int]
					var loop *topicReader
					var got, want []int
					release := make(chan struct{})
					if kind == "handler" {
						s = topic.Handle(func(ctx context.Context, v int) error {
							got = append(got, v)
							select {
							case <-release:
							case <-ctx.Done():
							}
							return nil
						}, pubsub.Disconnect, pubsub.Named("s"))
					} else {
						s = topic.Subscribe(ctx, pubsub.Disconnect)
					}
					var c <-chan int
					switch kind {
					case "loop":
						loop = newTopicReader(s)
						defer loop.leave()
						requirePublished(t, topic, 1)
						require.Equal(t, "1", loop.read())
					case "channel":
						c = s.C()
						fallthrough
					default:
						requirePublished(t, topic, 1)
						synctest.Wait()
					}
					requirePublished(t, topic, 2, 3)
					require.NoError(t, s.Err())
					requireFull := func(missed int) {
						t.Helper()
						require.ErrorIs(t, s.Err(), pubsub.ErrFull)
						want := []string{"full", fmt.Sprintf("lag %d", missed)}
						if kind == "loop" {
							want = want[:1]
						}
						require.Equal(t, want, topicErrors(s.Err()))
						require.EqualValues(t, missed, s.Missed())
					}
					requirePublished(t, topic, 4)
					requireFull(1)
					requirePublished(t, topic, 5, 6)
					requireFull(1)
					require.Equal(t, 2, s.Len())
					require.Equal(t, 1, topic.Len(), "it has something left to read")

					missed := 1
					switch test.how {
					case "Stop":
						s.Stop()
					case "context":
						cancel(errTopicCause)
						synctest.Wait()
					case "Close":
						if kind == "handler" {
							close(release)
						}
						require.NoError(t, topic.Close(t.Context()))
					case "Close, cut short":
						ended, cancel := context.WithCancelCause(t.Context())
						cancel(errTopicCause)
						err := topic.Close(ended)
						if kind == "handler" {
							missed = test.missed
							require.Equal(t, []string{"cause", "s lag 2"}, topicErrors(err))
						} else {
							require.NoError(t, err, "there is nothing to wait for")
						}
					case "drained":
						if kind == "handler" {
							close(release)
						}
					}
					requireFull(missed)
					switch want = test.rest; kind {
					case "loop":
						for _, v := range want {
							require.Equal(t, strconv.Itoa(v), loop.read())
						}
						require.Equal(t, "full", loop.read())
						require.Equal(t, "end", loop.read())
					case "channel":
						if want != nil {
							want = []int{1, 2, 3}
						}
						for v := range c {
							got = append(got, v)
						}
						require.Equal(t, want, got)
					case "handler":
						synctest.Wait()
						if want = []int{1}; test.rest != nil && missed == 1 {
							want = []int{1, 2, 3}
						}
						require.Equal(t, want, got)
					}
					requireFull(missed)
					require.Zero(t, topic.Len())
					s.Stop()
					cancel(errTopicCause)
					synctest.Wait()
					requireFull(missed)
				})
			})
		}
	}
}

// An Overflow says its name.
func TestOverflowString(t *testing.T) {
	for overflow, want := range map[pubsub.Overflow]string{
		pubsub.Block: "Block", pubsub.DropOldest: "DropOldest", pubsub.DropNewest: "DropNewest", pubsub.Disconnect: "Disconnect",
		4: "Overflow(4)", 255: "Overflow(255)",
	} {
		require.Equal(t, want, overflow.String())
		require.Equal(t, want, fmt.Sprint(overflow))
	}
}

// The context of Subscribe ends a channel even if it has got its one event.
func TestOverflowOnceOfAChannelEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := pubsub.New[int](4)
		ctx, cancel := context.WithCancel(t.Context())
		s := topic.Subscribe(ctx, pubsub.Once())
		defer s.Stop()
		c := s.C()
		requirePublished(t, topic, 1)
		synctest.Wait()
		cancel()
		synctest.Wait()
		_, ok := <-c
		require.False(t, ok)
	})
}

// Without a name, a subscription has a number.
func TestOverflowNames(t *testing.T) {
	topic := pubsub.New[int](4)
	fails := func(context.Context, int) error { return errTopicBoom }
	topic.Handle(fails)
	topic.Handle(fails, pubsub.Named("mail"))
	topic.Subscribe(t.Context())
	topic.Handle(fails, pubsub.Named("a"), pubsub.Named("b"))
	topic.Handle(fails)
	requirePublished(t, topic, 1)
	err := topic.Close(t.Context())
	require.Equal(t, []string{"#1 boom", "#5 boom", "b boom", "mail boom"}, topicErrors(err))
	require.Contains(t, err.Error(), "mail")
}

// One that is stuck does not hold up a thousand others, unless it is to.
func TestOverflowOfOneStuckAmongAThousand(t *testing.T) {
	for overflow := range pubsub.Overflow(4) {
		t.Run(fmt.Sprint(overflow), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				topic := pubsub.New[int](16)
				others := make([]int, 1000)
				release := make(chan struct{})
				stuck := topic.Handle(func(context.Context, int) error { <-release; return nil }, overflow)
				for i := range others {
					topic.Handle(func(context.Context, int) error { others[i]++; return nil })
				}
				ctx, cancel := context.WithCancel(t.Context())
				const n = 20
				want := n
				for i := range n {
					call := topicGo(func() error { return topic.Publish(ctx, i) })
					if overflow == pubsub.Block && i == 17 {
						require.False(t, call.returned())
						cancel()
						require.ErrorIs(t, call.requireReturned(t), context.Canceled)
						want = i
						break
					}
					require.NoError(t, call.requireReturned(t))
				}
				for _, got := range others {
					require.Equal(t, want, got)
				}
				require.EqualValues(t, map[pubsub.Overflow]int{pubsub.DropOldest: 3, pubsub.DropNewest: 3, pubsub.Disconnect: 1}[overflow], stuck.Missed())
				close(release)
				cancel()
				require.NoError(t, topic.Close(t.Context()))
			})
		})
	}
}

// A LaggedError says how many.
func TestOverflowLaggedError(t *testing.T) {
	err := error(&pubsub.LaggedError{Missed: 42})
	require.True(t, strings.HasPrefix(err.Error(), "pubsub: "))
	require.Contains(t, err.Error(), "42")
}
