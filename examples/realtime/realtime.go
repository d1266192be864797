package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed4886185c/concert/pipeline"
)

const (
	maxRegions = 4 // in a window: their names come from outside
	maxCents   = 100_000_000

	alertSpan  = 2 * time.Second // the orders that an alert is about
	alertEvery = 500 * time.Millisecond
	alertQuiet = 750 * time.Millisecond // what lasts less than that is not worth a line
	alertAt    = 0.10                   // the share of orders that fail
	calmAt     = 0.05                   // a share in between changes nothing
	alertLeast = 20                     // orders; fewer say nothing
)

// order is what an event tells.
type order struct {
	Region string `json:"region"`
	Cents  int64  `json:"cents"`
	Millis int64  `json:"ms"` // that it took
	Failed bool   `json:"failed"`
}

// parse makes an order of an event.
func parse(e event) (order, error) {
	var o order
	if err := json.Unmarshal([]byte(e.data), &o); err != nil {
		return o, err
	}
	switch {
	case o.Region == "" || len(o.Region) > 12 || strings.Trim(o.Region, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
		return o, errors.New("region: want up to 12 small letters, digits and hyphens")
	case o.Cents < 0 || o.Cents > maxCents:
		return o, fmt.Errorf("cents: want 0 or more and at most %d", maxCents)
	case o.Millis < 0:
		return o, errors.New("ms: want 0 or more")
	}
	return o, nil
}

// monitor shows the orders of a stream.
type monitor struct {
	screen *screen
	window time.Duration

	// Each is written in one goroutine, and read after the run.
	read, bad, breaks        int       // of the source
	told                     time.Time // when reject last did
	sourceErr                error
	counted, others, windows int // of byRegion
	alerts                   int // of watchFailures
}

// run shows what comes from the source until that ends, or ctx does. Only the
// source is told that ctx has ended: the windows end because there is no more, and
// not without what is in them.
func (m *monitor) run(ctx context.Context, read source) error {
	events := pipeline.Recover(pipeline.Until(ctx, pipeline.Generate(read)), m.fail)
	counted := pipeline.Tap(events, func(event) { m.read++ })
	orders := pipeline.Map(counted, pipeline.SkipErrors(pipeline.Try(parse), m.reject))
	err := pipeline.Broadcast(context.WithoutCancel(ctx), orders, m.byRegion, m.watchFailures)
	return errors.Join(err, m.sourceErr)
}

// fail keeps the error of the source, which would end the windows, too, and lose
// what is in them.
func (m *monitor) fail(err error) error {
	m.sourceErr = fmt.Errorf("reading the stream: %w", err)
	return nil
}

// reject counts a bad event. It tells of one in a second: there may be many.
func (m *monitor) reject(e event, err error) {
	m.bad++
	if time.Since(m.told) >= time.Second {
		m.told = time.Now()
		m.screen.line("bad event %q: %v (%d so far)", e.id, err, m.bad)
	}
}

// reconnect counts a connection that broke, and tells of it.
func (m *monitor) reconnect(err error, delay time.Duration) {
	m.breaks++
	m.screen.line("no stream: %v; trying again in %v", err, delay.Round(time.Millisecond))
}

// byRegion is a sink that shows a table for each window. An order belongs to that
// in which it comes, and so it is never too late.
func (m *monitor) byRegion(ctx context.Context, orders pipeline.Stream[order]) error {
	region := func(o order) string { return o.Region }
	windows := pipeline.GroupBy(pipeline.Window(orders, m.window), region, maxRegions, stats.add)
	return pipeline.ForEach(ctx, windows, m.show)
}

// stats is what is told of the orders of a region.
type stats struct {
	orders, failed int
	cents          int64   // of those that did not fail
	millis         []int64 // of each
}

// add returns s with one order more.
func (s stats) add(o order) stats {
	s.orders++
	if o.Failed {
		s.failed++
	} else {
		s.cents += o.Cents
	}
	s.millis = append(s.millis, o.Millis)
	return s
}

// percentile returns the least of some numbers that p percent of them do not
// exceed.
func percentile(sorted []int64, p int) int64 { return sorted[(len(sorted)*p+99)/100-1] }

const row = "%-10s  %-12s  %6v  %6v  %9v  %6v  %6v\n"

// show shows a window.
func (m *monitor) show(_ context.Context, w pipeline.Grouped[string, stats]) error {
	var table strings.Builder
	for _, region := range slices.Sorted(maps.Keys(w.Values)) {
		s := w.Values[region]
		slices.Sort(s.millis)
		_, _ = fmt.Fprintf(&table, row, clock(w.End), region, s.orders, s.failed,
			fmt.Sprintf("%d.%02d", s.cents/100, s.cents%100), percentile(s.millis, 50), percentile(s.millis, 95))
		m.counted += s.orders
	}
	if w.Other > 0 {
		_, _ = fmt.Fprintf(&table, "%-10s  %-12s  %6v\n", clock(w.End), "(others)", w.Other)
	}
	m.others += w.Other
	m.windows++
	return m.screen.table(fmt.Sprintf(row, "TIME", "REGION", "ORDERS", "FAILED", "REVENUE", "P50 MS", "P95 MS"), table.String())
}

// watchFailures is a sink that tells when many orders begin to fail, and when they
// no longer do. It tells of a change that lasts, unless that leads back to what it
// has told before.
func (m *monitor) watchFailures(ctx context.Context, orders pipeline.Stream[order]) error {
	failures := pipeline.Map(orders, pipeline.Pure(func(o order) bool { return o.Failed }))
	states := pipeline.Scan(pipeline.Sliding(failures, alertSpan, alertEvery), alarm{}, alarm.next)
	changes := pipeline.Distinct(states, alarm.raised, 1)
	lasting := pipeline.SkipWhile(pipeline.Debounce(changes, alertQuiet), alarm.calm)
	return pipeline.ForEach(ctx, pipeline.Distinct(lasting, alarm.raised, 1), m.alert)
}

// alarm is the state of the orders in a window.
type alarm struct {
	on   bool
	rate float64 // the share of orders that failed
}

// next returns the state after one more window.
func (a alarm) next(w pipeline.Windowed[bool]) alarm {
	if len(w.Items) < alertLeast {
		return a
	}
	failed := 0
	for _, f := range w.Items {
		if f {
			failed++
		}
	}
	limit := alertAt
	if a.on {
		limit = calmAt
	}
	rate := float64(failed) / float64(len(w.Items))
	return alarm{on: rate >= limit, rate: rate}
}

func (a alarm) raised() bool { return a.on }

func (a alarm) calm() bool { return !a.on }

// alert tells of a change.
func (m *monitor) alert(_ context.Context, a alarm) error {
	what := "over"
	if a.on {
		what = "ALERT"
		m.alerts++
	}
	m.screen.line("%s: %.1f %% of the orders in %v failed", what, 100*a.rate, alertSpan)
	return nil
}

// summary tells what became of all that was read.
func (m *monitor) summary() string {
	counted := m.counted + m.others
	return fmt.Sprintf("\nRead %d events: %d bad, %d orders in %d windows, %d lost.\n"+
		"Orders of further regions: %d. Alerts: %d. Broken connections: %d.\n",
		m.read, m.bad, counted, m.windows, m.read-m.bad-counted, m.others, m.alerts, m.breaks)
}
