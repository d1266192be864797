package ratelimit

import (
	"context"
	"time"
)

// A Store limits events by key, here or for several processes together.
// Implementations may be used concurrently.
type Store interface {
	// Take takes n tokens for key, if they are there, and tells what there is
	// then. An n of 0 only tells. An error means that the store failed, not
	// that the events may not happen; the Result is of no account then.
	Take(ctx context.Context, key string, n int) (Result, error)
}

// A Result tells what has become of n events, and how many more there may be.
// Those who implement a [Store] fill in all of it.
type Result struct {
	// OK means that the events may happen, and so many tokens were taken.
	// Otherwise none were.
	OK bool

	// Limit is how many events may happen at once at most: the burst, or the
	// quota of a window. Without a limit, it is as large as can be.
	Limit int

	// Remaining is how many more events may happen now.
	Remaining int

	// RetryAfter is how long it takes, if nobody else takes anything, until the
	// events could happen that may not now. It is 0 if OK, and negative if that
	// will never be, because n is more than Limit or negative, or the rate is 0,
	// or not within some hundred years.
	RetryAfter time.Duration

	// ResetAfter is how long it takes until Remaining is Limit, if nobody takes
	// anything. It is negative if that will never be.
	ResetAfter time.Duration

	// Window is the time in which Limit events come, at the rate. It is 0 if
	// there is no limit, and negative if none ever come, because the rate or
	// Limit is 0.
	Window time.Duration
}

// StoreOf returns a Store that takes from k. It never fails; it does not look
// at the context.
func StoreOf(k *Keyed[string]) Store { //nolint:ireturn // what it returns is not more than that
	return local{k}
}

type local struct{ keyed *Keyed[string] }

// Take takes n tokens for key.
func (s local) Take(_ context.Context, key string, n int) (Result, error) {
	return s.keyed.Take(key, n), nil
}
