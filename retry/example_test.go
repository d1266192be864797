package retry_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/seed4886185c/concert/retry"
)

// soon waits so little that the examples are quick.
var soon = retry.Constant(time.Millisecond)

// lookUp stands for a call that fails twice before it succeeds.
func lookUp(ctx context.Context) (string, error) {
	if retry.AttemptFrom(ctx) < 3 {
		return "", errors.New("temporary failure in name resolution")
	}
	return "192.0.2.7", nil
}

func ExampleDo() {
	ctx := context.Background()
	address, err := retry.Do(ctx, retry.Policy{}, lookUp)
	fmt.Println(address, err)
	// Output: 192.0.2.7 <nil>
}

// A function that needs arguments is called in a function literal.
func ExampleDo_arguments() {
	read := func(_ context.Context, key string, version int) (string, error) {
		return fmt.Sprintf("%s@%d", key, version), nil
	}
	ctx := context.Background()
	value, err := retry.Do(ctx, retry.Policy{MaxAttempts: 5}, func(ctx context.Context) (string, error) {
		return read(ctx, "colour", 3)
	})
	fmt.Println(value, err)
	// Output: colour@3 <nil>
}

func ExampleRun() {
	ctx := context.Background()
	err := retry.Run(ctx, retry.Policy{MaxAttempts: 2, Backoff: soon}, func(ctx context.Context) error {
		fmt.Println("attempt", retry.AttemptFrom(ctx))
		return errors.New("connection refused")
	})
	fmt.Println(errors.Is(err, retry.ErrExhausted))
	// Output:
	// attempt 1
	// attempt 2
	// true
}

func ExampleWrap() {
	resilient := retry.Wrap(retry.Policy{Backoff: soon}, lookUp)
	fmt.Println(resilient(context.Background()))
	// Output: 192.0.2.7 <nil>
}

// A job that is not done yet is a success of the call but not of the wait.
func ExampleUntil() {
	states := []string{"queued", "running", "done"}
	poll := func(ctx context.Context) (string, error) {
		return states[retry.AttemptFrom(ctx)-1], nil
	}
	done := func(state string) bool { return state == "done" }

	ctx := context.Background()
	fmt.Println(retry.Do(ctx, retry.Policy{Backoff: soon}, retry.Until(done, poll)))

	state, err := retry.Do(ctx, retry.Policy{MaxAttempts: 2, Backoff: soon}, retry.Until(done, poll))
	fmt.Println(state, errors.Is(err, retry.ErrRejected))
	// Output:
	// done <nil>
	// running true
}

func ExamplePolicy_Tries() {
	ctx := context.Background()
	policy := retry.Policy{MaxAttempts: 5, Backoff: soon}

	var err error
	for ctx := range policy.Tries(ctx, &err) {
		var address string
		if address, err = lookUp(ctx); err != nil {
			fmt.Println("failed:", err)
			continue
		}
		fmt.Println("dialling", address)
	}
	fmt.Println(err)
	// Output:
	// failed: temporary failure in name resolution
	// failed: temporary failure in name resolution
	// dialling 192.0.2.7
	// <nil>
}

// Everything that a policy can say.
func ExamplePolicy() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{} // so that the output is always the same
			}
			return a
		},
	}))
	policy := retry.Policy{
		MaxAttempts:    5,
		MaxElapsed:     time.Minute,
		AttemptTimeout: 5 * time.Second,
		Backoff:        retry.Exponential(time.Millisecond, time.Second),
		MaxDelay:       time.Second,
		RetryIf: func(err error) bool {
			_, temporary := errors.AsType[*net.DNSError](err)
			return temporary
		},
		Budget: retry.NewBudget(0.1, 10),
		OnRetry: func(ctx context.Context, a retry.Attempt) {
			logger.WarnContext(ctx, "trying again", "attempt", a.N, "err", a.Err, "delay", a.Delay)
		},
	}
	address, err := retry.Do(context.Background(), policy, func(ctx context.Context) (string, error) {
		if retry.AttemptFrom(ctx) < 3 {
			return "", &net.DNSError{Err: "server misbehaving", Name: "example.test"}
		}
		return "192.0.2.7", nil
	})
	fmt.Println(address, err)
	// Output:
	// level=WARN msg="trying again" attempt=1 err="lookup example.test: server misbehaving" delay=1ms
	// level=WARN msg="trying again" attempt=2 err="lookup example.test: server misbehaving" delay=2ms
	// 192.0.2.7 <nil>
}

