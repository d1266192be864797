package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/breaker"
)

// A slowTrip is one Trip as the model sees it. Kinds are "" (the zero Trip),
// "consecutive", "rate", "last" and "slow".
type slowTrip struct {
	kind   string
	ratio  float64
	n      int
	window time.Duration
}

func (r slowTrip) trip() breaker.Trip {
	switch r.kind {
	case "consecutive":
		return breaker.Consecutive(r.n)
	case "rate":
		return breaker.Rate(r.ratio, r.n, r.window)
	case "last":
		return breaker.LastN(r.ratio, r.n)
	case "slow":
		return breaker.SlowRate(r.ratio, r.n, r.window)
	}
	return breaker.Trip{}
}

// part is which tenth of the window, counted from since, t is in. They are
// whole nanoseconds, rather too long than too short.
func (r slowTrip) part(since, t time.Duration) time.Duration { return (t - since) / r.width() }

func (r slowTrip) width() time.Duration { return (r.window + 9) / 10 }

// met reports whether calls, those that succeeded or failed since the breaker
// closed, in the order of their ends, trip it now.
func (r slowTrip) met(calls []*slowCall, since, now time.Duration) bool {
	failed := func(c *slowCall) bool { return c.outcome == breaker.Failure }
	switch r.kind {
	case "":
		return slowTrip{kind: "consecutive", n: 5}.met(calls, since, now)
	case "consecutive":
		return len(calls) >= r.n && share(calls[len(calls)-r.n:], failed) == 1
	case "last":
		return len(calls) >= r.n && share(calls[len(calls)-r.n:], failed) >= r.ratio
	}
	calls = slices.DeleteFunc(slices.Clone(calls), func(c *slowCall) bool {
		return r.part(since, c.ended) <= r.part(since, now)-10
	})
	if r.kind == "slow" {
		failed = func(c *slowCall) bool { return c.slow }
	}
	return len(calls) >= r.n && share(calls, failed) >= r.ratio
}

// share is how large a part of calls is so.
func share(calls []*slowCall, is func(*slowCall) bool) float64 {
	n := 0
	for _, c := range calls {
		if is(c) {
			n++
		}
	}
	return float64(n) / float64(len(calls))
}

// errUnnamed stands for an error that the package makes itself.
var errUnnamed = errors.New("unnamed")

// A slowCall is a call as the model remembers it.
type slowCall struct {
	stay         int
	began, ended time.Duration
	over         bool
	probe        bool
	outcome      breaker.Outcome
	slow         bool
}

// A slowBreaker is a model of a Breaker that remembers every call and counts
// them anew each time. Its times are from when it was made.
type slowBreaker struct {
	settings breaker.Settings // with the defaults in place
	trips    []slowTrip

	now     time.Duration
	start   time.Time
	mode    breaker.Mode
	state   breaker.State
	stay    int           // goes up whenever what is counted begins anew
	since   time.Duration // when the stay began
	openAt  time.Duration // when the time for which it is open began
	openFor time.Duration // how long it is open, or was last

	begun    []*slowCall
	ended    []*slowCall // of those, in the order of their ends
	rejected []int       // the stay of each
	changes  []breaker.Change
}

func (m *slowBreaker) counts() breaker.Counts {
	var c breaker.Counts
	for _, call := range m.ended {
		if call.stay != m.stay {
			continue
		}
		switch call.outcome {
		case breaker.Success:
			c.Successes++
			c.ConsecutiveSuccesses++
			c.ConsecutiveFailures = 0
		case breaker.Failure:
			c.Failures++
			c.ConsecutiveFailures++
			c.ConsecutiveSuccesses = 0
		case breaker.Ignored:
			c.Ignored++
		}
		if call.slow {
			c.Slow++
		}
	}
	for _, stay := range m.rejected {
		if stay == m.stay {
			c.Rejected++
		}
	}
	return c
}

// classified are the calls of this stay that succeeded or failed.
func (m *slowBreaker) classified() []*slowCall {
	var calls []*slowCall
	for _, c := range m.ended {
		if c.stay == m.stay && c.outcome != breaker.Ignored {
			calls = append(calls, c)
		}
	}
	return calls
}

// slots returns how many more probes may begin.
func (m *slowBreaker) slots() int {
	n := m.settings.Probes
	for _, c := range m.begun {
		if c.stay == m.stay && (!c.over || c.outcome != breaker.Ignored) {
			n--
		}
	}
	return n
}

