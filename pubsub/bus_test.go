package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/pubsub"
)

var errBus = errors.New("no such order")

type (
	busMessage = pubsub.Message[int]
	busSub     = *pubsub.Subscription[busMessage]
)

// busSubscribe subscribes for the time of the test.
func busSubscribe(t *testing.T, b *pubsub.Bus[int], pattern string, opts ...pubsub.SubOption) busSub {
	t.Helper()
	s, err := b.Subscribe(t.Context(), pattern, opts...)
	require.NoError(t, err)
	return s
}

// busHandle subscribes h.
func busHandle(t *testing.T, b *pubsub.Bus[int], pattern string, h pubsub.Handler[busMessage], opts ...pubsub.SubOption) busSub {
	t.Helper()
	s, err := b.Handle(pattern, h, opts...)
	require.NoError(t, err)
	return s
}

// busRest reads what there is in the subscriptions of a Bus that is closed.
func busRest(t *testing.T, s busSub) (all []busMessage) {
	t.Helper()
	for m, err := range s.All() {
		require.NoError(t, err)
		all = append(all, m)
	}
	return all
}

// busValues are the values alone.
func busValues(messages []busMessage) (values []int) {
	for _, m := range messages {
		values = append(values, m.Value)
	}
	return values
}

// busValid is what the documentation says of a subject, or a pattern.
func busValid(s string, pattern bool) bool {
	words := strings.Split(s, ".")
	for i, word := range words {
		if pattern && (word == "*" || word == ">" && i == len(words)-1) {
			continue
		}
		if word == "" || strings.ContainsAny(word, "*>") {
			return false
		}
		for _, r := range word {
			if unicode.IsSpace(r) || unicode.IsControl(r) {
				return false
			}
		}
	}
	return true
}

// busMatches is the slow matcher. Both are valid.
func busMatches(pattern, subject string) bool {
	word, rest, more := strings.Cut(pattern, ".")
	if word == ">" {
		return true
	}
	first, others, left := strings.Cut(subject, ".")
	return (word == "*" || word == first) && more == left && (!more || busMatches(rest, others))
}

func FuzzMatch(f *testing.F) {
	for _, seed := range [][4]string{
		{"orders.*.paid", "orders.>", "*.eu.*", "orders.eu.paid"},
		{"orders.*.paid", "orders.>", ">", "orders"},
		{"a", "*", ">", "a"},
		{"a.b", "a.b", "a.*", "a.b"},
		{"a.b.c", "*.*.>", "a.>", "a.b"},
		{"a.>", "a.>.b", ">.a", "a.>"},
		{"", ".", "a.", ".a"},
		{"a..b", "a*", "*a.b", "a..b"},
		{"é.*", "世界.>", "\u00a0", "世界.é"},
		{"a b", "a\tb", "a\x00", "a\u2028"},
		{"\xff", "*", "\xff.>", "\xff"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, first, second, third, subject string) {
		b := pubsub.NewBus[int](1)
		patterns := []string{first, second, third}
		subs := make([]busSub, len(patterns))
		for i, pattern := range patterns {
			var err error
			subs[i], err = b.Subscribe(t.Context(), pattern)
			require.Equal(t, busValid(pattern, true), err == nil, "pattern %q: %v", pattern, err)
			if err != nil {
				require.ErrorIs(t, err, pubsub.ErrSubject)
				require.Nil(t, subs[i])
			}
		}
		err := b.Publish(t.Context(), subject, 7)
		require.Equal(t, busValid(subject, false), err == nil, "subject %q: %v", subject, err)
		if err != nil {
			require.ErrorIs(t, err, pubsub.ErrSubject)
			return
		}
		require.NoError(t, b.Close(t.Context()))
		for i, s := range subs {
			if s == nil {
				continue
			}
			var want []busMessage
			if busMatches(patterns[i], subject) {
				want = []busMessage{{Subject: subject, Value: 7}}
			}
			require.Equal(t, want, busRest(t, s), "pattern %q, subject %q", patterns[i], subject)
		}
	})
}

// busWords returns all that have up to so many words, made of those.
func busWords(n int, words ...string) (all []string) {
	for last := []string{""}; n > 0; n-- {
		var next []string
		for _, start := range last {
			for _, word := range words {
				next = append(next, strings.TrimPrefix(start+"."+word, "."))
			}
		}
		all, last = append(all, next...), next
	}
	return all
}

