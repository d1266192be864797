package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/pipeline"
)

// sold is an event of an order.
func sold(region string, cents int, millis int, failed bool) event {
	return event{data: fmt.Sprintf(`{"region": %q, "cents": %d, "ms": %d, "failed": %t}`, region, cents, millis, failed)}
}

// emitAll emits events with their numbers, and the given time after each.
func emitAll(emit func(event) bool, pause time.Duration, events ...event) {
	for i, e := range events {
		e.id = strconv.Itoa(i + 1)
		if !emit(e) {
			return
		}
		time.Sleep(pause)
	}
}

// trace runs a monitor, in a bubble, and returns it with what it has shown. The
// times are those since the beginning.
func trace(t *testing.T, ctx context.Context, read source) (m *monitor, shown string, err error) {
	t.Helper()
	var out bytes.Buffer
	start := time.Now()
	m = &monitor{screen: newScreen(&out), window: time.Second}
	err = m.run(ctx, read)
	shown = out.String()
	for at := time.Duration(0); at < time.Minute; at += 100 * time.Millisecond {
		shown = strings.ReplaceAll(shown, clock(start.Add(at))+"  ", fmt.Sprintf("%.1f  ", at.Seconds()))
	}
	assert.Equal(t, m.read, m.bad+m.counted+m.others, "all that was read is somewhere")
	return m, shown, err
}

func TestMonitor_windows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, shown, err := trace(t, t.Context(), func(_ context.Context, emit func(event) bool) error {
			emitAll(emit, 10*time.Millisecond,
				sold("us", 1005, 30, false), sold("eu", 250, 10, false), sold("us", 1, 20, true), sold("us", 1000, 10, false))
			time.Sleep(3 * time.Second) // nothing comes in two windows
			emitAll(emit, 10*time.Millisecond,
				sold("e", 0, 1, false), sold("d", 0, 1, false), sold("c", 0, 1, false), sold("b", 0, 1, false),
				sold("a", 0, 1, false), sold("e", 99, 3, false), sold("f", 0, 1, false))
			return nil
		})
		require.NoError(t, err)
		assert.Equal(t, `TIME        REGION        ORDERS  FAILED    REVENUE  P50 MS  P95 MS
1.0  eu                 1       0       2.50      10      10
1.0  us                 3       1      20.05      20      30
4.0  b                  1       0       0.00       1       1
4.0  c                  1       0       0.00       1       1
4.0  d                  1       0       0.00       1       1
4.0  e                  2       0       0.99       1       3
4.0  (others)           2
`, shown)
		assert.Equal(t, "\nRead 11 events: 0 bad, 11 orders in 2 windows, 0 lost.\n"+
			"Orders of further regions: 2. Alerts: 0. Broken connections: 0.\n", m.summary())
	})
}

// A flood of bad events brings a line in a second, and all of them are counted.
func TestMonitor_badEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := make([]event, 250)
		for i := range bad {
			bad[i].data = `{"region": "eu"`
		}
		m, shown, err := trace(t, t.Context(), func(_ context.Context, emit func(event) bool) error {
			emitAll(emit, 10*time.Millisecond, bad...)
			return nil
		})
		require.NoError(t, err)
		assert.Equal(t, `0.0  bad event "1": unexpected end of JSON input (1 so far)
1.0  bad event "101": unexpected end of JSON input (101 so far)
2.0  bad event "201": unexpected end of JSON input (201 so far)
`, shown)
		assert.Equal(t, 250, m.bad)
	})
}

// When ctx ends, what has been read is still shown, and at once.
func TestMonitor_stopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		start := time.Now()
		m, shown, err := trace(t, ctx, func(ctx context.Context, emit func(event) bool) error {
			emitAll(emit, 0, sold("eu", 1, 1, false))
			time.Sleep(1200 * time.Millisecond)
			emitAll(emit, 0, sold("us", 1, 1, false))
			<-ctx.Done()
			emitAll(emit, 0, sold("asia", 1, 1, false)) // it was on its way
			return ctx.Err()
		})
		require.NoError(t, err)
		assert.Equal(t, 1500*time.Millisecond, time.Since(start))
		assert.Equal(t, 3, m.counted)
		assert.Equal(t, 2, m.windows)
		assert.Contains(t, shown, "2.0  asia ")
		assert.Contains(t, shown, "2.0  us ")
	})
}

// An error of the source does not take away what came before it.
func TestMonitor_sourceFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		m, shown, err := trace(t, t.Context(), func(_ context.Context, emit func(event) bool) error {
			emitAll(emit, 0, sold("eu", 1, 1, false))
			return broken
		})
		require.ErrorIs(t, err, broken)
		require.EqualError(t, err, "reading the stream: broken")
		assert.Equal(t, 1, m.counted)
		assert.Contains(t, shown, "1.0  eu ")
	})
}

