package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/internal/panics"
	"github.com/seed4886185c/concert/pubsub"
)

// It is the same type in all packages.
var _ *panics.PanicError = (*pubsub.PanicError)(nil)

func TestErrorTexts(t *testing.T) {
	listener := &pubsub.ListenerError{Name: "mail", Err: io.EOF}
	assert.Equal(t, "mail: EOF", listener.Error())
	require.ErrorIs(t, listener, io.EOF)
	assert.Equal(t, io.EOF, errors.Unwrap(listener))

	for missed, want := range map[uint64]string{1: "1", 2: "2", 1 << 63: "9223372036854775808"} {
		text := (&pubsub.LaggedError{Missed: missed}).Error()
		assert.True(t, strings.HasPrefix(text, "pubsub: "), text)
		assert.Contains(t, text, want)
	}
	require.NoError(t, errors.Unwrap(error(&pubsub.LaggedError{Missed: 1})))

	for _, err := range []error{pubsub.ErrClosed, pubsub.ErrFull, pubsub.ErrReentrant, pubsub.ErrSubject, pubsub.ErrGoexit} {
		assert.True(t, strings.HasPrefix(err.Error(), "pubsub: "), err)
	}
}

func TestErrorPanic(t *testing.T) {
	var err error = &pubsub.ListenerError{Name: "mail", Err: &pubsub.PanicError{Value: io.EOF, Stack: []byte("main.main()")}}
	require.ErrorIs(t, err, io.EOF, "what the function panicked with")
	assert.True(t, strings.HasPrefix(err.Error(), "mail: panic: EOF"), err)
	assert.Contains(t, err.Error(), "main.main()")
	require.NoError(t, errors.Unwrap(&pubsub.PanicError{Value: "EOF"}))
}

// errorParts returns what is joined in err, to the bottom.
func errorParts(err error) (all []error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			all = append(all, errorParts(err)...)
		}
		return all
	}
	return append(all, err)
}

// numberError is an error that tells one from the others.
type numberError int

func (e numberError) Error() string { return fmt.Sprintf("event %d", int(e)) }

// errorKept checks that err has n errors, or of more than 16 the first and the
// last 8, and tells how many more there were.
func errorKept(t *testing.T, n int, err error) {
	t.Helper()
	var want, got []int
	for i := range n {
		if i < 8 || i >= n-8 {
			want = append(want, i)
		}
	}
	for _, part := range errorParts(err) {
		if number, ok := errors.AsType[numberError](part); ok {
			got = append(got, int(number))
			var listener *pubsub.ListenerError
			require.ErrorAs(t, part, &listener)
			assert.Equal(t, "#1", listener.Name)
		}
	}
	assert.Equal(t, want, got)
	if n == 0 {
		require.NoError(t, err)
		return
	}
	lines := strings.Split(err.Error(), "\n")
	if n <= 16 {
		assert.Len(t, lines, n, err.Error())
		return
	}
	require.Len(t, lines, 17, err.Error())
	assert.Regexp(t, fmt.Sprintf(`\b%d\b`, n-16), lines[8], "how many are missing stands where they are")
}

func TestErrorsAreBounded(t *testing.T) {
	for _, n := range []int{0, 1, 2, 8, 9, 15, 16, 17, 18, 24, 25, 40, 1000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			topic := pubsub.New[int](8)
			bus := pubsub.NewBus[int](8)
			s := topic.Handle(func(_ context.Context, v int) error { return numberError(v) })
			b, err := bus.Handle("*", func(_ context.Context, m pubsub.Message[int]) error { return numberError(m.Value) })
			require.NoError(t, err)
			for i := range n {
				require.NoError(t, topic.Publish(t.Context(), i))
				require.NoError(t, bus.Publish(t.Context(), "a", i))
			}
			for range 2 {
				errorKept(t, n, topic.Close(t.Context()))
				errorKept(t, n, s.Err())
				errorKept(t, n, bus.Close(t.Context()))
				errorKept(t, n, b.Err())
			}
		})
	}
}

// Of many subscriptions, those that have gone included, no more are kept.
func TestErrorsOfManySubscriptionsAreBounded(t *testing.T) {
	const n = 100
	topic := pubsub.New[int](1)
	bus := pubsub.NewBus[int](1)
	for i := range n {
		topic.Handle(func(context.Context, int) error { return numberError(i) }, pubsub.Once())
		_, err := bus.Handle(fmt.Sprintf("p%d", i), func(context.Context, pubsub.Message[int]) error { return numberError(i) }, pubsub.Once())
		require.NoError(t, err)
		require.NoError(t, bus.Publish(t.Context(), fmt.Sprintf("p%d", i), i))
	}
	require.NoError(t, topic.Publish(t.Context(), 1))
	for _, err := range []error{topic.Close(t.Context()), bus.Close(t.Context())} {
		kept := 0
		for _, part := range errorParts(err) {
			if _, ok := errors.AsType[numberError](part); ok {
				kept++
			}
		}
		assert.Equal(t, 16, kept)
		assert.Contains(t, err.Error(), fmt.Sprint(n-16))
	}
}

// Errors may be asked for by several at the same time: all get the same.
func TestErrorsAreSharedByAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := pubsub.New[int](2)
		s := topic.Handle(func(context.Context, int) error { time.Sleep(time.Second); return errTopicBoom }, pubsub.DropNewest)
		requirePublished(t, topic, 0)
		synctest.Wait() // it is called
		requirePublished(t, topic, 1, 2, 3)
		require.Error(t, topic.Close(t.Context()))
		var wg sync.WaitGroup
		var errs [4][2]error
		for i := range errs {
			wg.Go(func() {
				for range 200 {
					errs[i] = [2]error{s.Err(), topic.Close(t.Context())}
				}
			})
		}
		wg.Wait()
		for _, errs := range errs {
			assert.Equal(t, []string{"#1 boom", "#1 boom", "#1 boom", "lag 1"}, topicErrors(errs[0]))
			assert.Equal(t, []string{"#1 boom", "#1 boom", "#1 boom"}, topicErrors(errs[1]))
		}
	})
}

