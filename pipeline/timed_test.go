package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/pipeline"
)

// latestOf says what Debounce, or if renew is false Sample, should pass on.
func latestOf(all []coming, end, d time.Duration, renew bool) []passed[int] {
	var out []passed[int]
	var waits int // 0 if none does
	var due time.Duration
	for _, c := range append(slices.Clip(all), coming{at: end}) {
		if waits > 0 && due <= c.at {
			out = append(out, passed[int]{at: due, v: waits})
			waits = 0
		}
		switch {
		case c.err != nil:
			out = append(out, passed[int]{at: c.at, err: c.err})
		case c.v > 0:
			if renew || waits == 0 {
				due = c.at + d
			}
			waits = c.v
		case waits > 0: // the end
			out = append(out, passed[int]{at: c.at, v: waits})
		}
	}
	return out
}

// requireLatest requires Debounce and Sample to do what their model does.
func requireLatest(t *testing.T, data []byte, d time.Duration) {
	t.Helper()
	all, end := drawn(data)
	require.Equal(t, latestOf(all, end, d, true), watch(t.Context(), pipeline.Debounce(arriving(all, end), d)), "debounce %v %v", d, all)
	require.Equal(t, latestOf(all, end, d, false), watch(t.Context(), pipeline.Sample(arriving(all, end), d)), "sample %v %v", d, all)
}

func TestDebounceAndSampleAreLikeTheirModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(9, 10))
		for range 300 {
			requireLatest(t, someBytes(r, 60), time.Duration(1+r.IntN(30))*10*time.Millisecond)
		}
	})
}

func FuzzDebounceAndSample(f *testing.F) {
	f.Add([]byte("some items that come now and then"), uint8(3))
	f.Add([]byte{0, 1, 2, 0x71, 0, 0xff, 0x7f, 0x70}, uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, d uint8) {
		synctest.Test(t, func(t *testing.T) {
			requireLatest(t, data[:min(len(data), 200)], (time.Duration(d)+1)*10*time.Millisecond)
		})
	})
}

func TestDebounce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := each(0, time.Second, 2*time.Second, 10*time.Second, 20*time.Second, 21*time.Second)
		got := watch(t.Context(), pipeline.Debounce(arriving(all, 22*time.Second), 3*time.Second))
		assert.Equal(t, []passed[int]{
			{5 * time.Second, 3, nil},
			{13 * time.Second, 4, nil},
			{22 * time.Second, 6, nil}, // the last does not wait for more
		}, got)
	})
}

func TestDebounceOfWhatNeverPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := watch(t.Context(), pipeline.Debounce(arriving(every(time.Second, 1000), time.Hour), 2*time.Second))
		assert.Equal(t, []passed[int]{{1001 * time.Second, 1000, nil}}, got)
	})
}

func TestSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := each(time.Second, 2*time.Second, 3*time.Second, 30*time.Second, 34*time.Second, 36*time.Second)
		got := watch(t.Context(), pipeline.Sample(arriving(all, 37*time.Second), 5*time.Second))
		assert.Equal(t, []passed[int]{
			{6 * time.Second, 3, nil},
			{35 * time.Second, 5, nil}, // from the first after the one before on
			{37 * time.Second, 6, nil},
		}, got)
	})
}

func TestSampleOfWhatNeverPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := watch(t.Context(), pipeline.Sample(arriving(every(time.Second, 100), time.Hour), 9500*time.Millisecond))
		require.Len(t, got, 10)
		for i, p := range got {
			assert.Equal(t, time.Duration(i)*10*time.Second+9500*time.Millisecond, p.at)
			assert.Equal(t, (i+1)*10, p.v)
		}
	})
}

func TestLatestPassesOnErrorsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := []coming{{0, 1, nil}, {time.Second, 0, errSpoilt}, {2 * time.Second, 2, nil}}
		want := []passed[int]{{time.Second, 0, errSpoilt}, {time.Minute, 2, nil}}
		assert.Equal(t, want, watch(t.Context(), pipeline.Sample(arriving(all, time.Hour), time.Minute)))
		want[1].at += 2 * time.Second
		assert.Equal(t, want, watch(t.Context(), pipeline.Debounce(arriving(all, time.Hour), time.Minute)))
	})
}

func TestLatestOfATimeWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := every(time.Second, 5)
		want := []passed[int]{{time.Hour, 5, nil}}
		assert.Equal(t, want, watch(t.Context(), pipeline.Debounce(arriving(all, time.Hour), math.MaxInt64)))
		assert.Equal(t, want, watch(t.Context(), pipeline.Sample(arriving(all, time.Hour), math.MaxInt64)))
	})
}

func TestLatestOfABusySink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, s := range map[string]pipeline.Stream[int]{
			"debounce": pipeline.Debounce(arriving(every(1500*time.Millisecond, 100), time.Hour), time.Second),
			"sample":   pipeline.Sample(arriving(every(1500*time.Millisecond, 100), time.Hour), time.Second),
		} {
			last := 0
			for v, err := range s.All(t.Context()) {
				require.NoError(t, err)
				require.Greater(t, v, last, name)
				last = v
				time.Sleep(10 * time.Second)
			}
			assert.Equal(t, 100, last, name)
		}
	})
}

// A sink that is slower than the samples gets the last that has come.
func TestSampleOfABusySinkIsFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live := pipeline.Map(arriving(every(10*time.Millisecond, 6000), time.Hour),
			func(context.Context, int) (time.Time, error) { return time.Now(), nil })
		n, start := 0, time.Now()
		for at, err := range pipeline.Sample(live, 50*time.Millisecond).All(t.Context()) {
			require.NoError(t, err)
			if time.Since(start) < time.Minute { // there are new ones
				require.LessOrEqual(t, time.Since(at), 10*time.Millisecond)
				n++
			}
			time.Sleep(900 * time.Millisecond)
		}
		assert.GreaterOrEqual(t, n, 60)
	})
}

// busyLatest returns what a sink gets that is busy for a while with the first,
// and leaves after some.
func busyLatest(t *testing.T, s pipeline.Stream[int], busy time.Duration, leave int) (log []string) {
	t.Helper()
	for v, err := range s(t.Context()) {
		text := strconv.Itoa(v)
		if err != nil {
			text = err.Error() // and it goes on
		}
		if log = append(log, text); len(log) == 1 {
			time.Sleep(busy)
		}
		if len(log) == leave {
			break
		}
	}
	return log
}

// What was due before something else came is passed on before that, though the
// sink was busy; but for the items of Sample, of which the last counts.
func TestLatestOfASinkThatIsBusyOnce(t *testing.T) {
	const s = time.Second
	for name, c := range map[string]struct {
		all              []coming
		debounce, sample []string
	}{
		"due before the next":           {each(s, 12*s, 20*s), []string{"1", "2", "3"}, nil},
		"due as the next comes":         {each(s, 12*s, 17*s), []string{"1", "2", "3"}, nil},
		"due after the next":            {each(s, 12*s, 16*s), []string{"1", "3"}, nil},
		"due before an error":           {append(each(s, 12*s), coming{25 * s, 0, errSpoilt}), []string{"1", "2", "spoilt"}, []string{"1", "2", "spoilt"}},
		"due as an error comes":         {append(each(s, 12*s), coming{17 * s, 0, errSpoilt}), []string{"1", "2", "spoilt"}, []string{"1", "2", "spoilt"}},
		"due after an error":            {append(each(s, 12*s), coming{16 * s, 0, errSpoilt}), []string{"1", "spoilt", "2"}, []string{"1", "spoilt", "2"}},
		"due before an error, and more": {append(each(s, 12*s, 20*s), coming{40 * s, 0, errSpoilt}), []string{"1", "2", "3", "spoilt"}, nil},
	} {
		for _, busy := range []time.Duration{0, 50 * s} {
			t.Run(fmt.Sprintf("%s/busy=%v", name, busy), func(t *testing.T) {
				for leave := 1; leave <= len(c.debounce)+1; leave++ {
					synctest.Test(t, func(t *testing.T) {
						got := busyLatest(t, pipeline.Debounce(arriving(c.all, time.Hour), 5*s), busy, leave)
						assert.Equal(t, c.debounce[:min(leave, len(c.debounce))], got)
					})
				}
				if c.sample != nil {
					synctest.Test(t, func(t *testing.T) {
						assert.Equal(t, c.sample, busyLatest(t, pipeline.Sample(arriving(c.all, time.Hour), 5*s), busy, 99))
					})
				}
			})
		}
	}
}

