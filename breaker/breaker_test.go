package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/breaker"
)

var errDown = errors.New("down")

// An entry is one of the ways to make a call, with one signature.
type entry struct {
	name string
	call func(context.Context, *breaker.Breaker, func(context.Context) error) error
}

var entries = []entry{
	{"Run", breaker.Run},
	{"Do", func(ctx context.Context, b *breaker.Breaker, fn func(context.Context) error) error {
		_, err := breaker.Do(ctx, b, valued(fn))
		return err
	}},
	{"Wrap", func(ctx context.Context, b *breaker.Breaker, fn func(context.Context) error) error {
		_, err := breaker.Wrap(b, valued(fn))(ctx)
		return err
	}},
	{"Allow", func(ctx context.Context, b *breaker.Breaker, fn func(context.Context) error) error {
		done, err := b.Allow(ctx)
		if err != nil {
			return err
		}
		err = errors.New("did not return")
		defer func() { done(err) }()
		err = fn(ctx)
		return err
	}},
}

func valued(fn func(context.Context) error) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) { return 0, fn(ctx) }
}

// each runs test for every entry point, each time in a bubble.
func each(t *testing.T, test func(t *testing.T, e entry)) {
	for _, e := range entries {
		t.Run(e.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, e) })
		})
	}
}

func succeed(context.Context) error { return nil }
func fail(context.Context) error    { return errDown }

// failN makes n calls that fail.
func failN(t *testing.T, b *breaker.Breaker, n int) {
	t.Helper()
	for range n {
		require.Equal(t, errDown, breaker.Run(t.Context(), b, fail))
	}
}

// requireRejected checks that b rejects a call, which is told to wait.
func requireRejected(t *testing.T, b *breaker.Breaker, state breaker.State, after time.Duration) {
	t.Helper()
	err := breaker.Run(t.Context(), b, func(context.Context) error { panic("called") })
	assert.Equal(t, &breaker.OpenError{Name: b.Name(), State: state, After: after}, err)
	require.ErrorIs(t, err, breaker.ErrOpen)
}

// A log keeps the changes of a breaker.
type log struct {
	mu  sync.Mutex
	all []breaker.Change
}

func (l *log) add(c breaker.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, c)
}

// states returns the states in their order, the first included.
func (l *log) states() []breaker.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	states := []breaker.State{breaker.Closed}
	for _, c := range l.all {
		if c.From != states[len(states)-1] {
			return append(states, c.From) // wrong
		}
		states = append(states, c.To)
	}
	return states
}

const (
	closed   = breaker.Closed
	halfOpen = breaker.HalfOpen
	open     = breaker.Open
)

// The life of a breaker with the default settings.
func TestBreaker_defaults(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		var l log
		b := breaker.New(breaker.Settings{Name: "db", OnChange: l.add})
		start := time.Now()
		assert.Equal(t, closed, b.State())
		for range 4 {
			require.Equal(t, errDown, e.call(t.Context(), b, fail))
		}
		require.NoError(t, e.call(t.Context(), b, succeed))
		for range 5 {
			require.Equal(t, closed, b.State())
			require.Equal(t, errDown, e.call(t.Context(), b, fail))
		}
		assert.Equal(t, open, b.State())
		requireRejected(t, b, open, 30*time.Second)
		time.Sleep(30*time.Second - time.Nanosecond)
		requireRejected(t, b, open, time.Nanosecond)
		assert.Equal(t, breaker.Counts{Rejected: 2}, b.Counts())
		time.Sleep(time.Nanosecond)
		assert.Equal(t, halfOpen, b.State())
		require.NoError(t, e.call(t.Context(), b, succeed))
		assert.Equal(t, closed, b.State())
		assert.Zero(t, b.Counts())
		assert.Equal(t, []breaker.Change{
			{Name: "db", From: closed, To: open, Err: errDown, At: start, Counts: breaker.Counts{Successes: 1, Failures: 9, ConsecutiveFailures: 5}},
			{Name: "db", From: open, To: halfOpen, At: start.Add(30 * time.Second), Counts: breaker.Counts{Rejected: 2}},
			{Name: "db", From: halfOpen, To: closed, At: start.Add(30 * time.Second), Counts: breaker.Counts{Successes: 1, ConsecutiveSuccesses: 1}},
		}, l.all)
	})
}

