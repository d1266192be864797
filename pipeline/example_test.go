package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed4886185c/concert/pipeline"
)

// Records are parsed, checked and looked up, several at once, and stored in
// batches. Bad ones are reported, and do not hold up the others.
func Example() {
	type order struct {
		id       int
		customer string
		cents    int
	}
	lines := pipeline.FromSeq(strings.Lines("1,ann,1250\n2,bob,oops\n3,cid,300\n4,ann,-5\n5,dan,700\n6,bob,50\n"))

	parse := func(_ context.Context, line string) (order, error) {
		fields := strings.Split(strings.TrimSpace(line), ",")
		id, err := strconv.Atoi(fields[0])
		if err != nil {
			return order{}, err
		}
		cents, err := strconv.Atoi(fields[2])
		return order{id, fields[1], cents}, err
	}
	validate := func(_ context.Context, o order) (order, error) {
		if o.cents < 0 {
			return o, fmt.Errorf("order %d: a negative amount", o.id)
		}
		return o, nil
	}
	names := map[string]string{"ann": "Ann Lee", "bob": "Bob Ray", "cid": "Cid Moe"}
	enrich := func(_ context.Context, o order) (order, error) { // asks a service
		name, ok := names[o.customer]
		if !ok {
			return o, fmt.Errorf("order %d: no customer %q", o.id, o.customer)
		}
		o.customer = name
		return o, nil
	}
	store := func(_ context.Context, batch []order) error { // in one transaction
		fmt.Println("stored", batch)
		return nil
	}

	var mu sync.Mutex
	var bad []string
	report := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		bad = append(bad, err.Error())
	}
	orders := pipeline.Map(lines, pipeline.SkipErrors(parse, func(_ string, err error) { report(err) }))
	orders = pipeline.Map(orders, pipeline.SkipErrors(validate, func(_ order, err error) { report(err) }))
	orders = pipeline.Map(orders, pipeline.SkipErrors(enrich, func(_ order, err error) { report(err) }),
		pipeline.Workers(4), pipeline.Ordered())
	err := pipeline.ForEach(context.Background(), pipeline.Batch(orders, 2, time.Minute), store)
	fmt.Println(err)
	slices.Sort(bad)
	fmt.Println(strings.Join(bad, "\n"))
	// Output:
	// stored [{1 Ann Lee 1250} {3 Cid Moe 300}]
	// stored [{6 Bob Ray 50}]
	// <nil>
	// order 4: a negative amount
	// order 5: no customer "dan"
	// strconv.Atoi: parsing "oops": invalid syntax
}

func ExampleMap() {
	numbers := pipeline.Map(pipeline.Of("1", "2", "three", "4"), pipeline.Try(strconv.Atoi))
	doubled := pipeline.Map(numbers, pipeline.Pure(func(n int) int { return 2 * n }))
	fmt.Println(pipeline.Collect(context.Background(), doubled))
	// Output: [2 4] strconv.Atoi: parsing "three": invalid syntax
}

func ExampleMap_workers() {
	fetch := func(_ context.Context, page int) (string, error) { return fmt.Sprint("page ", page), nil }
	// Four at once; without Ordered, they would come as they are ready.
	pages := pipeline.Map(pipeline.Of(1, 2, 3, 4, 5, 6), fetch, pipeline.Workers(4), pipeline.Ordered())
	for page, err := range pages.All(context.Background()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(page)
	}
	// Output:
	// page 1
	// page 2
	// page 3
	// page 4
	// page 5
	// page 6
}

func ExampleMap_byKey() {
	type payment struct {
		account string
		amount  int
	}
	payments := pipeline.Of(payment{"a", 10}, payment{"b", 5}, payment{"a", -10}, payment{"b", 7}, payment{"a", 1})
	// Accounts are worked on at the same time, the payments of one in turn.
	var mu sync.Mutex
	history := map[string][]int{}
	book := func(_ context.Context, p payment) (payment, error) {
		mu.Lock()
		defer mu.Unlock()
		history[p.account] = append(history[p.account], p.amount)
		return p, nil
	}
	byAccount := pipeline.ByKey(func(p payment) string { return p.account })
	err := pipeline.Run(context.Background(), pipeline.Map(payments, book, pipeline.Workers(8), byAccount))
	fmt.Println(history, err)
	// Output: map[a:[10 -10 1] b:[5 7]] <nil>
}

func ExampleFilter() {
	even := func(_ context.Context, n int) (bool, error) { return n%2 == 0, nil }
	fmt.Println(pipeline.Collect(context.Background(), pipeline.Filter(pipeline.Of(1, 2, 3, 4), even)))
	// Output: [2 4] <nil>
}

