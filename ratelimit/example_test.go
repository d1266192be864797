package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed4886185c/concert/ratelimit"
)

// Three at once, and then one in each hour.
func ExampleNew() {
	l := ratelimit.New(ratelimit.Every(time.Hour), 3)
	for range 5 {
		fmt.Println(l.Allow())
	}
	// Output:
	// true
	// true
	// true
	// false
	// false
}

// What costs more takes more tokens.
func ExampleLimiter_AllowN() {
	l := ratelimit.New(ratelimit.Every(time.Hour), 10)
	fmt.Println("export:", l.AllowN(8))
	fmt.Println("export:", l.AllowN(8))
	fmt.Println("read:", l.AllowN(1))
	// Output:
	// export: true
	// export: false
	// read: true
}

// A loop that makes its requests at a pace: two of them at once, and one
// millisecond between the others.
func ExampleLimiter_Wait() {
	ctx := context.Background()
	l := ratelimit.New(1000, 2)
	for _, page := range []string{"a", "b", "c", "d"} {
		if err := l.Wait(ctx); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("fetch", page)
	}
	// Output:
	// fetch a
	// fetch b
	// fetch c
	// fetch d
}

// Who would have to wait for long does something else, and gives back its turn.
func ExampleLimiter_Reserve() {
	l := ratelimit.New(ratelimit.Every(time.Hour), 1)
	for range 2 {
		r, ok := l.Reserve(1)
		if !ok {
			fmt.Println("never")
			return
		}
		if delay := r.Delay(); delay > time.Minute {
			r.Cancel()
			fmt.Println("not now, it would take", delay.Round(time.Minute))
			continue
		}
		fmt.Println("now")
	}
	// Output:
	// now
	// not now, it would take 1h0m0s
}

// The rate and the burst may be changed at any time.
func ExampleLimiter_Set() {
	l := ratelimit.New(ratelimit.Every(time.Hour), 1)
	fmt.Println(l.Allow(), l.Allow())
	l.Set(ratelimit.Inf, 0) // no limit
	fmt.Println(l.Allow(), l.Allow())
	l.Set(0, 0) // nothing
	fmt.Println(l.Allow(), l.Allow())
	// Output:
	// true false
	// true true
	// false false
}

// Not too many in an hour, nor in a day. Who is refused by one of the two has
// taken nothing from the other.
func ExampleAll() {
	perHour := ratelimit.New(ratelimit.Every(time.Hour), 2)
	perDay := ratelimit.New(ratelimit.Per(100, 24*time.Hour), 100)
	both := ratelimit.All(perHour, perDay)
	for range 3 {
		fmt.Println(both.Allow())
	}
	fmt.Printf("%.0f left today\n", perDay.Tokens())
	// Output:
	// true
	// true
	// false
	// 98 left today
}

// Never more than two in any hour, wherever that begins.
func ExampleNewWindow() {
	w := ratelimit.NewWindow(2, time.Hour)
	fmt.Println(w.Allow(), w.Allow(), w.Allow())
	// Output: true true false
}

// Each user has a bucket of its own.
func ExampleKeyed() {
	logins := ratelimit.NewKeyed[string](ratelimit.Every(time.Hour), 2, 10_000)
	for _, user := range []string{"eve", "eve", "eve", "bob"} {
		fmt.Println(user, logins.Allow(user))
	}
	// Output:
	// eve true
	// eve true
	// eve false
	// bob true
}

// What a server would answer.
func ExampleKeyed_Take() {
	k := ratelimit.NewKeyed[string](ratelimit.Per(2, time.Hour), 2, 10_000)
	for range 3 {
		r := k.Take("192.0.2.1", 1)
		if r.OK {
			fmt.Printf("200, %d of %d left\n", r.Remaining, r.Limit)
		} else {
			fmt.Println("429, try again in", r.RetryAfter.Round(time.Minute))
		}
	}
	// Output:
	// 200, 1 of 2 left
	// 200, 0 of 2 left
	// 429, try again in 30m0s
}

// Who asks a Store does not have to know whether it is of this process alone.
func ExampleStoreOf() {
	store := ratelimit.StoreOf(ratelimit.NewKeyed[string](ratelimit.Every(time.Hour), 10, 10_000))
	r, err := store.Take(context.Background(), "tenant-7", 4)
	if err != nil {
		fmt.Println("let them in:", err) // the store failed, nobody is over the limit
		return
	}
	fmt.Println(r.OK, r.Remaining)
	// Output: true 6
}

// One at once, and nobody waits: who comes meanwhile is sent away.
func ExampleBulkhead() {
	b := ratelimit.NewBulkhead(1, 0)
	ctx := context.Background()
	if err := b.Acquire(ctx); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("in:", b.InUse())
	fmt.Println(b.Acquire(ctx))
	b.Release()
	fmt.Println(b.TryAcquire())
	// Output:
	// in: 1
	// ratelimit: queue full
	// true
}

// Ten reports, of which two at most are made at once.
func ExampleWithin() {
	b := ratelimit.NewBulkhead(2, -1)
	var busy atomic.Int32
	report := func(context.Context) (int, error) {
		defer busy.Add(-1)
		if busy.Add(1) > 2 {
			return 0, errors.New("too many at once")
		}
		return 3, nil // pages
	}
	var wg sync.WaitGroup
	pages := make([]int, 10)
	for i := range pages {
		wg.Go(func() {
			n, err := ratelimit.Within(context.Background(), b, report)
			if err != nil {
				fmt.Println(err)
			}
			pages[i] = n
		})
	}
	wg.Wait()
	fmt.Println(pages)
	// Output: [3 3 3 3 3 3 3 3 3 3]
}

// Requests to a server that tells when it is overloaded.
func ExampleAdaptive() {
	a := ratelimit.NewAdaptive(ratelimit.AdaptiveSettings{Initial: 20})
	get := func(ctx context.Context, status int) error {
		done, err := a.Acquire(ctx)
		if err != nil {
			return err
		}
		outcome := ratelimit.Ignored // also if it panics
		defer func() { done(outcome) }()
		switch status { // of the request that is made here
		case 200:
			outcome = ratelimit.Success
		case 429, 503:
			outcome = ratelimit.Overloaded
		}
		return nil
	}
	for _, status := range []int{200, 404, 503} {
		if err := get(context.Background(), status); err != nil {
			fmt.Println(err)
		}
		fmt.Println(status, a.Limit())
	}
	// Output:
	// 200 20
	// 404 20
	// 503 18
}

func ExamplePer() {
	fmt.Println(ratelimit.Per(600, time.Minute) == 10) // a second
	// Output: true
}

func ExampleEvery() {
	fmt.Println(ratelimit.Every(100*time.Millisecond) == 10) // a second
	// Output: true
}

// Who would wait beyond its deadline is told so at once.
func ExampleLimitError() {
	l := ratelimit.New(ratelimit.Every(time.Hour), 1)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for range 2 {
		err := l.Wait(ctx)
		if limited, ok := errors.AsType[*ratelimit.LimitError](err); ok {
			fmt.Println("try again in", limited.After.Round(time.Minute))
			fmt.Println(errors.Is(err, context.DeadlineExceeded))
			continue
		}
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// try again in 1h0m0s
	// true
}
