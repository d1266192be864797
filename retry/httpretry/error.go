package httpretry

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed4886185c/concert/retry"
)

// A StatusError stands for a response that may be retried, for what its status
// is. RetryIf and OnRetry see it; a client does not, unless all that it gets
// is an error.
type StatusError struct {
	Code   int         // such as 503
	Header http.Header // of the response
}

// Error tells the status.
func (e *StatusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("httpretry: status %d %s", e.Code, http.StatusText(e.Code)))
}

// RetryAfter returns how long the server asked to wait, in its Retry-After
// header: a number of seconds, or the time until a date, which is negative if
// that has passed. Without such a header it returns [retry.NoHint].
func (e *StatusError) RetryAfter() time.Duration {
	value := e.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, math.MaxInt64/uint64(time.Second))) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return time.Until(date)
	}
	return retry.NoHint
}

// timeoutError is the error of an attempt that brought no response in time.
// What the base transport made of its end is left out: it matches
// context.Canceled, as if the caller had cancelled.
type timeoutError struct{ limit time.Duration }

func (e *timeoutError) Error() string {
	return fmt.Sprintf("httpretry: no response within %v", e.limit)
}
func (e *timeoutError) Unwrap() error { return context.DeadlineExceeded }
func (e *timeoutError) Timeout() bool { return true }
