package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed4886185c/concert/internal/panics"
)

// A Batcher is [Batch] for those who add items one by one, from wherever they
// are: it calls a function with batches of them. Use [NewBatcher] to make one,
// and [Batcher.Close] at the end. It may be used concurrently.
type Batcher[T any] struct {
	size    int
	maxWait time.Duration
	flush   func(context.Context, []T) error

	turn chan struct{} // of capacity 1; holds something while flush is called

	mu     sync.Mutex // guards the fields below
	items  []T
	number int         // of the batch that items are, or become
	timer  *time.Timer // set since the first of items was added
	fired  sync.WaitGroup
	errs   []error // of calls for which nobody waited, maxErrs of them
	more   int     // how many there were after those
	closed bool
}

// NewBatcher returns a Batcher that calls flush with up to size items: when
// there are so many, in the goroutine that adds the last of them; maxWait after
// the first was added, in a goroutine of its own; and in Flush and Close. Only
// for those two does its context end with theirs: a batch that Add flushes has
// items of others, too. It is called for one batch at a time, in the order in
// which the items were added, may keep the slice, and must not use the Batcher.
// A batch for which it fails is not tried again.
//
// The errors of calls for which nobody waits, a panic among them, come back
// from Flush and Close, of more than 16 the first; who has to know of them at
// once looks at them in flush. NewBatcher panics if size is less than 1,
// maxWait not positive, or flush nil.
func NewBatcher[T any](size int, maxWait time.Duration, flush func(context.Context, []T) error) *Batcher[T] {
	mustCount("NewBatcher", size, 1)
	mustTime("NewBatcher", maxWait)
	mustStage("NewBatcher", false, flush == nil)
	return &Batcher[T]{size: size, maxWait: maxWait, flush: flush, turn: make(chan struct{}, 1)}
}

// Add adds v. If there are as many items as make a batch then, it calls flush,
// with the values of ctx, but not its end, and returns its error. If there were
// before, because flush has not returned yet for those before them, it waits
// for that.
//
// If the Batcher is closed, it returns [ErrClosed], and if ctx ends before v is
// added, the error of that. Any other error is that of flush, for the batch
// that v is in; when that is flushed later, or by others, the error is theirs,
// or that of Flush or Close.
func (b *Batcher[T]) Add(ctx context.Context, v T) error {
	for {
		if ctx.Err() != nil {
			return ended(ctx)
		}
		added, full, number, err := b.add(v)
		if err != nil || added && !full {
			return err
		}
		if Send(ctx, b.turn, struct{}{}) != nil {
			if added {
				return nil // it is in a batch that will be flushed later
			}
			return ended(ctx)
		}
		if added {
			return b.next(ctx, number)
		}
		b.nextOfOthers(ctx, number)
	}
}

// add adds v, unless the batch is full already, and returns which one that is.
func (b *Batcher[T]) add(v T) (added, full bool, number int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return false, false, 0, ErrClosed
	case len(b.items) >= b.size:
		return false, true, b.number, nil
	}
	b.items = append(b.items, v)
	if len(b.items) == 1 {
		b.arm()
	}
	return true, len(b.items) >= b.size, b.number, nil
}

// keep keeps an error, if there is one, for Flush and Close.
func (b *Batcher[T]) keep(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err == nil:
	case len(b.errs) < maxErrs:
		b.errs = append(b.errs, err)
	default:
		b.more++
	}
}

// maxErrs is how many errors are kept for Flush and Close.
const maxErrs = 16

// kept returns the errors that were kept, and err.
func (b *Batcher[T]) kept(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	errs := b.errs
	if b.more > 0 {
		errs = append(errs, fmt.Errorf("pipeline: and %d more errors", b.more))
	}
	b.errs, b.more = nil, 0
	return errors.Join(append(errs, err)...)
}

// arm sets the timer. It requires mu.
func (b *Batcher[T]) arm() {
	number := b.number
	b.fired.Add(1)
	b.timer = time.AfterFunc(b.maxWait, func() {
		defer b.fired.Done()
		b.expire(number)
	})
}

// disarm requires mu.
func (b *Batcher[T]) disarm() {
	if b.timer != nil && b.timer.Stop() {
		b.fired.Done()
	}
	b.timer = nil
}

// expire flushes a batch, and keeps the error, whatever kind it is.
func (b *Batcher[T]) expire(number int) {
	err := ErrGoexit // stands if flush does not return
	b.turn <- struct{}{}
	defer func() {
		if v := recover(); v != nil {
			err = panics.New(v)
		}
		b.keep(err) // before it is the turn of others, who may ask for it
		<-b.turn
	}()
	err = b.call(context.Background(), number)
}

// nextOfOthers is next, but keeps the error.
func (b *Batcher[T]) nextOfOthers(ctx context.Context, number int) {
	defer func() { <-b.turn }()
	b.keep(b.call(context.WithoutCancel(ctx), number))
}

// anyBatch is the number of whichever batch there is.
const anyBatch = -1

// next flushes the batch with a number, if that has not been, and gives back
// the turn.
func (b *Batcher[T]) next(ctx context.Context, number int) error {
	defer func() { <-b.turn }()
	if number != anyBatch {
		ctx = context.WithoutCancel(ctx)
	}
	return b.call(ctx, number)
}

// call flushes the batch with a number, if that has not been.
func (b *Batcher[T]) call(ctx context.Context, number int) error {
	items := b.cut(number)
	if len(items) == 0 {
		return nil
	}
	return b.flush(ctx, items)
}

// cut takes out the batch with a number, if it is still there.
func (b *Batcher[T]) cut(number int) []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	if number != anyBatch && number != b.number {
		return nil
	}
	items := b.items
	b.items = nil
	b.number++
	b.disarm()
	return items
}

// Flush calls flush with what there is, if there is something, after it has
// waited for a call that is under way. It returns the errors of calls for which
// nobody has waited, and that of its own, joined; or if ctx ends before, the
// error of that.
func (b *Batcher[T]) Flush(ctx context.Context) error {
	if err := Send(ctx, b.turn, struct{}{}); err != nil {
		return err
	}
	return b.kept(b.next(ctx, anyBatch))
}

// Close refuses further items and then does what Flush does. When it has
// returned, nothing of the Batcher runs any more; unless ctx has ended, when
// the items stay until their time is over. It may be called again.
func (b *Batcher[T]) Close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	err := b.Flush(ctx)
	if ctx.Err() == nil {
		b.fired.Wait()
	}
	return err
}