func TestDo_value(t *testing.T) {
	b := breaker.New(breaker.Settings{})
	v, err := breaker.Do(t.Context(), b, func(context.Context) (int, error) { return 7, errDown })
	assert.Equal(t, 7, v, "passed on beside an error")
	assert.Equal(t, errDown, err)
	b.Open()
	v, err = breaker.Do(t.Context(), b, func(context.Context) (int, error) { return 7, nil })
	assert.Zero(t, v)
	require.ErrorIs(t, err, breaker.ErrOpen)
}

func TestDo_context(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "mine")
	for _, e := range entries {
		require.NoError(t, e.call(ctx, breaker.New(breaker.Settings{}), func(ctx context.Context) error {
			assert.Equal(t, "mine", ctx.Value(key{}))
			return nil
		}))
	}
}

func TestHalfOpen_reopens(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		var l log
		b := breaker.New(breaker.Settings{Trip: breaker.Consecutive(1), OpenFor: time.Second, OnChange: l.add})
		failN(t, b, 1)
		for range 3 {
			time.Sleep(time.Second)
			require.Equal(t, errDown, e.call(t.Context(), b, fail))
			requireRejected(t, b, open, time.Second)
		}
		assert.Equal(t, []breaker.State{closed, open, halfOpen, open, halfOpen, open, halfOpen, open}, l.states())
		assert.Equal(t, errDown, l.all[6].Err)
	})
}

func TestMaxOpenFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(breaker.Settings{Trip: breaker.Consecutive(1), OpenFor: time.Second, MaxOpenFor: 5 * time.Second})
		for range 2 {
			failN(t, b, 1)
			for _, seconds := range []time.Duration{1, 2, 4, 5, 5} {
				requireRejected(t, b, open, seconds*time.Second)
				time.Sleep(seconds * time.Second)
				failN(t, b, 1)
			}
			time.Sleep(5 * time.Second)
			require.NoError(t, breaker.Run(t.Context(), b, succeed))
			require.Equal(t, closed, b.State(), "it begins anew")
		}
	})
}

func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		least, most := time.Hour, time.Duration(0)
		b := breaker.New(breaker.Settings{OpenFor: 10 * time.Second, Jitter: 0.5})
		capped := breaker.New(breaker.Settings{OpenFor: 10 * time.Second, MaxOpenFor: 12 * time.Second, Jitter: 0.5})
		for range 1000 {
			b.Open()
			after := rejection(t, b).After
			least, most = min(least, after), max(most, after)
			capped.Open()
			require.LessOrEqual(t, rejection(t, capped).After, 12*time.Second)
		}
		assert.GreaterOrEqual(t, least, 5*time.Second)
		assert.Less(t, least, 5200*time.Millisecond)
		assert.LessOrEqual(t, most, 15*time.Second)
		assert.Greater(t, most, 14800*time.Millisecond)
	})
}

func rejection(t *testing.T, b *breaker.Breaker) *breaker.OpenError {
	t.Helper()
	e, ok := errors.AsType[*breaker.OpenError](breaker.Run(t.Context(), b, succeed))
	require.True(t, ok)
	return e
}

// However short or long, the breaker is open for so long.
func TestOpenFor_extremes(t *testing.T) {
	const forever = time.Duration(1<<63 - 1)
	for _, tt := range []struct {
		settings       breaker.Settings
		shortest, most time.Duration
	}{
		{breaker.Settings{OpenFor: 1}, 2, 2},
		{breaker.Settings{OpenFor: 1, Jitter: 0.5}, 2, 2},
		{breaker.Settings{OpenFor: 1, Jitter: 1}, 2, 2},
		{breaker.Settings{OpenFor: 10, Jitter: 1}, 2, 20},
		{breaker.Settings{OpenFor: forever}, forever - 2*time.Hour, forever},
		{breaker.Settings{OpenFor: forever, Jitter: 1}, 2, forever},
		{breaker.Settings{OpenFor: forever, Jitter: 0.1}, forever / 10 * 8, forever},
		{breaker.Settings{OpenFor: forever, MaxOpenFor: forever, Jitter: 0.1}, forever / 10 * 8, forever},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := breaker.New(tt.settings)
			time.Sleep(time.Hour) // its clock is not at zero
			for range 50 {
				b.Open()
				after := rejection(t, b).After
				assert.GreaterOrEqual(t, after, tt.shortest)
				assert.LessOrEqual(t, after, tt.most)
				if tt.most < time.Second {
					time.Sleep(after)
					require.NoError(t, breaker.Run(t.Context(), b, succeed))
				}
			}
		})
	}
}

