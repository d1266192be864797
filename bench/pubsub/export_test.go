package pubsubbench

import "context"

// A Sinks is the subscribers of a run.
type Sinks struct{ s *sinks }

func NewSinks(n, want int) Sinks { return Sinks{newSinks(n, want)} }

func (s Sinks) Take(i, v int) { must(s.s.all[i].take(context.Background(), v)) }

func (s Sinks) Wait() { s.s.wait() }

// An Account is the subscriber that stays.
type Account struct{ a *account }

func NewAccount() Account { return Account{newAccount()} }

func (a Account) Take(v int) { must(a.a.take(context.Background(), v)) }

func (a Account) Settle(n int) { a.a.settle(n) }

// CheckCall makes a call whose listeners were called so often, and checks it.
func CheckCall(times int, counts ...int) { (&call{counts: counts}).check(times) }

var Patterns = patterns

// Order returns under the name of each contender that queues whether one
// subscriber gets the events of one publisher in their order.
func Order(ctx context.Context, events int) map[string]bool {
	ordered := map[string]bool{}
	for _, p := range queueing(ctx) {
		b, next, inOrder, done := p.open(), 0, true, make(chan struct{})
		b.subscribe(func(_ context.Context, v int) error {
			inOrder = inOrder && v == next
			if next++; next == events {
				close(done)
			}
			return nil
		})
		b.send(0, events)
		await(done)
		ordered[p.name] = inOrder
	}
	return ordered
}
