package retry_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/retry"
)

// withdrawals returns how many retries b grants at once.
func withdrawals(b *retry.Budget) int {
	n := 0
	for b.Withdraw() != nil {
		n++
	}
	return n
}

func TestNewBudget_panics(t *testing.T) {
	for _, ratio := range []float64{-0.1, math.Inf(1), math.Inf(-1), math.NaN()} {
		assert.PanicsWithValue(t, "retry: NewBudget with a ratio that is negative, infinite or not a number", func() { retry.NewBudget(ratio, 1) })
	}
	assert.PanicsWithValue(t, "retry: NewBudget with a negative minPerSecond", func() { retry.NewBudget(1, -1) })
	assert.PanicsWithValue(t, "retry: NewBudget that grants nothing", func() { retry.NewBudget(0, 0) })
}

// A dead server gets 1.1 times the requests of clients that do not retry,
// however many they are and however eager.
func TestBudget_deadServer(t *testing.T) {
	for name, spread := range map[string]time.Duration{"at once": 0, "over two minutes": 120 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const clients = 1000
				var requests, outOfBudget atomic.Int64
				p := retry.Policy{MaxAttempts: 10, Budget: retry.NewBudget(0.1, 0)}
				var wg sync.WaitGroup
				for range clients {
					wg.Go(func() {
						err := retry.Run(t.Context(), p, func(context.Context) error {
							requests.Add(1)
							return errBoom
						})
						assert.ErrorIs(t, err, errBoom)
						if errors.Is(err, retry.ErrBudget) {
							outOfBudget.Add(1)
						}
					})
					time.Sleep(spread)
				}
				wg.Wait()
				assert.LessOrEqual(t, requests.Load(), int64(clients*11/10))
				assert.Greater(t, requests.Load(), int64(clients*109/100), "it is used up")
				assert.Greater(t, outOfBudget.Load(), int64(clients*8/10))
			})
		})
	}
}

func TestBudget_exhausted(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		b := retry.NewBudget(0, 1)
		for range 10 {
			fn, calls := failing(errBoom)
			require.NoError(t, e.call(t.Context(), retry.Policy{Budget: b, Backoff: retry.Constant(0)}, fn))
			require.Equal(t, 2, *calls)
		}
		fn, calls := failing(errBoom)
		err := e.call(t.Context(), retry.Policy{Budget: b, Backoff: retry.Constant(0)}, fn)
		assert.Equal(t, 1, *calls)
		require.ErrorIs(t, err, retry.ErrBudget)
		require.ErrorIs(t, err, errBoom)
		assert.EqualError(t, err, "retry: no budget left (attempt 1): boom")
	})
}

func TestBudget_floor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := retry.NewBudget(0, 2)
		assert.Equal(t, 20, withdrawals(b), "ten seconds' worth at once")
		time.Sleep(10*time.Second - time.Nanosecond)
		assert.Zero(t, withdrawals(b))
		time.Sleep(time.Nanosecond)
		assert.Equal(t, 20, withdrawals(b), "time alone brings them back")
		time.Sleep(1000 * time.Hour)
		assert.Equal(t, 20, withdrawals(b), "and no more than that")
	})
}

func TestBudget_traffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := retry.NewBudget(0.5, 0)
		assert.Zero(t, withdrawals(b))
		b.Deposit()
		assert.Zero(t, withdrawals(b), "half a retry is none")
		b.Deposit()
		assert.Equal(t, 1, withdrawals(b))
		time.Sleep(9 * time.Second)
		b.Deposit()
		b.Deposit()
		assert.Equal(t, 1, withdrawals(b))
		time.Sleep(time.Second) // the first second leaves
		assert.Zero(t, withdrawals(b))
		time.Sleep(time.Hour)
		assert.Zero(t, withdrawals(b), "without calls no retries")
	})
}

func TestBudget_refund(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := retry.NewBudget(0, 1)
		refund := b.Withdraw()
		assert.Equal(t, 9, withdrawals(b))
		time.Sleep(5 * time.Second)
		refund()
		assert.Equal(t, 1, withdrawals(b))

		late := retry.NewBudget(0, 1)
		refund = late.Withdraw()
		time.Sleep(15 * time.Second)
		assert.Equal(t, 10, withdrawals(late))
		refund() // it came back with time
		assert.Zero(t, withdrawals(late))
	})
}

// A retry that is waited for but not made takes nothing.
func TestBudget_cancelledWait(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		b := retry.NewBudget(0, 1)
		for range 100 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			fn, _ := failing(errBoom)
			err := e.call(ctx, retry.Policy{Budget: b, Backoff: retry.Constant(time.Second)}, fn)
			require.ErrorIs(t, err, context.Canceled)
		}
		assert.Equal(t, 10, withdrawals(b))
	})
}