func TestBusMatchesAllShortPatternsWithAllShortSubjects(t *testing.T) {
	b := pubsub.NewBus[int](1000)
	patterns := []string{">"}
	for _, pattern := range busWords(3, "a", "b", "*") {
		patterns = append(patterns, pattern, pattern+".>")
	}
	subs := map[string][]busSub{}
	for range 2 { // each twice
		for _, pattern := range patterns {
			subs[pattern] = append(subs[pattern], busSubscribe(t, b, pattern))
		}
	}
	subjects := busWords(5, "a", "b")
	for i, subject := range subjects {
		require.NoError(t, b.Publish(t.Context(), subject, i))
	}
	require.NoError(t, b.Close(t.Context()))
	for _, pattern := range patterns {
		var want []busMessage
		for i, subject := range subjects {
			if busMatches(pattern, subject) {
				want = append(want, busMessage{Subject: subject, Value: i})
			}
		}
		for _, s := range subs[pattern] {
			require.Equal(t, want, busRest(t, s), pattern)
		}
	}
}

func TestBusGrammar(t *testing.T) {
	for s, is := range map[string]struct{ subject, pattern bool }{
		"orders":        {true, true},
		"orders.eu":     {true, true},
		"$SYS.a-b_c/d:": {true, true},
		"世界.é.42":       {true, true},
		"*":             {false, true},
		">":             {false, true},
		"*.*.*":         {false, true},
		"orders.*.paid": {false, true},
		"*.eu.>":        {false, true},
		"":              {false, false},
		".":             {false, false},
		".orders":       {false, false},
		"orders.":       {false, false},
		"orders..eu":    {false, false},
		"orders eu":     {false, false},
		" orders":       {false, false},
		"orders.\n":     {false, false},
		"orders\x00":    {false, false},
		"orders\u007f":  {false, false},
		"orders\u0085":  {false, false},
		"orders\u00a0":  {false, false},
		"orders.\u3000": {false, false},
		">.orders":      {false, false},
		"orders.>.paid": {false, false},
		">.>":           {false, false},
		"orders.e*":     {false, false},
		"orders.**":     {false, false},
		"orders.>>":     {false, false},
		"orders>":       {false, false},
		"*>":            {false, false},
		"orders.*.":     {false, false},
	} {
		t.Run(strconv.Quote(s), func(t *testing.T) {
			assert.Equal(t, is.subject, busValid(s, false), "the reference")
			assert.Equal(t, is.pattern, busValid(s, true), "the reference")
			b := pubsub.NewBus[int](1)
			check := func(valid bool, err error) {
				t.Helper()
				if valid {
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, pubsub.ErrSubject)
				assert.Contains(t, err.Error(), strconv.Quote(s))
			}
			check(is.subject, b.Publish(t.Context(), s, 1))
			_, err := b.Subscribe(t.Context(), s)
			check(is.pattern, err)
			sub, err := b.Handle(s, func(context.Context, busMessage) error { return nil })
			check(is.pattern, err)
			assert.Equal(t, is.pattern, sub != nil)
			require.NoError(t, b.Close(t.Context()))
		})
	}
}

func TestBusOverlappingPatternsGetEachEventOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pubsub.NewBus[int](4)
		var calls atomic.Int32
		patterns := []string{"a.b", "a.*", "*.b", "*.*", "a.>", "*.>", ">", "a.*", "a.*"}
		for _, pattern := range patterns {
			busHandle(t, b, pattern, func(_ context.Context, m busMessage) error {
				assert.Equal(t, busMessage{Subject: "a.b", Value: 1}, m)
				calls.Add(1)
				return nil
			})
		}
		for _, pattern := range []string{"a", "*", "a.b.c", "a.b.*", "a.b.>", "*.*.>", "b.*"} {
			busHandle(t, b, pattern, func(context.Context, busMessage) error { t.Error(pattern); return nil })
		}
		require.NoError(t, b.Publish(t.Context(), "a.b", 1))
		require.NoError(t, b.Close(t.Context()))
		assert.EqualValues(t, len(patterns), calls.Load())
	})
}

