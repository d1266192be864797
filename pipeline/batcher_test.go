package pipeline_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/pipeline"
)

// A store is where the batches of a Batcher go. It panics if two come at once.
type store struct {
	takes time.Duration // for a batch
	fail  func(batch []int) error

	inside atomic.Bool
	mu     sync.Mutex
	start  time.Time
	got    []passed[[]int]
}

func newStore(takes time.Duration) *store { return &store{takes: takes, start: time.Now()} }

func (s *store) put(_ context.Context, batch []int) error {
	if !s.inside.CompareAndSwap(false, true) {
		panic("two batches at once")
	}
	defer s.inside.Store(false)
	s.mu.Lock()
	s.got = append(s.got, passed[[]int]{at: time.Since(s.start), v: batch})
	s.mu.Unlock()
	time.Sleep(s.takes)
	if s.fail != nil {
		return s.fail(batch)
	}
	return nil
}

// batches returns the batches, and items what is in them.
func (s *store) batches() []passed[[]int] {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

func (s *store) items() (all []int) {
	for _, p := range s.batches() {
		all = append(all, p.v...)
	}
	return all
}

// requireClosed closes b, and requires that this gives no error.
func requireClosed(t *testing.T, b *pipeline.Batcher[int]) {
	t.Helper()
	require.NoError(t, b.Close(context.WithoutCancel(t.Context())))
}

func TestBatcherFlushesFullBatchesInTheAddingGoroutine(t *testing.T) {
	type key struct{}
	var seen []any
	var got [][]int
	b := pipeline.NewBatcher(2, time.Hour, func(ctx context.Context, batch []int) error {
		seen = append(seen, ctx.Value(key{}))
		got = append(got, batch)
		return nil
	})
	for i := range 5 {
		require.NoError(t, b.Add(context.WithValue(t.Context(), key{}, i), i))
	}
	assert.Equal(t, [][]int{{0, 1}, {2, 3}}, got)
	assert.Equal(t, []any{1, 3}, seen, "with the context of who adds the last")
	require.NoError(t, b.Close(context.WithValue(t.Context(), key{}, "close")))
	assert.Equal(t, []int{4}, got[2])
	assert.Equal(t, "close", seen[2])
}

func TestBatcherFlushesSomeTimeAfterTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(0)
		b := pipeline.NewBatcher(10, 5500*time.Millisecond, s.put)
		time.Sleep(3 * time.Second)
		for i := range 8 {
			require.NoError(t, b.Add(t.Context(), i))
			time.Sleep(time.Second)
		}
		requireClosed(t, b)
		assert.Equal(t, []passed[[]int]{
			{8500 * time.Millisecond, []int{0, 1, 2, 3, 4, 5}, nil},
			{11 * time.Second, []int{6, 7}, nil}, // by Close
		}, s.batches())
		time.Sleep(time.Hour)
		assert.Len(t, s.batches(), 2)
	})
}

func TestBatcherThatIsFullDisarmsTheTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(0)
		b := pipeline.NewBatcher(2, 10*time.Second, s.put)
		require.NoError(t, b.Add(t.Context(), 1))
		require.NoError(t, b.Add(t.Context(), 2))
		time.Sleep(8 * time.Second)
		require.NoError(t, b.Add(t.Context(), 3))
		time.Sleep(time.Second)
		require.NoError(t, b.Flush(t.Context()))
		time.Sleep(4 * time.Second)
		require.NoError(t, b.Add(t.Context(), 4))
		time.Sleep(time.Minute)
		requireClosed(t, b)
		assert.Equal(t, []passed[[]int]{
			{0, []int{1, 2}, nil},
			{9 * time.Second, []int{3}, nil},
			{23 * time.Second, []int{4}, nil},
		}, s.batches())
	})
}