// The open time grows without overflow, and so do the times of probes.
func TestOpenFor_growsForever(t *testing.T) {
	const forever = time.Duration(1<<63 - 1)
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(breaker.Settings{OpenFor: forever/2 + 1, MaxOpenFor: forever, ProbeTimeout: forever, Trip: breaker.Consecutive(1)})
		failN(t, b, 1)
		requireRejected(t, b, open, forever/2+1)
		time.Sleep(forever/2 + 1)
		probe, err := b.Allow(t.Context())
		require.NoError(t, err)
		requireRejected(t, b, halfOpen, forever/2) // the probe has until the end of time
		probe(errDown)
		requireRejected(t, b, open, forever/2)
	})
}

func TestProbes(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		b := breaker.New(breaker.Settings{Probes: 3, OpenFor: time.Second})
		b.Open()
		time.Sleep(time.Second)
		for range 2 {
			require.NoError(t, e.call(t.Context(), b, succeed))
			require.Equal(t, halfOpen, b.State())
		}
		assert.Equal(t, breaker.Counts{Successes: 2, ConsecutiveSuccesses: 2}, b.Counts())
		require.NoError(t, e.call(t.Context(), b, succeed))
		assert.Equal(t, closed, b.State())
	})
}

// There may be more probes than gobreaker can count.
func TestProbes_many(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probes := 1
		probes <<= min(32, strconv.IntSize-2)
		b := breaker.New(breaker.Settings{Probes: probes, OpenFor: time.Second})
		b.Open()
		time.Sleep(time.Second)
		for range 100 {
			_, err := b.Allow(t.Context())
			require.NoError(t, err)
		}
	})
}

// Among 10,000 calls at once exactly as many get through as there are probes.
func TestProbes_concurrent(t *testing.T) {
	for _, probes := range []int{1, 7} {
		each(t, func(t *testing.T, e entry) {
			b := breaker.New(breaker.Settings{Probes: probes, OpenFor: time.Second, ProbeTimeout: time.Minute})
			b.Open()
			time.Sleep(time.Second)
			var through, rejected atomic.Int64
			release := make(chan struct{})
			var wg sync.WaitGroup
			for range 10_000 {
				wg.Go(func() {
					err := e.call(t.Context(), b, func(context.Context) error {
						through.Add(1)
						<-release
						return nil
					})
					if oe, ok := errors.AsType[*breaker.OpenError](err); ok {
						assert.Equal(t, breaker.OpenError{State: halfOpen, After: time.Minute}, *oe)
						rejected.Add(1)
					}
				})
			}
			synctest.Wait()
			assert.EqualValues(t, probes, through.Load())
			assert.EqualValues(t, 10_000-probes, rejected.Load())
			assert.Equal(t, 10_000-probes, b.Counts().Rejected)
			close(release)
			wg.Wait()
			assert.Equal(t, closed, b.State())
		})
	}
}