func TestBusKeepsTheOrderOfAPublisher(t *testing.T) {
	const publishers, each = 4, 500
	b := pubsub.NewBus[int](16)
	got := map[string]*[]busMessage{}
	for _, pattern := range []string{"p.0.*", "p.*.even", "p.>", ">", "> again"} {
		list := new([]busMessage)
		got[pattern] = list
		pattern, _, _ = strings.Cut(pattern, " ")
		busHandle(t, b, pattern, func(_ context.Context, m busMessage) error { *list = append(*list, m); return nil })
	}
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				subject := fmt.Sprintf("p.%d.%s", p, []string{"even", "odd"}[i%2])
				assert.NoError(t, b.Publish(t.Context(), subject, p*each+i))
			}
		})
	}
	wg.Wait()
	require.NoError(t, b.Close(t.Context()))
	for pattern, list := range got {
		last := [publishers]int{-1, -1, -1, -1}
		for _, m := range *list {
			p, i := m.Value/each, m.Value%each
			require.Less(t, last[p], i, "%s: the order of publisher %d", pattern, p)
			last[p] = i
		}
	}
	assert.Len(t, *got["p.0.*"], each)
	assert.Len(t, *got["p.*.even"], publishers*each/2)
	assert.Len(t, *got["p.>"], publishers*each)
	assert.Equal(t, *got[">"], *got["> again"], "of one pattern, all see the same")
}

// busLive returns how many objects there are, and goroutines.
func busLive() (objects uint64, goroutines int) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapObjects, runtime.NumGoroutine()
}

func TestBusForgetsPatternsThatNobodyWantsAnyMore(t *testing.T) {
	const n = 10_000
	patterns := make([]string, n)
	for i := range patterns {
		patterns[i] = fmt.Sprintf("orders.%d.*.%d.>", i, i%7)
	}
	handler := func(context.Context, busMessage) error { return nil }
	ends := map[string]func(ctx context.Context, b *pubsub.Bus[int], pattern string){
		"Stop of a handler": func(_ context.Context, b *pubsub.Bus[int], pattern string) {
			s, _ := b.Handle(pattern, handler)
			s.Stop()
		},
		"Stop of a reader": func(ctx context.Context, b *pubsub.Bus[int], pattern string) {
			s, _ := b.Subscribe(ctx, pattern)
			s.Stop()
			s.Stop()
		},
		"Stop of a channel": func(ctx context.Context, b *pubsub.Bus[int], pattern string) {
			s, _ := b.Subscribe(ctx, pattern)
			s.C() //nolint:contextcheck // it takes none
			s.Stop()
		},
		"the context": func(ctx context.Context, b *pubsub.Bus[int], pattern string) {
			ctx, cancel := context.WithCancel(ctx)
			_, _ = b.Subscribe(ctx, pattern)
			cancel()
			synctest.Wait()
		},
		"the context, before": func(ctx context.Context, b *pubsub.Bus[int], pattern string) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			_, _ = b.Subscribe(ctx, pattern)
			synctest.Wait()
		},
		"Once": func(ctx context.Context, b *pubsub.Bus[int], pattern string) {
			_, _ = b.Handle(pattern, handler, pubsub.Once())
			_ = b.Publish(ctx, strings.NewReplacer("*", "x", ">", "y").Replace(pattern), 1)
			synctest.Wait()
		},
		"nobody": func(ctx context.Context, b *pubsub.Bus[int], pattern string) {
			defer func() { _ = recover() }()
			_, _ = b.Subscribe(ctx, pattern, pubsub.Filter(func(string) bool { return true }))
		},
		"Disconnect": func(ctx context.Context, b *pubsub.Bus[int], pattern string) {
			s, _ := b.Subscribe(ctx, pattern, pubsub.Disconnect)
			for range 2 {
				_ = b.Publish(ctx, strings.NewReplacer("*", "x", ">", "y").Replace(pattern), 1)
			}
			for range s.All() {
				continue // to the end
			}
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := pubsub.NewBus[int](1)
				kept := busSubscribe(t, b, "orders.>", pubsub.DropOldest)
				end(t.Context(), b, patterns[0]) // what is made once
				objects, goroutines := busLive()
				patterns := patterns
				if !strings.HasPrefix(name, "Stop") {
					patterns = patterns[:n/5] // they take longer
				}
				for i, pattern := range patterns {
					end(t.Context(), b, pattern)
					if i%50 == 0 { // the runtime keeps the memory of goroutines that are there at the same time
						synctest.Wait()
					}
				}
				synctest.Wait()
				objectsAfter, goroutinesAfter := busLive()
				assert.Equal(t, goroutines, goroutinesAfter)
				assert.Less(t, objectsAfter, objects+uint64(len(patterns)/10))
				require.NoError(t, b.Publish(t.Context(), "orders.x", 42))
				require.NoError(t, b.Close(t.Context()))
				for m, err := range kept.All() {
					if err == nil {
						assert.Equal(t, busMessage{Subject: "orders.x", Value: 42}, m)
					}
				}
			})
		})
	}
}