func TestBatcherTimerThatWaitsForItsTurnLeavesLaterBatchesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(10 * time.Second)
		b := pipeline.NewBatcher(2, 7*time.Second, s.put)
		var wg sync.WaitGroup
		add := func(at time.Duration, v int) {
			time.Sleep(time.Until(s.start.Add(at)))
			wg.Go(func() { assert.NoError(t, b.Add(t.Context(), v)) })
			synctest.Wait()
		}
		add(0, 1)
		add(0, 2)              // flushed from 0 to 10 s
		add(1*time.Second, 3)  // due at 8 s
		add(2*time.Second, 4)  // full, waits; flushed from 10 to 20 s
		add(19*time.Second, 5) // due at 26 s
		wg.Wait()
		time.Sleep(time.Minute)
		requireClosed(t, b)
		assert.Equal(t, []passed[[]int]{
			{0, []int{1, 2}, nil},
			{10 * time.Second, []int{3, 4}, nil},
			{26 * time.Second, []int{5}, nil},
		}, s.batches())
	})
}

func TestBatcherOfManyWhoAdd(t *testing.T) {
	for name, takes := range map[string]time.Duration{"quick": 0, "slow": 50 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(takes)
				b := pipeline.NewBatcher(7, 20*time.Millisecond, s.put)
				var wg sync.WaitGroup
				for g := range 20 {
					wg.Go(func() {
						r := rand.New(rand.NewPCG(uint64(g), 1))
						for i := range 50 {
							assert.NoError(t, b.Add(t.Context(), g*1000+i))
							if r.IntN(3) == 0 {
								time.Sleep(time.Duration(r.IntN(30)) * time.Millisecond)
							}
							if r.IntN(40) == 0 {
								assert.NoError(t, b.Flush(t.Context()))
							}
						}
					})
				}
				wg.Wait()
				requireClosed(t, b)
				next := map[int]int{}
				for _, p := range s.batches() {
					require.NotEmpty(t, p.v)
					require.LessOrEqual(t, len(p.v), 7)
					for _, v := range p.v {
						require.Equal(t, next[v/1000], v%1000, "in the order of adding")
						next[v/1000]++
					}
				}
				assert.Len(t, s.items(), 1000, "each in one batch")
			})
		})
	}
}

func TestBatcherInParallel(t *testing.T) {
	s := newStore(0)
	b := pipeline.NewBatcher(5, 50*time.Microsecond, s.put)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				assert.NoError(t, b.Add(t.Context(), g*500+i))
			}
		})
	}
	wg.Wait()
	requireClosed(t, b)
	all := s.items()
	slices.Sort(all)
	require.Len(t, all, 4000)
	for i, v := range all {
		require.Equal(t, i, v)
	}
}

// Of a single adder, who adds and flushes at random times, a model is simple.
func TestBatcherIsLikeItsModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(11, 12))
		for range 200 {
			all, end := drawn(someBytes(r, 60))
			size, maxWait := 1+r.IntN(8), time.Duration(r.IntN(30)*10+5)*time.Millisecond
			s := newStore(0)
			b := pipeline.NewBatcher(size, maxWait, s.put)
			for _, c := range all {
				time.Sleep(time.Until(s.start.Add(c.at)))
				if c.err != nil {
					require.NoError(t, b.Flush(t.Context()))
				} else {
					require.NoError(t, b.Add(t.Context(), c.v))
				}
			}
			time.Sleep(time.Until(s.start.Add(end)))
			requireClosed(t, b)
			want := slices.DeleteFunc(batchesOf(all, end, size, maxWait), func(p passed[[]int]) bool { return p.err != nil })
			require.Equal(t, want, s.batches(), "%v size %d maxWait %v", all, size, maxWait)
		}
	})
}

func TestBatcherGivesItsSlicesAway(t *testing.T) {
	var got [][]int
	b := pipeline.NewBatcher(3, time.Hour, func(_ context.Context, batch []int) error {
		got = append(got, append(batch, -1)[:len(batch)])
		return nil
	})
	for i := range 10 {
		require.NoError(t, b.Add(t.Context(), i))
	}
	requireClosed(t, b)
	assert.Equal(t, [][]int{{0, 1, 2}, {3, 4, 5}, {6, 7, 8}, {9}}, got)
}

