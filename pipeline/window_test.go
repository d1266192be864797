package pipeline_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
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

// span is a window, counted from the start.
type span struct {
	begin, end time.Duration
	items      []int
}

// watchWindows returns the windows that s passes on, from the start on.
func watchWindows(ctx context.Context, s pipeline.Stream[pipeline.Windowed[int]]) []passed[span] {
	start := time.Now()
	var all []passed[span]
	for _, p := range watch(ctx, s) {
		w := passed[span]{at: p.at, err: p.err}
		if p.err == nil {
			w.v = span{p.v.Start.Sub(start), p.v.End.Sub(start), p.v.Items}
		}
		all = append(all, w)
	}
	return all
}

// windowsOf says, slowly but plainly, what Sliding should pass on: it looks at
// every window that there can be. None is over in the moment in which all ends.
func windowsOf(all []coming, end, length, step time.Duration) []passed[span] {
	var out []passed[span]
	for _, c := range all {
		if c.err != nil {
			out = append(out, passed[span]{at: c.at, err: c.err})
		}
	}
	for over := step; ; over += step {
		w := span{begin: over - length, end: over}
		fresh := false // something has come since the window before
		for _, c := range all {
			if c.err == nil && c.at >= w.begin && c.at < w.end {
				w.items = append(w.items, c.v)
			}
			fresh = fresh || c.err == nil && c.at >= over-step
		}
		if over < end || fresh {
			if len(w.items) > 0 {
				out = append(out, passed[span]{at: min(over, end), v: w})
			}
		}
		if over >= end {
			break
		}
	}
	slices.SortStableFunc(out, func(a, b passed[span]) int { return int(a.at - b.at) })
	return out
}

// requireWindows requires Sliding to do what the model does.
func requireWindows(t *testing.T, data []byte, length, step time.Duration) []passed[span] {
	t.Helper()
	all, end := drawn(data)
	got := watchWindows(t.Context(), pipeline.Sliding(arriving(all, end), length, step))
	require.Equal(t, windowsOf(all, end, length, step), got, "%v length %v step %v", all, length, step)
	return got
}

// requireConserved requires that every item is in exactly one of the windows.
func requireConserved(t *testing.T, data []byte, step time.Duration) {
	t.Helper()
	all, _ := drawn(data)
	var want, got []int
	for _, c := range all {
		if c.err == nil {
			want = append(want, c.v)
		}
	}
	last := time.Duration(0)
	for _, p := range requireWindows(t, data, step, step) {
		if p.err != nil {
			continue
		}
		require.NotEmpty(t, p.v.items)
		require.Equal(t, step, p.v.end-p.v.begin)
		require.Zero(t, p.v.begin%step, "aligned to the start")
		require.GreaterOrEqual(t, p.v.begin, last)
		last = p.v.end
		got = append(got, p.v.items...)
	}
	require.Equal(t, want, got)
}

func TestWindowIsLikeItsModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		for range 300 {
			requireConserved(t, someBytes(r, 60), time.Duration(1+r.IntN(30))*10*time.Millisecond)
		}
	})
}

func TestSlidingIsLikeItsModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 6))
		for range 300 {
			requireWindows(t, someBytes(r, 40), time.Duration(1+r.IntN(60))*10*time.Millisecond, time.Duration(1+r.IntN(30))*10*time.Millisecond)
		}
	})
}

func FuzzWindow(f *testing.F) {
	f.Add([]byte("some items that come now and then"), uint8(3), uint8(3))
	f.Add([]byte{0, 10, 10, 0x7a, 0, 0xff, 0x7f, 0x70}, uint8(9), uint8(2))
	f.Add([]byte{0xff, 1, 0, 0xff}, uint8(0), uint8(9))
	f.Fuzz(func(t *testing.T, data []byte, length, step uint8) {
		synctest.Test(t, func(t *testing.T) {
			data = data[:min(len(data), 100)]
			l, s := (time.Duration(length)+1)*10*time.Millisecond, (time.Duration(step)+1)*10*time.Millisecond
			requireWindows(t, data, l, s)
			requireConserved(t, data, s)
		})
	})
}

func TestWindowsAreAlignedToTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(1234 * time.Millisecond) // not to any clock
		all := each(0, 1500*time.Millisecond, 1999*time.Millisecond, 6*time.Second)
		got := watchWindows(t.Context(), pipeline.Window(arriving(all, 6500*time.Millisecond), 2*time.Second))
		assert.Equal(t, []passed[span]{
			{2 * time.Second, span{0, 2 * time.Second, []int{1, 2, 3}}, nil},
			{6500 * time.Millisecond, span{6 * time.Second, 8 * time.Second, []int{4}}, nil},
		}, got, "empty windows are not passed on, the last is at the end")
	})
}

func TestWindowBeginsAnewWithEachUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := pipeline.Window(arriving(every(700*time.Millisecond, 10), 10*time.Second), 2*time.Second)
		first := watchWindows(t.Context(), s)
		time.Sleep(777 * time.Millisecond)
		assert.Equal(t, first, watchWindows(t.Context(), s))
	})
}

func TestWindowIncludesItsStartAndNotItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := every(time.Second, 6)
		for range 50 {
			got := watchWindows(t.Context(), pipeline.Window(arriving(all, 6500*time.Millisecond), 2*time.Second))
			require.Equal(t, []passed[span]{
				{2 * time.Second, span{0, 2 * time.Second, []int{1, 2}}, nil},
				{4 * time.Second, span{2 * time.Second, 4 * time.Second, []int{3, 4}}, nil},
				{6 * time.Second, span{4 * time.Second, 6 * time.Second, []int{5, 6}}, nil},
			}, got)
		}
	})
}

func TestWindowAfterALongTimeOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		day := 24 * time.Hour
		all := each(time.Hour, day+time.Millisecond/2, 100*day, 100*day, 100*day+time.Millisecond)
		got := watchWindows(t.Context(), pipeline.Window(arriving(all, 200*day), time.Millisecond))
		require.Len(t, got, 4)
		assert.Equal(t, span{time.Hour, time.Hour + time.Millisecond, []int{1}}, got[0].v)
		assert.Equal(t, span{day, day + time.Millisecond, []int{2}}, got[1].v)
		assert.Equal(t, span{100 * day, 100*day + time.Millisecond, []int{3, 4}}, got[2].v)
		assert.Equal(t, span{100*day + time.Millisecond, 100*day + 2*time.Millisecond, []int{5}}, got[3].v)
		for _, p := range got {
			assert.Equal(t, p.v.end, p.at, "as soon as it is over")
		}
	})
}

func TestSlidingAfterALongTimeOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := each(time.Hour, 48*time.Hour)
		got := watchWindows(t.Context(), pipeline.Sliding(arriving(all, 96*time.Hour), 3*time.Millisecond, time.Millisecond))
		require.Len(t, got, 6, "each is in three, and nothing is made of the pause")
		for i, p := range got {
			assert.Len(t, p.v.items, 1)
			assert.Equal(t, all[i/3].at+time.Duration(i%3+1)*time.Millisecond, p.at)
		}
	})
}

func TestSliding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := each(0, time.Second, 3*time.Second)
		got := watchWindows(t.Context(), pipeline.Sliding(arriving(all, 3500*time.Millisecond), 3*time.Second, time.Second))
		assert.Equal(t, []passed[span]{
			{1 * time.Second, span{-2 * time.Second, 1 * time.Second, []int{1}}, nil},
			{2 * time.Second, span{-1 * time.Second, 2 * time.Second, []int{1, 2}}, nil},
			{3 * time.Second, span{0, 3 * time.Second, []int{1, 2}}, nil},
			{3500 * time.Millisecond, span{1 * time.Second, 4 * time.Second, []int{2, 3}}, nil},
		}, got)
	})
}

func TestSlidingHasNoMoreAtTheEndThanThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := each(500 * time.Millisecond)
		got := watchWindows(t.Context(), pipeline.Sliding(arriving(all, 1500*time.Millisecond), 3*time.Second, time.Second))
		assert.Equal(t, []passed[span]{{time.Second, span{-2 * time.Second, time.Second, []int{1}}, nil}}, got,
			"nothing has come since")
	})
}

func TestSlidingWithGaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Windows of the last second of five.
		all := each(0, 3999*time.Millisecond, 4*time.Second, 5*time.Second, 9500*time.Millisecond, 11*time.Second)
		got := watchWindows(t.Context(), pipeline.Sliding(arriving(all, 12*time.Second), time.Second, 5*time.Second))
		assert.Equal(t, []passed[span]{
			{5 * time.Second, span{4 * time.Second, 5 * time.Second, []int{3}}, nil},
			{10 * time.Second, span{9 * time.Second, 10 * time.Second, []int{5}}, nil},
		}, got)
	})
}