// A busDoing is a context that does something when Subscribe looks at it.
type busDoing struct {
	context.Context

	do func()
}

func (c busDoing) Done() <-chan struct{} {
	c.do()
	return c.Context.Done()
}

func TestBusPatternStaysWhileSomebodySubscribes(t *testing.T) {
	b := pubsub.NewBus[int](1)
	last := busSubscribe(t, b, "a.b")
	s, err := b.Subscribe(busDoing{t.Context(), last.Stop}, "a.b")
	require.NoError(t, err)
	require.NoError(t, b.Publish(t.Context(), "a.b", 1))
	assert.Equal(t, 1, s.Len())
	require.NoError(t, b.Close(t.Context()))
}

func TestBusPatternComesBack(t *testing.T) {
	b := pubsub.NewBus[int](4)
	first, second := busSubscribe(t, b, "a.*"), busSubscribe(t, b, "a.*")
	deeper := busSubscribe(t, b, "a.*.c")
	require.NoError(t, b.Publish(t.Context(), "a.b", 1))
	first.Stop()
	require.NoError(t, b.Publish(t.Context(), "a.b", 2))
	second.Stop()
	require.NoError(t, b.Publish(t.Context(), "a.b", 3))
	again := busSubscribe(t, b, "a.*")
	second.Stop() // of no effect on the new one
	require.NoError(t, b.Publish(t.Context(), "a.b", 4))
	require.NoError(t, b.Publish(t.Context(), "a.b.c", 5))
	require.NoError(t, b.Close(t.Context()))
	assert.Equal(t, []int{4}, busValues(busRest(t, again)))
	assert.Equal(t, []int{5}, busValues(busRest(t, deeper)))
	assert.Empty(t, busRest(t, second), "what was not read is lost")
}

func TestBusClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pubsub.NewBus[int](200)
		gate := make(chan struct{})
		var handled atomic.Int32
		handler := func(_ context.Context, m busMessage) error {
			<-gate
			handled.Add(1)
			switch m.Value {
			case 7:
				return fmt.Errorf("%s: %w", m.Subject, errBus)
			case 8:
				panic("out of paper")
			case 9:
				runtime.Goexit()
			}
			return nil
		}
		for _, pattern := range []string{"a", "*", ">"} {
			busHandle(t, b, pattern, handler, pubsub.Named(pattern))
		}
		gone := busHandle(t, b, "gone", func(context.Context, busMessage) error { return errEmitter }, pubsub.Named("gone"))
		busHandle(t, b, "once", func(context.Context, busMessage) error { return errEmitter }, pubsub.Named("once"), pubsub.Once())
		reader := busSubscribe(t, b, "a")
		require.NoError(t, b.Publish(t.Context(), "gone", 0))
		require.NoError(t, b.Publish(t.Context(), "once", 0))
		synctest.Wait()
		gone.Stop()
		for i := range 198 {
			require.NoError(t, b.Publish(t.Context(), "a", i))
		}
		var closing sync.WaitGroup
		var errs [2]error
		for i := range errs {
			closing.Go(func() { errs[i] = b.Close(t.Context()) })
		}
		synctest.Wait()

		require.ErrorIs(t, b.Publish(t.Context(), "a", 1), pubsub.ErrClosed)
		_, err := b.Subscribe(t.Context(), "a")
		require.ErrorIs(t, err, pubsub.ErrClosed)
		_, err = b.Handle("new", handler)
		require.ErrorIs(t, err, pubsub.ErrClosed)
		assert.NoError(t, errs[0], "not yet")
		close(gate)
		closing.Wait()
		assert.EqualValues(t, 198+2*200, handled.Load())

		for _, err := range append(errs[:], b.Close(t.Context())) {
			require.ErrorIs(t, err, errBus)
			require.ErrorIs(t, err, errEmitter)
			require.ErrorIs(t, err, pubsub.ErrGoexit)
			var panicked *pubsub.PanicError
			require.ErrorAs(t, err, &panicked)
			assert.Equal(t, "out of paper", panicked.Value)
			for _, name := range []string{"a", "*", ">", "gone", "once"} {
				assert.Regexp(t, "(?m)^"+regexp.QuoteMeta(name)+": ", err.Error())
			}
		}
		assert.Len(t, busRest(t, reader), 198, "it reads what is left")
	})
}

