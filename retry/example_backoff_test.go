package retry_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed4886185c/concert/retry"
)

// printDelays prints the delays of b between n attempts that fail.
func printDelays(n int, b retry.Backoff) {
	_ = retry.Run(context.Background(), retry.Policy{
		MaxAttempts: n,
		Backoff:     b,
		OnRetry:     func(_ context.Context, a retry.Attempt) { fmt.Println(a.Delay) },
	}, func(context.Context) error { return errors.New("failed") })
}

func ExampleConstant() {
	printDelays(4, retry.Constant(2*time.Millisecond))
	// Output:
	// 2ms
	// 2ms
	// 2ms
}

func ExampleLinear() {
	printDelays(6, retry.Linear(time.Millisecond, 2*time.Millisecond, 6*time.Millisecond))
	// Output:
	// 1ms
	// 3ms
	// 5ms
	// 6ms
	// 6ms
}

func ExampleExponential() {
	printDelays(6, retry.Exponential(time.Millisecond, 10*time.Millisecond))
	// Output:
	// 1ms
	// 2ms
	// 4ms
	// 8ms
	// 10ms
}

func ExampleFibonacci() {
	printDelays(7, retry.Fibonacci(time.Millisecond, 6*time.Millisecond))
	// Output:
	// 1ms
	// 1ms
	// 2ms
	// 3ms
	// 5ms
	// 6ms
}

func ExampleFunc() {
	plan := []time.Duration{time.Millisecond, 5 * time.Millisecond}
	printDelays(5, retry.Func(func(failed int) time.Duration {
		return plan[min(failed, len(plan))-1]
	}))
	// Output:
	// 1ms
	// 5ms
	// 5ms
	// 5ms
}

// printWithin prints whether the delays between attempts that fail lie between
// low and high.
func printWithin(b retry.Backoff, low, high time.Duration) {
	within := true
	_ = retry.Run(context.Background(), retry.Policy{
		MaxAttempts: 10,
		Backoff:     b,
		OnRetry: func(_ context.Context, a retry.Attempt) {
			within = within && low <= a.Delay && a.Delay <= high
		},
	}, func(context.Context) error { return errors.New("failed") })
	fmt.Println(within)
}

func ExampleDecorrelated() {
	b := retry.Decorrelated(time.Millisecond, 5*time.Millisecond)
	printWithin(b, time.Millisecond, 5*time.Millisecond)
	// Output: true
}

func ExampleBackoff_FullJitter() {
	b := retry.Exponential(time.Millisecond, 2*time.Millisecond).FullJitter()
	printWithin(b, 0, 2*time.Millisecond)
	// Output: true
}

func ExampleBackoff_EqualJitter() {
	b := retry.Constant(2 * time.Millisecond).EqualJitter()
	printWithin(b, time.Millisecond, 2*time.Millisecond)
	// Output: true
}

func ExampleBackoff_Jitter() {
	b := retry.Constant(2 * time.Millisecond).Jitter(0.25)
	printWithin(b, 1500*time.Microsecond, 2500*time.Microsecond)
	// Output: true
}