func ExampleAttemptFrom() {
	_ = retry.Run(context.Background(), retry.Policy{Backoff: soon}, func(ctx context.Context) error {
		n := retry.AttemptFrom(ctx)
		fmt.Println("sending with X-Attempt:", n)
		if n < 3 {
			return errors.New("no answer")
		}
		return nil
	})
	// Output:
	// sending with X-Attempt: 1
	// sending with X-Attempt: 2
	// sending with X-Attempt: 3
}

// What cannot succeed is not tried again. The caller sees the error alone, if
// it was the first.
func ExamplePermanent() {
	n, err := retry.Do(context.Background(), retry.Policy{}, func(context.Context) (int, error) {
		n, err := strconv.Atoi("seven")
		if err != nil {
			return 0, retry.Permanent(err)
		}
		return n, nil
	})
	fmt.Println(n, err)
	// Output: 0 strconv.Atoi: parsing "seven": invalid syntax
}

// A server's own wish takes the place of the Backoff.
func ExampleAfter() {
	policy := retry.Policy{
		Backoff: retry.Constant(time.Hour),
		OnRetry: func(_ context.Context, a retry.Attempt) { fmt.Println(a.Err, "- waiting", a.Delay) },
	}
	err := retry.Run(context.Background(), policy, func(ctx context.Context) error {
		if retry.AttemptFrom(ctx) == 1 {
			return retry.After(2*time.Millisecond, errors.New("too many requests"))
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// too many requests - waiting 2ms
	// <nil>
}

// Any error that knows when to come back is listened to, wherever it is from.
func ExampleNoHint() {
	policy := retry.Policy{
		MaxAttempts: 3,
		Backoff:     retry.Constant(3 * time.Millisecond),
		OnRetry:     func(_ context.Context, a retry.Attempt) { fmt.Println("waiting", a.Delay) },
	}
	_ = retry.Run(context.Background(), policy, func(ctx context.Context) error {
		if retry.AttemptFrom(ctx) == 1 {
			return &busyError{after: time.Millisecond}
		}
		return &busyError{}
	})
	// Output:
	// waiting 1ms
	// waiting 3ms
}

// A busyError may know when the server will be free again.
type busyError struct{ after time.Duration }

func (e *busyError) Error() string { return "server busy" }

func (e *busyError) RetryAfter() time.Duration {
	if e.after == 0 {
		return retry.NoHint
	}
	return e.after
}

func ExampleError() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	policy := retry.Policy{Backoff: retry.Linear(0, time.Hour, 0)}
	err := retry.Run(ctx, policy, func(ctx context.Context) error {
		return fmt.Errorf("failure %d", retry.AttemptFrom(ctx))
	})

	if failed, ok := errors.AsType[*retry.Error](err); ok {
		fmt.Println("reason:", failed.Reason)
		fmt.Println("attempts:", failed.Attempts)
		fmt.Println("errors:", failed.Errs)
		fmt.Println("deadline:", errors.Is(err, context.DeadlineExceeded))
	}
	// Output:
	// reason: retry: no time left
	// attempts: 2
	// errors: [failure 1 failure 2]
	// deadline: true
}

// Why a call ended is what Reason tells; errors.Is would find the errors of
// single attempts, too.
func ExampleError_reason() {
	explain := func(ctx context.Context, err error) string {
		failed, ok := errors.AsType[*retry.Error](err)
		switch {
		case err == nil:
			return "succeeded"
		case !ok || failed.Reason == nil:
			return "not worth another attempt"
		case ctx.Err() != nil:
			return "cancelled, or too late"
		}
		return failed.Reason.Error()
	}
	ctx, cancel := context.WithCancel(context.Background())
	policy := retry.Policy{MaxAttempts: 2, Backoff: soon}

	fmt.Println(explain(ctx, retry.Run(ctx, policy, func(context.Context) error { return nil })))
	fmt.Println(explain(ctx, retry.Run(ctx, policy, func(context.Context) error { return context.DeadlineExceeded })))
	fmt.Println(explain(ctx, retry.Run(ctx, policy, func(context.Context) error { return retry.Permanent(errors.New("no such user")) })))
	cancel()
	fmt.Println(explain(ctx, retry.Run(ctx, policy, func(context.Context) error { return nil })))
	// Output:
	// succeeded
	// retry: no attempts left
	// not worth another attempt
	// cancelled, or too late
}

// A client makes one Budget and uses it in all calls to the same server.
func ExampleNewBudget() {
	policy := retry.Policy{
		Backoff: soon,
		Budget:  retry.NewBudget(0.1, 0), // one retry for ten calls
	}
	sent := 0
	for range 100 {
		_ = retry.Run(context.Background(), policy, func(context.Context) error {
			sent++
			return errors.New("server down")
		})
	}
	fmt.Println(sent, "requests for 100 calls")
	// Output: 110 requests for 100 calls
}