func TestBusCloseWithoutAnything(t *testing.T) {
	b := pubsub.NewBus[int](1)
	require.NoError(t, b.Publish(t.Context(), "to.nobody", 1))
	require.NoError(t, b.Close(t.Context()))
	require.NoError(t, b.Close(t.Context()))
	require.ErrorIs(t, b.Publish(t.Context(), "to.nobody", 1), pubsub.ErrClosed)
}

func TestBusCloseThatRunsOutOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := errors.New("late")
		b := pubsub.NewBus[int](8)
		var subs []busSub
		causes := make([]error, 2)
		for i, pattern := range []string{"a", "*"} {
			subs = append(subs, busHandle(t, b, pattern, func(ctx context.Context, _ busMessage) error {
				<-ctx.Done()
				causes[i] = context.Cause(ctx)
				time.Sleep(time.Second) // it does not hurry
				return nil
			}))
		}
		for i := range 4 {
			require.NoError(t, b.Publish(t.Context(), "a", i))
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, late)
		defer cancel()
		start := time.Now()
		err := b.Close(ctx)
		require.ErrorIs(t, err, late)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, []string{"#1 lag 3", "#2 lag 3", "context deadline exceeded", "late"}, topicErrors(err))
		assert.Equal(t, time.Minute, time.Since(start))
		for _, s := range subs {
			assert.EqualValues(t, 3, s.Missed())
		}
		err = b.Close(t.Context())
		assert.Equal(t, []string{"#1 lag 3", "#2 lag 3"}, topicErrors(err), "this one was not cut short")
		assert.Equal(t, time.Minute+time.Second, time.Since(start), "it waits for the calls")
		for _, cause := range causes {
			require.ErrorIs(t, cause, late)
			require.ErrorIs(t, cause, context.DeadlineExceeded)
		}
	})
}

func TestBusCloseReleasesBlockedPublishers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pubsub.NewBus[int](1)
		readers := []busSub{busSubscribe(t, b, "a.*"), busSubscribe(t, b, "a.>")}
		require.NoError(t, b.Publish(t.Context(), "a.b", 1))
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { assert.ErrorIs(t, b.Publish(t.Context(), "a.b", 2), pubsub.ErrClosed) })
		}
		synctest.Wait()
		require.NoError(t, b.Close(t.Context()))
		wg.Wait()
		for _, s := range readers {
			assert.Equal(t, []int{1}, busValues(busRest(t, s)))
		}
	})
}

func TestBusReentry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pubsub.NewBus[int](2)
		var filling, closing error
		busHandle(t, b, "a.>", func(ctx context.Context, m busMessage) error {
			switch m.Value {
			case 1: // it fills its queue
				for filling == nil {
					filling = b.Publish(ctx, "a.c", 2)
				}
			case 3:
				s, err := b.Subscribe(ctx, "a.b")
				assert.NoError(t, err)
				s.Stop()
				h, err := b.Handle("a.b", func(context.Context, busMessage) error { return nil })
				assert.NoError(t, err)
				h.Stop()
				closing = b.Close(ctx)
			}
			return nil
		})
		require.NoError(t, b.Publish(t.Context(), "a.b", 1))
		require.NoError(t, b.Publish(t.Context(), "a.b", 3))
		synctest.Wait()
		require.NoError(t, b.Close(t.Context()))
		require.ErrorIs(t, filling, pubsub.ErrReentrant)
		require.ErrorIs(t, closing, pubsub.ErrReentrant)
	})
}

// Two handlers, each of which fills the queue of the other.
func TestBusHandlersThatFillEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pubsub.NewBus[int](1)
		var refused atomic.Int32
		for from, to := range map[string]string{"a": "b", "b": "a"} {
			busHandle(t, b, from, func(ctx context.Context, m busMessage) error {
				time.Sleep(time.Second) // so that both are at it at the same time
				for range m.Value {
					err := b.Publish(ctx, to, 0)
					if err != nil {
						assert.ErrorIs(t, err, pubsub.ErrReentrant)
						refused.Add(1)
					}
				}
				return nil
			})
		}
		require.NoError(t, b.Publish(t.Context(), "a", 5))
		require.NoError(t, b.Publish(t.Context(), "b", 5))
		synctest.Wait()
		time.Sleep(time.Hour)
		require.NoError(t, b.Close(t.Context()))
		assert.Positive(t, refused.Load())
	})
}