// due returns the probe that will be overdue first.
func (m *slowBreaker) due() (probe *slowCall, at time.Duration) {
	if m.state == breaker.HalfOpen {
		for _, c := range m.begun {
			if c.stay == m.stay && !c.over { // the first begun is the first due
				return c, c.began + m.settings.ProbeTimeout
			}
		}
	}
	return nil, 0
}

// grown is how long the breaker is open after a failed probe.
func (m *slowBreaker) grown() time.Duration {
	if m.settings.MaxOpenFor == 0 {
		return m.settings.OpenFor
	}
	return min(2*m.openFor, m.settings.MaxOpenFor)
}

// change goes to a state, or to the same one with nothing counted.
func (m *slowBreaker) change(to breaker.State, at time.Duration, err error) {
	if to != m.state {
		m.changes = append(m.changes, breaker.Change{
			Name: m.settings.Name, From: m.state, To: to, Counts: m.counts(), Err: err, At: m.start.Add(at),
		})
	}
	m.state, m.since = to, at
	m.stay++
}

func (m *slowBreaker) open(openFor, at time.Duration, err error) {
	m.change(breaker.Open, at, err)
	m.openAt, m.openFor = at, openFor
}

// notice makes the changes that are due. An overdue probe has failed, and opens
// the breaker, as of when it fell due, although it is still under way.
func (m *slowBreaker) notice() {
	if m.mode != breaker.Auto {
		return
	}
	if probe, at := m.due(); probe != nil && at <= m.now {
		m.ended = append(m.ended, &slowCall{
			stay: m.stay, outcome: breaker.Failure,
			slow: m.settings.SlowCall > 0 && m.settings.ProbeTimeout >= m.settings.SlowCall,
		})
		m.open(m.grown(), at, errUnnamed)
	}
	if m.state == breaker.Open && m.openAt+m.openFor <= m.now {
		m.change(breaker.HalfOpen, m.now, nil)
	}
}

func (m *slowBreaker) begin() (*slowCall, *breaker.OpenError) {
	m.notice()
	var rejection *breaker.OpenError
	switch {
	case m.mode == breaker.Isolated:
		rejection = &breaker.OpenError{State: breaker.Open}
	case m.state == breaker.Open:
		rejection = &breaker.OpenError{State: breaker.Open, After: m.openAt + m.openFor - m.now}
	case m.state == breaker.HalfOpen && m.slots() == 0:
		_, at := m.due()
		rejection = &breaker.OpenError{State: breaker.HalfOpen, After: at - m.now}
	}
	if rejection != nil {
		rejection.Name = m.settings.Name
		m.rejected = append(m.rejected, m.stay)
		return nil, rejection
	}
	call := &slowCall{stay: m.stay, began: m.now, probe: m.state == breaker.HalfOpen}
	m.begun = append(m.begun, call)
	return call, nil
}

func (m *slowBreaker) finish(call *slowCall, at time.Duration, outcome breaker.Outcome) {
	call.over, call.ended, call.outcome = true, at, outcome
	call.slow = m.settings.SlowCall > 0 && at-call.began >= m.settings.SlowCall
	m.ended = append(m.ended, call)
}

func (m *slowBreaker) end(call *slowCall, outcome breaker.Outcome, err error) {
	if call.probe { // the end of any other call makes no change that is due
		m.notice()
	}
	if call.stay != m.stay {
		return
	}
	m.finish(call, m.now, outcome)
	switch {
	case m.mode != breaker.Auto || outcome == breaker.Ignored:
	case m.state == breaker.HalfOpen && outcome == breaker.Failure:
		m.open(m.grown(), m.now, err)
	case m.state == breaker.HalfOpen && len(m.classified()) == m.settings.Probes:
		m.change(breaker.Closed, m.now, err)
	case m.state == breaker.Closed:
		for _, trip := range m.trips {
			if trip.met(m.classified(), m.since, m.now) {
				m.open(m.settings.OpenFor, m.now, err)
				return
			}
		}
	}
}

func (m *slowBreaker) openByHand() {
	if m.mode != breaker.Auto {
		return
	}
	m.notice()
	m.open(m.settings.OpenFor, m.now, nil)
}

func (m *slowBreaker) closeByHand() {
	if m.mode != breaker.Auto {
		return
	}
	m.notice()
	m.change(breaker.Closed, m.now, nil)
}

