package concert_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed4886185c/concert/gather"
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