// Its goroutine ends, though nobody receives the one event.
func TestBusOnceOnAChannelEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pubsub.NewBus[int](1)
		ctx, cancel := context.WithCancel(t.Context())
		s, err := b.Subscribe(ctx, "a", pubsub.Once())
		require.NoError(t, err)
		c := s.C()
		require.NoError(t, b.Publish(t.Context(), "a", 1))
		synctest.Wait()
		cancel()
		synctest.Wait()
		_, ok := <-c
		assert.False(t, ok, "it is closed")
	})
}

func TestBusReentrantCloseCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pubsub.NewBus[int](8)
		var handled []int
		published := make(chan struct{})
		s := busHandle(t, b, ">", func(ctx context.Context, m busMessage) error {
			handled = append(handled, m.Value)
			<-published
			if m.Value == 0 {
				return b.Close(ctx)
			}
			return nil
		})
		for i := range 3 {
			require.NoError(t, b.Publish(t.Context(), "a", i))
		}
		close(published)
		synctest.Wait()
		require.ErrorIs(t, b.Publish(t.Context(), "a", 3), pubsub.ErrClosed)
		require.ErrorIs(t, b.Close(t.Context()), pubsub.ErrReentrant, "as the error of the handler")
		assert.Equal(t, []int{0, 1, 2}, handled)
		require.ErrorIs(t, s.Err(), pubsub.ErrReentrant)
	})
}

func TestBusFullPatternDeprivesNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pubsub.NewBus[int](2)
		full := []busSub{busSubscribe(t, b, "a.*"), busSubscribe(t, b, "*.b")}
		var got []int
		busHandle(t, b, "a.>", func(_ context.Context, m busMessage) error { got = append(got, m.Value); return nil })
		last := busSubscribe(t, b, ">", pubsub.DropOldest)
		for i := range 2 {
			require.NoError(t, b.Publish(t.Context(), "a.b", i))
		}
		tired := errors.New("tired")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, tired)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			err := b.Publish(ctx, "a.b", 2)
			assert.ErrorIs(t, err, tired)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
		})
		synctest.Wait() // the publisher waits
		assert.Equal(t, []int{0, 1, 2}, got)
		assert.EqualValues(t, 1, last.Missed(), "it has got 2, and lost 0")
		wg.Wait()
		require.NoError(t, b.Close(t.Context()))
		for _, s := range full {
			assert.Equal(t, []int{0, 1}, busValues(busRest(t, s)))
		}
	})
}

// A pattern that has room again gets the event, though another has none.
func TestBusStuckPatternHoldsUpNoOtherThatWasFull(t *testing.T) {
	for _, patterns := range [][2]string{{"a.b", "a.*"}, {"a.*", "a.b"}, {"a.>", "a.*"}, {"a.b", "a.>"}} {
		t.Run(fmt.Sprint(patterns), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := pubsub.NewBus[int](1)
				stuck, slow := busSubscribe(t, b, patterns[0]), busSubscribe(t, b, patterns[1])
				require.NoError(t, b.Publish(t.Context(), "a.b", 1))
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				var wg sync.WaitGroup
				wg.Go(func() { assert.ErrorIs(t, b.Publish(ctx, "a.b", 2), context.DeadlineExceeded) })
				synctest.Wait()
				next, stop := iter.Pull2(slow.All())
				defer stop()
				m, err, _ := next()
				require.NoError(t, err)
				assert.Equal(t, 1, m.Value)
				synctest.Wait()
				assert.Equal(t, 1, slow.Len(), "the publisher waits for the other alone")
				wg.Wait()
				assert.Equal(t, 1, stuck.Len())
			})
		})
	}
}

// A handler whose subscription has ended is waited for, and its error told.
func TestBusCloseWaitsForHandlersOfPatternsThatAreGone(t *testing.T) {
	for name, opts := range map[string][]pubsub.SubOption{"Once": {pubsub.Once()}, "Stop": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := pubsub.NewBus[int](1)
				var s busSub
				s = busHandle(t, b, "a", func(context.Context, busMessage) error {
					if opts == nil {
						s.Stop()
					}
					time.Sleep(time.Second)
					return errBus
				}, opts...)
				require.NoError(t, b.Publish(t.Context(), "a", 1))
				synctest.Wait()
				start := time.Now()
				require.ErrorIs(t, b.Close(t.Context()), errBus)
				assert.Equal(t, time.Second, time.Since(start))
			})
		})
	}
}