func (m *slowBreaker) force(mode breaker.Mode) {
	m.notice()
	if m.mode == mode {
		return
	}
	m.mode = mode
	if mode == breaker.Isolated {
		m.change(breaker.Open, m.now, nil)
	} else {
		m.change(breaker.Closed, m.now, nil)
	}
}

// step returns how long it is until something may happen: until the state
// changes or, if it will not by itself, or everything is asked for, until a call
// becomes slow or a part of a window ends.
func (m *slowBreaker) step(everything bool) time.Duration {
	var at []time.Duration
	if m.mode == breaker.Auto {
		if m.state == breaker.Open {
			at = append(at, m.openAt+m.openFor)
		}
		if probe, due := m.due(); probe != nil {
			at = append(at, due, due+m.grown())
		}
	}
	past := func(t time.Duration) bool { return t <= m.now }
	at = slices.DeleteFunc(at, past)
	if everything || len(at) == 0 {
		for _, c := range m.begun {
			if !c.over {
				at = append(at, c.began+m.settings.SlowCall)
			}
		}
		for _, r := range m.trips {
			if r.window > 0 {
				next := r.part(m.since, m.now) + 1
				at = append(at, m.since+next*r.width())
			}
		}
		at = slices.DeleteFunc(at, past)
	}
	if len(at) == 0 {
		return 0
	}
	return slices.Min(at) - m.now
}

// A scriptedError tells the Classify of a script what it is.
type scriptedError struct {
	n       int
	outcome breaker.Outcome
	panics  bool
}

func (e *scriptedError) Error() string { return fmt.Sprint(e.outcome, " ", e.n) }

func classifyScripted(_ context.Context, err error) breaker.Outcome {
	if s := new(scriptedError); errors.As(err, &s) {
		if s.panics {
			panic(s)
		}
		return s.outcome
	}
	return breaker.Success
}

// scriptedSettings makes settings out of bytes: OpenFor, MaxOpenFor, Probes,
// ProbeTimeout, SlowCall, Classify, and then four for each Trip.
func scriptedSettings(raw []byte) (breaker.Settings, []slowTrip) {
	next := func(n int) int {
		if len(raw) == 0 {
			return 0
		}
		i := int(raw[0]) % n
		raw = raw[1:]
		return i
	}
	s := breaker.Settings{Name: "scripted"}
	s.OpenFor = []time.Duration{0, time.Second, 3 * time.Second, 1700 * time.Millisecond, 10, 2}[next(6)]
	base := s.OpenFor
	if base == 0 {
		base = 30 * time.Second
	}
	s.MaxOpenFor = []time.Duration{0, base, base + base/2, 4 * base, 5 * base, 1000 * base}[next(6)]
	s.Probes = next(4)
	s.ProbeTimeout = []time.Duration{0, time.Second / 2, time.Second, 2500 * time.Millisecond, 1, time.Hour}[next(6)]
	s.SlowCall = []time.Duration{100 * time.Millisecond, time.Second, 5 * time.Second, 1, 0}[next(5)]
	if next(2) == 1 {
		s.Classify = classifyScripted
	}
	var trips []slowTrip
	for len(raw) > 0 && len(trips) < 3 {
		r := slowTrip{kind: []string{"", "consecutive", "rate", "last", "slow"}[next(5)]}
		r.n = []int{1, 2, 3, 4, 5, 11, 25}[next(7)]
		r.ratio = []float64{0.5, 1, 0.28, 0.01, 0.55, 1. / 3}[next(6)]
		window := []time.Duration{time.Second, 10 * time.Second, 30, 7, 1, 1234567891}[next(6)]
		if r.kind == "rate" || r.kind == "slow" {
			r.window = window
		}
		if r.kind == "slow" && s.SlowCall == 0 {
			s.SlowCall = time.Second
		}
		if len(trips) == 0 {
			s.Trip = r.trip()
		} else {
			s.Trip = breaker.AnyOf(s.Trip, r.trip())
		}
		trips = append(trips, r)
	}
	if trips == nil {
		trips = []slowTrip{{}}
	}
	return s, trips
}

// The operations of a script.
const operations = "a" + // begin a call through Allow
	"sfiw" + // end the first such call: success, failure, ignored, Classify panics
	"SFIW" + // end the last one
	"zZ" + // end the one again that ended last: success, failure
	"x" + // forget the first one
	"rRqkpg" + // Run: success, failure, ignored, Classify panics, panic, Goexit
	"tT" + // Run for as long as is slow: success, failure
	".,-_=" + // wait: 1ns, 10ms, 100ms, 1s, 7s
	"nNm" + // until the state changes, anything changes, 1ns before that
	"?#" + // State, Counts
	"OC01D" // Open, Close, Force

