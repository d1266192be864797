package concert_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed4886185c/concert/breaker"
	"github.com/seed4886185c/concert/gather"
	"github.com/seed4886185c/concert/pipeline"
	"github.com/seed4886185c/concert/pubsub"
	"github.com/seed4886185c/concert/retry"
)

// fetch stands for a request to a service.
func fetch(ctx context.Context, service string) (string, error) {
	switch service {
	case "billing":
		return "", errors.New("503 Service Unavailable")
	case "search":
		<-ctx.Done() // hangs
		return "", ctx.Err()
	}
	return service + " is up", nil
}

func Example() {
	ctx := context.Background()
	services := []string{"api", "billing", "database", "search"}

	results := gather.Map(ctx, services, fetch,
		gather.Limit(8), gather.TaskTimeout(50*time.Millisecond))

	for i, r := range results {
		if r.Err != nil {
			fmt.Printf("%s: failed: %v\n", services[i], r.Err)
			continue
		}
		fmt.Printf("%s: %s\n", services[i], r.Value)
	}
	// Output:
	// api: api is up
	// billing: failed: 503 Service Unavailable
	// database: database is up
	// search: failed: context deadline exceeded
}

// Many calls at once, each of which is tried again by itself. The budget that
// they share keeps a service that is down from being asked far more often.
func Example_gatherRetry() {
	load := func(ctx context.Context, user string) (string, error) {
		switch {
		case user == "carol":
			return "", retry.Permanent(errors.New("no such user"))
		case retry.AttemptFrom(ctx) < 2:
			return "", errors.New("connection reset")
		}
		return "profile of " + user, nil
	}
	policy := retry.Policy{
		Backoff: retry.Exponential(time.Millisecond, time.Second).FullJitter(),
		Budget:  retry.NewBudget(0.1, 10),
	}

	users := []string{"alice", "bob", "carol"}
	results := gather.Map(context.Background(), users, func(ctx context.Context, user string) (string, error) {
		return retry.Do(ctx, policy, func(ctx context.Context) (string, error) { return load(ctx, user) })
	})
	for _, r := range results {
		fmt.Println(r.Get())
	}
	// Output:
	// profile of alice <nil>
	// profile of bob <nil>
	//  no such user
}

// Retry around breaker around call. The call fails until the breaker opens; the
// next attempt is rejected, and waits for as long as the breaker says.
func Example_retryBreaker() {
	db := breaker.New(breaker.Settings{
		Name:    "db",
		Trip:    breaker.Consecutive(2),
		OpenFor: 250 * time.Millisecond,
	})
	calls := 0
	query := func(context.Context) (string, error) {
		calls++
		if calls <= 2 {
			return "", errors.New("connection refused")
		}
		return "42 rows", nil
	}
	policy := retry.Policy{
		MaxAttempts: 5,
		Backoff:     retry.Constant(time.Millisecond),
		OnRetry: func(_ context.Context, a retry.Attempt) {
			fmt.Println(errors.Is(a.Err, breaker.ErrOpen), a.Delay > time.Millisecond)
		},
	}
	fmt.Println(retry.Do(context.Background(), policy, breaker.Wrap(db, query)))
	fmt.Println(calls, "calls")
	// Output:
	// false false
	// false false
	// true true
	// 42 rows <nil>
	// 3 calls
}

// The events of a topic are a stream, which goes on in stages. When the topic is
// closed, the stream ends, and what is left of it is written.
func Example_topicPipeline() {
	ctx := context.Background()
	paid := pubsub.New[string](100)
	orders := pipeline.FromSeq2(paid.Subscribe(ctx).All())
	batches := pipeline.Batch(orders, 2, time.Minute)

	for _, order := range []string{"lamp", "desk", "chair"} {
		if err := paid.Publish(ctx, order); err != nil {
			fmt.Println(err)
		}
	}
	if err := paid.Close(ctx); err != nil {
		fmt.Println(err)
	}
	err := pipeline.ForEach(ctx, batches, func(_ context.Context, batch []string) error {
		fmt.Println("write", batch)
		return nil
	})
	fmt.Println(err)
	// Output:
	// write [lamp desk]
	// write [chair]
	// <nil>
}