func TestBusNamesTellSubscriptionsApart(t *testing.T) {
	b := pubsub.NewBus[int](1)
	fail := func(context.Context, busMessage) error { return errBus }
	for _, pattern := range []string{"a", "*", ">", "a"} {
		busHandle(t, b, pattern, fail)
	}
	require.NoError(t, b.Publish(t.Context(), "a", 1))
	names := map[string]bool{}
	for _, err := range errorParts(b.Close(t.Context())) {
		var failed *pubsub.ListenerError
		require.ErrorAs(t, err, &failed)
		names[failed.Name] = true
	}
	assert.Len(t, names, 4, "%v", names)
}

func TestBusOnSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow []pubsub.SlowEvent
		b := pubsub.NewBus[int](1, pubsub.OnSlow(time.Second, func(e pubsub.SlowEvent) { slow = append(slow, e) }))
		reader := busSubscribe(t, b, "a.*", pubsub.Named("invoices"))
		busSubscribe(t, b, "a.>", pubsub.DropNewest)
		time.AfterFunc(2*time.Second, reader.Stop)
		for i := range 2 {
			require.NoError(t, b.Publish(t.Context(), "a.b", i))
		}
		assert.Equal(t, []pubsub.SlowEvent{{Name: "invoices", Queued: 1, Blocked: time.Second}}, slow)
		require.NoError(t, b.Close(t.Context()))
	})
}

func TestBusOnSlowTellsOnceForEachEvent(t *testing.T) {
	for _, patterns := range [][2]string{{"a.*", "a.>"}, {"a.>", "a.*"}} {
		synctest.Test(t, func(t *testing.T) {
			var slow []string
			b := pubsub.NewBus[int](1, pubsub.OnSlow(time.Second, func(e pubsub.SlowEvent) { slow = append(slow, e.Name) }))
			for i, pattern := range patterns {
				s := busSubscribe(t, b, pattern, pubsub.Named(pattern))
				time.AfterFunc(time.Duration(5*i+5)*time.Second, s.Stop)
			}
			require.NoError(t, b.Publish(t.Context(), "a.b", 0))
			require.NoError(t, b.Publish(t.Context(), "a.b", 1))
			assert.Len(t, slow, 1, "%v", slow)
		})
	}
}

// OnSlow does not name one that has the event, though others wait for it.
func TestBusOnSlowTellsOfNobodyElse(t *testing.T) {
	for _, patterns := range [][2]string{{"a.>", "a.b"}, {"a.*", "a.b"}, {"a.*", "*.b"}, {"*.c.>", "a.>"}} {
		synctest.Test(t, func(t *testing.T) {
			var slow []string
			b := pubsub.NewBus[int](1, pubsub.OnSlow(time.Minute, func(e pubsub.SlowEvent) { slow = append(slow, e.Name) }))
			busy, stuck := busSubscribe(t, b, patterns[0]), busSubscribe(t, b, patterns[1], pubsub.Named("stuck"))
			both, alone := "a.b", "a.c"
			if patterns[0] == "*.c.>" {
				both, alone = "a.c.b", "b.c.b"
			}
			require.NoError(t, b.Publish(t.Context(), both, 0))
			var wg sync.WaitGroup
			wg.Go(func() { assert.NoError(t, b.Publish(t.Context(), both, 1)) })
			topicLater(59 * time.Second)
			next, stop := iter.Pull2(busy.All())
			_, _, _ = next() // the first waits for the other alone
			synctest.Wait()
			wg.Go(func() { assert.NoError(t, b.Publish(t.Context(), alone, 2)) })
			topicLater(time.Second)
			assert.Equal(t, []string{"stuck"}, slow, "%v", patterns)
			stop()
			stuck.Stop()
			wg.Wait()
			require.NoError(t, b.Close(t.Context()))
		})
	}
}

// When it is time, the one for which the publisher waits may just have room
// again.
func TestBusOnSlowTellsOfWhoeverIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rounds = 200
		slow := 0
		b := pubsub.NewBus[int](1, pubsub.OnSlow(time.Second, func(pubsub.SlowEvent) { slow++ }))
		for range rounds {
			for i, pattern := range []string{"a.>", "a.*", "a.b"} {
				s := busSubscribe(t, b, pattern)
				time.AfterFunc(time.Duration(i+1)*time.Second, s.Stop)
			}
			require.NoError(t, b.Publish(t.Context(), "a.b", 0))
			require.NoError(t, b.Publish(t.Context(), "a.b", 1)) // takes three seconds
		}
		assert.Equal(t, rounds, slow)
	})
}

func TestBusPublishWithAnEndedContext(t *testing.T) {
	b := pubsub.NewBus[int](4)
	s := busSubscribe(t, b, ">")
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	err := b.Publish(ctx, "a", 1)
	require.ErrorIs(t, err, why)
	require.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, s.Len())
}