type scriptedCall struct {
	model  *slowCall
	done   func(error)
	cancel context.CancelFunc
}

// A script is played on a Breaker and on the model at the same time.
type script struct {
	t      *testing.T
	b      *breaker.Breaker
	m      *slowBreaker
	calls  []scriptedCall // begun and not ended
	last   *scriptedCall  // that ended
	seen   []breaker.Change
	errors int
	played strings.Builder
}

// play plays a script. If it watches, it looks at the state and the counts
// after each operation; otherwise only when told to, so that more than one
// change may be due.
func play(t *testing.T, raw, ops []byte, watch bool) {
	t.Helper()
	settings, trips := scriptedSettings(raw)
	s := &script{t: t}
	settings.OnChange = func(c breaker.Change) { s.seen = append(s.seen, c) }
	s.b = breaker.New(settings)
	if settings.OpenFor == 0 {
		settings.OpenFor = 30 * time.Second
	}
	if settings.Probes == 0 {
		settings.Probes = 1
	}
	if settings.ProbeTimeout == 0 {
		settings.ProbeTimeout = settings.OpenFor
	}
	s.m = &slowBreaker{settings: settings, trips: trips, start: time.Now()}
	fmt.Fprintf(&s.played, "%+v %+v\n", settings, trips)
	defer func() {
		for _, c := range s.calls {
			c.cancel()
		}
	}()
	for _, op := range append(slices.Clone(ops), '?', '#') {
		if strings.IndexByte(operations, op) < 0 {
			op = operations[int(op)%len(operations)]
		}
		s.played.WriteByte(op)
		s.operate(op)
		s.compare()
		if watch {
			s.operate('?')
			s.operate('#')
			s.compare()
		}
	}
}

// compare compares what OnChange saw with the model.
func (s *script) compare() {
	s.t.Helper()
	require.Len(s.t, s.seen, len(s.m.changes), "changes after %s\nseen: %v\nmodel: %v", &s.played, s.seen, s.m.changes)
	for i, want := range s.m.changes {
		got := s.seen[i]
		if want.Err == errUnnamed { //nolint:errorlint // the very same
			require.Error(s.t, got.Err, "error of change %d after %s", i, &s.played)
			want.Err = got.Err
		}
		require.True(s.t, want.Err == got.Err, //nolint:errorlint // the very same
			"error of change %d after %s: %v instead of %v", i, &s.played, got.Err, want.Err)
		require.True(s.t, want.At.Equal(got.At), "time of change %d after %s: %v instead of %v", i, &s.played, got.At, want.At)
		got.At, want.At = time.Time{}, time.Time{}
		require.Equal(s.t, want, got, "change %d after %s", i, &s.played)
	}
	s.seen, s.m.changes = nil, nil
}

func (s *script) wait(d time.Duration) {
	time.Sleep(d)
	s.m.now += d
}

func (s *script) operate(op byte) {
	switch op {
	case 'a':
		s.allow()
	case 's', 'f', 'i', 'w':
		if len(s.calls) > 0 {
			s.end(0, op)
		}
	case 'S', 'F', 'I', 'W':
		if len(s.calls) > 0 {
			s.end(len(s.calls)-1, op+'a'-'A')
		}
	case 'z', 'Z':
		if s.last != nil {
			s.last.done(s.error(map[byte]byte{'z': 's', 'Z': 'f'}[op]))
		}
	case 'x':
		if len(s.calls) > 0 {
			s.calls[0].cancel()
			s.calls = s.calls[1:]
		}
	case 'r', 'R', 'q', 'k', 'p', 'g', 't', 'T':
		s.run(op)
	case '.', ',', '-', '_', '=':
		s.wait(map[byte]time.Duration{'.': 1, ',': time.Second / 100, '-': time.Second / 10, '_': time.Second, '=': 7 * time.Second}[op])
	case 'n', 'N':
		s.wait(s.m.step(op == 'N'))
	case 'm':
		s.wait(max(0, s.m.step(false)-1))
	case '?':
		s.m.notice()
		require.Equal(s.t, s.m.state, s.b.State(), "state after %s", &s.played)
	case '#':
		s.m.notice()
		require.Equal(s.t, s.m.counts(), s.b.Counts(), "counts after %s", &s.played)
	case 'O':
		s.m.openByHand()
		s.b.Open()
	case 'C':
		s.m.closeByHand()
		s.b.Close()
	case '0', '1', 'D':
		mode := map[byte]breaker.Mode{'0': breaker.Auto, '1': breaker.Isolated, 'D': breaker.Disabled}[op]
		s.m.force(mode)
		s.b.Force(mode)
	}
}

