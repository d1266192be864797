package fsm_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/seed4886185c/concert/fsm"
)

type Status string

const (
	Pending    Status = "pending"
	Processing Status = "processing"
	Shipped    Status = "shipped"
	Delivered  Status = "delivered"
	Cancelled  Status = "cancelled"
)

type Order struct {
	Tracking string
	Packed   bool
}

var (
	Pay     = fsm.NewEvent[fsm.None]("pay")
	Pack    = fsm.NewEvent[fsm.None]("pack")
	Ship    = fsm.NewEvent[string]("ship")
	Deliver = fsm.NewEvent[fsm.None]("deliver")
	Cancel  = fsm.NewEvent[fsm.None]("cancel")
)

func orders() *fsm.Definition[Status, Order] {
	b := fsm.New[Status, Order](Pending)
	b.State(Pending)
	b.State(Processing)
	b.State(Shipped).Entry("notify", func(_ context.Context, tx *fsm.Tx[Status, Order]) error {
		fmt.Println("mail: on its way, as", tx.Data.Tracking)
		return nil
	})
	b.State(Delivered).Final()
	b.State(Cancelled).Final()

	fsm.On(b, Pay, Pending).To(Processing)
	fsm.On(b, Pack, Processing).Do(func(_ context.Context, tx *fsm.Tx[Status, Order], _ fsm.None) error {
		tx.Data.Packed = true
		return nil
	}).Stay()
	fsm.On(b, Ship, Processing).
		If("packed", func(o *Order, _ string) bool { return o.Packed }).
		Do(func(_ context.Context, tx *fsm.Tx[Status, Order], number string) error {
			if number == "" {
				return errors.New("no tracking number")
			}
			tx.Data.Tracking = number
			return nil
		}).
		To(Shipped)
	fsm.On(b, Deliver, Shipped).To(Delivered)
	fsm.On(b, Cancel, Pending, Processing).
		If("not packed", func(o *Order, _ fsm.None) bool { return !o.Packed }).
		To(Cancelled)

	def, err := b.Build()
	if err != nil {
		log.Fatal(err)
	}
	return def
}

// An order on its way: what fails or is refused changes nothing.
func Example() {
	ctx := context.Background()
	order := orders().Start(Order{})

	fmt.Println(fsm.FireWith(ctx, order, Ship, "X1"))
	fmt.Println(order.Fire(ctx, Pay), order.State())
	fmt.Println(fsm.FireWith(ctx, order, Ship, "X1"))
	fmt.Println(order.Fire(ctx, Pack), order.State())
	fmt.Println(order.Fire(ctx, Cancel))
	fmt.Println(fsm.FireWith(ctx, order, Ship, ""))
	fmt.Println(fsm.FireWith(ctx, order, Ship, "X1"), order.State())
	fmt.Println(order.Fire(ctx, Deliver), order.State())
	// Output:
	// fsm: ship refused in state pending; permitted: pay, cancel
	// <nil> processing
	// fsm: ship refused in state processing by packed; permitted: pack, ship, cancel
	// <nil> processing
	// fsm: cancel refused in state processing by not packed; permitted: pack, ship, cancel
	// fsm: action, on ship in state processing: no tracking number
	// mail: on its way, as X1
	// <nil> shipped
	// <nil> delivered
}

// A traffic light has no data, and is its own clock.
func Example_trafficLight() {
	next := fsm.NewEvent[fsm.None]("next")
	b := fsm.New[string, fsm.None]("red")
	b.State("red").After(30*time.Millisecond, next)
	b.State("green").After(20*time.Millisecond, next)
	b.State("yellow").After(10*time.Millisecond, next)
	fsm.On(b, next, "red").To("green")
	fsm.On(b, next, "green").To("yellow")
	fsm.On(b, next, "yellow").To("red")
	def, err := b.Build()
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	light := def.Start(fsm.None{})
	defer light.Close()
	for _, colour := range []string{"red", "green", "yellow", "red"} {
		fmt.Println(light.Await(ctx, colour))
	}
	// Output:
	// red <nil>
	// green <nil>
	// yellow <nil>
	// red <nil>
}

// A connection is lost, or closed, in any of the states inside connected.
func Example_connection() {
	var (
		dial  = fsm.NewEvent[fsm.None]("dial")
		login = fsm.NewEvent[string]("login")
		lost  = fsm.NewEvent[fsm.None]("lost")
		quit  = fsm.NewEvent[fsm.None]("quit")
	)
	type data struct{ user string }
	say := func(what string) fsm.Action[string, data] {
		return func(context.Context, *fsm.Tx[string, data]) error { fmt.Println(what); return nil }
	}
	b := fsm.New[string, data]("offline")
	b.State("offline")
	b.State("connected", "greeting", "ready").Entry("open", say("open")).Exit("close", say("close"))
	b.State("greeting")
	b.State("ready").Entry("hello", say("hello"))
	b.State("gone").Final()
	fsm.On(b, dial, "offline").To("connected")
	fsm.On(b, login, "greeting").Do(func(_ context.Context, tx *fsm.Tx[string, data], user string) error {
		tx.Data.user = user
		return nil
	}).To("ready")
	fsm.On(b, lost, "connected").To("connected") // anew
	fsm.On(b, quit).To("gone")
	def, err := b.Build()
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	c := def.Start(data{})
	fmt.Println(c.Fire(ctx, dial), c.State(), c.In("connected"))
	fmt.Println(fsm.FireWith(ctx, c, login, "ann"), c.State())
	fmt.Println(c.Fire(ctx, lost), c.State())
	fmt.Println(c.Fire(ctx, quit), c.State())
	// Output:
	// open
	// <nil> greeting true
	// hello
	// <nil> ready
	// close
	// open
	// <nil> greeting
	// close
	// <nil> gone
}

// What handlers raise runs after the commit; observers see each step.
func ExampleTx_Raise() {
	b := fsm.New[string, int]("idle")
	b.State("idle")
	b.State("busy")
	start, done := fsm.NewEvent[int]("start"), fsm.NewEvent[fsm.None]("done")
	fsm.On(b, start, "idle").Do(func(_ context.Context, tx *fsm.Tx[string, int], n int) error {
		*tx.Data += n
		tx.Raise(done)
		return nil
	}).To("busy")
	fsm.On(b, done, "busy").To("idle")
	def, err := b.Build()
	if err != nil {
		log.Fatal(err)
	}
	m := def.Start(0, fsm.Observe(func(_ context.Context, t fsm.Transition[string]) {
		fmt.Println(t.Version, t.Event, t.From, t.To)
	}))
	fmt.Println(fsm.FireWith(context.Background(), m, start, 7), m.State(), m.Data())
	// Output:
	// 1 start idle busy
	// 2 done busy idle
	// <nil> idle 7
}

// A machine survives its process as a snapshot.
func ExampleDefinition_Restore() {
	def := orders()
	ctx := context.Background()
	m := def.Start(Order{})
	_ = m.Fire(ctx, Pay)
	saved := m.Snapshot() // to JSON, or a database

	again, err := def.Restore(saved)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(again.State(), again.Snapshot().Version, again.Permitted(), again.Can(Cancel))
	// Output: processing 1 [pack ship cancel] true
}
