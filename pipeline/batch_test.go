package pipeline_test

import (
	"context"
	"errors"
	"iter"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/pipeline"
)

var errSpoilt = errors.New("spoilt")

// coming is an item, or an error, that comes some time after the start.
type coming struct {
	at  time.Duration
	v   int
	err error
}

// arriving is a Stream of what comes, which ends at a time.
func arriving(all []coming, end time.Duration) pipeline.Stream[int] {
	return func(ctx context.Context) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			start := time.Now()
			for _, c := range append(slices.Clip(all), coming{at: end}) {
				select {
				case <-time.After(time.Until(start.Add(c.at))):
				case <-ctx.Done():
					yield(0, errors.Join(ctx.Err(), context.Cause(ctx)))
					return
				}
				if c.at == end && c.v == 0 && c.err == nil || !yield(c.v, c.err) {
					return
				}
			}
		}
	}
}

// each returns items from 1 on that come at these times.
func each(times ...time.Duration) []coming {
	var all []coming
	for i, at := range times {
		all = append(all, coming{at: at, v: i + 1})
	}
	return all
}

// every returns n items from 1 on that come so far apart, the first at once.
func every(d time.Duration, n int) []coming {
	var all []coming
	for i := range n {
		all = append(all, coming{at: time.Duration(i) * d, v: i + 1})
	}
	return all
}

// drawn returns what data makes of items and errors that come after each other,
// at multiples of 10 ms, and when they end, 3 ms past one. Errors come 2 ms
// later.
func drawn(data []byte) (all []coming, end time.Duration) {
	for i, b := range data {
		end += time.Duration(b&15) * 10 * time.Millisecond
		if b>>4 == 15 { // a long pause
			end += time.Second
		}
		c := coming{at: end, v: i + 1}
		if b>>4 == 7 {
			end += 10 * time.Millisecond
			c = coming{at: end - 8*time.Millisecond, err: errSpoilt}
		}
		all = append(all, c)
	}
	return all, end + 3*time.Millisecond
}

// someBytes returns up to most random bytes.
func someBytes(r *rand.Rand, most int) []byte {
	data := make([]byte, r.IntN(most))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

// passed is what a Stream passed on, and when.
type passed[T any] struct {
	at  time.Duration
	v   T
	err error
}

// watch returns what s passes on, its errors included.
func watch[T any](ctx context.Context, s pipeline.Stream[T]) []passed[T] {
	start := time.Now()
	var all []passed[T]
	for v, err := range s(ctx) {
		all = append(all, passed[T]{time.Since(start), v, err})
	}
	return all
}

// batchesOf says, slowly but plainly, what Batch should pass on.
func batchesOf(all []coming, end time.Duration, size int, maxWait time.Duration) []passed[[]int] {
	var out []passed[[]int]
	var items []int
	var due time.Duration
	flush := func(at time.Duration) {
		if len(items) > 0 {
			out = append(out, passed[[]int]{at: at, v: items})
			items = nil
		}
	}
	for _, c := range append(slices.Clip(all), coming{at: end}) {
		if len(items) > 0 && due < c.at {
			flush(due)
		}
		switch {
		case c.err != nil:
			flush(c.at)
			out = append(out, passed[[]int]{at: c.at, err: c.err})
		case c.v == 0: // the end
			flush(c.at)
		default:
			if len(items) == 0 {
				due = c.at + maxWait
			}
			if items = append(items, c.v); len(items) == size {
				flush(c.at)
			}
		}
	}
	return out
}

// requireBatches requires Batch to do what the model does.
func requireBatches(t *testing.T, data []byte, size int, maxWait time.Duration) {
	t.Helper()
	all, end := drawn(data)
	got := watch(t.Context(), pipeline.Batch(arriving(all, end), size, maxWait))
	require.Equal(t, batchesOf(all, end, size, maxWait), got, "%v size %d maxWait %v", all, size, maxWait)
}

func TestBatchIsLikeItsModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for range 400 {
			requireBatches(t, someBytes(r, 60), 1+r.IntN(8), time.Duration(r.IntN(30)*10+5)*time.Millisecond)
		}
	})
}

func FuzzBatch(f *testing.F) {
	f.Add([]byte("some items that come now and then"), uint8(3), uint8(7))
	f.Add([]byte{0, 0, 0, 0x70, 0, 0xff, 0x7f, 0x70}, uint8(2), uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, size, wait uint8) {
		synctest.Test(t, func(t *testing.T) {
			requireBatches(t, data[:min(len(data), 200)], int(size)+1, time.Duration(wait)*10*time.Millisecond+5*time.Millisecond)
		})
	})
}