// A probe that does not end has failed when its time is up, whoever notices it
// and when.
func TestProbeTimeout(t *testing.T) {
	for name, lose := range map[string]func(context.Context, *breaker.Breaker){
		"forgotten done": func(ctx context.Context, b *breaker.Breaker) { _, _ = b.Allow(ctx) },
		"no answer": func(ctx context.Context, b *breaker.Breaker) {
			go func() {
				_ = breaker.Run(ctx, b, func(context.Context) error {
					time.Sleep(time.Hour)
					return nil
				})
			}()
			synctest.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l log
				b := breaker.New(breaker.Settings{OpenFor: 10 * time.Second, ProbeTimeout: 3 * time.Second, OnChange: l.add})
				b.Open()
				time.Sleep(10 * time.Second)
				start := time.Now()
				lose(t.Context(), b)
				requireRejected(t, b, halfOpen, 3*time.Second)
				time.Sleep(3*time.Second - time.Nanosecond)
				requireRejected(t, b, halfOpen, time.Nanosecond)
				time.Sleep(time.Nanosecond + 4*time.Second)
				requireRejected(t, b, open, 6*time.Second)
				require.Len(t, l.all, 3)
				assert.Equal(t, start.Add(3*time.Second), l.all[2].At)
				assert.EqualError(t, l.all[2].Err, "breaker: probe did not end in time")
				time.Sleep(6 * time.Second)
				lose(t.Context(), b)
				time.Sleep(13 * time.Second)
				assert.Equal(t, halfOpen, b.State(), "open and over unnoticed")
				assert.Equal(t, []breaker.State{closed, open, halfOpen, open, halfOpen, open, halfOpen}, l.states())
				require.NoError(t, breaker.Run(t.Context(), b, succeed))
				assert.Equal(t, closed, b.State())
				time.Sleep(time.Hour)
				assert.Equal(t, closed, b.State(), "what came late changes nothing")
				assert.Zero(t, b.Counts())
			})
		})
	}
}

func TestProbeTimeout_default(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(breaker.Settings{OpenFor: 10 * time.Second})
		b.Open()
		time.Sleep(10 * time.Second)
		_, err := b.Allow(t.Context())
		require.NoError(t, err)
		requireRejected(t, b, halfOpen, 10*time.Second)
	})
}

// A call ends after the state has changed, and changed back.
func TestLateResults(t *testing.T) {
	for _, late := range []error{nil, errDown} {
		synctest.Test(t, func(t *testing.T) {
			b := breaker.New(breaker.Settings{Trip: breaker.Consecutive(1), OpenFor: time.Second, Probes: 2})
			early, err := b.Allow(t.Context())
			require.NoError(t, err)
			failN(t, b, 1)
			time.Sleep(time.Second)
			require.Equal(t, halfOpen, b.State())
			early(late)
			assert.Equal(t, halfOpen, b.State())
			assert.Zero(t, b.Counts())

			probe, err := b.Allow(t.Context())
			require.NoError(t, err)
			failN(t, b, 1)
			probe(late)
			assert.Equal(t, open, b.State())
			assert.Zero(t, b.Counts())

			time.Sleep(time.Second)
			probe, err = b.Allow(t.Context())
			require.NoError(t, err)
			b.Close()
			probe(late)
			assert.Equal(t, closed, b.State())
			assert.Zero(t, b.Counts())
		})
	}
}

func TestAllow_doneTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(breaker.Settings{Probes: 2, OpenFor: time.Second})
		done, err := b.Allow(t.Context())
		require.NoError(t, err)
		done(nil)
		done(errDown)
		assert.Equal(t, breaker.Counts{Successes: 1, ConsecutiveSuccesses: 1}, b.Counts())
		b.Open()
		time.Sleep(time.Second)
		done, err = b.Allow(t.Context())
		require.NoError(t, err)
		for range 2 {
			done(nil)
		}
		assert.Equal(t, halfOpen, b.State())
	})
}