// error makes an error for an outcome. Each is another one.
func (s *script) error(outcome byte) error {
	s.errors++
	switch {
	case outcome == 'w':
		return &scriptedError{n: s.errors, outcome: breaker.Failure, panics: s.m.settings.Classify != nil}
	case outcome == 'f':
		return &scriptedError{n: s.errors, outcome: breaker.Failure}
	case outcome == 'i':
		return &scriptedError{n: s.errors, outcome: breaker.Ignored}
	case s.m.settings.Classify != nil:
		return &scriptedError{n: s.errors, outcome: breaker.Success}
	}
	return nil
}

// reason is the error of a change that a call with err brings about.
func (s *script) reason(err error) error {
	if e := new(scriptedError); errors.As(err, &e) && e.panics {
		return errUnnamed
	}
	return err
}

func (s *script) allow() {
	ctx, cancel := context.WithCancel(s.t.Context())
	call, rejection := s.m.begin()
	done, err := s.b.Allow(ctx)
	s.admitted(rejection, err)
	if err != nil {
		require.Nil(s.t, done)
		cancel()
		return
	}
	s.calls = append(s.calls, scriptedCall{call, done, cancel})
}

// admitted compares whether a call was let through.
func (s *script) admitted(rejection *breaker.OpenError, err error) {
	s.t.Helper()
	if rejection == nil {
		require.NoError(s.t, err, "after %s", &s.played)
		return
	}
	require.ErrorIs(s.t, err, breaker.ErrOpen, "after %s", &s.played)
	var got *breaker.OpenError
	require.ErrorAs(s.t, err, &got)
	require.Equal(s.t, rejection, got, "after %s", &s.played)
	if rejection.State == breaker.Open && rejection.After > 0 {
		require.Equal(s.t, rejection.After, got.RetryAfter())
	} else {
		require.Equal(s.t, retryNoHint, got.RetryAfter())
	}
}

func (s *script) end(i int, outcome byte) {
	call := s.calls[i]
	s.calls = slices.Delete(s.calls, i, i+1)
	s.last = &call
	err := s.error(outcome)
	if outcome == 'i' {
		call.cancel()
	}
	s.m.end(call.model, outcomeOf(outcome), s.reason(err))
	s.panics(outcome == 'w', err, func() { call.done(err) })
	call.cancel()
}

func outcomeOf(op byte) breaker.Outcome {
	switch op {
	case 's', 'r', 't':
		return breaker.Success
	case 'i', 'q':
		return breaker.Ignored
	}
	return breaker.Failure
}

// panics calls fn, which panics with err if Classify does.
func (s *script) panics(classify bool, err error, fn func()) {
	s.t.Helper()
	if classify && s.m.settings.Classify != nil {
		require.PanicsWithValue(s.t, err, fn)
		return
	}
	fn()
}

func (s *script) run(op byte) {
	err := s.error(map[byte]byte{'r': 's', 't': 's', 'q': 'i', 'k': 'w', 'R': 'f', 'T': 'f', 'p': 'f', 'g': 'f'}[op])
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	call, rejection := s.m.begin()
	ran := false
	fn := func(context.Context) error {
		ran = true
		if op == 't' || op == 'T' {
			s.wait(s.m.settings.SlowCall)
		}
		switch op {
		case 'q':
			cancel()
		case 'p':
			s.m.end(call, breaker.Failure, errUnnamed)
			panic(err)
		case 'g':
			s.m.end(call, breaker.Failure, errUnnamed)
			runtime.Goexit()
		}
		s.m.end(call, outcomeOf(op), s.reason(err))
		return err
	}
	var got error
	panicked, returned := any(nil), false
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() { panicked = recover() }()
		got = breaker.Run(ctx, s.b, fn)
		returned = true
	}()
	<-ended
	require.Equal(s.t, rejection == nil, ran, "admitted after %s", &s.played)
	switch {
	case rejection != nil:
		s.admitted(rejection, got)
	case op == 'p', op == 'k' && s.m.settings.Classify != nil:
		require.Same(s.t, err, panicked, "after %s", &s.played)
	case op == 'g':
		require.False(s.t, returned, "after %s", &s.played)
	default:
		require.True(s.t, got == err, "result after %s", &s.played) //nolint:errorlint // the very same
	}
}

