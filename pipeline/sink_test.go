package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/pipeline"
)

// until5 fails at 5.
func until5() pipeline.Stream[int] {
	return pipeline.Map(numbers(10), func(_ context.Context, x int) (int, error) {
		if x >= 5 {
			return 0, fmt.Errorf("%d: %w", x, errKill)
		}
		return x, nil
	})
}

func requireFive(t *testing.T, err error) {
	t.Helper()
	require.EqualError(t, err, "5: "+errKill.Error())
	require.ErrorIs(t, err, errKill)
}

func TestAllEndsWithTheFirstError(t *testing.T) {
	var got []string
	for x, err := range until5().All(t.Context()) {
		got = append(got, fmt.Sprint(x, err))
	}
	assert.Equal(t, []string{"0 <nil>", "1 <nil>", "2 <nil>", "3 <nil>", "4 <nil>", "0 5: " + errKill.Error()}, got)
	n := 0
	for range until5()(t.Context()) {
		n++
	}
	assert.Equal(t, 10, n, "the stream itself goes on")
}

func TestCountCollectAndRun(t *testing.T) {
	requireItems(t, numbers(3), 0, 1, 2)
	n, err := pipeline.Count(t.Context(), numbers(1000))
	require.NoError(t, err)
	assert.Equal(t, 1000, n)
	require.NoError(t, pipeline.Run(t.Context(), numbers(10)))

	got, err := pipeline.Collect(t.Context(), until5())
	requireFive(t, err)
	assert.Equal(t, []int{0, 1, 2, 3, 4}, got)
	n, err = pipeline.Count(t.Context(), until5())
	requireFive(t, err)
	assert.Equal(t, 5, n)
	requireFive(t, pipeline.Run(t.Context(), until5()))
}

func TestFold(t *testing.T) {
	join := func(s string, x int) string { return s + strconv.Itoa(x) }
	s, err := pipeline.Fold(t.Context(), numbers(10), "init ", join)
	require.NoError(t, err)
	assert.Equal(t, "init 0123456789", s)
	s, err = pipeline.Fold(t.Context(), until5(), "", join)
	requireFive(t, err)
	assert.Equal(t, "01234", s)
	s, err = pipeline.Fold(t.Context(), numbers(0), "init", join)
	require.NoError(t, err)
	assert.Equal(t, "init", s)
}

func TestFirst(t *testing.T) {
	v, ok, err := pipeline.First(t.Context(), numbers(10))
	require.NoError(t, err)
	assert.True(t, ok)
	assert.Zero(t, v)
	_, ok, err = pipeline.First(t.Context(), numbers(0))
	require.NoError(t, err)
	assert.False(t, ok)
	_, ok, err = pipeline.First(t.Context(), pipeline.Skip(until5(), 5))
	requireFive(t, err)
	assert.False(t, ok)
	v, ok, err = pipeline.First(t.Context(), pipeline.Skip(until5(), 4))
	require.NoError(t, err)
	assert.True(t, ok)
	assert.Equal(t, 4, v)
}

func TestFirstCallsNoMoreThanItNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		start := time.Now()
		v, ok, err := pipeline.First(t.Context(), pipeline.Map(numbers(1_000_000), func(ctx context.Context, x int) (int, error) {
			calls.Add(1)
			select {
			case <-time.After(time.Duration(1+x) * time.Second):
			case <-ctx.Done():
			}
			return x, nil
		}, pipeline.Workers(8)))
		require.NoError(t, err)
		assert.True(t, ok)
		assert.Zero(t, v)
		assert.Equal(t, time.Second, time.Since(start))
		assert.LessOrEqual(t, calls.Load(), int64(9))
	})
}

func TestForEach(t *testing.T) {
	for name, opts := range map[string][]pipeline.Option{
		"sequential": nil,
		"workers":    {pipeline.Workers(4)},
		"ordered":    {pipeline.Workers(4), pipeline.Ordered(), pipeline.Ahead(7)},
		"by key":     {pipeline.Workers(4), pipeline.ByKey(func(x int) int { return x })},
	} {
		t.Run(name, func(t *testing.T) {
			var sum, calls atomic.Int64
			f := func(_ context.Context, x int) error {
				sum.Add(int64(x))
				return nil
			}
			require.NoError(t, pipeline.ForEach(t.Context(), numbers(1000), f, opts...))
			assert.EqualValues(t, 499_500, sum.Load())
			require.NoError(t, pipeline.Into(f, opts...)(t.Context(), numbers(1000)))
			assert.EqualValues(t, 999_000, sum.Load())
			requireFive(t, pipeline.ForEach(t.Context(), until5(), f, opts...))

			err := pipeline.ForEach(t.Context(), numbers(1000), func(_ context.Context, x int) error {
				if calls.Add(1); x == 500 {
					return errKill
				}
				return nil
			}, opts...)
			assert.Equal(t, errKill, err)
			if name == "sequential" {
				assert.EqualValues(t, 501, calls.Load())
			}
		})
	}
}

