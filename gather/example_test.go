package gather_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/seed4886185c/concert/gather"
)

var errDown = errors.New("down")

// up and down are tasks such as requests to servers.
func up(name string) gather.Task[string] {
	return func(context.Context) (string, error) { return name + " is up", nil }
}

func down(context.Context) (string, error) { return "", errDown }

// hang is a task that ends only with its context.
func hang(ctx context.Context) (string, error) {
	<-ctx.Done()
	return "", context.Cause(ctx)
}

func ExampleAll() {
	results := gather.All(context.Background(), []gather.Task[string]{up("api"), down, up("db")})
	for i, r := range results {
		fmt.Println(i, cmp.Or(r.Value, "failed"), r.Err)
	}
	// Output:
	// 0 api is up <nil>
	// 1 failed down
	// 2 db is up <nil>
}

func ExampleMap() {
	parse := func(_ context.Context, s string) (int, error) { return strconv.Atoi(s) }
	results := gather.Map(context.Background(), []string{"1", "two", "3"}, parse)
	fmt.Println(results.Values())
	fmt.Println(results.Err())
	// Output:
	// [1 3]
	// gather: 1 failed: task 1: strconv.Atoi: parsing "two": invalid syntax
}

func ExampleMap_limit() {
	upper := func(_ context.Context, s string) (string, error) { return strings.ToUpper(s), nil }
	words, err := gather.Map(context.Background(), []string{"a", "b", "c"}, upper, gather.Limit(2)).Join()
	fmt.Println(words, err)
	// Output: [A B C] <nil>
}

func ExampleEach() {
	var mu sync.Mutex
	seen := map[string]bool{}
	err := gather.Each(context.Background(), []string{"a", "b", ""}, func(_ context.Context, name string) error {
		if name == "" {
			return errors.New("no name")
		}
		mu.Lock()
		defer mu.Unlock()
		seen[name] = true
		return nil
	})
	fmt.Println(len(seen), err)
	// Output: 2 gather: 1 failed: task 2: no name
}

func ExampleKeyed() {
	results := gather.Keyed(context.Background(), map[string]gather.Task[string]{
		"primary": down,
		"replica": up("replica"),
	})
	fmt.Println(results["replica"].Value)
	fmt.Println(results["primary"].Err)
	fmt.Println(results.Err())
	// Output:
	// replica is up
	// down
	// gather: 1 failed: task primary: down
}

func ExampleKeyedResults_Values() {
	results := gather.Keyed(context.Background(), map[string]gather.Task[string]{"a": up("a"), "b": down, "c": up("c")})
	fmt.Println(slices.Sorted(maps.Keys(results.Values())))
	// Output: [a c]
}

func ExampleAll2() {
	user := func(context.Context) (string, error) { return "ada", nil }
	orders := func(context.Context) ([]int, error) { return []int{17, 42}, nil }
	u, o := gather.All2(context.Background(), user, orders)
	fmt.Println(u.Value, o.Value)
	// Output: ada [17 42]
}

func ExampleAll3() {
	count := func(context.Context) (int, error) { return 3, nil }
	name, state, n := gather.All3(context.Background(), up("name"), down, count)
	fmt.Println(name.Value, "/", state.Err, "/", n.Value)
	// Output: name is up / down / 3
}

func ExampleAll4() {
	a, b, c, d := gather.All4(context.Background(), up("a"), up("b"), up("c"), down, gather.Limit(2))
	fmt.Println(a.Value, b.Value, c.Value, d.Err)
	// Output: a is up b is up c is up down
}

func ExampleAll5() {
	a, b, c, d, e := gather.All5(context.Background(), up("a"), up("b"), up("c"), up("d"), down)
	fmt.Println(a.Value, b.Value, c.Value, d.Value, e.Err)
	// Output: a is up b is up c is up d is up down
}

func ExampleStream() {
	lines := strings.SplitSeq("4 8 15 x 23 42", " ")
	sum := 0
	for i, r := range gather.Stream(context.Background(), lines, func(_ context.Context, s string) (int, error) { return strconv.Atoi(s) }) {
		if r.Err != nil {
			fmt.Println("item", i, "is left out:", r.Err)
		}
		sum += r.Value
	}
	fmt.Println(sum)
	// Output:
	// item 3 is left out: strconv.Atoi: parsing "x": invalid syntax
	// 92
}