func TestClassify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		late, cancel := context.WithTimeout(t.Context(), 0)
		defer cancel()
		timedOut, cancelCause := context.WithCancelCause(t.Context())
		cancelCause(fmt.Errorf("no answer: %w", context.DeadlineExceeded))
		for _, tt := range []struct {
			ctx  context.Context
			err  error
			want breaker.Outcome
		}{
			{t.Context(), nil, breaker.Success},
			{t.Context(), errDown, breaker.Failure},
			{t.Context(), context.Canceled, breaker.Failure},
			{t.Context(), context.DeadlineExceeded, breaker.Failure},
			{cancelled, nil, breaker.Success},
			{cancelled, context.Canceled, breaker.Ignored},
			{cancelled, errDown, breaker.Ignored},
			{late, nil, breaker.Success},
			{late, context.DeadlineExceeded, breaker.Failure},
			{timedOut, context.Canceled, breaker.Failure},
			{timedOut, nil, breaker.Success},
		} {
			assert.Equal(t, tt.want, breaker.DefaultClassify(tt.ctx, tt.err))
			for _, classify := range []func(context.Context, error) breaker.Outcome{nil, breaker.DefaultClassify} {
				for _, e := range entries {
					b := breaker.New(breaker.Settings{Classify: classify})
					assert.Equal(t, tt.err, e.call(tt.ctx, b, func(context.Context) error { return tt.err }))
					c := b.Counts()
					assert.Equal(t, map[breaker.Outcome]int{tt.want: 1, (tt.want + 1) % 3: 0, (tt.want + 2) % 3: 0},
						map[breaker.Outcome]int{breaker.Success: c.Successes, breaker.Failure: c.Failures, breaker.Ignored: c.Ignored})
				}
			}
		}
	})
}

// An ignored probe leaves its place to another.
func TestIgnored_probe(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		b := breaker.New(breaker.Settings{OpenFor: time.Second})
		b.Open()
		time.Sleep(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 3 {
			require.Equal(t, context.Canceled, e.call(ctx, b, func(ctx context.Context) error { return ctx.Err() }))
			require.Equal(t, halfOpen, b.State())
		}
		assert.Equal(t, breaker.Counts{Ignored: 3}, b.Counts())
		require.NoError(t, e.call(t.Context(), b, succeed))
		assert.Equal(t, closed, b.State())
	})
}

// Panic and Goexit of each of the caller's functions pass through, and count as
// a failure where a call does not come to its end by them.
func TestPanicAndGoexit(t *testing.T) {
	for _, where := range []string{"call", "Classify", "OnChange"} {
		for _, goexit := range []bool{false, true} {
			for _, probe := range []bool{false, true} {
				name := where
				if goexit {
					name += "/Goexit"
				}
				if probe {
					name += "/probe"
				}
				t.Run(name, func(t *testing.T) {
					each(t, func(t *testing.T, e entry) {
						value := &struct{ int }{1}
						armed := false
						at := func(here string) {
							switch {
							case where != here || !armed:
							case goexit:
								runtime.Goexit()
							default:
								panic(value)
							}
						}
						var l log
						b := breaker.New(breaker.Settings{
							Trip:    breaker.Consecutive(1),
							OpenFor: time.Second,
							Classify: func(ctx context.Context, err error) breaker.Outcome {
								at("Classify")
								return breaker.DefaultClassify(ctx, err)
							},
							OnChange: func(c breaker.Change) { l.add(c); at("OnChange") },
						})
						if probe {
							b.Open()
							time.Sleep(time.Second)
							require.Equal(t, halfOpen, b.State())
						}
						armed = true
						returned := false
						var recovered any
						done := make(chan struct{})
						ctx := t.Context()
						go func() {
							defer close(done)
							defer func() { recovered = recover() }()
							_ = e.call(ctx, b, func(context.Context) error { at("call"); return errDown })
							returned = true
						}()
						<-done
						armed = false
						assert.False(t, returned)
						if goexit {
							assert.Nil(t, recovered)
						} else {
							assert.Same(t, value, recovered)
						}
						assert.Equal(t, open, b.State())
						last := l.all[len(l.all)-1]
						assert.Equal(t, 1, last.Counts.Failures)
						if where != "OnChange" && e.name != "Allow" {
							assert.EqualError(t, last.Err, "breaker: call ended by a panic or runtime.Goexit")
						}
						time.Sleep(time.Second)
						require.NoError(t, breaker.Run(ctx, b, succeed))
						assert.Equal(t, closed, b.State())
						states := l.states()
						assert.Equal(t, []breaker.State{open, halfOpen, closed}, states[len(states)-3:], "changes are still reported")
					})
				})
			}
		}
	}
}