func TestSampleOfASinkThatIsBusyOnce(t *testing.T) {
	for third, want := range map[time.Duration][]string{17 * time.Second: {"1", "3"}, 60 * time.Second: {"1", "2", "3"}} {
		synctest.Test(t, func(t *testing.T) {
			s := pipeline.Sample(arriving(each(time.Second, 12*time.Second, third), time.Hour), 5*time.Second)
			assert.Equal(t, want, busyLatest(t, s, 30*time.Second, 99), "what came while it was busy is one")
		})
	}
}

// An item counts from when it came on, whenever it is looked at.
func TestDebounceWhileOthersWantTheProcessors(t *testing.T) {
	defer crowd()()
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			s := pipeline.Debounce(arriving(each(time.Second, 12*time.Second, 14*time.Second), time.Hour), 5*time.Second)
			require.Equal(t, []string{"1", "3"}, busyLatest(t, s, 25*time.Second, 99))
		})
	}
}

func TestLatestEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, s := range map[string]pipeline.Stream[int]{
			"debounce": pipeline.Debounce(arriving(every(time.Second, 3), time.Hour), time.Minute),
			"sample":   pipeline.Sample(arriving(every(time.Second, 3), time.Hour), time.Minute),
		} {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 30*time.Second, errSpoilt)
			got, err := pipeline.Collect(ctx, s)
			cancel()
			require.ErrorIs(t, err, errSpoilt, name)
			require.ErrorIs(t, err, context.DeadlineExceeded, name)
			assert.Empty(t, got, name)
		}
	})
}

// pacer lets one through at once and then one every so often, and none who
// would have to wait for longer than its context lasts, as rate limiters do.
type pacer struct {
	every time.Duration

	mu   sync.Mutex
	next time.Time
}

var errTooLong = errors.New("would have to wait for too long")

func (p *pacer) Wait(ctx context.Context) error {
	p.mu.Lock()
	turn := p.next
	if now := time.Now(); turn.Before(now) {
		turn = now
	}
	if end, ok := ctx.Deadline(); ok && turn.After(end) {
		p.mu.Unlock()
		return errTooLong
	}
	p.next = turn.Add(p.every)
	p.mu.Unlock()
	select {
	case <-time.After(time.Until(turn)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// waiter is a function as a Waiter.
type waiter func(context.Context) error

func (w waiter) Wait(ctx context.Context) error { return w(ctx) }

func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := watch(t.Context(), pipeline.Throttle(arriving(each(0, 0, 0, 10*time.Second), 10*time.Second), &pacer{every: time.Second}))
		assert.Equal(t, []passed[int]{{0, 1, nil}, {time.Second, 2, nil}, {2 * time.Second, 3, nil}, {10 * time.Second, 4, nil}}, got)
	})
}

func TestThrottleOfWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := pipeline.Throttle(arriving(every(0, 10), 0), &pacer{every: time.Second})
		n, err := pipeline.Count(t.Context(), pipeline.Map(s, func(_ context.Context, v int) (int, error) {
			time.Sleep(5 * time.Second)
			return v, nil
		}, pipeline.Workers(5)))
		require.NoError(t, err)
		assert.Equal(t, 10, n)
		assert.Equal(t, 14*time.Second, time.Since(start), "the last call begins after 9 s")
	})
}

func TestTwoStreamsThrottledByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, w := time.Now(), &pacer{every: time.Second}
		s := arriving(every(0, 5), 0)
		n, err := pipeline.Count(t.Context(), pipeline.Merge(pipeline.Throttle(s, w), pipeline.Throttle(s, w)))
		require.NoError(t, err)
		assert.Equal(t, 10, n)
		assert.Equal(t, 9*time.Second, time.Since(start))
	})
}

func TestThrottleWhoseWaiterFails(t *testing.T) {
	calls := 0
	w := waiter(func(context.Context) error {
		if calls++; calls == 2 {
			return errSpoilt
		}
		return nil
	})
	got := watch(t.Context(), pipeline.Throttle(pipeline.Of(1, 2, 3), w))
	require.Len(t, got, 3)
	assert.Equal(t, 1, got[0].v)
	require.ErrorIs(t, got[1].err, errSpoilt, "it takes the place of the item")
	assert.Equal(t, 3, got[2].v)
	require.NoError(t, got[2].err)

	calls = 0
	items, err := pipeline.Collect(t.Context(), pipeline.Throttle(pipeline.Of(1, 2, 3), w))
	require.ErrorIs(t, err, errSpoilt)
	assert.Equal(t, []int{1}, items)
	assert.Equal(t, 2, calls, "not called any more")
}

func TestThrottleWithoutAnErrorToWaitFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		w := waiter(func(context.Context) error { calls++; return nil })
		all := []coming{{0, 1, nil}, {0, 0, errSpoilt}, {0, 2, nil}}
		got := watch(t.Context(), pipeline.Throttle(arriving(all, 0), w))
		assert.Equal(t, []passed[int]{{0, 1, nil}, {0, 0, errSpoilt}, {0, 2, nil}}, got)
		assert.Equal(t, 2, calls, "errors do not wait")
	})
}

func TestThrottleEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(2500*time.Millisecond, func() { cancel(errSpoilt) })
		start := time.Now()
		got, err := pipeline.Collect(ctx, pipeline.Throttle(pipeline.Of(1, 2, 3, 4, 5), &pacer{every: time.Second}))
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, errSpoilt, "the cause, although the Waiter tells only that it has ended")
		assert.Equal(t, []int{1, 2, 3}, got)
		assert.Equal(t, 2500*time.Millisecond, time.Since(start))
	})
}

func TestThrottleThatWouldWaitForLongerThanTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		start := time.Now()
		got, err := pipeline.Collect(ctx, pipeline.Throttle(pipeline.Of(1, 2, 3, 4, 5), &pacer{every: time.Second}))
		require.ErrorIs(t, err, errTooLong)
		assert.Equal(t, []int{1, 2, 3}, got)
		assert.Equal(t, 2*time.Second, time.Since(start))
	})
}

func TestThrottleOfAnEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errSpoilt)
	calls := 0
	got, err := pipeline.Collect(ctx, pipeline.Throttle(pipeline.Of(1, 2), waiter(func(context.Context) error { calls++; return nil })))
	require.ErrorIs(t, err, errSpoilt)
	assert.Empty(t, got)
	assert.Zero(t, calls)
}

func TestTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		n := 0
		for now, err := range pipeline.Take(pipeline.Ticks(time.Second), 5).All(t.Context()) {
			require.NoError(t, err)
			n++
			assert.Equal(t, time.Duration(n)*time.Second, now.Sub(start))
			assert.Equal(t, now, time.Now())
		}
		assert.Equal(t, 5, n)
		time.Sleep(500 * time.Millisecond)
		now, _, err := pipeline.First(t.Context(), pipeline.Ticks(time.Second))
		require.NoError(t, err)
		assert.Equal(t, 6500*time.Millisecond, now.Sub(start), "from its use on")
	})
}

func TestTicksMissesSomeForTheSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		for now := range pipeline.Take(pipeline.Ticks(time.Second), 4).All(t.Context()) {
			at = append(at, now.Sub(start))
			time.Sleep(2500 * time.Millisecond)
		}
		assert.Less(t, at[3], 10*time.Second)
		assert.Greater(t, at[3], 4*time.Second)
	})
}

func TestTicksEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 2500*time.Millisecond, errSpoilt)
		defer cancel()
		n, err := pipeline.Count(ctx, pipeline.Ticks(time.Second))
		require.ErrorIs(t, err, errSpoilt)
		assert.Equal(t, 2, n)
	})
}

func TestTimedStagesPanic(t *testing.T) {
	s := pipeline.Of(1)
	for name, test := range map[string]struct {
		begin string
		f     func()
	}{
		"debounce of nil":     {"pipeline: Debounce ", func() { pipeline.Debounce[int](nil, 1) }},
		"debounce of no time": {"pipeline: Debounce ", func() { pipeline.Debounce(s, 0) }},
		"negative debounce":   {"pipeline: Debounce ", func() { pipeline.Debounce(s, -1) }},
		"sample of nil":       {"pipeline: Sample ", func() { pipeline.Sample[int](nil, 1) }},
		"sample of no time":   {"pipeline: Sample ", func() { pipeline.Sample(s, 0) }},
		"negative sample":     {"pipeline: Sample ", func() { pipeline.Sample(s, -1) }},
		"throttle of nil":     {"pipeline: Throttle ", func() { pipeline.Throttle[int](nil, &pacer{}) }},
		"throttle by nil":     {"pipeline: Throttle ", func() { pipeline.Throttle(s, nil) }},
		"ticks of no time":    {"pipeline: Ticks ", func() { pipeline.Ticks(0) }},
		"negative ticks":      {"pipeline: Ticks ", func() { pipeline.Ticks(-1) }},
	} {
		t.Run(name, func(t *testing.T) { assertPanics(t, test.begin, test.f) })
	}
}