func TestBusPublishRacesWithAllElse(t *testing.T) {
	for range 20 {
		b := pubsub.NewBus[int](4)
		patterns := []string{"a.b", "a.*", "a.>", "*.b", ">", "b.>"}
		var published, inOrder atomic.Int64
		before, err := b.Handle("a.b", func(context.Context, busMessage) error { inOrder.Add(1); return nil })
		require.NoError(t, err)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for i := 0; ; i++ {
					if err := b.Publish(t.Context(), "a.b", i); err != nil {
						assert.ErrorIs(t, err, pubsub.ErrClosed)
						return
					}
					published.Add(1)
				}
			})
		}
		for i := range 3 {
			wg.Go(func() {
				for n := i; ; n++ {
					pattern := patterns[n%len(patterns)]
					var s busSub
					var err error
					switch n % 3 {
					case 0:
						s, err = b.Handle(pattern, func(context.Context, busMessage) error { return nil })
					case 1:
						s, err = b.Handle(pattern, func(context.Context, busMessage) error { return nil }, pubsub.Once(), pubsub.Disconnect)
					case 2:
						s, err = b.Subscribe(t.Context(), pattern, pubsub.DropOldest)
					}
					if err != nil {
						assert.ErrorIs(t, err, pubsub.ErrClosed)
						return
					}
					assert.NotErrorIs(t, s.Err(), pubsub.ErrClosed, "who got no error has a subscription")
					s.Stop()
				}
			})
		}
		for published.Load() < 200 {
			runtime.Gosched()
		}
		require.NoError(t, b.Close(t.Context()))
		wg.Wait()
		require.NoError(t, before.Err())
		// An event that got ErrClosed may have reached some patterns.
		assert.GreaterOrEqual(t, inOrder.Load(), published.Load())
		assert.LessOrEqual(t, inOrder.Load(), published.Load()+3)
	}
}

// Who has subscribed sees what is published from then on, while others prune
// the patterns.
func TestBusSubscriptionIsThereAtOnce(t *testing.T) {
	const workers, each = 4, 200
	b := pubsub.NewBus[int](workers * each) // nobody waits
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for i := range each {
				want := worker*each + i
				pattern := []string{"a.b", "a.*", "a.>"}[i%3]
				s, err := b.Subscribe(t.Context(), pattern)
				if !assert.NoError(t, err) || !assert.NoError(t, b.Publish(t.Context(), "a.b", want)) {
					return
				}
				next, stop := iter.Pull2(s.All())
				var got []int
				for range s.Len() {
					m, err, _ := next()
					assert.NoError(t, err)
					got = append(got, m.Value)
				}
				stop()
				s.Stop()
				if !assert.Equal(t, 1, len(slices.DeleteFunc(got, func(v int) bool { return v != want }))) {
					return
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, b.Close(t.Context()))
}

func TestBusPanics(t *testing.T) {
	assert.Panics(t, func() { pubsub.NewBus[int](0) })
	assert.Panics(t, func() { pubsub.NewBus[int](-1) })
	assert.Panics(t, func() { pubsub.NewBus[int](8, pubsub.Replay(1)) })
	b := pubsub.NewBus[int](1)
	assert.Panics(t, func() { _, _ = b.Handle("a", nil) })
	assert.Panics(t, func() { _, _ = b.Subscribe(t.Context(), "a", pubsub.Filter(func(int) bool { return true })) })
	require.NoError(t, b.Publish(t.Context(), "a", 1), "they left nothing behind")
	require.NoError(t, b.Publish(t.Context(), "a", 2))
	require.NoError(t, b.Close(t.Context()))
}

func TestBusFilterAndNames(t *testing.T) {
	b := pubsub.NewBus[int](8)
	var got []int
	busHandle(t, b, "a.*", func(_ context.Context, m busMessage) error {
		got = append(got, m.Value)
		return errBus
	}, pubsub.Filter(func(m busMessage) bool { return m.Subject == "a.b" }), pubsub.Filter(func(m busMessage) bool { return m.Value > 1 }))
	for i, subject := range []string{"a.b", "a.c", "a.b", "a.c", "a.b"} {
		require.NoError(t, b.Publish(t.Context(), subject, i))
	}
	err := b.Close(t.Context())
	require.ErrorIs(t, err, errBus)
	assert.Contains(t, err.Error(), "#1")
	assert.Equal(t, []int{2, 4}, got)
}