// The breaker can be used by the functions that it calls.
func TestCallbacks_mayUseTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *breaker.Breaker
		var seen []breaker.State
		use := func() {
			_ = b.Counts()
			seen = append(seen, b.State())
			if len(seen) < 50 {
				_ = breaker.Run(t.Context(), b, succeed)
			}
		}
		b = breaker.New(breaker.Settings{
			Trip:    breaker.Consecutive(1),
			OpenFor: time.Second,
			Classify: func(ctx context.Context, err error) breaker.Outcome {
				use()
				return breaker.DefaultClassify(ctx, err)
			},
			OnChange: func(breaker.Change) { use() },
		})
		failN(t, b, 1)
		time.Sleep(time.Second)
		require.NoError(t, breaker.Run(t.Context(), b, succeed))
		assert.NotEmpty(t, seen)
	})
}

// A change by hand within OnChange is reported after it.
func TestOnChange_nested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *breaker.Breaker
		var l log
		depth := 0
		b = breaker.New(breaker.Settings{OnChange: func(c breaker.Change) {
			depth++
			defer func() { depth-- }()
			assert.Equal(t, 1, depth)
			l.add(c)
			if len(l.all) < 4 {
				b.Close()
				b.Open()
			}
		}})
		b.Open()
		assert.Equal(t, []breaker.State{closed, open, closed, open, closed, open, closed, open}, l.states())
	})
}

// Many changes in one OnChange take no more stack than few.
func TestOnChange_backlog(t *testing.T) {
	var b *breaker.Breaker
	depth, changes := 0, 0
	frames := 0
	b = breaker.New(breaker.Settings{OnChange: func(breaker.Change) {
		depth++
		defer func() { depth-- }()
		assert.Equal(t, 1, depth)
		var pcs [200]uintptr
		frames = max(frames, runtime.Callers(0, pcs[:]))
		if changes++; changes == 1 {
			for range 1000 {
				b.Close()
				b.Open()
			}
		}
	}})
	b.Open()
	assert.Equal(t, 2001, changes)
	assert.Less(t, frames, 50)
}

// An OnChange that does not return keeps the call from being made. The place of
// a probe is free again.
func TestOnChange_panicsOnAdmission(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		armed := true
		b := breaker.New(breaker.Settings{OpenFor: time.Second, OnChange: func(c breaker.Change) {
			if armed && c.To == halfOpen {
				panic("OnChange")
			}
		}})
		b.Open()
		time.Sleep(time.Second)
		assert.PanicsWithValue(t, "OnChange", func() {
			_ = e.call(t.Context(), b, func(context.Context) error { panic("called") })
		})
		armed = false
		assert.Equal(t, breaker.Counts{Ignored: 1}, b.Counts())
		require.NoError(t, e.call(t.Context(), b, succeed))
		assert.Equal(t, closed, b.State())
	})
}

// Under load every change is reported once and in order.
func TestOnChange_concurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l log
		var running atomic.Int64
		b := breaker.New(breaker.Settings{
			Trip: breaker.Consecutive(1), OpenFor: time.Millisecond,
			OnChange: func(c breaker.Change) {
				assert.EqualValues(t, 1, running.Add(1))
				l.add(c)
				runtime.Gosched()
				running.Add(-1)
			},
		})
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				for j := range 50 {
					fn := succeed
					if (i+j)%3 == 0 {
						fn = fail
					}
					_ = breaker.Run(t.Context(), b, fn)
					if j%7 == 0 {
						time.Sleep(time.Millisecond)
					}
				}
			})
		}
		wg.Wait()
		state := b.State()
		states := l.states()
		assert.Greater(t, len(states), 10)
		assert.Equal(t, state, states[len(states)-1])
		at := time.Time{}
		for _, c := range l.all {
			assert.False(t, c.At.Before(at))
			at = c.At
		}
	})
}