func TestSlidingOfAHugeSpan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, err := pipeline.Collect(t.Context(), pipeline.Sliding(arriving(every(time.Second, 3), 5500*time.Millisecond), math.MaxInt64, 2*time.Second))
		require.NoError(t, err)
		require.Len(t, got, 2)
		assert.Equal(t, []int{1, 2}, got[0].Items)
		assert.Equal(t, []int{1, 2, 3}, got[1].Items)
	})
}

func TestWindowOfAHugeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, err := pipeline.Collect(t.Context(), pipeline.Window(arriving(every(time.Second, 3), time.Hour), math.MaxInt64))
		require.NoError(t, err)
		require.Len(t, got, 1)
		assert.Equal(t, []int{1, 2, 3}, got[0].Items)
	})
}

func TestWindowPassesOnErrorsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := []coming{{time.Second, 1, nil}, {2 * time.Second, 0, errSpoilt}, {3 * time.Second, 2, nil}}
		got := watchWindows(t.Context(), pipeline.Window(arriving(all, time.Hour), time.Minute))
		assert.Equal(t, []passed[span]{
			{2 * time.Second, span{}, errSpoilt},
			{time.Minute, span{0, time.Minute, []int{1, 2}}, nil},
		}, got)
		windows, err := pipeline.Collect(t.Context(), pipeline.Window(arriving(all, time.Hour), time.Minute))
		require.ErrorIs(t, err, errSpoilt)
		assert.Empty(t, windows)
	})
}

func TestWindowsShareNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, err := pipeline.Collect(t.Context(), pipeline.Sliding(arriving(every(time.Second, 30), time.Hour), 4*time.Second, 2*time.Second))
		require.NoError(t, err)
		before := make([][]int, len(got))
		for i, w := range got {
			before[i] = slices.Clone(w.Items)
		}
		for i, w := range got {
			require.Equal(t, before[i], w.Items)
			clear(w.Items[:cap(w.Items)])
		}
	})
}

func TestWindowOfABusySink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []int
		last := time.Time{}
		for w, err := range pipeline.Window(arriving(every(time.Second, 60), time.Hour), 3*time.Second).All(t.Context()) {
			require.NoError(t, err)
			require.NotEmpty(t, w.Items)
			require.Equal(t, 3*time.Second, w.End.Sub(w.Start))
			require.False(t, w.Start.Before(last), "windows do not come twice")
			last = w.End
			all = append(all, w.Items...)
			time.Sleep(10 * time.Second)
		}
		require.Len(t, all, 60)
		for i, v := range all {
			require.Equal(t, i+1, v)
		}
	})
}

// What comes while a window is used is in the window of its time.
func TestWindowTakesWhileTheSinkIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		windows := 0
		live := pipeline.Map(arriving(every(time.Second, 60), time.Hour),
			func(context.Context, int) (time.Time, error) { return time.Now(), nil })
		for w, err := range pipeline.Window(live, 3*time.Second).All(t.Context()) {
			require.NoError(t, err)
			windows++
			for _, at := range w.Items {
				require.False(t, at.Before(w.Start))
				require.True(t, at.Before(w.End))
			}
			time.Sleep(10 * time.Second)
		}
		assert.Equal(t, 20, windows)
	})
}

// busyWindows returns the windows, or errors, that a sink gets that is busy for
// a while with the first, and leaves after some.
func busyWindows(t *testing.T, s pipeline.Stream[pipeline.Windowed[int]], busy time.Duration, leave int) (log []string) {
	t.Helper()
	start := time.Now()
	for w, err := range s(t.Context()) {
		if err != nil {
			return append(log, err.Error())
		}
		if log = append(log, fmt.Sprint(w.Items, w.End.Sub(start))); len(log) == 1 {
			time.Sleep(busy)
		}
		if len(log) == leave {
			break
		}
	}
	return log
}

