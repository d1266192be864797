package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/seed4886185c/concert/pubsub"
)

// An order is what people place in the shop.
type order struct {
	id     int
	region string
	cents  int
}

// A shop takes orders. Who has a say in that is asked at once, and who only
// wants to know is told later.
type shop struct {
	placing pubsub.Emitter[order] // an error of any listener refuses the order
	events  *pubsub.Bus[order]    // orders.<region>.placed, orders.<region>.refused
}

func newShop() *shop { return &shop{events: pubsub.NewBus[order](64)} }

// place asks all who have a say, and tells the others what has come of it.
func (s *shop) place(ctx context.Context, o order) error {
	refused := s.placing.Emit(ctx, o)
	what := "placed"
	if refused != nil {
		what = "refused"
	}
	return errors.Join(refused, s.events.Publish(ctx, "orders."+o.region+"."+what, o))
}

// stock and fraud have a say.
func stock(left int) pubsub.Handler[order] {
	return func(context.Context, order) error {
		if left == 0 {
			return errors.New("sold out")
		}
		left--
		return nil
	}
}

func fraud(_ context.Context, o order) error {
	if o.cents > 100_000 {
		return errors.New("call the customer")
	}
	return nil
}

// mail is slow, fails at times, and holds up nobody.
func mail(_ context.Context, m pubsub.Message[order]) error {
	if m.Value.id == 2 {
		return fmt.Errorf("order %d: mailbox full", m.Value.id)
	}
	return nil
}

// A shop asks some before it takes an order, and tells others after it.
func Example_orders() {
	ctx := context.Background()
	s := newShop()
	s.placing.SetLimit(1) // one after the other: stock needs no lock
	s.placing.On(stock(3), pubsub.Named("stock"))
	s.placing.On(fraud, pubsub.Named("fraud"))

	if _, err := s.events.Handle("orders.*.placed", mail, pubsub.Named("mail")); err != nil {
		fmt.Println(err)
	}
	europe := 0
	if _, err := s.events.Handle("orders.eu.placed", func(_ context.Context, m pubsub.Message[order]) error {
		europe += m.Value.cents
		return nil
	}, pubsub.Named("turnover")); err != nil {
		fmt.Println(err)
	}
	audit, err := s.events.Subscribe(ctx, "orders.>")
	if err != nil {
		fmt.Println(err)
	}

	for _, o := range []order{{1, "eu", 1250}, {2, "us", 400}, {3, "eu", 250_000}, {4, "eu", 700}} {
		if err := s.place(ctx, o); err != nil {
			fmt.Printf("order %d is refused: %s\n", o.id, strings.ReplaceAll(err.Error(), "\n", ", "))
		}
	}
	fmt.Println("at the end:", s.events.Close(ctx)) // all who were to be told have been
	fmt.Println("from Europe:", europe)
	for m := range audit.All() {
		fmt.Println(m.Value.id, m.Subject)
	}
	// Output:
	// order 3 is refused: fraud: call the customer
	// order 4 is refused: stock: sold out
	// at the end: mail: order 2: mailbox full
	// from Europe: 1250
	// 1 orders.eu.placed
	// 2 orders.us.placed
	// 3 orders.eu.refused
	// 4 orders.eu.refused
}