// What is counted under load adds up.
func TestCounts_concurrent(t *testing.T) {
	b := breaker.New(breaker.Settings{Trip: breaker.AnyOf(breaker.Consecutive(1_000_000), breaker.Rate(1, 1_000_000, time.Hour), breaker.LastN(1, 1000))})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for j := range 300 {
				switch (i + j) % 3 {
				case 0:
					_ = breaker.Run(t.Context(), b, succeed)
				case 1:
					_ = breaker.Run(t.Context(), b, fail)
				default:
					ctx, cancel := context.WithCancel(t.Context())
					cancel()
					_ = breaker.Run(ctx, b, fail)
				}
			}
		})
	}
	wg.Wait()
	c := b.Counts()
	assert.Equal(t, [3]int{6400, 6400, 6400}, [3]int{c.Successes, c.Failures, c.Ignored})
	_ = breaker.Run(t.Context(), b, succeed)
	c = b.Counts()
	assert.Zero(t, c.ConsecutiveFailures)
	assert.Positive(t, c.ConsecutiveSuccesses)
	_ = breaker.Run(t.Context(), b, fail)
	c = b.Counts()
	assert.Equal(t, 1, c.ConsecutiveFailures)
	assert.Zero(t, c.ConsecutiveSuccesses)
}

func TestByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l log
		b := breaker.New(breaker.Settings{OpenFor: 10 * time.Second, OnChange: l.add})
		b.Open()
		time.Sleep(6 * time.Second)
		requireRejected(t, b, open, 4*time.Second)
		b.Open()
		requireRejected(t, b, open, 10*time.Second)
		b.Close()
		failN(t, b, 4)
		b.Close()
		assert.Zero(t, b.Counts())
		failN(t, b, 4)
		assert.Equal(t, closed, b.State(), "they were forgotten")
		b.Open()
		time.Sleep(10 * time.Second)
		_, err := b.Allow(t.Context())
		require.NoError(t, err)
		b.Open() // while half-open, with all places taken
		requireRejected(t, b, open, 10*time.Second)
		time.Sleep(10 * time.Second)
		require.NoError(t, breaker.Run(t.Context(), b, succeed), "the lost probe is nobody's any more")
		assert.Equal(t, []breaker.State{closed, open, closed, open, halfOpen, open, halfOpen, closed}, l.states())
	})
}

func TestForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l log
		b := breaker.New(breaker.Settings{OpenFor: time.Second, OnChange: l.add})
		b.Force(breaker.Auto)
		failN(t, b, 1)
		assert.Equal(t, breaker.Auto, b.Mode())
		b.Force(breaker.Isolated)
		assert.Equal(t, breaker.Isolated, b.Mode())
		for _, wait := range []time.Duration{0, time.Second, 1000 * time.Hour} {
			time.Sleep(wait)
			requireRejected(t, b, open, 0)
			assert.Equal(t, open, b.State())
		}
		b.Close()
		b.Open()
		b.Force(breaker.Isolated)
		requireRejected(t, b, open, 0)
		assert.Equal(t, 4, b.Counts().Rejected, "nothing has changed")

		b.Force(breaker.Disabled)
		failN(t, b, 100)
		assert.Equal(t, closed, b.State())
		b.Open()
		b.Close()
		assert.Equal(t, breaker.Counts{Failures: 100, ConsecutiveFailures: 100}, b.Counts())

		b.Force(breaker.Auto)
		assert.Zero(t, b.Counts())
		failN(t, b, 5)
		assert.Equal(t, open, b.State())
		b.Force(breaker.Disabled)
		require.NoError(t, breaker.Run(t.Context(), b, succeed))
		b.Force(breaker.Isolated)
		b.Force(breaker.Auto)
		assert.Equal(t, []breaker.State{closed, open, closed, open, closed, open, closed}, l.states())
		for _, m := range []breaker.Mode{-1, 3} {
			assert.PanicsWithValue(t, "breaker: Force of "+m.String(), func() { b.Force(m) })
		}
	})
}

// Disabled with settings that look at the time still counts slow calls.
func TestForce_disabledCountsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(breaker.Settings{SlowCall: time.Second, Trip: breaker.SlowRate(0.1, 1, time.Minute)})
		b.Force(breaker.Disabled)
		for range 3 {
			require.NoError(t, breaker.Run(t.Context(), b, sleep(time.Second)))
		}
		assert.Equal(t, breaker.Counts{Successes: 3, Slow: 3, ConsecutiveSuccesses: 3}, b.Counts())
		assert.Equal(t, closed, b.State())
	})
}