func TestBatcherReturnsTheErrorOfFlush(t *testing.T) {
	s := newStore(0)
	s.fail = func([]int) error { return errSpoilt }
	b := pipeline.NewBatcher(2, time.Hour, s.put)
	require.NoError(t, b.Add(t.Context(), 1))
	require.ErrorIs(t, b.Add(t.Context(), 2), errSpoilt)
	require.NoError(t, b.Flush(t.Context()), "it is told once, and there is nothing to flush")
	require.NoError(t, b.Add(t.Context(), 3), "it goes on")
	require.ErrorIs(t, b.Flush(t.Context()), errSpoilt)
	require.NoError(t, b.Add(t.Context(), 4))
	require.ErrorIs(t, b.Close(t.Context()), errSpoilt)
	require.NoError(t, b.Close(t.Context()))
	assert.Equal(t, []int{1, 2, 3, 4}, s.items())
}

func TestBatcherKeepsTheErrorsForWhichNobodyWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, third := errors.New("first"), errors.New("second"), errors.New("third")
		errs := []error{first, nil, second, third, nil}
		s := newStore(0)
		s.fail = func([]int) error {
			err := errs[0]
			errs = errs[1:]
			return err
		}
		b := pipeline.NewBatcher(10, time.Second, s.put)
		for i := range 3 {
			require.NoError(t, b.Add(t.Context(), i))
			time.Sleep(time.Minute)
		}
		require.NoError(t, b.Add(t.Context(), 3))
		err := b.Flush(t.Context())
		require.ErrorIs(t, err, first)
		require.ErrorIs(t, err, second)
		require.ErrorIs(t, err, third)
		require.NoError(t, b.Add(t.Context(), 4))
		require.NoError(t, b.Close(t.Context()))
	})
}

func TestBatcherCloseReturnsTheErrorsOfTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(10 * time.Second)
		s.fail = func([]int) error { return errSpoilt }
		b := pipeline.NewBatcher(10, time.Second, s.put)
		require.NoError(t, b.Add(t.Context(), 1))
		time.Sleep(5 * time.Second) // in the midst of the flush
		require.ErrorIs(t, b.Close(t.Context()), errSpoilt)
		assert.Equal(t, 11*time.Second, time.Since(s.start), "it waits")
	})
}

func TestBatcherTimerHasAContextThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var flushed atomic.Bool
		b := pipeline.NewBatcher(10, time.Second, func(ctx context.Context, _ []int) error {
			flushed.Store(true)
			assert.NoError(t, ctx.Err())
			assert.Nil(t, ctx.Done())
			return nil
		})
		require.NoError(t, b.Add(ctx, 1))
		cancel()
		time.Sleep(time.Minute)
		assert.True(t, flushed.Load())
		requireClosed(t, b)
	})
}

func TestBatcherThatIsClosed(t *testing.T) {
	s := newStore(0)
	b := pipeline.NewBatcher(10, time.Hour, s.put)
	require.NoError(t, b.Add(t.Context(), 1))
	requireClosed(t, b)
	require.ErrorIs(t, b.Add(t.Context(), 2), pipeline.ErrClosed)
	require.NoError(t, b.Flush(t.Context()))
	requireClosed(t, b)
	assert.Equal(t, []int{1}, s.items())
}

func TestBatcherThatHasNothingCallsNothing(t *testing.T) {
	b := pipeline.NewBatcher(1, time.Hour, func(context.Context, []int) error { panic("called") })
	require.NoError(t, b.Flush(t.Context()))
	requireClosed(t, b)
}

func TestBatcherCloseWhileOthersAdd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(time.Second)
		b := pipeline.NewBatcher(3, time.Minute, s.put)
		var added atomic.Int64
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for i := 0; ; i++ {
					err := b.Add(t.Context(), i)
					if err != nil {
						assert.ErrorIs(t, err, pipeline.ErrClosed)
						return
					}
					added.Add(1)
				}
			})
		}
		time.Sleep(10500 * time.Millisecond)
		for range 2 {
			wg.Go(func() {
				assert.NoError(t, b.Close(t.Context()))
				assert.False(t, s.inside.Load(), "nothing runs any more")
			})
		}
		wg.Wait()
		assert.Len(t, s.items(), int(added.Load()), "what was added is flushed, and nothing else")
		before := len(s.items())
		time.Sleep(time.Hour)
		assert.Len(t, s.items(), before)
	})
}

func TestBatcherCloseWhoseContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(time.Minute)
		b := pipeline.NewBatcher(10, time.Second, s.put)
		require.NoError(t, b.Add(t.Context(), 1))
		time.Sleep(2 * time.Second)
		require.NoError(t, b.Add(t.Context(), 2))
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errSpoilt)
		defer cancel()
		err := b.Close(ctx)
		require.ErrorIs(t, err, errSpoilt)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 3*time.Second, time.Since(s.start), "it does not wait for longer")
		require.ErrorIs(t, b.Add(t.Context(), 3), pipeline.ErrClosed)
		requireClosed(t, b)
		assert.Equal(t, []int{1, 2}, s.items())
	})
}

func TestBatcherAddWhoseContextHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errSpoilt)
		s := newStore(0)
		b := pipeline.NewBatcher(1, time.Second, s.put)
		err := b.Add(ctx, 1)
		require.ErrorIs(t, err, errSpoilt)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, b.Flush(ctx), errSpoilt)
		requireClosed(t, b)
		assert.Empty(t, s.items())
	})
}

func TestBatcherAddWhoseContextEndsWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(time.Minute)
		b := pipeline.NewBatcher(1, 2*time.Minute, s.put)
		var wg sync.WaitGroup
		wg.Go(func() { assert.NoError(t, b.Add(t.Context(), 1)) }) // is being flushed
		synctest.Wait()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errSpoilt)
		defer cancel()
		var second, third error
		wg.Go(func() { second = b.Add(ctx, 2) }) // a full batch that waits
		synctest.Wait()
		wg.Go(func() { third = b.Add(ctx, 3) }) // there is no room
		wg.Wait()
		require.NoError(t, second, "it is added, and will be flushed")
		require.ErrorIs(t, third, errSpoilt, "it is not added")
		time.Sleep(time.Hour)
		requireClosed(t, b)
		assert.Equal(t, []passed[[]int]{{0, []int{1}, nil}, {2 * time.Minute, []int{2}, nil}}, s.batches())
	})
}

func TestBatcherAddFlushesWhatWasLeftByAnEndedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(time.Minute)
		s.fail = func(batch []int) error {
			if batch[0] == 2 {
				return errSpoilt
			}
			return nil
		}
		b := pipeline.NewBatcher(1, time.Hour, s.put)
		go b.Add(t.Context(), 1)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.NoError(t, b.Add(ctx, 2))
		require.NoError(t, b.Add(t.Context(), 3), "the batch of 3 is stored, after that of 2")
		require.ErrorIs(t, b.Close(t.Context()), errSpoilt)
		requireClosed(t, b)
		assert.Equal(t, []passed[[]int]{{0, []int{1}, nil}, {time.Minute, []int{2}, nil}, {2 * time.Minute, []int{3}, nil}}, s.batches())
	})
}

// Whoever fills a batch is told how it went, whoever flushed it.
func TestBatcherAddReturnsNoErrorOfLaterBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(10 * time.Second)
		s.fail = func(batch []int) error {
			if slices.Contains(batch, 5) {
				return errSpoilt
			}
			return nil
		}
		b := pipeline.NewBatcher(2, 4*time.Second, s.put)
		errs := make([]error, 7)
		var wg sync.WaitGroup
		add := func(at time.Duration, v int) {
			time.Sleep(time.Until(s.start.Add(at)))
			wg.Go(func() { errs[v] = b.Add(t.Context(), v) })
			synctest.Wait()
		}
		add(0, 1)
		add(0, 2)             // flushed from 0 to 10 s
		add(time.Second, 3)   // due at 5 s, when its timer begins to wait
		add(6*time.Second, 4) // full, waits behind the timer, which flushes both from 10 to 20 s
		add(17*time.Second, 5)
		add(18*time.Second, 6) // full, waits behind 4
		wg.Wait()
		requireClosed(t, b)
		require.NoError(t, errs[4], "it is not in the batch that failed")
		require.ErrorIs(t, errs[6], errSpoilt)
	})
}

func TestBatcherPanicOfFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fail := true
		s := newStore(0)
		s.fail = func([]int) error {
			if fail {
				panic(errSpoilt)
			}
			return nil
		}
		b := pipeline.NewBatcher(2, time.Second, s.put)
		require.NoError(t, b.Add(t.Context(), 1))
		assert.PanicsWithError(t, "spoilt", func() { b.Add(t.Context(), 2) }, "in Add, it is the caller's")
		require.NoError(t, b.Add(t.Context(), 3))
		assert.PanicsWithError(t, "spoilt", func() { b.Flush(t.Context()) })
		require.NoError(t, b.Add(t.Context(), 4))
		time.Sleep(time.Minute) // by the timer: it must not end the program
		err := b.Flush(t.Context())
		require.ErrorIs(t, err, errSpoilt)
		p, ok := errors.AsType[*pipeline.PanicError](err)
		require.True(t, ok)
		assert.Contains(t, string(p.Stack), "batcher_test.go")
		require.NoError(t, b.Add(t.Context(), 5))
		assert.PanicsWithError(t, "spoilt", func() { b.Close(t.Context()) })
		fail = false
		require.ErrorIs(t, b.Add(t.Context(), 6), pipeline.ErrClosed)
		requireClosed(t, b)
		assert.Equal(t, []int{1, 2, 3, 4, 5}, s.items(), "none comes twice")
	})
}

func TestBatcherGoexitOfFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(0)
		s.fail = func([]int) error { runtime.Goexit(); return nil }
		b := pipeline.NewBatcher(2, time.Second, s.put)
		exits := func(f func()) {
			returned := false
			done := make(chan struct{})
			go func() {
				defer close(done)
				f()
				returned = true
			}()
			<-done
			assert.False(t, returned)
		}
		exits(func() { b.Add(t.Context(), 1); b.Add(t.Context(), 2) })
		exits(func() { b.Add(t.Context(), 3); b.Flush(t.Context()) })
		require.NoError(t, b.Add(t.Context(), 4))
		time.Sleep(time.Minute)
		require.ErrorIs(t, b.Flush(t.Context()), pipeline.ErrGoexit)
		exits(func() { b.Add(t.Context(), 5); b.Close(t.Context()) })
		requireClosed(t, b)
		assert.Equal(t, []int{1, 2, 3, 4, 5}, s.items())
	})
}

// The error of a call is there when its turn is over.
func TestBatcherFlushGetsTheErrorOfTheCallItWaitsFor(t *testing.T) {
	rounds := 2000
	if testing.Short() || underRace() {
		rounds = 200
	}
	for i := range rounds {
		entered, release := make(chan struct{}), make(chan struct{})
		b := pipeline.NewBatcher(10, 1, func(context.Context, []int) error {
			close(entered)
			<-release
			spin(i % 100)
			return errSpoilt
		})
		require.NoError(t, b.Add(t.Context(), 1))
		<-entered // by the timer
		go close(release)
		require.ErrorIs(t, b.Flush(t.Context()), errSpoilt)
		requireClosed(t, b)
	}
}

// So is that of a batch that an Add flushes for others.
func TestBatcherCloseGetsTheErrorOfABatchThatOthersFlush(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			s := newStore(time.Minute)
			s.fail = func(batch []int) error {
				if batch[0] == 2 {
					return errSpoilt
				}
				return nil
			}
			b := pipeline.NewBatcher(1, time.Hour, s.put)
			var wg sync.WaitGroup
			wg.Go(func() { assert.NoError(t, b.Add(t.Context(), 1)) })
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.NoError(t, b.Add(ctx, 2), "it is left to others")
			var third, closing error
			wg.Go(func() { third = b.Add(t.Context(), 3) })
			synctest.Wait()
			wg.Go(func() { closing = b.Close(t.Context()) })
			wg.Wait()
			require.ErrorIs(t, third, pipeline.ErrClosed)
			require.ErrorIs(t, closing, errSpoilt)
			requireClosed(t, b)
		})
	}
}

