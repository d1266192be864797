package gather_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed4886185c/concert/gather"
)

// A widget is one part of a page; each comes from a service of its own.
type widget struct {
	name string
	load gather.Task[string]
}

// render loads all widgets at once and shows each that comes in time. One
// that fails, hangs or panics costs the page nothing but that widget.
func render(ctx context.Context, widgets []widget) {
	results := gather.Map(ctx, widgets, func(ctx context.Context, w widget) (string, error) {
		return w.load(ctx)
	}, gather.TaskTimeout(50*time.Millisecond), gather.Limit(16))

	for i, r := range results {
		fmt.Printf("%-8s %s\n", widgets[i].name, show(r))
	}
}

func show(r gather.Result[string]) string {
	var p *gather.PanicError
	switch {
	case errors.Is(r.Err, gather.ErrNotRun):
		return "(not asked)"
	case errors.As(r.Err, &p):
		return fmt.Sprintf("(bug: %v)", p.Value)
	case errors.Is(r.Err, context.DeadlineExceeded):
		return "(too slow)"
	case r.Err != nil:
		return fmt.Sprintf("(%v)", r.Err)
	}
	return r.Value
}

// A page of several parts shows those that came beside the errors of the
// others.
func Example_dashboard() {
	render(context.Background(), []widget{
		{"orders", func(context.Context) (string, error) { return "17 new", nil }},
		{"stock", func(context.Context) (string, error) { return "", errors.New("database is down") }},
		{"weather", func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() }},
		{"news", func(context.Context) (string, error) { return strings.Fields("")[0], nil }},
		{"clock", func(context.Context) (string, error) { return "12:00", nil }},
	})
	// Output:
	// orders   17 new
	// stock    (database is down)
	// weather  (too slow)
	// news     (bug: runtime error: index out of range [0] with length 0)
	// clock    12:00
}