func sleep(d time.Duration) func(context.Context) error {
	return func(context.Context) error {
		time.Sleep(d)
		return nil
	}
}

func TestNew_panics(t *testing.T) {
	const negative = "breaker: Settings with a negative number or duration"
	const jitter = "breaker: Settings with a Jitter that is not between 0 and 1"
	nan := func() float64 { var z float64; return z / z }()
	for _, tt := range []struct {
		message  string
		settings breaker.Settings
	}{
		{negative, breaker.Settings{OpenFor: -1}},
		{negative, breaker.Settings{MaxOpenFor: -1}},
		{negative, breaker.Settings{ProbeTimeout: -1}},
		{negative, breaker.Settings{SlowCall: -1}},
		{negative, breaker.Settings{Probes: -1}},
		{jitter, breaker.Settings{Jitter: -0.1}},
		{jitter, breaker.Settings{Jitter: 1.1}},
		{jitter, breaker.Settings{Jitter: nan}},
		{"breaker: Settings with a MaxOpenFor less than OpenFor", breaker.Settings{MaxOpenFor: time.Second}},
		{"breaker: Settings with SlowRate but without SlowCall", breaker.Settings{Trip: breaker.SlowRate(0.5, 1, time.Second)}},
	} {
		assert.PanicsWithValue(t, tt.message, func() { breaker.New(tt.settings) })
	}
	b := breaker.New(breaker.Settings{})
	assert.PanicsWithValue(t, "breaker: Do of a nil function", func() { _, _ = breaker.Do[int](t.Context(), b, nil) })
	assert.PanicsWithValue(t, "breaker: Run of a nil function", func() { _ = breaker.Run(t.Context(), b, nil) })
	assert.PanicsWithValue(t, "breaker: Wrap of a nil function", func() { breaker.Wrap[int](b, nil) })
	assert.Panics(t, func() { _ = breaker.Run(t.Context(), nil, succeed) })
	assert.Zero(t, b.Counts())
}

func TestOpenError(t *testing.T) {
	for want, e := range map[string]*breaker.OpenError{
		"breaker: open":                               {State: open},
		"breaker: db is open, try again in 1.5s":      {Name: "db", State: open, After: 1500 * time.Millisecond},
		"breaker: db is half-open, try again in 30ms": {Name: "db", State: halfOpen, After: 30 * time.Millisecond},
	} {
		assert.EqualError(t, e, want)
		require.ErrorIs(t, e, breaker.ErrOpen)
		require.NotErrorIs(t, e, errDown)
		want := e.After
		if e.State == halfOpen || e.After == 0 {
			want = retryNoHint
		}
		assert.Equal(t, want, e.RetryAfter())
	}
}

// retryNoHint is retry.NoHint, which this package does not import.
const retryNoHint = time.Duration(math.MinInt64)

func TestNames(t *testing.T) {
	assert.Equal(t, []string{"closed", "half-open", "open", "State(3)", "State(-1)"},
		[]string{closed.String(), halfOpen.String(), open.String(), breaker.State(3).String(), breaker.State(-1).String()})
	assert.Equal(t, []string{"success", "failure", "ignored", "Outcome(3)"},
		[]string{breaker.Success.String(), breaker.Failure.String(), breaker.Ignored.String(), breaker.Outcome(3).String()})
	assert.Equal(t, []string{"auto", "isolated", "disabled", "Mode(3)"},
		[]string{breaker.Auto.String(), breaker.Isolated.String(), breaker.Disabled.String(), breaker.Mode(3).String()})
}

func TestClosed_doesNotAllocate(t *testing.T) {
	for name, s := range map[string]breaker.Settings{
		"consecutive": {}, "rate": {Trip: breaker.Rate(0.5, 10, time.Hour)}, "slow": {SlowCall: time.Second},
	} {
		b := breaker.New(s)
		n := 0
		assert.Zero(t, testing.AllocsPerRun(100, func() {
			_, _ = breaker.Do(t.Context(), b, func(context.Context) (int, error) { n++; return n, nil })
			_ = breaker.Run(t.Context(), b, func(context.Context) error { n++; return nil })
		}), name)
	}
}