func TestBatchOfFullBatches(t *testing.T) {
	for name, test := range map[string]struct {
		n, size int
		want    []int
	}{
		"nothing":       {0, 3, nil},
		"less than one": {2, 3, []int{2}},
		"one":           {3, 3, []int{3}},
		"two and some":  {8, 3, []int{3, 3, 2}},
		"one by one":    {3, 1, []int{1, 1, 1}},
		"a huge size":   {3, math.MaxInt, []int{3}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				var sizes []int
				for batch, err := range pipeline.Batch(arriving(every(0, test.n), 0), test.size, time.Hour).All(t.Context()) {
					require.NoError(t, err)
					sizes = append(sizes, len(batch))
				}
				assert.Equal(t, test.want, sizes)
				assert.Zero(t, time.Since(start), "what is there at the end does not wait")
			})
		})
	}
}

func TestBatchCountsItsTimeFromTheFirstItem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Neither from the Stream's beginning, nor anew with each item.
		all := every(time.Second, 20)
		for i := range all {
			all[i].at += 7 * time.Second
		}
		got := watch(t.Context(), pipeline.Batch(arriving(all, time.Hour), 100, 5500*time.Millisecond))
		require.Len(t, got, 4)
		assert.Equal(t, passed[[]int]{at: 12500 * time.Millisecond, v: []int{1, 2, 3, 4, 5, 6}}, got[0])
		assert.Equal(t, 18500*time.Millisecond, got[1].at)
		assert.Equal(t, 24500*time.Millisecond, got[2].at)
		assert.Equal(t, passed[[]int]{at: 30500 * time.Millisecond, v: []int{19, 20}}, got[3])
	})
}

func TestBatchThatIsFullDisarmsTheTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := each(0, time.Second, 8*time.Second)
		got := watch(t.Context(), pipeline.Batch(arriving(all, time.Hour), 2, 10*time.Second))
		assert.Equal(t, []passed[[]int]{{time.Second, []int{1, 2}, nil}, {18 * time.Second, []int{3}, nil}}, got)
	})
}

func TestBatchBeforeAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		second := errors.New("second")
		all := []coming{
			{0, 0, errSpoilt}, // with nothing before it
			{time.Second, 1, nil},
			{2 * time.Second, 0, errSpoilt}, // with something
			{2 * time.Second, 0, second},    // right after another
			{3 * time.Second, 2, nil},
			{4 * time.Second, 3, nil}, // full
			{4 * time.Second, 0, errSpoilt},
			{4*time.Second + time.Minute/2, 4, nil}, // the timers of those before do not count
		}
		got := watch(t.Context(), pipeline.Batch(arriving(all, time.Hour), 2, time.Minute))
		assert.Equal(t, []passed[[]int]{
			{0, nil, errSpoilt},
			{2 * time.Second, []int{1}, nil},
			{2 * time.Second, nil, errSpoilt},
			{2 * time.Second, nil, second},
			{4 * time.Second, []int{2, 3}, nil},
			{4 * time.Second, nil, errSpoilt},
			{4*time.Second + 3*time.Minute/2, []int{4}, nil},
		}, got)
	})
}

func TestBatchReachesTheSinkBeforeTheError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := append(every(time.Second, 3), coming{5 * time.Second, 0, errSpoilt}, coming{6 * time.Second, 9, nil})
		got, err := pipeline.Collect(t.Context(), pipeline.Batch(arriving(all, time.Hour), 10, time.Minute))
		require.ErrorIs(t, err, errSpoilt)
		assert.Equal(t, [][]int{{1, 2, 3}}, got)
	})
}

func TestBatchesShareNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, err := pipeline.Collect(t.Context(), pipeline.Batch(arriving(every(time.Second, 100), time.Hour), 9, 5500*time.Millisecond))
		require.NoError(t, err)
		next := 1
		for i, batch := range got {
			for j, v := range batch {
				require.Equal(t, next, v)
				next++
				batch[j] = -1
			}
			full := append(batch[:len(batch):cap(batch)], make([]int, cap(batch)-len(batch))...)
			for j := range full {
				full[j] = -i
			}
		}
		assert.Equal(t, 101, next)
	})
}

func TestBatchIsUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := pipeline.Batch(arriving(every(time.Second, 5), time.Hour), 2, time.Minute)
		first := watch(t.Context(), s)
		require.Len(t, first, 3)
		assert.Equal(t, first, watch(t.Context(), s))
	})
}

func TestBatchTakesWhileItIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The sink needs 10 s for a batch, items come each second: they lose neither
		// order nor number, and no batch is late once the sink is there again.
		var all []int
		for batch, err := range pipeline.Batch(arriving(every(time.Second, 60), time.Hour), 4, 2500*time.Millisecond).All(t.Context()) {
			require.NoError(t, err)
			require.NotEmpty(t, batch)
			require.LessOrEqual(t, len(batch), 4)
			all = append(all, batch...)
			time.Sleep(10 * time.Second)
		}
		require.Len(t, all, 60)
		for i, v := range all {
			require.Equal(t, i+1, v)
		}
	})
}

// An item that came while the sink was busy has waited already.
func TestBatchCountsTheTimeForWhichTheSinkWasBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		for range pipeline.Batch(arriving(each(0, 0, time.Second), time.Hour), 2, 5*time.Second).All(t.Context()) {
			at = append(at, time.Since(start))
			time.Sleep(10 * time.Second)
		}
		assert.Equal(t, []time.Duration{0, 10 * time.Second}, at, "the third came at 1 s, and was due at 6 s")
	})
}

func TestBatchOfItemsThatComeQuickly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := watch(t.Context(), pipeline.Batch(arriving(every(1, 10_000), time.Hour), math.MaxInt, 1000*time.Nanosecond))
		n := 0
		for _, p := range got {
			n += len(p.v)
			require.InDelta(t, 1000, len(p.v), 2)
		}
		assert.Equal(t, 10_000, n)
	})
}

func TestBatchEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(30*time.Second, func() { cancel(errSpoilt) })
		start := time.Now()
		got, err := pipeline.Collect(ctx, pipeline.Batch(arriving(every(time.Second, 5), 2*time.Hour), 2, time.Hour))
		require.ErrorIs(t, err, errSpoilt)
		require.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, [][]int{{1, 2}, {3, 4}}, got, "the last is lost")
		assert.Equal(t, 30*time.Second, time.Since(start))
	})
}

func TestBatchOfAnEndedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errSpoilt)
		for range 100 {
			got, err := pipeline.Collect(ctx, pipeline.Batch(pipeline.Of(1, 2, 3), 1, time.Hour))
			require.ErrorIs(t, err, errSpoilt)
			require.Empty(t, got, "the context wins over what is there")
		}
	})
}

func TestLeavingABatchWhileItsSourceIsBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ch := make(chan int, 3)
		ch <- 1
		ch <- 2
		ch <- 3
		for batch := range pipeline.Batch(pipeline.FromChan(ch), 2, time.Hour).All(t.Context()) {
			assert.Equal(t, []int{1, 2}, batch)
			break
		}
		assert.Zero(t, time.Since(start), "the source does not have to come back")
	})
}

// crossing are the stages that take their items in a goroutine of their own and
// have a time.
func crossing(s pipeline.Stream[int]) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Batch":    func(ctx context.Context) error { return pipeline.Run(ctx, pipeline.Batch(s, 10, time.Hour)) },
		"Window":   func(ctx context.Context) error { return pipeline.Run(ctx, pipeline.Window(s, time.Hour)) },
		"Sliding":  func(ctx context.Context) error { return pipeline.Run(ctx, pipeline.Sliding(s, time.Hour, time.Minute)) },
		"Debounce": func(ctx context.Context) error { return pipeline.Run(ctx, pipeline.Debounce(s, time.Hour)) },
		"Sample":   func(ctx context.Context) error { return pipeline.Run(ctx, pipeline.Sample(s, time.Hour)) },
	}
}

// failing is a Stream of n items, after which it does what end does.
func failing(n int, end func()) pipeline.Stream[int] {
	return pipeline.Generate(func(_ context.Context, emit func(int) bool) error {
		for i := range n {
			if !emit(i + 1) {
				return nil
			}
		}
		end()
		return nil
	})
}

