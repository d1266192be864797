package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed4886185c/concert/breaker"
)

// query stands for a call to a database that is down.
func query(context.Context) (int, error) { return 0, errors.New("connection refused") }

func ExampleDo() {
	ctx := context.Background()
	db := breaker.New(breaker.Settings{Name: "db", Trip: breaker.Consecutive(2)})
	for range 3 {
		_, err := breaker.Do(ctx, db, query)
		fmt.Println(err)
	}
	// Output:
	// connection refused
	// connection refused
	// breaker: db is open, try again in 30s
}

func ExampleRun() {
	ctx := context.Background()
	mail := breaker.New(breaker.Settings{})
	err := breaker.Run(ctx, mail, func(context.Context) error { return nil })
	fmt.Println(err, mail.State())
	// Output: <nil> closed
}

func ExampleWrap() {
	guarded := breaker.Wrap(breaker.New(breaker.Settings{}), query)
	fmt.Println(guarded(context.Background()))
	// Output: 0 connection refused
}

// A call that is no function, such as a stream, tells how it ended.
func ExampleBreaker_Allow() {
	b := breaker.New(breaker.Settings{})
	done, err := b.Allow(context.Background())
	if err != nil {
		fmt.Println("not now:", err)
		return
	}
	done(errors.New("stream broke off"))
	fmt.Printf("%+v\n", b.Counts())
	// Output: {Successes:0 Failures:1 Ignored:0 Slow:0 Rejected:0 ConsecutiveFailures:1 ConsecutiveSuccesses:0}
}

// The life of a breaker, as OnChange tells it.
func ExampleSettings() {
	b := breaker.New(breaker.Settings{
		Name:         "db",
		Trip:         breaker.Consecutive(2),
		OpenFor:      time.Nanosecond, // to see it all at once
		ProbeTimeout: time.Minute,
		OnChange: func(c breaker.Change) {
			fmt.Printf("%s: %v → %v (%d failures, %v)\n", c.Name, c.From, c.To, c.Counts.Failures, c.Err)
		},
	})
	ctx := context.Background()
	for range 2 {
		_, _ = breaker.Do(ctx, b, query)
	}
	_ = breaker.Run(ctx, b, func(context.Context) error { return nil }) // the database is back
	// Output:
	// db: closed → open (2 failures, connection refused)
	// db: open → half-open (0 failures, <nil>)
	// db: half-open → closed (0 failures, <nil>)
}

func ExampleConsecutive() {
	b := breaker.New(breaker.Settings{Trip: breaker.Consecutive(3)})
	for range 3 {
		_, _ = breaker.Do(context.Background(), b, query)
		fmt.Println(b.State())
	}
	// Output:
	// closed
	// closed
	// open
}

func ExampleRate() {
	half := breaker.Rate(0.5, 4, 10*time.Second) // half of at least four calls
	b := breaker.New(breaker.Settings{Trip: half})
	ctx := context.Background()
	for range 2 {
		_ = breaker.Run(ctx, b, func(context.Context) error { return nil })
		_, _ = breaker.Do(ctx, b, query)
		fmt.Println(b.State())
	}
	// Output:
	// closed
	// open
}

func ExampleLastN() {
	b := breaker.New(breaker.Settings{Trip: breaker.LastN(0.5, 2)})
	for range 2 {
		_, _ = breaker.Do(context.Background(), b, query)
		fmt.Println(b.State())
	}
	// Output:
	// closed
	// open
}

// A service that answers, but too slowly, is to be left alone as well.
func ExampleSlowRate() {
	b := breaker.New(breaker.Settings{
		SlowCall: time.Millisecond,
		Trip:     breaker.SlowRate(0.5, 2, 10*time.Second),
	})
	for range 2 {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Millisecond)
		_ = breaker.Run(ctx, b, func(ctx context.Context) error {
			<-ctx.Done() // at the last moment
			return nil
		})
		cancel()
	}
	fmt.Println(b.State())
	// Output: open
}

func ExampleAnyOf() {
	b := breaker.New(breaker.Settings{Trip: breaker.AnyOf(
		breaker.Consecutive(10),             // it is down
		breaker.Rate(0.2, 100, time.Minute), // it is unwell
	)})
	for range 10 {
		_, _ = breaker.Do(context.Background(), b, query)
	}
	fmt.Println(b.State())
	// Output: open
}

// A missing row is no sign of a database that is down.
func ExampleDefaultClassify() {
	errNoRow := errors.New("no such row")
	b := breaker.New(breaker.Settings{
		Classify: func(ctx context.Context, err error) breaker.Outcome {
			if errors.Is(err, errNoRow) {
				return breaker.Success
			}
			return breaker.DefaultClassify(ctx, err)
		},
	})
	err := breaker.Run(context.Background(), b, func(context.Context) error { return errNoRow })
	fmt.Println(err, b.Counts().Successes)
	// Output: no such row 1
}

// Whoever is rejected knows how long to wait.
func ExampleOpenError() {
	b := breaker.New(breaker.Settings{OpenFor: time.Hour})
	b.Open()
	_, err := breaker.Do(context.Background(), b, query)
	if open, ok := errors.AsType[*breaker.OpenError](err); ok {
		fmt.Println(open.State, open.RetryAfter().Round(time.Minute))
	}
	// Output: open 1h0m0s
}

func ExampleBreaker_Force() {
	b := breaker.New(breaker.Settings{})
	b.Force(breaker.Isolated) // for the time of an upgrade
	_, err := breaker.Do(context.Background(), b, query)
	fmt.Println(err)
	b.Force(breaker.Auto)
	fmt.Println(b.State())
	// Output:
	// breaker: open
	// closed
}

// One breaker for each host.
func ExampleGroup() {
	hosts := breaker.NewGroup(1000, func(host string) breaker.Settings {
		return breaker.Settings{Name: host, Trip: breaker.Consecutive(1)}
	})
	_, _ = breaker.Do(context.Background(), hosts.Get("db-1"), query)
	_, err := breaker.Do(context.Background(), hosts.Get("db-2"), query)
	fmt.Println(err)
	for host, b := range hosts.All() {
		fmt.Println(host, b.State())
	}
	// Unordered output:
	// connection refused
	// db-2 open
	// db-1 open
}