func TestReduce(t *testing.T) {
	add := func(_ context.Context, a, b int) (int, error) { return a + b, nil }
	for name, opts := range map[string][]pipeline.Option{"sequential": nil, "workers": {pipeline.Workers(4)}} {
		t.Run(name, func(t *testing.T) {
			sum, ok, err := pipeline.Reduce(t.Context(), numbers(1000), add, opts...)
			require.NoError(t, err)
			assert.True(t, ok)
			assert.Equal(t, 499_500, sum)
			_, ok, err = pipeline.Reduce(t.Context(), numbers(0), add, opts...)
			require.NoError(t, err)
			assert.False(t, ok)
			_, ok, err = pipeline.Reduce(t.Context(), until5(), add, opts...)
			requireFive(t, err)
			assert.False(t, ok)
			sum, ok, err = pipeline.Reduce(t.Context(), pipeline.Of(7), func(context.Context, int, int) (int, error) {
				return 0, errKill // which is not called
			}, opts...)
			require.NoError(t, err)
			assert.True(t, ok)
			assert.Equal(t, 7, sum)
			_, ok, err = pipeline.Reduce(t.Context(), numbers(1000), func(_ context.Context, a, b int) (int, error) {
				if b >= 10 {
					return 0, fmt.Errorf("%d", b)
				}
				return a + b, nil
			}, opts...)
			require.EqualError(t, err, "10")
			assert.False(t, ok)
		})
	}
}

func TestReduceCallsForNeighboursAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls peak
		start := time.Now()
		_, _, err := pipeline.Reduce(t.Context(), numbers(1600), func(_ context.Context, a, b int) (int, error) {
			defer calls.enter()()
			time.Sleep(time.Second)
			return a + b, nil
		}, pipeline.Workers(4))
		require.NoError(t, err)
		assert.LessOrEqual(t, time.Since(start), 600*time.Second, "1599 s without")
		assert.GreaterOrEqual(t, calls.most.Load(), int64(4))
	})
}

func TestChanAsASink(t *testing.T) {
	ch, stop := pipeline.Chan(t.Context(), numbers(10))
	var got []int
	for x := range ch {
		got = append(got, x)
	}
	assert.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, got)
	require.NoError(t, stop())
	require.NoError(t, stop())

	ch, stop = pipeline.Chan(t.Context(), until5())
	assert.Equal(t, 5, pipeline.Drain(ch))
	requireFive(t, stop())
	requireFive(t, stop())
}

func TestChanIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for received := range 3 {
			var running atomic.Int64
			s := pipeline.Map(numbers(1000), func(_ context.Context, x int) (int, error) {
				running.Add(1)
				defer running.Add(-1)
				time.Sleep(time.Second)
				return x, nil
			}, pipeline.Workers(4))
			ch, stop := pipeline.Chan(t.Context(), s)
			for range received {
				<-ch
			}
			synctest.Wait()
			require.NoError(t, stop(), "to stop is no error")
			assert.Zero(t, running.Load())
			_, open := <-ch
			assert.False(t, open)
			require.NoError(t, stop())
		}
	})
}

func TestChanClosesWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		ch, stop := pipeline.Chan(ctx, numbers(1000))
		<-ch
		synctest.Wait()
		cancel(errCause)
		synctest.Wait()
		_, open := <-ch
		assert.False(t, open)
		requireCause(t, stop(), context.Canceled)
		requireCause(t, stop(), context.Canceled)
	})
}

func TestChanIsStoppedByMany(t *testing.T) {
	_, stop := pipeline.Chan(t.Context(), until5())
	errs := make(chan error)
	for range 5 {
		go func() { errs <- stop() }()
	}
	for range 5 {
		assert.NoError(t, <-errs)
	}
}

func TestASinkWaitsForASourceThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := pipeline.FromSeq(func(yield func(int) bool) {
			time.Sleep(time.Hour)
			yield(1)
		})
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
		defer cancel()
		for _, s := range []pipeline.Stream[int]{slow, pipeline.Buffer(slow, 1), pipeline.Map(slow, same, pipeline.Workers(2))} {
			start := time.Now()
			requireCause(t, pipeline.Run(ctx, s), context.DeadlineExceeded)
			assert.Equal(t, time.Hour, time.Since(start))
		}
	})
}

func TestBreakEndsWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended atomic.Int64
		s := pipeline.Map(numbers(100), func(ctx context.Context, x int) (int, error) {
			if x == 0 {
				return 0, nil
			}
			<-ctx.Done()
			time.Sleep(time.Minute) // clean-up
			ended.Add(1)
			return 0, errors.Join(ctx.Err(), context.Cause(ctx))
		}, pipeline.Workers(5))
		for _, err := range s.All(t.Context()) {
			require.NoError(t, err)
			synctest.Wait()
			break
		}
		assert.EqualValues(t, 5, ended.Load())
	})
}

// Drop has no meaning for Reduce, with Workers as without.
func TestReduceWhoseFunctionReturnsDrop(t *testing.T) {
	for _, opts := range [][]pipeline.Option{nil, {pipeline.Workers(1)}, {pipeline.Workers(4)}} {
		for _, bad := range []int{1, 20, 99} {
			_, ok, err := pipeline.Reduce(t.Context(), numbers(100), func(_ context.Context, a, b int) (int, error) {
				if b == bad {
					return 0, pipeline.Drop
				}
				return a + b, nil
			}, opts...)
			require.ErrorIs(t, err, pipeline.Drop)
			assert.False(t, ok)
		}
	}
}

// Nor does First return an item beside an error.
func TestFirstOfAnItemWithAnError(t *testing.T) {
	v, ok, err := pipeline.First(t.Context(), pipeline.FromSeq2(func(yield func(int, error) bool) { yield(7, errKill) }))
	require.Equal(t, errKill, err)
	assert.False(t, ok)
	assert.Zero(t, v)
}

// To stop is no error, but what a function fails with for that is one.
func TestChanThatIsStoppedReturnsAGenuineError(t *testing.T) {
	s := pipeline.Map(numbers(3), func(ctx context.Context, x int) (int, error) {
		if x == 1 {
			<-ctx.Done()
			return 0, errKill
		}
		return x, nil
	})
	ch, stop := pipeline.Chan(t.Context(), s)
	<-ch
	require.ErrorIs(t, stop(), errKill)
	require.ErrorIs(t, stop(), errKill)
}