func TestStagesWithTimeReraiseAPanicOfTheirSource(t *testing.T) {
	for _, n := range []int{0, 1, 25} {
		for name, run := range crossing(failing(n, func() { panic(errSpoilt) })) {
			t.Run(name, func(t *testing.T) {
				for range 100 {
					synctest.Test(t, func(t *testing.T) { // in which a hang is noticed
						defer func() {
							p, ok := recover().(*pipeline.PanicError)
							require.True(t, ok)
							require.ErrorIs(t, p, errSpoilt)
							require.Contains(t, string(p.Stack), "batch_test.go", "where it panicked")
						}()
						_ = run(t.Context())
						assert.Fail(t, "did not panic")
					})
				}
			})
		}
	}
}

func TestStagesWithTimeTellOfGoexitInTheirSource(t *testing.T) {
	for _, n := range []int{0, 1, 25} {
		for name, run := range crossing(failing(n, runtime.Goexit)) {
			t.Run(name, func(t *testing.T) {
				for range 100 {
					synctest.Test(t, func(t *testing.T) { // in which a hang is noticed
						require.ErrorIs(t, run(t.Context()), pipeline.ErrGoexit)
					})
				}
			})
		}
	}
}

func TestStagesWithTimeJoinASourceThatTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended bool
		s := pipeline.Generate(func(ctx context.Context, emit func(int) bool) error {
			defer func() { ended = true }()
			emit(1)
			<-ctx.Done()
			time.Sleep(time.Minute) // clean-up
			return nil
		})
		for name, run := range crossing(s) {
			ended = false
			start := time.Now()
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errSpoilt)
			require.ErrorIs(t, run(ctx), errSpoilt, name)
			cancel()
			assert.True(t, ended, name)
			assert.Equal(t, time.Second+time.Minute, time.Since(start), name)
		}
	})
}

func TestStagesWithTimeTakeLittleMoreThanASlowSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var taken atomic.Int64
		delivered := 0
		for b := range pipeline.Batch(counted(-1, &taken), 7, time.Hour).All(t.Context()) {
			delivered += len(b)
			time.Sleep(time.Minute)
			require.LessOrEqual(t, int(taken.Load())-delivered, 2*7+2)
			if delivered >= 50 {
				break
			}
		}
	})
}

// A sink that takes longer than the time of a batch gets larger ones, not
// smaller.
func TestBatchGathersWhileTheSinkIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		live := arriving(every(time.Millisecond, 1000), 0)
		for b, err := range pipeline.Batch(live, 100, 10*time.Millisecond).All(t.Context()) {
			require.NoError(t, err)
			sizes = append(sizes, len(b))
			time.Sleep(30 * time.Millisecond)
		}
		require.GreaterOrEqual(t, len(sizes), 33)
		for _, n := range sizes[1 : len(sizes)-1] {
			assert.InDelta(t, 30, n, 1)
		}
	})
}

func TestBatchesOfASlowSinkAreNoSmaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, s := range map[string]pipeline.Stream[int]{
			"instant": pipeline.FromSlice(make([]int, 2000)),
			"live":    arriving(every(time.Millisecond, 2000), 0),
		} {
			batches := 0
			for b, err := range pipeline.Batch(s, 100, 10*time.Millisecond).All(t.Context()) {
				require.NoError(t, err)
				require.NotEmpty(t, b)
				batches++
				time.Sleep(300 * time.Millisecond)
			}
			assert.LessOrEqual(t, batches, 2*20, name)
		}
	})
}

func TestLeavingABatchBeforeAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := pipeline.Batch(arriving([]coming{{0, 1, nil}, {0, 0, errSpoilt}}, time.Hour), 9, time.Minute)
		for batch, err := range s(t.Context()) {
			require.NoError(t, err)
			assert.Equal(t, []int{1}, batch)
			break // or it would be called again, with the error
		}
	})
}

// busyOnce returns the batches of items behind 4000 quick ones, which let many
// be under way, with a sink that keeps the first of them for a while.
func busyOnce(t *testing.T, all []coming, size int, maxWait, busy time.Duration) []passed[[]int] {
	t.Helper()
	var got []passed[[]int]
	start := time.Now()
	quick := pipeline.FromSlice(make([]int, size*(4000/size)))
	for batch, err := range pipeline.Batch(pipeline.Concat(quick, arriving(all, time.Hour)), size, maxWait).All(t.Context()) {
		require.NoError(t, err)
		if batch[0] == 0 {
			continue
		}
		if got = append(got, passed[[]int]{time.Since(start), batch, nil}); len(got) == 1 {
			time.Sleep(busy)
		}
	}
	return got
}

