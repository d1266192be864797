package pubsubbench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// What one writes by hand: the least that does the job.

// cow is a slice that is copied when something is added: who reads it takes no
// lock.
type cow[T any] struct{ all atomic.Pointer[[]T] }

func (c *cow[T]) add(v T) {
	var all []T
	if old := c.all.Load(); old != nil {
		all = slices.Clone(*old)
	}
	all = append(all, v)
	c.all.Store(&all)
}

// callAll recovers once: whoever panics silences those behind it.
func callAll(ctx context.Context, all []listener, c *call) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	for _, l := range all {
		if e := l(ctx, c); e != nil {
			err = errors.Join(err, e)
		}
	}
	return err
}

func slice(ctx context.Context) emitter {
	const note = "by hand; who panics silences the next"
	return emitter{name: "slice", note: note, open: func(ls []listener) func(*call, int) {
		var all cow[listener]
		for _, l := range ls {
			all.add(l)
		}
		return func(c *call, times int) {
			for range times {
				must(callAll(ctx, *all.all.Load(), c))
			}
		}
	}}
}

// sliceRecoverEach calls each listener on its own.
func sliceRecoverEach(ctx context.Context) emitter {
	return emitter{name: "slice-recover-each", note: "by hand", open: func(ls []listener) func(*call, int) {
		var all cow[[]listener]
		for i := range ls {
			all.add(ls[i : i+1])
		}
		return func(c *call, times int) {
			for range times {
				var err error
				for _, l := range *all.all.Load() {
					if e := callAll(ctx, l, c); e != nil {
						err = errors.Join(err, e)
					}
				}
				must(err)
			}
		}
	}}
}

const channelNote = "by hand; no panics, subscribers that stay for ever, another order for each if many publish"

// pump calls h with all that comes.
func pump(ctx context.Context, ch <-chan int, h handler) {
	for v := range ch {
		must(h(ctx, v))
	}
}

// channelsSelect is a channel for each subscriber; who publishes can be told to
// stop.
func channelsSelect(ctx context.Context) peer {
	return peer{name: "channels-select", note: channelNote, open: func() broker {
		var all cow[chan int]
		return broker{
			subscribe: func(h handler) func() {
				ch := make(chan int, capacity)
				all.add(ch)
				go pump(ctx, ch, h)
				return nil
			},
			send: func(from, n int) {
				for v := from; v < from+n; v++ {
					for _, ch := range *all.all.Load() {
						select {
						case ch <- v:
						case <-ctx.Done():
							return
						}
					}
				}
			},
		}
	}}
}

// channels is the same where publishers wait for ever.
func channels(ctx context.Context) peer {
	return peer{name: "channels", note: channelNote + "; no context", open: func() broker {
		var all cow[chan int]
		return broker{
			subscribe: func(h handler) func() {
				ch := make(chan int, capacity)
				all.add(ch)
				go pump(ctx, ch, h)
				return nil
			},
			send: func(from, n int) {
				for v := from; v < from+n; v++ {
					for _, ch := range *all.all.Load() {
						ch <- v
					}
				}
			},
		}
	}}
}

// channelsLocked has subscribers that may leave.
func channelsLocked(ctx context.Context) peer {
	const note = "by hand; no panics, no re-entrancy"
	return peer{name: "channels-locked", note: note, open: func() broker {
		var mu sync.RWMutex // also held while something is sent
		all := map[chan int]bool{}
		return broker{
			subscribe: func(h handler) func() {
				ch := make(chan int, capacity)
				mu.Lock()
				all[ch] = true
				mu.Unlock()
				go pump(ctx, ch, h)
				return func() {
					mu.Lock()
					delete(all, ch)
					mu.Unlock()
					close(ch)
				}
			},
			send: func(from, n int) {
				for v := from; v < from+n; v++ {
					mu.RLock()
					for ch := range all {
						select {
						case ch <- v:
						case <-ctx.Done():
						}
					}
					mu.RUnlock()
				}
			},
		}
	}}
}