func ExampleFlatMap() {
	words := func(_ context.Context, line string) pipeline.Stream[string] {
		return pipeline.FromSeq(strings.FieldsSeq(line))
	}
	fmt.Println(pipeline.Collect(context.Background(), pipeline.FlatMap(pipeline.Of("one two", "", "three"), words)))
	// Output: [one two three] <nil>
}

func ExampleBatch() {
	batches := pipeline.Batch(pipeline.Of(1, 2, 3, 4, 5, 6, 7), 3, time.Minute)
	err := pipeline.ForEach(context.Background(), batches, func(_ context.Context, batch []int) error {
		fmt.Println("insert", batch)
		return nil
	})
	fmt.Println(err)
	// Output:
	// insert [1 2 3]
	// insert [4 5 6]
	// insert [7]
	// <nil>
}

func ExampleBatcher() {
	ctx := context.Background()
	b := pipeline.NewBatcher(2, time.Minute, func(_ context.Context, events []string) error {
		fmt.Println("send", events)
		return nil
	})
	// Such as in handlers of requests.
	for _, event := range []string{"login", "search", "logout"} {
		if err := b.Add(ctx, event); err != nil {
			fmt.Println(err)
		}
	}
	// At the end of the program.
	fmt.Println(b.Close(ctx))
	fmt.Println(b.Add(ctx, "late"))
	// Output:
	// send [login search]
	// send [logout]
	// <nil>
	// pipeline: closed
}

func ExampleWindow() {
	visits := pipeline.Of("/", "/about", "/")
	// They all come at once here, and so within the first hour.
	for hour, err := range pipeline.Window(visits, time.Hour).All(context.Background()) {
		fmt.Println(hour.End.Sub(hour.Start), hour.Items, err)
	}
	// Output: 1h0m0s [/ /about /] <nil>
}

func ExampleGroupBy() {
	visits := pipeline.Of("/", "/about", "/", "/contact", "/about", "/", "/imprint")
	path := func(visit string) string { return visit }
	count := func(n int, _ string) int { return n + 1 }
	// At most 2 paths are told apart, so that memory is bounded, whatever comes.
	for hour, err := range pipeline.GroupBy(pipeline.Window(visits, time.Hour), path, 2, count).All(context.Background()) {
		fmt.Println(hour.Values, "others:", hour.Other, err)
	}
	// Output: map[/:3 /about:2] others: 2 <nil>
}

func ExampleDebounce() {
	typed := pipeline.Of("s", "se", "sea", "sear", "search")
	for query, err := range pipeline.Debounce(typed, time.Minute).All(context.Background()) {
		fmt.Println(query, err)
	}
	// Output: search <nil>
}

// turns is a Waiter that lets so many through.
type turns int

var errNoTurns = errors.New("no turns left")

func (t *turns) Wait(context.Context) error {
	if *t == 0 {
		return errNoTurns
	}
	*t--
	return nil
}

func ExampleThrottle() {
	limiter := turns(2) // in life, a rate limiter that waits
	calls := pipeline.Throttle(pipeline.Of("a", "b", "c"), &limiter)
	fmt.Println(pipeline.Collect(context.Background(), calls))
	// Output: [a b] no turns left
}

func ExampleBroadcast() {
	var stored []int
	var largest int
	store := pipeline.Into(func(_ context.Context, n int) error {
		stored = append(stored, n)
		return nil
	})
	watch := func(ctx context.Context, s pipeline.Stream[int]) (err error) {
		largest, err = pipeline.Fold(ctx, s, 0, func(a, n int) int { return max(a, n) })
		return err
	}
	err := pipeline.Broadcast(context.Background(), pipeline.Of(3, 9, 4), store, watch)
	fmt.Println(stored, largest, err)
	// Output: [3 9 4] 9 <nil>
}

func ExampleMerge() {
	eu, us := pipeline.Of("eu 1", "eu 2"), pipeline.Of("us 1")
	all, err := pipeline.Collect(context.Background(), pipeline.Merge(eu, us))
	slices.Sort(all) // they come as they do
	fmt.Println(all, err)
	// Output: [eu 1 eu 2 us 1] <nil>
}

func ExampleRecover() {
	s := pipeline.Map(pipeline.Of("1", "two", "3"), pipeline.Try(strconv.Atoi))
	s = pipeline.Recover(s, func(err error) error {
		if errors.Is(err, strconv.ErrSyntax) {
			fmt.Println("left out:", err)
			return nil
		}
		return err
	})
	fmt.Println(pipeline.Collect(context.Background(), s))
	// Output:
	// left out: strconv.Atoi: parsing "two": invalid syntax
	// [1 3] <nil>
}