// FuzzBreaker plays scripts on a Breaker and on the model.
func FuzzBreaker(f *testing.F) {
	const consecutive, rate, last, slow = 1, 2, 3, 4
	three := []byte{1, 0, 1, 0, 0, 0, consecutive, 2, 0, 0}           // open for 1s
	grows := []byte{1, 3, 1, 1, 0, 0, consecutive, 0, 0, 0}           // to 4s, and probes take 500ms
	pair := []byte{1, 4, 2, 2, 0, 1, consecutive, 1, 0, 0}            // of probes, which take 1s, and errors that are successes
	rates := []byte{2, 0, 3, 3, 0, 1, rate, 3, 0, 1}                  // half of 4 in 10s
	ratios := []byte{2, 0, 3, 3, 0, 1, rate, 6, 2, 1}                 // 0.28 of 25 in 10s
	odd := []byte{2, 0, 3, 3, 0, 1, rate, 2, 1, 5}                    // all of 3 in 1234567891ns
	slows := []byte{2, 0, 3, 3, 0, 1, rate, 3, 0, 1, slow, 2, 5, 0}   // or a third of 3 in 1s are slow
	lasts := []byte{3, 2, 0, 0, 4, 0, last, 6, 2, 0}                  // 0.28 of 25
	tiny := []byte{4, 5, 3, 4, 3, 1, rate, 1, 4, 2, slow, 0, 1, 4, 0} // nanoseconds
	for _, seed := range []struct {
		settings []byte
		ops      string
	}{
		{nil, "RRRRRanr"},                          // trips, half-open, a success closes
		{three, "RRRaaR?#ma.aas"},                  // exactly when it is half-open
		{grows, "RnRanRanRanRanRmanrRan"},          // a failure reopens, with growth, and closing ends that
		{grows, "RnaxamaN?a#naxnnn?#"},             // an overdue probe
		{grows, "Rnan==a_?"},                       // noticed after its open period is over too
		{grows, "Rnan__sZ?"},                       // and by its own end
		{grows, "RnRnROanR"},                       // opened by hand while the time has grown
		{three, "aaaRRRsf?nafrsS?#"},               // late results of older periods
		{three, "aRR1a?nR0?#sRRRDRRRRR#1#D0?"},     // isolated, disabled
		{three, "RRRn1a0RRRO_O-aCaC#O.naOa"},       // by hand
		{pair, "RRnaaaiaaSas#"},                    // an ignored probe returns its slot
		{pair, "RRna-anSN?naafZ#naassz"},           // the second of two is overdue, or fails
		{pair, "RRna-asa#"},                        // only one is awaited
		{pair, "pgkannpnwng"},                      // panics
		{rates, "RR=__RR"},                         // all within the window
		{rates, "RR=__RNR#"},                       // some too old
		{ratios, "rrRrrRrrRrrRrrRrrRrrRrrrr#"},     // exactly the ratio
		{lasts, "rrRrrRrrRrrRrrRrrRrrRrrrr#"},      // exactly the ratio
		{odd, "RRNNNNNNNNNNR#RRNNNNNNNNmR#RNR.R"},  // the window cannot be divided
		{slows, "ttr#natrrr?tTRr__tttt"},           // slow ones, quick probes
		{slows, "RrrNRrNrr=__RRNNNNNNNNNRr_R=rrR"}, // both
		{tiny, "aN.s.aTNNfNtnnaaaxNNann.....aaassS?"},
	} {
		f.Add(seed.settings, []byte(seed.ops))
	}
	f.Fuzz(func(t *testing.T, settings, ops []byte) {
		if len(ops) > 300 {
			return
		}
		for _, watch := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) { play(t, settings, ops, watch) })
		}
	})
}