// errorPanic returns the text that f panics with.
func errorPanic(f func()) (text string) {
	defer func() { text, _ = recover().(string) }()
	f()
	return ""
}

func TestErrorPanicsOfWrongUse(t *testing.T) {
	topic := pubsub.New[int](4)
	bus := pubsub.NewBus[int](4)
	handler := func(context.Context, int) error { return nil }
	busHandler := func(context.Context, pubsub.Message[int]) error { return nil }
	keep := func(int) bool { return true }
	keepText := func(string) bool { return true }
	slow := func(pubsub.SlowEvent) {}
	for name, f := range map[string]func(){
		"capacity of 0":             func() { pubsub.New[int](0) },
		"negative capacity":         func() { pubsub.New[int](-1) },
		"bus of 0":                  func() { pubsub.NewBus[int](0) },
		"negative bus":              func() { pubsub.NewBus[int](-1) },
		"Replay 0":                  func() { pubsub.Replay(0) },
		"negative Replay":           func() { pubsub.Replay(-1) },
		"Replay beyond capacity":    func() { pubsub.New[int](4, pubsub.Replay(5)) },
		"Replay of a bus":           func() { pubsub.NewBus[int](4, pubsub.Replay(1)) },
		"OnSlow after nothing":      func() { pubsub.OnSlow(0, slow) },
		"OnSlow before":             func() { pubsub.OnSlow(-1, slow) },
		"OnSlow nil":                func() { pubsub.OnSlow(time.Second, nil) },
		"Filter nil":                func() { pubsub.Filter[int](nil) },
		"Handle nil":                func() { topic.Handle(nil) },
		"Handle nil, bus":           func() { _, _ = bus.Handle("a", nil) },
		"On nil":                    func() { new(pubsub.Emitter[int]).On(nil) },
		"negative SetLimit":         func() { new(pubsub.Emitter[int]).SetLimit(-1) },
		"Filter of other, Handle":   func() { topic.Handle(handler, pubsub.Filter(keepText)) },
		"Filter of other, Read":     func() { topic.Subscribe(t.Context(), pubsub.Filter(keepText)) },
		"Filter of other, any":      func() { topic.Subscribe(t.Context(), pubsub.Filter(func(any) bool { return true })) },
		"Filter of values, bus":     func() { _, _ = bus.Handle("a", busHandler, pubsub.Filter(keep)) },
		"second Filter of other":    func() { topic.Handle(handler, pubsub.Filter(keep), pubsub.Filter(keepText)) },
		"unknown Overflow, Handle":  func() { topic.Handle(handler, pubsub.Overflow(4)) },
		"unknown Overflow, Read":    func() { topic.Subscribe(t.Context(), pubsub.Overflow(255)) },
		"unknown Overflow, bus":     func() { _, _ = bus.Subscribe(t.Context(), "a", pubsub.Overflow(4)) },
		"unknown Overflow, handler": func() { _, _ = bus.Handle("a", busHandler, pubsub.Overflow(4)) },
	} {
		t.Run(name, func(t *testing.T) {
			text := errorPanic(f)
			assert.True(t, strings.HasPrefix(text, "pubsub: "), text)
		})
	}
	assert.Zero(t, topic.Len(), "nothing was added")
	require.NoError(t, topic.Close(t.Context()))
	require.NoError(t, bus.Close(t.Context()))
}

// Who mixes up types is told which ones.
func TestErrorTellsTheTypesOfAFilter(t *testing.T) {
	topic, bus := pubsub.New[int](4), pubsub.NewBus[int](4)
	keep, keepText := pubsub.Filter(func(int) bool { return true }), pubsub.Filter(func(string) bool { return true })
	handler := func(context.Context, int) error { return nil }
	for want, f := range map[string]func(){
		"func(string) bool, and not func(int) bool":              func() { topic.Handle(handler, keep, keepText) },
		"func(bool) bool, and not func(int) bool":                func() { topic.Subscribe(t.Context(), pubsub.Filter(func(b bool) bool { return b })) },
		"func(interface {}) bool, and not func(string) bool":     func() { pubsub.New[string](1).Subscribe(t.Context(), pubsub.Filter(func(any) bool { return true })) },
		"func(int) bool, and not func(pubsub.Message[int]) bool": func() { _, _ = bus.Subscribe(t.Context(), "a", keep) },
	} {
		assert.Equal(t, "pubsub: Filter of another type: "+want, errorPanic(f))
	}
	require.NoError(t, topic.Close(t.Context()))
	require.NoError(t, bus.Close(t.Context()))
}

func TestErrorNoPanicAtTheBounds(t *testing.T) {
	assert.NotPanics(t, func() {
		pubsub.New[int](1)
		topic := pubsub.New[int](4, pubsub.Replay(4), pubsub.OnSlow(1, func(pubsub.SlowEvent) {}))
		for _, overflow := range []pubsub.Overflow{pubsub.Block, pubsub.DropOldest, pubsub.DropNewest, pubsub.Disconnect} {
			topic.Subscribe(t.Context(), overflow).Stop()
		}
		pubsub.NewBus[int](1, pubsub.OnSlow(1, func(pubsub.SlowEvent) {}))
	})
}