// A retry that is made is not given back, also if the call fails then.
func TestBudget_spent(t *testing.T) {
	each(t, func(t *testing.T, e entry) {
		b := retry.NewBudget(0, 1)
		for range 4 {
			fn, _ := failing(repeat(errBoom, 9)...)
			err := e.call(t.Context(), retry.Policy{Budget: b, Backoff: retry.Constant(0), MaxAttempts: 3}, fn)
			require.ErrorIs(t, err, retry.ErrExhausted)
		}
		assert.Equal(t, 2, withdrawals(b))
	})
}

func TestBudget_concurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := retry.NewBudget(0.5, 10)
		var granted atomic.Int64
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for range 100 {
					b.Deposit()
				}
			})
		}
		wg.Wait()
		for range 64 {
			wg.Go(func() {
				for range 100 {
					if refund := b.Withdraw(); refund != nil {
						granted.Add(1)
						if granted.Load()%7 == 0 {
							refund()
							granted.Add(-1)
						}
					}
				}
			})
		}
		wg.Wait()
		assert.Equal(t, int64(64*50+100), granted.Load()+int64(withdrawals(b)))
	})
}

// A Budget from outside a bubble sees time go backwards in it, and begins anew.
func TestBudget_timeGoesBackwards(t *testing.T) {
	b := retry.NewBudget(0, 1)
	refund := b.Withdraw()
	require.Equal(t, 9, withdrawals(b))
	for range 2 {
		b.Deposit() // outside of any bubble
		synctest.Test(t, func(t *testing.T) {
			refund() // of no effect
			assert.Equal(t, 10, withdrawals(b))
			time.Sleep(3 * time.Second)
			assert.Zero(t, withdrawals(b))
			time.Sleep(7 * time.Second)
			assert.Equal(t, 10, withdrawals(b))
		})
	}
}

// A model of the Budget that remembers every call and every grant.
type slowBudget struct {
	ratio   float64
	min     int
	calls   []int // the second of each
	retries []int
}

func within(window []int, now int) int {
	n := 0
	for _, second := range window {
		if now-second < 10 {
			n++
		}
	}
	return n
}

func (m *slowBudget) withdraw(now int) bool {
	if float64(within(m.retries, now)+1) > m.ratio*float64(within(m.calls, now))+float64(m.min)*10 {
		return false
	}
	m.retries = append(m.retries, now)
	return true
}

// requireLikeModel plays the operations against a Budget and the model.
func requireLikeModel(t *testing.T, ratio float64, least int, ops []byte) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := retry.NewBudget(ratio, least)
		m := &slowBudget{ratio: ratio, min: least}
		type grant struct {
			refund func()
			second int
		}
		var grants []grant
		now := 0
		for i, op := range ops {
			switch {
			case op == 'c':
				b.Deposit()
				m.calls = append(m.calls, now)
			case op == 'w':
				refund := b.Withdraw()
				require.Equal(t, m.withdraw(now), refund != nil, "operation %d of %q", i, ops)
				if refund != nil {
					grants = append(grants, grant{refund, now})
				}
			case op == 'r' && len(grants) > 0:
				g := grants[0]
				grants = grants[1:]
				g.refund()
				for j, second := range m.retries {
					if second == g.second {
						m.retries = append(m.retries[:j], m.retries[j+1:]...)
						break
					}
				}
			case op < 25:
				time.Sleep(time.Duration(op) * time.Second)
				now += int(op)
			}
		}
	})
}

func TestBudget_model(t *testing.T) {
	const moves = "ccccccwwwwwwwwrr\x01\x01\x02\x03\x05\x09\x0a\x0b"
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 0))
		ops := make([]byte, 200)
		for i := range ops {
			ops[i] = moves[random.IntN(len(moves))]
		}
		requireLikeModel(t, float64(random.IntN(4))/2+0.25, random.IntN(2), ops)
	}
}

func FuzzBudget(f *testing.F) {
	f.Add(0.1, 1, []byte("ccccwwwwr\x05ccwwrr\x0fwwwcwr"))
	f.Add(2.0, 0, []byte("cwwwwr\x09w\x01wwcrr\x0a\x0b\x0c"))
	f.Fuzz(func(t *testing.T, ratio float64, least int, ops []byte) {
		if !(ratio >= 0 && ratio < 100) || least < 0 || least > 5 || ratio == 0 && least == 0 || len(ops) > 500 {
			return // not for these functions
		}
		requireLikeModel(t, ratio, least, ops)
	})
}
