package retry

import "time"

// Delay returns the delay of b after the given number of failed attempts, if
// the one before was before, with random numbers from random.
func (b Backoff) Delay(failed int, before time.Duration, random func(uint64) uint64) time.Duration {
	return b.orDefault().next(failed, before, random)
}

const MaxErrs = maxErrs

func (b *Budget) Deposit() { b.deposit() }

// Withdraw returns a function that gives the grant back, or nil.
func (b *Budget) Withdraw() (refund func()) {
	g := b.withdraw()
	if !g.ok {
		return nil
	}
	return func() { b.refund(g) }
}