// phase is a time in which a share of the orders fails; there are 100 in a second.
type phase struct {
	length  time.Duration
	percent int
}

func TestMonitor_alerts(t *testing.T) {
	const second = time.Second
	for name, test := range map[string]struct {
		phases []phase
		want   string
	}{
		"calm":               {[]phase{{10 * second, 4}}, ""},
		"on and off":         {[]phase{{4 * second, 0}, {5 * second, 30}, {9 * second, 0}}, "5.7 ALERT, 11.7 over"},
		"from the beginning": {[]phase{{5 * second, 50}}, "1.2 ALERT"},
		"for a moment":       {[]phase{{4 * second, 0}, {100 * time.Millisecond, 100}, {5 * second, 0}}, ""},
		"twice":              {[]phase{{4 * second, 50}, {5 * second, 0}, {4 * second, 50}, {5 * second, 0}}, "1.2 ALERT, 6.7 over, 10.2 ALERT, 15.7 over"},
		"in between":         {[]phase{{3 * second, 50}, {9 * second, 7}, {4 * second, 0}}, "1.2 ALERT, 13.7 over"},
		"never so bad":       {[]phase{{3 * second, 0}, {9 * second, 8}}, ""},
		"calm for a moment":  {[]phase{{4 * second, 50}, {2250 * time.Millisecond, 0}, {4 * second, 100}}, "1.2 ALERT"},
		"few orders":         {[]phase{{100 * time.Millisecond, 100}, {5 * second, -1}}, ""},
		"at the end":         {[]phase{{4 * second, 0}, {time.Second, 100}}, "5.0 ALERT"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, shown, err := trace(t, t.Context(), func(_ context.Context, emit func(event) bool) error {
					for _, p := range test.phases {
						for n := range int(p.length / (10 * time.Millisecond)) {
							if p.percent >= 0 { // else there are none
								emit(sold("eu", 1, 1, n*37%100 < p.percent))
							}
							time.Sleep(10 * time.Millisecond)
						}
					}
					return nil
				})
				require.NoError(t, err)
				var alerts []string
				for line := range strings.Lines(shown) {
					if at, what, _ := strings.Cut(line, "  "); strings.Contains(what, "% of the orders in 2s failed\n") {
						what, _, _ = strings.Cut(what, ":")
						alerts = append(alerts, at+" "+what)
					}
				}
				assert.Equal(t, test.want, strings.Join(alerts, ", "))
			})
		})
	}
}

func TestParse(t *testing.T) {
	o, err := parse(event{data: `{"region": "eu-1", "cents": 7, "ms": 8, "failed": true, "more": []}`})
	require.NoError(t, err)
	assert.Equal(t, order{Region: "eu-1", Cents: 7, Millis: 8, Failed: true}, o)

	for data, want := range map[string]string{
		``:                                       "unexpected end of JSON input",
		`null`:                                   "region: want up to 12 small letters, digits and hyphens",
		`{"cents": 1}`:                           "region: want ",
		`{"region": "eu\u001b[2J"}`:              "region: want ",
		`{"region": "e!u"}`:                      "region: want ",
		`{"region": "abcdefghijklm"}`:            "region: want ",
		`{"region": "eu", "cents": 1.5}`:         "cannot unmarshal number 1.5 ",
		`{"region": "eu", "cents": -1}`:          "cents: want 0 or more and at most 100000000",
		`{"region": "eu", "cents": 10000000000}`: "cents: want ",
		`{"region": "eu", "ms": -1}`:             "ms: want 0 or more",
		`{"region": "eu"} {}`:                    "invalid character '{' after top-level value",
	} {
		_, err := parse(event{data: data})
		require.ErrorContains(t, err, want, data)
	}
}

func TestPercentile(t *testing.T) {
	var sorted []int64
	for n := range 100 {
		sorted = append(sorted, int64(n+1))
	}
	assert.EqualValues(t, 50, percentile(sorted, 50))
	assert.EqualValues(t, 95, percentile(sorted, 95))
	assert.EqualValues(t, 1, percentile(sorted[:1], 50))
	assert.EqualValues(t, 1, percentile(sorted[:2], 50))
	assert.EqualValues(t, 2, percentile(sorted[:2], 95))
}

func TestAlarm(t *testing.T) {
	few := pipeline.Windowed[bool]{Items: make([]bool, alertLeast-1)}
	assert.True(t, alarm{on: true}.next(few).on, "nobody knows whether it is over")
}
