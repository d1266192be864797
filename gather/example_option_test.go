package gather_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/seed4886185c/concert/gather"
)

func ExampleLimit() {
	running := make(chan struct{}, 2) // has room for two, and that is enough
	err := gather.Each(context.Background(), make([]int, 100), func(context.Context, int) error {
		select {
		case running <- struct{}{}:
			defer func() { <-running }()
			return nil
		default:
			return errors.New("a third one")
		}
	}, gather.Limit(2))
	fmt.Println(err)
	// Output: <nil>
}

func ExampleFailFast() {
	results := gather.All(context.Background(), []gather.Task[string]{hang, down, up("late")}, gather.FailFast(), gather.Limit(2))
	fmt.Println(results[0].Err) // cancelled by the failure of task 1
	fmt.Println(results[1].Err)
	fmt.Println(errors.Is(results[2].Err, gather.ErrNotRun))
	fmt.Println(results.Err())
	// Output:
	// down
	// down
	// true
	// gather: 2 failed, 1 not run: task 1: down; task 0: down
}

func ExampleTaskTimeout() {
	results := gather.All(context.Background(), []gather.Task[string]{up("api"), hang}, gather.TaskTimeout(10*time.Millisecond))
	fmt.Println(results.Values(), results[1].Err)
	// Output: [api is up] context deadline exceeded
}

func ExampleOrdered() {
	words := slices.Values([]string{"one", "two", "three"})
	upper := func(_ context.Context, s string) (string, error) { return strings.ToUpper(s), nil }
	for _, r := range gather.Stream(context.Background(), words, upper, gather.Ordered()) {
		fmt.Println(r.Value)
	}
	// Output:
	// ONE
	// TWO
	// THREE
}

func ExampleStagger() {
	// The first server hangs: after 10 ms ask the second one too.
	v, err := gather.First(context.Background(), []gather.Task[string]{hang, up("second")}, gather.Stagger(10*time.Millisecond))
	fmt.Println(v, err)
	// Output: second is up <nil>
}

func ExampleAbandon() {
	release := make(chan struct{})
	stubborn := func(context.Context) (string, error) { <-release; return "late", nil }
	results := gather.All(context.Background(), []gather.Task[string]{up("api"), stubborn},
		gather.Abandon(), gather.TaskTimeout(10*time.Millisecond))
	close(release)
	fmt.Println(results.Values(), errors.Is(results[1].Err, gather.ErrAbandoned))
	// Output: [api is up] true
}

// conn stands for anything that must be closed.
type conn struct{ name string }

func (c *conn) Close() error {
	fmt.Println("closed", c.name)
	return nil
}

func ExampleOnDiscard() {
	dialing, won, closed := make(chan struct{}), make(chan struct{}), make(chan struct{})
	c, err := gather.First(context.Background(), []gather.Task[io.Closer]{
		func(context.Context) (io.Closer, error) { <-dialing; return &conn{"quick"}, nil },
		func(context.Context) (io.Closer, error) { close(dialing); <-won; return &conn{"slow"}, nil },
	}, gather.OnDiscard(func(c io.Closer) {
		defer close(closed)
		c.Close()
	}))
	close(won)
	<-closed
	fmt.Println("kept", c.(*conn).name, err)
	// Output:
	// closed slow
	// kept quick <nil>
}

func ExampleRepanic() {
	defer func() {
		var p *gather.PanicError
		if err, ok := recover().(error); ok && errors.As(err, &p) {
			fmt.Println("panicked in the caller:", p.Value)
		}
	}()
	gather.Each(context.Background(), []int{1}, func(context.Context, int) error { panic("bug") }, gather.Repanic())
	// Output: panicked in the caller: bug
}

func ExampleResult_Get() {
	results := gather.All(context.Background(), []gather.Task[string]{up("api")})
	v, err := results[0].Get()
	fmt.Println(v, err)
	// Output: api is up <nil>
}

func ExampleResults_Join() {
	values, err := gather.All(context.Background(), []gather.Task[string]{up("api"), down}).Join()
	fmt.Println(values == nil, err)
	// Output: true gather: 1 failed: task 1: down
}

func ExampleResults_Err() {
	err := gather.All(context.Background(), []gather.Task[string]{up("api"), down, down}).Err()
	fmt.Println(errors.Is(err, errDown))

	if all, ok := errors.AsType[*gather.Error](err); ok {
		for _, f := range all.Failed {
			fmt.Println(f.Index, f.Err)
		}
	}
	// Output:
	// true
	// 1 down
	// 2 down
}

func ExampleError() {
	err := gather.All(context.Background(), []gather.Task[string]{hang, down}, gather.FailFast()).Err()
	if all, ok := errors.AsType[*gather.Error](err); ok {
		fmt.Println("first:", all.First())
		fmt.Println("in all:", len(all.Failed))
	}
	// Output:
	// first: down
	// in all: 2
}

func ExampleTaskError() {
	err := gather.All(context.Background(), []gather.Task[string]{up("api"), down}).Err()
	if task, ok := errors.AsType[gather.TaskError](err); ok {
		fmt.Println(task.Index, task.Err)
	}
	// Output: 1 down
}

func ExamplePanicError() {
	results := gather.All(context.Background(), []gather.Task[string]{
		func(context.Context) (string, error) { panic("bug") },
		up("api"),
	})
	if p, ok := errors.AsType[*gather.PanicError](results[0].Err); ok {
		fmt.Println("panic:", p.Value, "with a stack:", len(p.Stack) > 0)
	}
	fmt.Println(results[1].Value)
	// Output:
	// panic: bug with a stack: true
	// api is up
}