// Nor does a batch end with the context of who flushes it for others.
func TestBatcherAddOfOneWhoseContextEndsFlushesForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipeline.NewBatcher(1, time.Hour, func(ctx context.Context, _ []int) error { return stay(ctx, time.Minute) })
		var wg sync.WaitGroup
		wg.Go(func() { assert.NoError(t, b.Add(t.Context(), 1)) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.NoError(t, b.Add(ctx, 2), "it is left to others")
		ctx, cancel = context.WithTimeout(t.Context(), 90*time.Second) // in the midst of the batch of 2
		defer cancel()
		require.ErrorIs(t, b.Add(ctx, 3), context.DeadlineExceeded)
		wg.Wait()
		requireClosed(t, b) // with the error of 2, if there were one
	})
}

// However long nobody asks for them, not more than some errors are held.
func TestBatcherKeepsSomeErrorsAndCountsTheOthers(t *testing.T) {
	for fails, last := range map[int]string{16: "failure 15", 17: "pipeline: and 1 more errors", 1000: "pipeline: and 984 more errors"} {
		synctest.Test(t, func(t *testing.T) {
			b := pipeline.NewBatcher(10, time.Second, func(_ context.Context, batch []int) error { return numbered(batch[0]) })
			for i := range fails {
				require.NoError(t, b.Add(t.Context(), i))
				time.Sleep(time.Minute)
			}
			lines := strings.Split(b.Flush(t.Context()).Error(), "\n")
			require.Len(t, lines, min(fails, 17))
			assert.Equal(t, "failure 0", lines[0])
			assert.Equal(t, "failure 15", lines[15])
			assert.Equal(t, last, lines[len(lines)-1])
			require.NoError(t, b.Flush(t.Context()), "they are told once")
			require.NoError(t, b.Add(t.Context(), 7))
			require.EqualError(t, b.Close(t.Context()), "failure 7", "and counted anew")
		})
	}
}

// A batch that is full has items of others, too; who flushes by Flush or Close
// can end it.
func TestBatcherWhoseContextEndsInFlush(t *testing.T) {
	type key struct{}
	for name, test := range map[string]struct {
		call func(*pipeline.Batcher[int], context.Context) error
		want error
	}{
		"add":   {func(b *pipeline.Batcher[int], ctx context.Context) error { return b.Add(ctx, 2) }, nil},
		"flush": {func(b *pipeline.Batcher[int], ctx context.Context) error { return b.Flush(ctx) }, context.Canceled},
		"close": {func(b *pipeline.Batcher[int], ctx context.Context) error { return b.Close(ctx) }, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, name))
			b := pipeline.NewBatcher(2, time.Hour, func(ctx context.Context, _ []int) error {
				cancel()
				assert.Equal(t, name, ctx.Value(key{}))
				return ctx.Err()
			})
			require.NoError(t, b.Add(t.Context(), 1))
			assert.Equal(t, test.want != nil, errors.Is(test.call(b, ctx), context.Canceled))
			requireClosed(t, b)
		})
	}
}

func TestBatcherCloseWaitsForATimerThatWaitsForItsTurn(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			s := newStore(10 * time.Second)
			b := pipeline.NewBatcher(9, 3*time.Second, s.put)
			require.NoError(t, b.Add(t.Context(), 1))
			var wg sync.WaitGroup
			wg.Go(func() { assert.NoError(t, b.Flush(t.Context())) }) // from 0 to 10 s
			time.Sleep(time.Second)
			require.NoError(t, b.Add(t.Context(), 2)) // due at 4 s
			time.Sleep(time.Second)
			requireClosed(t, b) // waits first, with the timer behind it
			stacks := make([]byte, 1<<16)
			stacks = stacks[:runtime.Stack(stacks, true)]
			assert.NotContains(t, string(stacks), ".expire(", "it runs no more")
			wg.Wait()
		})
	}
}

func TestBatcherPanics(t *testing.T) {
	s := newStore(0)
	for name, f := range map[string]func(){
		"size 0":   func() { pipeline.NewBatcher(0, 1, s.put) },
		"size -1":  func() { pipeline.NewBatcher(-1, 1, s.put) },
		"no time":  func() { pipeline.NewBatcher(1, 0, s.put) },
		"negative": func() { pipeline.NewBatcher(1, -1, s.put) },
		"no func":  func() { pipeline.NewBatcher[int](1, 1, nil) },
	} {
		t.Run(name, func(t *testing.T) { assertPanics(t, "pipeline: NewBatcher ", f) })
	}
}
