package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed4886185c/concert/pubsub"
)

// Every listener is called, and what failed comes back to who emits.
func ExampleEmitter() {
	var created pubsub.Emitter[string] // say, a field of a service
	created.On(func(_ context.Context, user string) error {
		return fmt.Errorf("no mailbox for %s", user)
	}, pubsub.Named("mail"))
	created.On(func(context.Context, string) error {
		panic("no disk")
	}, pubsub.Named("profile"))
	audited := ""
	created.On(func(_ context.Context, user string) error {
		audited = user
		return nil
	}, pubsub.Named("audit"))

	err := created.Emit(context.Background(), "ann")
	fmt.Println("audited:", audited)
	fmt.Println(first(err)) // an error that has a panic in it tells the stack, too
	if panicked, ok := errors.AsType[*pubsub.PanicError](err); ok {
		fmt.Println("panic:", panicked.Value)
	}
	// Output:
	// audited: ann
	// mail: no mailbox for ann
	// panic: no disk
}

// first returns the first line of an error.
func first(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// With a limit of 1, the listeners run in order, in the goroutine that emits.
func ExampleEmitter_SetLimit() {
	var saved pubsub.Emitter[string]
	saved.SetLimit(1)
	total := 0 // needs no lock
	saved.On(func(_ context.Context, text string) error { total += len(text); return nil })
	saved.On(func(context.Context, string) error { fmt.Println("saved so far:", total); return nil })

	ctx := context.Background()
	_ = saved.Emit(ctx, "four")
	_ = saved.Emit(ctx, "seven..")
	// Output:
	// saved so far: 4
	// saved so far: 11
}

func ExampleEmitter_On() {
	var changed pubsub.Emitter[string]
	off := changed.On(func(_ context.Context, key string) error {
		fmt.Println("changed:", key)
		return nil
	})
	ctx := context.Background()
	_ = changed.Emit(ctx, "colour")
	off()
	_ = changed.Emit(ctx, "size") // to nobody
	fmt.Println("listeners:", changed.Len())
	// Output:
	// changed: colour
	// listeners: 0
}

func ExampleOnce() {
	var started pubsub.Emitter[int]
	started.On(func(_ context.Context, n int) error {
		fmt.Println("the first start was number", n)
		return nil
	}, pubsub.Once())
	for n := range 3 {
		_ = started.Emit(context.Background(), n)
	}
	// Output: the first start was number 0
}

// The name shows who failed.
func ExampleNamed() {
	topic := pubsub.New[int](8)
	divide := func(by int) pubsub.Handler[int] {
		return func(_ context.Context, v int) error {
			if v%by != 0 {
				return fmt.Errorf("%d is not a multiple", v)
			}
			return nil
		}
	}
	ctx := context.Background()
	topic.Handle(divide(2), pubsub.Named("twos"))
	topic.Handle(divide(3), pubsub.Named("threes"))
	_ = topic.Publish(ctx, 4)

	err := topic.Close(ctx)
	if failed, ok := errors.AsType[*pubsub.ListenerError](err); ok {
		fmt.Println(failed.Name)
	}
	fmt.Println(err)
	// Output:
	// threes
	// threes: 4 is not a multiple
}

// The handler works in a goroutine of its own; who publishes goes on.
func ExampleTopic_Handle() {
	topic := pubsub.New[string](100)
	topic.Handle(func(_ context.Context, file string) error {
		fmt.Println("thumbnail of", file)
		return nil
	})
	ctx := context.Background()
	for _, file := range []string{"a.png", "b.png"} {
		if err := topic.Publish(ctx, file); err != nil {
			fmt.Println(err)
		}
	}
	_ = topic.Close(ctx) // waits for it
	// Output:
	// thumbnail of a.png
	// thumbnail of b.png
}

// Close waits until all is handled, and returns what failed on the way.
func ExampleTopic_Close() {
	topic := pubsub.New[int](100)
	handled := 0
	topic.Handle(func(_ context.Context, order int) error {
		handled++
		if order == 7 {
			return errors.New("order 7 has no address")
		}
		return nil
	}, pubsub.Named("labels"))

	ctx := context.Background()
	for order := range 50 {
		_ = topic.Publish(ctx, order)
	}
	fmt.Println(topic.Close(ctx))
	fmt.Println("handled:", handled)
	fmt.Println(topic.Publish(ctx, 50))
	// Output:
	// labels: order 7 has no address
	// handled: 50
	// pubsub: closed
}

// A subscription that is full makes the publisher wait, but not for longer than
// the publisher wants.
func ExampleTopic_Publish() {
	topic := pubsub.New[string](1)
	topic.Subscribe(context.Background()) // which nobody reads

	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	fmt.Println(topic.Publish(ctx, "the first has a place"))
	fmt.Println(topic.Publish(ctx, "the second has not"))
	// Output:
	// <nil>
	// context deadline exceeded
}

// A handler that fills its own queue is told so, where it would wait for
// itself.
func ExampleTopic_Publish_reentrant() {
	ctx := context.Background()
	full := make(chan error, 1)
	links := pubsub.New[string](2)
	links.Handle(func(ctx context.Context, page string) error { // publish with this ctx
		if page != "home" {
			return nil
		}
		for _, link := range []string{"news", "about", "shop"} {
			if err := links.Publish(ctx, link); err != nil {
				full <- fmt.Errorf("%s: %w", link, err)
			}
		}
		return nil
	})
	_ = links.Publish(ctx, "home")
	fmt.Println(<-full)
	_ = links.Close(ctx)
	// Output: shop: pubsub: a handler would wait for its own topic
}

// A loop that is too far behind learns how many events it has missed, and goes
// on with the oldest that is left.
func ExampleSubscription_All() {
	ctx := context.Background()
	prices := pubsub.New[int](2)
	sub := prices.Subscribe(ctx, pubsub.DropOldest)
	for price := 100; price < 105; price++ {
		_ = prices.Publish(ctx, price) // never waits
	}
	_ = prices.Close(ctx)

	for price, err := range sub.All() {
		var lagged *pubsub.LaggedError
		switch {
		case errors.As(err, &lagged):
			fmt.Println("missed:", lagged.Missed)
		case err != nil:
			fmt.Println(err) // why it has ended
		default:
			fmt.Println("price:", price)
		}
	}
	// Output:
	// missed: 3
	// price: 103
	// price: 104
}

// A channel is for those who select.
func ExampleSubscription_C() {
	ctx := context.Background()
	ticks := pubsub.New[int](8)
	sub := ticks.Subscribe(ctx)
	_ = ticks.Publish(ctx, 1)
	_ = ticks.Publish(ctx, 2)
	_ = ticks.Close(ctx)

	timeout := time.After(time.Minute)
	for {
		select {
		case tick, ok := <-sub.C():
			if !ok {
				fmt.Println("ended:", sub.Err())
				return
			}
			fmt.Println("tick", tick)
		case <-timeout:
			fmt.Println("nothing for too long")
			return
		}
	}
	// Output:
	// tick 1
	// tick 2
	// ended: <nil>
}

// What becomes of who is too slow is for each to say.
func ExampleOverflow() {
	ctx := context.Background()
	topic := pubsub.New[string](2)
	oldest := topic.Subscribe(ctx, pubsub.DropOldest)
	newest := topic.Subscribe(ctx, pubsub.DropNewest)
	client := topic.Subscribe(ctx, pubsub.Disconnect)
	for _, event := range []string{"a", "b", "c", "d"} {
		_ = topic.Publish(ctx, event)
	}
	_ = topic.Close(ctx)

	for _, sub := range []*pubsub.Subscription[string]{oldest, newest, client} {
		var got []string
		for event, err := range sub.All() {
			if err != nil {
				event = "(" + err.Error() + ")"
			}
			got = append(got, event)
		}
		fmt.Println(strings.Join(got, " "), "-", sub.Err())
	}
	// Output:
	// (pubsub: missed 2 events) c d - <nil>
	// a b (pubsub: missed 2 events) - <nil>
	// a b (pubsub: the subscription was full) - pubsub: the subscription was full
}

// Who comes late gets the last events first.
func ExampleReplay() {
	ctx := context.Background()
	chat := pubsub.New[string](16, pubsub.Replay(2))
	for _, line := range []string{"hi", "who's there?", "ann"} {
		_ = chat.Publish(ctx, line)
	}
	late := chat.Subscribe(ctx)
	_ = chat.Publish(ctx, "welcome!")
	_ = chat.Close(ctx)
	for line := range late.All() {
		fmt.Println(line)
	}
	// Output:
	// who's there?
	// ann
	// welcome!
}

// A publisher that waits for too long tells for whom; here, that one has to go.
func ExampleOnSlow() {
	ctx := context.Background()
	var printer *pubsub.Subscription[string]
	topic := pubsub.New[string](1, pubsub.OnSlow(time.Millisecond, func(e pubsub.SlowEvent) {
		fmt.Printf("%s has not read %d event\n", e.Name, e.Queued)
		printer.Stop()
	}))
	printer = topic.Subscribe(ctx, pubsub.Named("printer")) // is out of paper
	fmt.Println(topic.Publish(ctx, "page 1"))
	fmt.Println(topic.Publish(ctx, "page 2"))
	// Output:
	// <nil>
	// printer has not read 1 event
	// <nil>
}

func ExampleFilter() {
	ctx := context.Background()
	temperatures := pubsub.New[float64](8)
	alarms := temperatures.Subscribe(ctx, pubsub.Filter(func(t float64) bool { return t > 80 }))
	for _, t := range []float64{21, 85.5, 79, 91} {
		_ = temperatures.Publish(ctx, t)
	}
	_ = temperatures.Close(ctx)
	for t := range alarms.All() {
		fmt.Println("too hot:", t)
	}
	// Output:
	// too hot: 85.5
	// too hot: 91
}

// Who listens says which subjects it wants: * is one word, > all that follow.
func ExampleBus() {
	ctx := context.Background()
	bus := pubsub.NewBus[int](8)
	var paid, eu []string
	_, err := bus.Handle("orders.*.paid", func(_ context.Context, m pubsub.Message[int]) error {
		paid = append(paid, fmt.Sprint(m.Subject, "=", m.Value))
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	_, err = bus.Handle("orders.eu.>", func(_ context.Context, m pubsub.Message[int]) error {
		eu = append(eu, fmt.Sprint(m.Subject, "=", m.Value))
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}

	_ = bus.Publish(ctx, "orders.eu.created", 1)
	_ = bus.Publish(ctx, "orders.us.paid", 2)
	_ = bus.Publish(ctx, "orders.eu.paid", 1)
	fmt.Println(errors.Is(bus.Publish(ctx, "orders..paid", 3), pubsub.ErrSubject))
	_ = bus.Close(ctx)
	fmt.Println(paid)
	fmt.Println(eu)
	// Output:
	// true
	// [orders.us.paid=2 orders.eu.paid=1]
	// [orders.eu.created=1 orders.eu.paid=1]
}

// A pattern is read as a Topic is.
func ExampleBus_Subscribe() {
	ctx := context.Background()
	bus := pubsub.NewBus[string](8)
	sub, err := bus.Subscribe(ctx, "room.*.joined")
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = bus.Publish(ctx, "room.kitchen.joined", "ann")
	_ = bus.Publish(ctx, "room.kitchen.left", "ann")
	_ = bus.Publish(ctx, "room.hall.joined", "bob")
	_ = bus.Close(ctx)

	var seen []string
	for m := range sub.All() {
		room := strings.Split(m.Subject, ".")[1]
		seen = append(seen, m.Value+" in the "+room)
	}
	slices.Sort(seen)
	fmt.Println(strings.Join(seen, ", "))
	// Output: ann in the kitchen, bob in the hall
}

// The parts of a joined error say who failed, and with what.
func ExampleListenerError() {
	var saved pubsub.Emitter[string]
	saved.On(func(context.Context, string) error { return errors.New("no space") }, pubsub.Named("backup"))
	saved.On(func(context.Context, string) error { return errors.New("no network") }, pubsub.Named("mirror"))

	err := saved.Emit(context.Background(), "notes.txt")
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			if failed, ok := errors.AsType[*pubsub.ListenerError](err); ok {
				fmt.Printf("%s failed with %q\n", failed.Name, failed.Err)
			}
		}
	}
	// Output:
	// backup failed with "no space"
	// mirror failed with "no network"
}
