package retry

import (
	"context"
	"iter"
)

// Tries returns the attempts of one call as a sequence to range over, for a
// body that is easier to write in place than as a function. The body does one
// attempt with the context it is given and assigns its error to *err:
//
//	var err error
//	for ctx := range policy.Tries(ctx, &err) {
//		err = push(ctx, item)
//	}
//	if err != nil {
//
// The loop goes on while there is to be another attempt. After it, *err is
// what [Run] would have returned: nil if the last attempt left it nil, and
// otherwise the failure, also if ctx had ended before the first attempt. Each
// attempt finds *err nil, so that a body which leaves it alone, or continues
// without an error, has succeeded. Take care not to declare another err in the
// body.
//
// The body may leave the loop by break or return; *err then is what the body
// made it, a mark of [Permanent] included. The sequence may be ranged over more
// than once, each time from the beginning. Its contexts end with their attempt
// if p has an AttemptTimeout.
//
// Tries panics if err is nil or p is not valid.
func (p Policy) Tries(ctx context.Context, err *error) iter.Seq[context.Context] {
	if err == nil {
		panic("retry: Tries without a place for the error")
	}
	p.check()
	return func(yield func(context.Context) bool) {
		left := false
		outcome := run(ctx, &p, func(ctx context.Context) error {
			*err = nil
			left = !yield(ctx)
			if left {
				return nil
			}
			return *err
		})
		if !left {
			*err = outcome
		}
	}
}
