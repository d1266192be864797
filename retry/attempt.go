package retry

import (
	"context"
	"time"
)

// An Attempt is one that failed and is going to be followed by another.
type Attempt struct {
	N     int           // its number, from 1
	Err   error         // what it failed with
	Delay time.Duration // the wait before the next one
}

type attemptKey struct{}

// AttemptFrom returns the number of the attempt that ctx was given to: 1 in
// the first, and where there is no attempt. Calls within an attempt begin at 1
// again.
func AttemptFrom(ctx context.Context) int {
	if n, ok := ctx.Value(attemptKey{}).(int); ok {
		return n
	}
	return 1
}

// try makes attempt n in a context of its own.
func try(ctx context.Context, timeout time.Duration, n int, attempt func(context.Context) error) error {
	if n != AttemptFrom(ctx) {
		ctx = context.WithValue(ctx, attemptKey{}, n)
	}
	if timeout == 0 {
		return attempt(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return attempt(ctx)
}