func ExampleStream_unbounded() {
	naturals := func(yield func(int) bool) {
		for i := 0; yield(i); i++ {
		}
	}
	square := func(_ context.Context, i int) (int, error) { return i * i, nil }
	for i, r := range gather.Stream(context.Background(), naturals, square, gather.Ordered(), gather.Limit(8)) {
		if r.Value > 20 {
			break // cancels the calls in flight and waits for them
		}
		fmt.Println(i, r.Value)
	}
	// Output:
	// 0 0
	// 1 1
	// 2 4
	// 3 9
	// 4 16
}

func ExampleFirst() {
	v, err := gather.First(context.Background(), []gather.Task[string]{down, up("replica"), hang})
	fmt.Println(v, err)

	_, err = gather.First(context.Background(), []gather.Task[string]{down, down})
	fmt.Println(errors.Is(err, errDown))
	// Output:
	// replica is up <nil>
	// true
}

func ExampleQuorum() {
	replicas := []gather.Task[string]{up("a"), down, up("c"), hang}
	results, err := gather.Quorum(context.Background(), 2, replicas)
	fmt.Println(results.Values(), err)
	fmt.Println(errors.Is(results[3].Err, gather.ErrAbandoned))
	// Output:
	// [a is up c is up] <nil>
	// true
}

func ExampleGroup() {
	links := map[string][]string{"/": {"/a", "/b"}, "/a": {"/a/1", "/"}, "/b": {"/a"}}
	g := gather.NewGroup[string](context.Background(), gather.Limit(2))
	var seen sync.Map
	var visit func(page string)
	visit = func(page string) {
		if _, known := seen.LoadOrStore(page, true); known {
			return
		}
		g.Go(func(context.Context) (string, error) {
			for _, link := range links[page] {
				visit(link) // a task may add tasks, also at the limit
			}
			return page, nil
		})
	}
	visit("/")
	pages := g.Wait().Values()
	slices.Sort(pages)
	fmt.Println(pages)
	// Output: [/ /a /a/1 /b]
}

func ExampleGroup_TryGo() {
	g := gather.NewGroup[string](context.Background(), gather.Limit(1))
	release := make(chan struct{})
	busy := func(context.Context) (string, error) { <-release; return "done", nil }
	fmt.Println(g.TryGo(busy), g.TryGo(busy))
	close(release)
	fmt.Println(g.Wait().Values())
	// Output:
	// true false
	// [done]
}

func ExampleNewGroup() {
	g := gather.NewGroup[string](context.Background(), gather.FailFast())
	g.Go(down)
	g.Go(hang)
	if all, ok := errors.AsType[*gather.Error](g.Wait().Err()); ok {
		fmt.Println(all.First())
	}
	// Output: down
}

func ExampleFlight() {
	var prices gather.Flight[string, int] // one for all requests
	price := func(ctx context.Context, article string) (int, error) {
		v, _, err := prices.Do(ctx, article, func(context.Context) (int, error) {
			return len(article), nil // an expensive query, made once for all who ask meanwhile
		})
		return v, err
	}
	results := gather.Map(context.Background(), []string{"tea", "tea", "coffee", "tea"}, price)
	fmt.Println(results.Values())
	// Output: [3 3 6 3]
}

func ExampleFlight_Do() {
	var flight gather.Flight[int, string]
	v, shared, err := flight.Do(context.Background(), 7, up("seven"))
	fmt.Println(v, shared, err)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, err = flight.Do(ctx, 7, up("seven"))
	fmt.Println(errors.Is(err, context.Canceled))
	// Output:
	// seven is up false <nil>
	// true
}

func ExampleFlight_Forget() {
	var flight gather.Flight[string, string]
	started, release := make(chan struct{}), make(chan struct{})
	var old sync.WaitGroup
	old.Go(func() {
		v, _, _ := flight.Do(context.Background(), "config", func(context.Context) (string, error) {
			close(started)
			<-release
			return "old", nil
		})
		fmt.Println(v)
	})
	<-started
	flight.Forget("config") // it has changed: nobody else shall get the old one
	v, _, _ := flight.Do(context.Background(), "config", func(context.Context) (string, error) { return "new", nil })
	fmt.Println(v)
	close(release)
	old.Wait()
	// Output:
	// new
	// old
}