// What was due while the sink was busy comes when it returns, with all that has
// come; nothing comes later than its time after that.
func TestBatchIsAtMostItsTimeLate(t *testing.T) {
	const s = time.Second
	for name, c := range map[string]struct {
		all  []coming
		size int
		busy time.Duration
		want []passed[[]int]
	}{
		"due while it was busy": {each(0, 6*s, 7*s), 10, 15 * s, []passed[[]int]{{5 * s, []int{1}, nil}, {20 * s, []int{2, 3}, nil}}},
		"not due yet":           {each(0, 18*s, 19*s), 10, 15 * s, []passed[[]int]{{5 * s, []int{1}, nil}, {23 * s, []int{2, 3}, nil}}},
		"as it returns":         {each(0, 15*s, 16*s), 10, 15 * s, []passed[[]int]{{5 * s, []int{1}, nil}, {20 * s, []int{2, 3}, nil}}},
		"full, and due":         {each(0, 6*s, 6*s, 6*s), 2, 15 * s, []passed[[]int]{{5 * s, []int{1}, nil}, {20 * s, []int{2, 3}, nil}, {20 * s, []int{4}, nil}}},
		"after it":              {each(0, 6*s, 30*s, 33*s), 10, 15 * s, []passed[[]int]{{5 * s, []int{1}, nil}, {20 * s, []int{2}, nil}, {35 * s, []int{3, 4}, nil}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { assert.Equal(t, c.want, busyOnce(t, c.all, c.size, 5*s, c.busy)) })
		})
	}
	t.Run("behind others", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			all := each(60*s, 60*s, 60*s, 61*s, 61*s, 61*s, 79*s)
			got := busyOnce(t, all, 3, 5*s, 20*s)
			require.Len(t, got, 3)
			assert.Equal(t, passed[[]int]{80 * s, []int{4, 5, 6}, nil}, got[1])
			assert.Equal(t, []int{7}, got[2].v)
			assert.LessOrEqual(t, got[2].at, 84*s)
		})
	})
}

// What came while the sink was busy joins one that is due already.
func TestBatchThatIsDueTakesAllThatHasCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		all := each(0, 0, 5*time.Second, 5*time.Second, 5*time.Second, 20*time.Second)
		var got []passed[[]int]
		for batch, err := range pipeline.Batch(arriving(all, time.Hour), 2, time.Second).All(t.Context()) {
			require.NoError(t, err)
			got = append(got, passed[[]int]{at: time.Since(start), v: batch})
			time.Sleep(15 * time.Second)
		}
		assert.Equal(t, []passed[[]int]{{0, []int{1, 2}, nil}, {15 * time.Second, []int{3, 4}, nil}, {30 * time.Second, []int{5, 6}, nil}}, got)
	})
}

// A source that never pauses does not keep the time from being over.
func TestBatchOfASourceWithoutAPause(t *testing.T) {
	start := time.Now()
	var batches atomic.Int64
	source := pipeline.Generate(func(_ context.Context, emit func(int) bool) error {
		for batches.Load() < 3 && time.Since(start) < 10*time.Second && emit(1) {
		}
		return nil
	})
	for _, err := range pipeline.Batch(source, math.MaxInt, time.Millisecond).All(t.Context()) {
		require.NoError(t, err)
		batches.Add(1)
	}
	assert.GreaterOrEqual(t, batches.Load(), int64(3))
	assert.Less(t, time.Since(start), 10*time.Second)
}

func TestBatchPanics(t *testing.T) {
	s := pipeline.Of(1)
	for name, f := range map[string]func(){
		"no stream": func() { pipeline.Batch[int](nil, 1, 1) },
		"size 0":    func() { pipeline.Batch(s, 0, 1) },
		"size -1":   func() { pipeline.Batch(s, -1, 1) },
		"no time":   func() { pipeline.Batch(s, 1, 0) },
		"negative":  func() { pipeline.Batch(s, 1, -1) },
	} {
		t.Run(name, func(t *testing.T) { assertPanics(t, "pipeline: Batch ", f) })
	}
}

// assertPanics asserts that f panics with a text that begins so.
func assertPanics(t *testing.T, begin string, f func()) {
	t.Helper()
	defer func() {
		v := recover()
		text, ok := v.(string)
		assert.True(t, ok && len(text) > len(begin) && text[:len(begin)] == begin, "panicked with %v", v)
	}()
	f()
}