// Whatever the sink does, it gets the windows that it would get otherwise.
func TestWindowsOfASinkThatIsBusyOnce(t *testing.T) {
	const s = time.Second
	for name, c := range map[string]struct {
		all  []coming
		end  time.Duration
		span time.Duration
		want []string
	}{
		"the next":            {each(s, 12*s, 14*s), 17 * s, 10 * s, []string{"[1] 10s", "[2 3] 20s"}},
		"at the start of one": {each(s, 12*s, 20*s), time.Hour, 10 * s, []string{"[1] 10s", "[2] 20s", "[3] 30s"}},
		"over at the end":     {each(s), 25 * s, 30 * s, []string{"[1] 10s", "[1] 20s"}},
		"several over":        {each(s), 35 * s, 30 * s, []string{"[1] 10s", "[1] 20s", "[1] 30s"}},
		"over before others":  {each(s, 45*s), 46 * s, 30 * s, []string{"[1] 10s", "[1] 20s", "[1] 30s", "[2] 50s"}},
		"ended as one is":     {each(s), 20 * s, 30 * s, []string{"[1] 10s", "[1] 20s"}},
		"over before an error": {
			append(each(s, 12*s), coming{25 * s, 0, errSpoilt}), time.Hour, 10 * s,
			[]string{"[1] 10s", "[2] 20s", "spoilt"},
		},
		"over before an error that comes as it is": {
			append(each(s, 12*s), coming{20 * s, 0, errSpoilt}), time.Hour, 10 * s,
			[]string{"[1] 10s", "[2] 20s", "spoilt"},
		},
		"several before an error": {
			append(each(s), coming{25 * s, 0, errSpoilt}), time.Hour, 30 * s,
			[]string{"[1] 10s", "[1] 20s", "spoilt"},
		},
	} {
		for _, busy := range []time.Duration{15 * s, 50 * s} {
			t.Run(fmt.Sprintf("%s/busy=%v", name, busy), func(t *testing.T) {
				for leave := 1; leave <= len(c.want); leave++ {
					synctest.Test(t, func(t *testing.T) {
						windows := pipeline.Sliding(arriving(c.all, c.end), c.span, 10*s)
						assert.Equal(t, c.want[:leave], busyWindows(t, windows, busy, leave))
					})
				}
			})
		}
	}
}

// An item belongs to the window in which it came, whenever it is looked at.
func TestWindowsWhileOthersWantTheProcessors(t *testing.T) {
	defer crowd()()
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			windows := pipeline.Window(arriving(each(time.Second, 12*time.Second, 14*time.Second), 17*time.Second), 10*time.Second)
			require.Equal(t, []string{"[1] 10s", "[2 3] 20s"}, busyWindows(t, windows, 15*time.Second, 9))
		})
	}
}

// crowd starts goroutines that want the processors, until it is ended.
func crowd() (end func()) {
	var over atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !over.Load() {
				runtime.Gosched()
			}
		})
	}
	return func() {
		over.Store(true)
		wg.Wait()
	}
}

// A timer that fires as an item is on its way costs nothing.
func TestNothingIsLostInTheShortestOfTimes(t *testing.T) {
	const n = 2000
	for _, d := range []time.Duration{1, 100, 10_000} {
		for i := range 5 {
			source := pipeline.Generate(func(_ context.Context, emit func(int) bool) error {
				for x := range n {
					if spin((x * 7919) % 200); !emit(x) {
						return nil
					}
				}
				return nil
			})
			batches, err := pipeline.Collect(t.Context(), pipeline.Batch(source, 1+i*3, d))
			require.NoError(t, err)
			require.True(t, slices.Equal(countTo(n), slices.Concat(batches...)))
			windows, err := pipeline.Collect(t.Context(), pipeline.Window(source, d))
			require.NoError(t, err)
			var all []int
			for _, w := range windows {
				require.NotEmpty(t, w.Items)
				all = append(all, w.Items...)
			}
			require.True(t, slices.Equal(countTo(n), all))
			for _, s := range []pipeline.Stream[int]{pipeline.Debounce(source, d), pipeline.Sample(source, d)} {
				some, err := pipeline.Collect(t.Context(), s)
				require.NoError(t, err)
				require.True(t, slices.IsSorted(some))
				require.Len(t, slices.Compact(slices.Clone(some)), len(some), "none comes twice")
				require.Equal(t, n-1, some[len(some)-1])
			}
		}
	}
}

func TestWindowOfAnItemAtItsStartThatIsTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := watchWindows(t.Context(), pipeline.Window(arriving(each(10*time.Second), 10*time.Second), 10*time.Second))
		assert.Equal(t, []passed[span]{{10 * time.Second, span{10 * time.Second, 20 * time.Second, []int{1}}, nil}}, got)
	})
}

func TestWindowEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 3500*time.Millisecond, errSpoilt)
		defer cancel()
		start := time.Now()
		got, err := pipeline.Collect(ctx, pipeline.Window(arriving(every(time.Second, 10), time.Hour), 2*time.Second))
		require.ErrorIs(t, err, errSpoilt)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 3500*time.Millisecond, time.Since(start))
		require.Len(t, got, 1)
		assert.Equal(t, []int{1, 2}, got[0].Items)
	})
}

func TestLeavingAWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		for w := range pipeline.Window(arriving(every(time.Second, 10), time.Hour), 2*time.Second).All(t.Context()) {
			assert.Equal(t, []int{1, 2}, w.Items)
			break
		}
		assert.Equal(t, 2*time.Second, time.Since(start))
	})
}

func TestGroupBy(t *testing.T) {
	start := time.Unix(0, 0)
	windows := pipeline.Of(
		pipeline.Windowed[string]{start, start.Add(1), []string{"a", "bb", "a", "ccc", "dd", "eee", "ffff"}},
		pipeline.Windowed[string]{start.Add(1), start.Add(2), []string{"ccc", "ffff", "ggggg", "ffff", "ccc", "a", "bb"}},
	)
	length := func(s string) int { return len(s) }
	list := func(l []string, s string) []string { return append(l, s) }
	got, err := pipeline.Collect(t.Context(), pipeline.GroupBy(windows, length, 3, list))
	require.NoError(t, err)
	assert.Equal(t, []pipeline.Grouped[int, []string]{
		{start, start.Add(1), map[int][]string{1: {"a", "a"}, 2: {"bb", "dd"}, 3: {"ccc", "eee"}}, 1},
		{start.Add(1), start.Add(2), map[int][]string{3: {"ccc", "ccc"}, 4: {"ffff", "ffff"}, 5: {"ggggg"}}, 2},
	}, got, "the keys of a window begin anew")
}

func TestGroupByCountsEachItemOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		most := 1 + r.IntN(5)
		w := pipeline.Windowed[int]{Items: make([]int, r.IntN(50))}
		keys := map[int]int{}
		for i := range w.Items {
			w.Items[i] = r.IntN(10)
			keys[w.Items[i]]++
		}
		count := func(n, _ int) int { return n + 1 }
		g, ok, err := pipeline.First(t.Context(), pipeline.GroupBy(pipeline.Of(w), func(v int) int { return v }, most, count))
		require.NoError(t, err)
		require.True(t, ok)
		require.Len(t, g.Values, min(most, len(keys)))
		n := g.Other
		for k, v := range g.Values {
			require.Equal(t, keys[k], v)
			n += v
		}
		require.Equal(t, len(w.Items), n)
	}
}

func TestGroupByPassesOnErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := []coming{{0, 1, nil}, {time.Second, 0, errSpoilt}, {time.Second, 2, nil}}
		got := watch(t.Context(), pipeline.GroupBy(pipeline.Window(arriving(all, time.Hour), time.Minute),
			func(int) string { return "all" }, 1, func(a, v int) int { return a + v }))
		require.Len(t, got, 2)
		require.ErrorIs(t, got[0].err, errSpoilt)
		assert.Equal(t, map[string]int{"all": 3}, got[1].v.Values)
	})
}

func TestWindowPanics(t *testing.T) {
	s := pipeline.Of(1)
	windows := pipeline.Of(pipeline.Windowed[int]{})
	key, sum := func(v int) int { return v }, func(a, v int) int { return a + v }
	for name, test := range map[string]struct {
		begin string
		f     func()
	}{
		"window of nil":       {"pipeline: Window ", func() { pipeline.Window[int](nil, 1) }},
		"window of no time":   {"pipeline: Window ", func() { pipeline.Window(s, 0) }},
		"negative window":     {"pipeline: Window ", func() { pipeline.Window(s, -1) }},
		"sliding of nil":      {"pipeline: ", func() { pipeline.Sliding[int](nil, 1, 1) }},
		"sliding of no span":  {"pipeline: ", func() { pipeline.Sliding(s, 0, 1) }},
		"sliding of no time":  {"pipeline: ", func() { pipeline.Sliding(s, 1, 0) }},
		"negative sliding":    {"pipeline: ", func() { pipeline.Sliding(s, -1, -1) }},
		"groupby of nil":      {"pipeline: GroupBy ", func() { pipeline.GroupBy(nil, key, 1, sum) }},
		"groupby of no key":   {"pipeline: GroupBy ", func() { pipeline.GroupBy[int, int, int](windows, nil, 1, sum) }},
		"groupby of no func":  {"pipeline: GroupBy ", func() { pipeline.GroupBy[int, int, int](windows, key, 1, nil) }},
		"groupby of no keys":  {"pipeline: GroupBy ", func() { pipeline.GroupBy(windows, key, 0, sum) }},
		"groupby of negative": {"pipeline: GroupBy ", func() { pipeline.GroupBy(windows, key, -1, sum) }},
	} {
		t.Run(name, func(t *testing.T) { assertPanics(t, test.begin, test.f) })
	}
}
