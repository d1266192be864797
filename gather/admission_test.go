package gather_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/gather"
)

// An admission is a slow model of who may run: tasks are taken in order, and
// those that block hold their place until they are released.
type admission struct {
	limit   int
	blocks  []bool
	taken   int
	running []int // those that block, in the order in which they were taken
}

// settle takes tasks until none can be taken.
func (a *admission) settle() {
	for a.taken < len(a.blocks) && len(a.running) < a.limit {
		if a.blocks[a.taken] {
			a.running = append(a.running, a.taken)
		}
		a.taken++
	}
}

func (a *admission) release(k int) (task int) {
	task = a.running[k]
	a.running = slices.Delete(a.running, k, k+1)
	return task
}

// FuzzAdmission has tasks block and released in any order, and compares which
// of them have started, whenever nothing moves any more, with the model. That
// a call that blocks never holds up another one is what the workers' handing
// over to one another has to guarantee.
func FuzzAdmission(f *testing.F) {
	f.Add(uint8(1), []byte{1, 1, 1, 1}, []byte{0, 0, 0, 0})
	f.Add(uint8(2), []byte{1, 0, 1, 0, 1, 1, 0, 0, 0, 1}, []byte{1, 0, 7})
	f.Add(uint8(3), slices.Repeat([]byte{0, 0, 1}, 40), []byte{2, 1, 0, 5, 9})
	f.Add(uint8(0), slices.Repeat([]byte{1}, 200), []byte{199, 3})
	f.Add(uint8(64), slices.Repeat([]byte{0}, 300), []byte{})
	f.Add(uint8(5), append(slices.Repeat([]byte{0}, 500), slices.Repeat([]byte{1}, 20)...), []byte{4, 3, 2, 1})
	f.Fuzz(func(t *testing.T, limit uint8, kinds, releases []byte) {
		if len(kinds) > 2000 {
			return
		}
		for _, run := range []engine{runAll, runGroup, runStream} {
			synctest.Test(t, func(t *testing.T) { checkAdmission(t, run, int(limit), kinds, releases) })
		}
	})
}

func checkAdmission(t *testing.T, run engine, limit int, kinds, releases []byte) {
	n := len(kinds)
	model := admission{limit: limit, blocks: make([]bool, n)}
	released := make([]chan struct{}, n)
	for i, k := range kinds {
		model.blocks[i] = k%2 == 1
		released[i] = make(chan struct{})
	}
	if limit == 0 {
		model.limit = max(n, 1)
	}
	started := make(chan int, n)
	ended := make(chan gather.Results[int], 1)
	go func() {
		ended <- run(t.Context(), n, func(_ context.Context, i int) (int, error) {
			started <- i
			if model.blocks[i] { // which the model does not change
				<-released[i]
			}
			return i, nil
		}, gather.Limit(model.limit))
	}()

	got := []int{}
	check := func() {
		synctest.Wait()
		model.settle()
		for len(started) > 0 {
			got = append(got, <-started)
		}
		slices.Sort(got)
		require.Equal(t, upTo(model.taken), got)
	}
	check()
	for i := 0; len(model.running) > 0; i++ {
		k := 0
		if i < len(releases) {
			k = int(releases[i]) % len(model.running)
		}
		close(released[model.release(k)])
		check()
	}
	require.Equal(t, upTo(n), (<-ended).Values())
}