// Scripts of the usual operations agree with the model, too.
func TestBreaker_likeModel(t *testing.T) {
	const usual = "aaaaaaaaSSSSFFFFsssssffffffiiwxzZrrrrRRRRRRqkpgtT..,-_=nnnnnnnnnNNNNmm??##OC01D00"
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 0))
		settings := make([]byte, r.IntN(19))
		for i := range settings {
			settings[i] = byte(r.UintN(256))
		}
		ops := make([]byte, r.IntN(100))
		for i := range ops {
			ops[i] = usual[r.IntN(len(usual))]
		}
		synctest.Test(t, func(t *testing.T) { play(t, settings, ops, seed%2 == 0) })
	}
}

// What gobreaker can do, too, we do as it does.
func TestBreaker_likeGobreaker(t *testing.T) {
	errFailed, errIgnored := errors.New("failed"), errors.New("ignored")
	states := map[gobreaker.State]breaker.State{
		gobreaker.StateClosed: breaker.Closed, gobreaker.StateHalfOpen: breaker.HalfOpen, gobreaker.StateOpen: breaker.Open,
	}
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			failures, probes := 1+r.IntN(4), 1+r.IntN(4)
			// It is still open at the end of its Timeout. Here that is an odd
			// number of milliseconds away, and all steps are even.
			openFor := time.Duration(1+2*r.IntN(50)) * time.Millisecond
			theirs := gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
				MaxRequests: uint32(probes),
				Timeout:     openFor,
				ReadyToTrip: func(c gobreaker.Counts) bool { return int(c.ConsecutiveFailures) >= failures },
				IsExcluded:  func(err error) bool { return errors.Is(err, errIgnored) },
			})
			ours := breaker.New(breaker.Settings{
				Trip: breaker.Consecutive(failures), OpenFor: openFor, Probes: probes, ProbeTimeout: 1000 * time.Hour,
				Classify: func(ctx context.Context, err error) breaker.Outcome {
					if errors.Is(err, errIgnored) {
						return breaker.Ignored
					}
					return breaker.DefaultClassify(ctx, err)
				},
			})
			type call struct{ theirs, ours func(error) }
			var calls []call
			for i := range 500 {
				switch op := r.IntN(10); {
				case op < 4:
					theirDone, theirErr := theirs.Allow()
					ourDone, ourErr := ours.Allow(t.Context())
					require.Equal(t, theirErr == nil, ourErr == nil, "seed %d, step %d: %v, %v", seed, i, theirErr, ourErr)
					if ourErr == nil {
						calls = append(calls, call{theirDone, ourDone})
					}
				case op < 8 && len(calls) > 0:
					k := r.IntN(len(calls))
					err := []error{nil, nil, errFailed, errFailed, errFailed, errIgnored}[r.IntN(6)]
					calls[k].theirs(err)
					calls[k].ours(err)
					calls = slices.Delete(calls, k, k+1)
				case op == 8:
					time.Sleep(time.Duration(2*r.IntN(30)) * time.Millisecond)
				}
				require.Equal(t, states[theirs.State()], ours.State(), "seed %d, step %d", seed, i)
			}
		})
	}
}

// Open times are spread over the whole of what Jitter allows, and no more.
func TestBreaker_jitterRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const openFor, maxOpenFor, jitter = 100 * time.Second, 190 * time.Second, 0.25
		b := breaker.New(breaker.Settings{
			Trip: breaker.Consecutive(1), OpenFor: openFor, MaxOpenFor: maxOpenFor, Jitter: jitter,
		})
		fail := func(context.Context) error { return errors.New("down") }
		var first, second []time.Duration
		for range 1000 {
			for _, times := range []*[]time.Duration{&first, &second} {
				require.NotErrorIs(t, breaker.Run(t.Context(), b, fail), breaker.ErrOpen)
				_, err := b.Allow(t.Context())
				var open *breaker.OpenError
				require.ErrorAs(t, err, &open)
				*times = append(*times, open.After)
				time.Sleep(open.After - time.Nanosecond)
				require.Equal(t, breaker.Open, b.State())
				time.Sleep(time.Nanosecond)
				require.Equal(t, breaker.HalfOpen, b.State())
			}
			b.Close()
		}
		assert.GreaterOrEqual(t, slices.Min(first), 75*time.Second)
		assert.Less(t, slices.Min(first), 77*time.Second)
		assert.LessOrEqual(t, slices.Max(first), 125*time.Second)
		assert.Greater(t, slices.Max(first), 123*time.Second)
		assert.LessOrEqual(t, slices.Max(second), maxOpenFor)
		assert.Greater(t, slices.Max(second), maxOpenFor-2*time.Second)
	})
}
