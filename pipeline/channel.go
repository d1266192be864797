package pipeline

import (
	"context"
	"sync"
)

// Send sends v on ch, or returns the error of ctx, if that ends before. A
// context that has ended before wins over a receiver that waits. A send on a
// nil channel waits for ctx.
func Send[T any](ctx context.Context, ch chan<- T, v T) error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	select {
	case ch <- v:
		return nil
	case <-ctx.Done():
		return ended(ctx)
	}
}

// Recv receives from ch, or returns the error of ctx, if that ends before. It
// returns false if ch is closed. A context that has ended before wins over a
// value that is there; that stays in the channel. A receive from a nil channel
// waits for ctx.
func Recv[T any](ctx context.Context, ch <-chan T) (v T, ok bool, err error) {
	if ctx.Err() != nil {
		return v, false, ended(ctx)
	}
	select {
	case v, ok = <-ch:
		return v, ok, nil
	case <-ctx.Done():
		return v, false, ended(ctx)
	}
}

// Fan receives from several channels and sends what it gets on one, which is
// closed when all of them are, or ctx has ended; what was received and not sent
// by then is lost. Whoever receives from it has to do so until it is closed, or
// to end ctx: otherwise goroutines stay behind.
func Fan[T any](ctx context.Context, ins ...<-chan T) <-chan T {
	out := make(chan T)
	var wg sync.WaitGroup
	for _, in := range ins {
		wg.Go(func() {
			for {
				v, ok, err := Recv(ctx, in)
				if !ok || err != nil || Send(ctx, out, v) != nil {
					return
				}
			}
		})
	}
	go func() {
		wg.Wait()
		close(out)
	}()
	return out
}

// Drain receives from ch until it is closed, and returns how much it got: for
// one who does not want more, but has to let the senders end.
func Drain[T any](ch <-chan T) (n int) {
	for range ch {
		n++
	}
	return n
}