func ExampleSkipErrors() {
	parse := pipeline.SkipErrors(pipeline.Try(strconv.Atoi), func(item string, err error) {
		fmt.Printf("%q: %v\n", item, errors.Unwrap(err))
	})
	fmt.Println(pipeline.Collect(context.Background(), pipeline.Map(pipeline.Of("1", "two", "3"), parse)))
	// Output:
	// "two": invalid syntax
	// [1 3] <nil>
}

func ExampleReduce() {
	join := func(_ context.Context, a, b string) (string, error) { return a + b, nil }
	// Neighbours are joined at the same time, and what comes of them in order.
	word, ok, err := pipeline.Reduce(context.Background(), pipeline.Of("c", "o", "n", "c", "e", "r", "t"), join, pipeline.Workers(4))
	fmt.Println(word, ok, err)
	// Output: concert true <nil>
}

func ExampleChan() {
	squares := pipeline.Map(pipeline.Of(1, 2, 3, 4), pipeline.Pure(func(n int) int { return n * n }))
	ch, stop := pipeline.Chan(context.Background(), squares)
	for n := range ch {
		fmt.Println(n)
		if n > 3 {
			break
		}
	}
	fmt.Println(stop()) // nothing is left behind
	// Output:
	// 1
	// 4
	// <nil>
}

func ExampleStream_All() {
	s := pipeline.Map(pipeline.Of("1", "2", "x", "3"), pipeline.Try(strconv.Atoi))
	for n, err := range s.All(context.Background()) {
		if err != nil {
			fmt.Println("stopped:", err)
			break
		}
		fmt.Println(n)
	}
	// Output:
	// 1
	// 2
	// stopped: strconv.Atoi: parsing "x": invalid syntax
}

// A stage of one's own is a function that wraps a Stream.
func ExampleStream() {
	double := func(s pipeline.Stream[int]) pipeline.Stream[int] {
		return func(ctx context.Context) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for n, err := range s(ctx) {
					if !yield(n, err) || err == nil && !yield(n, nil) {
						return
					}
				}
			}
		}
	}
	fmt.Println(pipeline.Collect(context.Background(), double(pipeline.Of(1, 2))))
	// Output: [1 1 2 2] <nil>
}

func ExampleGenerate() {
	// Pages of a service, until one is empty.
	pages := map[int][]string{1: {"a", "b"}, 2: {"c"}}
	items := pipeline.Generate(func(_ context.Context, emit func(string) bool) error {
		for page := 1; ; page++ {
			items := pages[page]
			if len(items) == 0 {
				return nil
			}
			for _, item := range items {
				if !emit(item) {
					return nil
				}
			}
		}
	})
	fmt.Println(pipeline.Collect(context.Background(), items))
	fmt.Println(pipeline.First(context.Background(), items))
	// Output:
	// [a b c] <nil>
	// a true <nil>
}

// A program is told to stop while events are in a batch: they are stored before
// it ends.
func ExampleUntil() {
	stop, cancel := context.WithCancel(context.Background()) // in life, by signal.NotifyContext
	events := make(chan string)
	go func() {
		for _, event := range []string{"login", "search", "logout"} {
			events <- event
		}
		cancel()
	}()
	batches := pipeline.Batch(pipeline.Until(stop, pipeline.FromChan(events)), 2, time.Hour)
	err := pipeline.ForEach(context.WithoutCancel(stop), batches, func(_ context.Context, batch []string) error {
		fmt.Println("stored", batch)
		return nil
	})
	fmt.Println("stopped:", err)
	// Output:
	// stored [login search]
	// stored [logout]
	// stopped: <nil>
}

func ExampleSend() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	ch := make(chan string, 1)
	fmt.Println(pipeline.Send(ctx, ch, "there is room"))
	fmt.Println(pipeline.Send(ctx, ch, "there is none"))
	// Output:
	// <nil>
	// context deadline exceeded
}

func ExampleFan() {
	count := func(from, to int) <-chan int {
		ch := make(chan int)
		go func() {
			defer close(ch)
			for n := from; n < to; n++ {
				ch <- n
			}
		}()
		return ch
	}
	sum := 0
	for n := range pipeline.Fan(context.Background(), count(0, 5), count(5, 10)) {
		sum += n
	}
	fmt.Println(sum)
	// Output: 45
}
