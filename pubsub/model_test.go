package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/pubsub"
)

var (
	errTopicCause = errors.New("the cause")
	errTopicBoom  = errors.New("boom")
)

// The ways to read a subscription.
const (
	byLoop = iota
	byHandler
	byChannel
)

// A place in the queue of a modelled subscription is an event, or a gap.
type place struct{ value, lost int }

// A modelled subscription is a list of what it has not read. Its reader waits
// for the next (wants), or works on the last (busy, if it is not a loop).
type modelSub struct {
	name     string
	kind     int
	overflow pubsub.Overflow
	once     bool
	filter   bool

	queue       []place
	missed      int
	attached    bool   // gets what is published
	over        bool   // nothing comes any more
	reason      string // why it has ended, or will have once the queue is empty: the first one
	told        bool   // the loop has got the reason
	wants, busy bool
	seen        []string
	errs        []string // of the handler
	cause       string   // of the context of its call, once that has ended
}

func (s *modelSub) unread() (n int) {
	for _, p := range s.queue {
		if p.lost == 0 {
			n++
		}
	}
	return n
}

// single tells whether it takes the first event, whatever that is, and no more.
func (s *modelSub) single() bool { return s.once && !s.filter }

func (s *modelSub) full(capacity int) bool { return s.attached && s.unread() == capacity }

// publish puts v into the queue, or loses one.
func (s *modelSub) publish(v, capacity int) {
	if !s.attached {
		return
	}
	if !s.full(capacity) {
		s.queue = append(s.queue, place{value: v})
		s.attached = !s.single()
		return
	}
	s.missed++
	switch s.overflow {
	case pubsub.DropOldest:
		gap := 1
		if s.queue[0].lost > 0 {
			gap += s.queue[0].lost
			s.queue = s.queue[1:]
		}
		s.queue = append([]place{{lost: gap}}, s.queue[1:]...)
		s.queue = append(s.queue, place{value: v})
	case pubsub.DropNewest:
		if last := &s.queue[len(s.queue)-1]; last.lost > 0 {
			last.lost++
		} else {
			s.queue = append(s.queue, place{lost: 1})
		}
	case pubsub.Disconnect:
		s.attached, s.reason = false, "full"
	case pubsub.Block:
		panic("there was no room")
	}
}

func (s *modelSub) end(reason string) {
	if !s.over && s.reason == "" { // one that was full stays so
		s.reason = reason
	}
	s.attached, s.over, s.queue = false, true, nil
}

// read gives to the reader what it wants, as far as it is there.
func (s *modelSub) read() {
	for s.wants {
		if len(s.queue) == 0 {
			if s.attached {
				return
			}
			s.over, s.wants = true, false
			switch {
			case s.kind != byLoop:
			case s.reason != "" && !s.told:
				s.told = true
				s.seen = append(s.seen, "error "+s.reason)
			default:
				s.seen = append(s.seen, "end")
			}
			return
		}
		p := s.queue[0]
		s.queue = s.queue[1:]
		switch {
		case p.lost > 0 && s.kind == byLoop:
			s.seen = append(s.seen, "lag "+strconv.Itoa(p.lost))
			s.wants = false
		case p.lost > 0 || s.filter && !topicKeeps(p.value):
		default:
			if s.kind != byChannel {
				s.seen = append(s.seen, strconv.Itoa(p.value))
			} else {
				s.seen = append(s.seen, "held "+strconv.Itoa(p.value)) // see receive
			}
			s.wants, s.busy = false, s.kind != byLoop
			if s.once {
				s.end("")
			}
		}
	}
}

// err is the set of what Err has to join.
func (s *modelSub) err() []string {
	all := keptErrs(s.errs)
	if s.reason != "" {
		all = append(all, s.reason)
	}
	if s.kind != byLoop && s.missed > 0 {
		all = append(all, "lag "+strconv.Itoa(s.missed))
	}
	slices.Sort(all)
	return all
}

// keptErrs is the first 8 and the last 8.
func keptErrs(all []string) []string {
	n := len(all) - 16
	if n <= 0 {
		return slices.Clone(all)
	}
	return slices.Concat(all[:8], []string{fmt.Sprintf("pubsub: %d more errors, not kept", n)}, all[len(all)-8:])
}

func topicKeeps(v int) bool { return v%3 != 0 }

// A modelled topic knows all that was ever published, and who waits.
type modelTopic struct {
	capacity, replay int
	history          []int
	subs             []*modelSub
	waiting          []int    // publishers
	results          []string // of all
	closed, cut      bool     // cut: the context of Close has ended
	errs             []string // of the handlers
}

func (m *modelTopic) blocked() bool {
	return slices.ContainsFunc(m.subs, func(s *modelSub) bool { return s.overflow == pubsub.Block && s.full(m.capacity) })
}

// settle lets all that can go on go on.
func (m *modelTopic) settle() {
	for {
		for _, s := range m.subs {
			s.read()
		}
		if len(m.waiting) == 0 || m.blocked() {
			return
		}
		v := m.waiting[0]
		m.waiting = m.waiting[1:]
		m.results[v] = "ok"
		m.history = append(m.history, v)
		for _, s := range m.subs {
			s.publish(v, m.capacity)
		}
	}
}

func (m *modelTopic) subscribe(s *modelSub) {
	m.subs = append(m.subs, s)
	if m.closed {
		s.end("closed")
		return
	}
	s.attached = true
	for _, v := range m.history[max(0, len(m.history)-m.replay):] {
		s.publish(v, m.capacity)
	}
}

func (m *modelTopic) close() {
	m.closed = true
	for _, v := range m.waiting {
		m.results[v] = "closed"
	}
	m.waiting = nil
	for _, s := range m.subs {
		s.attached = false
	}
}

// cutShort is the end of the context of Close.
func (m *modelTopic) cutShort() {
	m.cut = true
	for _, s := range m.subs {
		if s.kind != byHandler {
			continue
		}
		if n := s.unread(); n > 0 {
			s.missed += n
			m.errs = append(m.errs, fmt.Sprintf("%s lag %d", s.name, n))
		}
		s.end("")
		s.endCall("cause")
	}
}

// endCall is the end of the context of the call.
func (s *modelSub) endCall(cause string) {
	if s.cause == "" {
		s.cause = cause
	}
}

// err is the set of what Close has to join.
func (m *modelTopic) err() []string {
	all := keptErrs(m.errs)
	if m.cut {
		all = append(all, "cause")
	}
	slices.Sort(all)
	return all
}

// drained tells whether Close has nothing to wait for.
func (m *modelTopic) drained() bool {
	return m.closed && (m.cut || !slices.ContainsFunc(m.subs, func(s *modelSub) bool {
		return s.kind == byHandler && (s.busy || len(s.queue) > 0)
	}))
}

// uncertain tells whether what a reader loses depends on how fast it wakes up,
// if all that wait publish at once.
func (m *modelTopic) uncertain() bool {
	return len(m.waiting) > m.capacity && slices.ContainsFunc(m.subs, func(s *modelSub) bool {
		return s.overflow != pubsub.Block && s.attached && s.wants && !s.single()
	})
}

// A scripted subscription is a real one, and those who read it.
type scriptSub struct {
	*pubsub.Subscription[int]

	cancel context.CancelCauseFunc
	next   chan bool   // lets the loop go on, or leave
	gate   chan string // lets the handler return
	ch     <-chan int
	stop   chan struct{} // closed when Stop has returned
	seen   []string
	ctx    context.Context // that of the last call
}

func (s *scriptSub) loop() {
	if <-s.next {
		for v, err := range s.All() {
			switch lag := (*pubsub.LaggedError)(nil); {
			case errors.As(err, &lag):
				s.seen = append(s.seen, fmt.Sprintf("lag %d", lag.Missed))
			case err != nil:
				s.seen = append(s.seen, "error "+topicErrors(err)[0])
			default:
				s.seen = append(s.seen, strconv.Itoa(v))
			}
			if !<-s.next {
				return
			}
		}
		s.seen = append(s.seen, "end")
	}
	for range s.next { // it has ended
	}
}

func (s *scriptSub) handle(ctx context.Context, v int) error {
	s.ctx = ctx
	s.seen = append(s.seen, strconv.Itoa(v))
	switch <-s.gate {
	case "boom":
		return errTopicBoom
	case "panic":
		panic("oh")
	case "goexit":
		runtime.Goexit()
	}
	return nil
}

// cause tells that of the context of the call.
func (s *scriptSub) cause() string {
	switch err := context.Cause(s.ctx); {
	case err == nil && s.ctx.Err() == nil:
		return ""
	case errors.Is(err, errTopicCause):
		return "cause"
	case err == context.Canceled: //nolint:errorlint // that and nothing else
		return "stopped"
	default:
		return fmt.Sprint(err)
	}
}

// topicErrors tells what an error joins, sorted and short.
func topicErrors(err error) (all []string) {
	var walk func(error)
	walk = func(err error) {
		switch e := err.(type) { //nolint:errorlint // the tree is walked here
		case nil:
		case *pubsub.ListenerError:
			all = append(all, e.Name+" "+topicErrors(e.Err)[0])
		case *pubsub.LaggedError:
			all = append(all, fmt.Sprintf("lag %d", e.Missed))
		case *pubsub.PanicError:
			all = append(all, "panic")
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				walk(err)
			}
		default:
			for name, known := range map[string]error{
				"full": pubsub.ErrFull, "closed": pubsub.ErrClosed, "reentrant": pubsub.ErrReentrant, "boom": errTopicBoom,
				"goexit": pubsub.ErrGoexit, "cause": errTopicCause,
			} {
				if errors.Is(err, known) {
					all = append(all, name)
					return
				}
			}
			if !errors.Is(err, context.Canceled) {
				all = append(all, err.Error())
			}
		}
	}
	walk(err)
	slices.Sort(all)
	return all
}

// A topicScript does the same to a Topic and to its model.
type topicScript struct {
	t       *testing.T
	data    []byte
	log     []string
	model   *modelTopic
	topic   *pubsub.Topic[int]
	subs    []*scriptSub
	cancels []context.CancelCauseFunc // of publishers
	results []string
	closing context.CancelCauseFunc
	closeBy chan error
	joined  bool // what Close returned has been looked at
}

// next is less than n.
func (r *topicScript) next(n int) int {
	if len(r.data) == 0 {
		return 0
	}
	b := int(r.data[0])
	r.data = r.data[1:]
	return b % n
}

func (r *topicScript) publish(ended bool) {
	v := len(r.results)
	ctx, cancel := context.WithCancelCause(r.t.Context())
	r.cancels = append(r.cancels, cancel)
	r.results = append(r.results, "waits")
	r.model.results = append(r.model.results, "waits")
	switch {
	case r.model.closed:
		r.model.results[v] = "closed"
	case ended:
		cancel(errTopicCause)
		r.model.results[v] = "cause"
	default:
		r.model.waiting = append(r.model.waiting, v)
	}
	go func() {
		err := r.topic.Publish(ctx, v)
		r.results[v] = "ok"
		if err != nil {
			r.results[v] = topicErrors(err)[0]
			assert.Equal(r.t, r.results[v] == "cause", errors.Is(err, context.Canceled))
		}
	}()
}

func (r *topicScript) subscribe(kind int) {
	m := &modelSub{
		name: fmt.Sprintf("s%d", len(r.subs)), kind: kind, overflow: pubsub.Overflow(r.next(4)),
		once: r.next(8) == 0, filter: r.next(4) == 0, wants: kind != byLoop,
	}
	opts := []pubsub.SubOption{m.overflow, pubsub.Named(m.name)}
	if m.once {
		opts = append(opts, pubsub.Once())
	}
	if m.filter {
		opts = append(opts, pubsub.Filter(topicKeeps))
	}
	s := &scriptSub{cancel: func(error) {}}
	if kind == byHandler {
		s.gate = make(chan string)
		s.Subscription = r.topic.Handle(s.handle, opts...)
	} else {
		ctx, cancel := context.WithCancelCause(r.t.Context())
		s.cancel = cancel
		s.Subscription = r.topic.Subscribe(ctx, opts...)
		if kind == byChannel {
			s.ch = s.C()
		} else {
			s.next = make(chan bool)
			go s.loop()
		}
	}
	r.subs = append(r.subs, s)
	r.model.subscribe(m)
}

// read lets the reader of a subscription go on.
func (r *topicScript) read(s *scriptSub, m *modelSub) {
	switch m.kind {
	case byLoop:
		if !m.wants && !slices.Contains(m.seen, "end") {
			m.wants = true
			s.next <- true
		}
	case byHandler:
		if m.busy {
			how := []string{"", "", "", "boom", "panic", "goexit"}[r.next(6)]
			if how != "" {
				m.errs = append(m.errs, m.name+" "+how)
				r.model.errs = append(r.model.errs, m.name+" "+how)
			}
			m.busy, m.wants = false, true
			s.gate <- how
		}
	case byChannel:
		select {
		case v, ok := <-s.ch:
			if ok {
				s.seen = append(s.seen, "held "+strconv.Itoa(v))
			} else {
				s.seen = append(s.seen, "end")
			}
		default:
		}
		if m.busy {
			m.busy, m.wants = false, true
		} else if m.over {
			m.seen = append(m.seen, "end")
		}
	}
}

// end ends a subscription.
func (r *topicScript) end(s *scriptSub, m *modelSub, reason string) {
	m.end(reason)
	if m.kind == byHandler {
		m.endCall("stopped")
	}
	if m.kind == byChannel && m.busy { // it is not received
		m.busy, m.seen = false, m.seen[:len(m.seen)-1]
	}
	switch {
	case reason != "":
		s.cancel(errTopicCause)
	case s.stop == nil:
		s.stop = make(chan struct{})
		go func() { s.Stop(); close(s.stop) }()
	default:
		go s.Stop()
	}
}

func (r *topicScript) note(format string, args ...any) {
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

func (r *topicScript) step() {
	op := r.next(19)
	k := 0
	var s *scriptSub
	var m *modelSub
	if len(r.subs) > 0 {
		k = r.next(len(r.subs))
		s, m = r.subs[k], r.model.subs[k]
	}
	switch {
	case op < 7:
		r.note("publish %d", len(r.results))
		r.publish(op == 0 && r.next(8) == 0)
	case op < 12 && s != nil:
		if (m.once || m.filter) && r.model.uncertain() {
			return
		}
		r.note("read %s", m.name)
		r.read(s, m)
	case op >= 12 && op < 15:
		if len(r.subs) < 6 {
			r.subscribe(op - 12)
			r.note("subscribe %+v", *r.model.subs[len(r.subs)-1])
		}
	case op == 15 && s != nil && !r.model.uncertain():
		r.note("stop %s", m.name)
		r.end(s, m, "")
	case op == 16 && len(r.model.waiting) > 0:
		i := r.next(len(r.model.waiting))
		v := r.model.waiting[i]
		r.note("cancel publisher of %d", v)
		r.model.waiting = slices.Delete(r.model.waiting, i, i+1)
		r.model.results[v] = "cause"
		r.cancels[v](errTopicCause)
	case op == 17 && s != nil && !r.model.uncertain():
		switch {
		case m.kind == byLoop && !m.wants && len(m.seen) > 0 && !slices.Contains(m.seen, "end") && r.next(2) == 0:
			r.note("leave %s", m.name)
			m.end("")
			m.seen = append(m.seen, "end")
			s.seen = append(s.seen, "end")
			s.next <- false
			go s.loop()
		case m.kind != byHandler:
			r.note("end context of %s", m.name)
			r.end(s, m, "cause")
		}
	case op == 18 && !r.model.closed && r.next(4) == 0:
		r.note("close")
		r.close()
	case op == 18 && r.model.closed && !r.model.drained():
		r.note("end context of close")
		r.closing(errTopicCause)
		r.model.cutShort()
	}
}

func (r *topicScript) close() {
	ctx, cancel := context.WithCancelCause(r.t.Context())
	r.closing = cancel
	r.closeBy = make(chan error, 1)
	go func() { r.closeBy <- r.topic.Close(ctx) }()
	r.model.close()
}

// requireSame compares all that can be seen.
func (r *topicScript) requireSame() {
	synctest.Wait()
	r.model.settle()
	require.Equal(r.t, r.model.results, r.results, "of Publish, after %q", r.log)
	left := 0
	for i, m := range r.model.subs {
		s := r.subs[i]
		seen := m.seen
		if m.kind == byChannel && m.busy {
			seen = seen[:len(seen)-1]
		}
		require.Equal(r.t, fmt.Sprint(seen), fmt.Sprint(s.seen), "%s, after %q", m.name, r.log)
		require.EqualValues(r.t, m.missed, s.Missed(), "missed by %s, after %q", m.name, r.log)
		require.Equal(r.t, m.unread(), s.Len(), "unread by %s, after %q", m.name, r.log)
		if !m.over {
			left++
		}
		require.Equal(r.t, fmt.Sprint(m.err()), fmt.Sprint(topicErrors(s.Err())), "of %s, after %q", m.name, r.log)
		if m.kind == byHandler && m.busy {
			require.Equal(r.t, m.cause, s.cause(), "of the context of %s, after %q", m.name, r.log)
		}
		if s.stop != nil {
			require.Equal(r.t, !m.busy, topicClosed(s.stop), "Stop of %s waits for the call, after %q", m.name, r.log)
		}
	}
	require.Equal(r.t, left, r.topic.Len(), "subscriptions, after %q", r.log)
	if r.model.closed && !r.joined {
		r.joined = r.model.drained()
		require.Equal(r.t, r.joined, len(r.closeBy) == 1, "Close has returned, after %q", r.log)
		if r.joined {
			require.Equal(r.t, fmt.Sprint(r.model.err()), fmt.Sprint(topicErrors(<-r.closeBy)), "of Close, after %q", r.log)
		}
	}
}

func topicClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// finish ends all that may still be there.
func (r *topicScript) finish() {
	for _, s := range r.subs {
		if s.gate != nil {
			close(s.gate)
		}
		go s.Stop()
		if s.next != nil {
			close(s.next)
		}
	}
	for _, cancel := range r.cancels {
		cancel(errTopicCause)
	}
	synctest.Wait()
	err := r.topic.Close(context.Background())
	assert.Zero(r.t, r.topic.Len())
	if !r.t.Failed() {
		r.model.cut = false
		assert.Equal(r.t, fmt.Sprint(r.model.err()), fmt.Sprint(topicErrors(err)), "of Close at the end, after %q", r.log)
	}
}

// requireTopicModel runs the script that data is.
func requireTopicModel(t *testing.T, data []byte) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &topicScript{t: t, data: data}
		r.model = &modelTopic{capacity: 1 + r.next(4)}
		var opts []pubsub.TopicOption
		if n := r.next(r.model.capacity + 1); n > 0 {
			r.model.replay = n
			opts = append(opts, pubsub.Replay(n))
		}
		r.note("capacity %d, replay %d", r.model.capacity, r.model.replay)
		r.topic = pubsub.New[int](r.model.capacity, opts...)
		defer r.finish()
		for len(r.data) > 0 {
			r.step()
			r.requireSame()
		}
	})
}

// Random scripts: a Topic does what its model does, to the event.
func TestTopicDoesWhatItsModelDoes(t *testing.T) {
	scripts := 1000
	if testing.Short() || topicUnderRace() {
		scripts = 150
	}
	r := rand.New(rand.NewPCG(7, uint64(scripts)))
	for range scripts {
		data := make([]byte, 30+r.IntN(200))
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		requireTopicModel(t, data)
		if t.Failed() {
			t.Logf("data %v", data)
			return
		}
	}
}

func FuzzTopic(f *testing.F) {
	for i := range byte(19) {
		f.Add([]byte{i, i / 4, 12, 0, i, 3, 1, 1, 1, 0, 1, 0, 1, 0, 7, 0, i, 0, 1, 0, 7, 0, i, 0, 18, 0, 0, 7, 0})
	}
	f.Fuzz(func(t *testing.T, data []byte) { requireTopicModel(t, data[:min(len(data), 300)]) })
}

// Many publishers, and subscriptions that come and go: each sees a part of the
// one order without a gap that it does not know of.
func TestTopicStressed(t *testing.T) {
	const publishers, each, readers = 4, 2000, 6
	before := runtime.NumGoroutine()
	topic := pubsub.New[int](64, pubsub.Replay(10))
	var order []int // all events
	topic.Handle(func(_ context.Context, v int) error { order = append(order, v); return nil })

	type view struct {
		events []int // and lags, as negative numbers
		all    bool  // the gaps are in it
	}
	var views []view
	var mu sync.Mutex
	var readersDone, publishersDone sync.WaitGroup
	for i := range readers {
		readersDone.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for !topicIsClosed(topic) {
				v := view{all: i%3 != 0}
				left := r.IntN(500)
				overflow := pubsub.Overflow(r.IntN(4))
				switch i % 3 {
				case 0:
					done := make(chan struct{})
					s := topic.Handle(func(context.Context, int) error { return nil }, overflow)
					s.Stop()
					var events []int
					s = topic.Handle(func(_ context.Context, e int) error {
						if events = append(events, e); len(events) == left+1 {
							close(done)
						}
						return nil
					}, overflow)
					for !topicIsClosed(topic) && !topicClosed(done) && s.Err() == nil {
						runtime.Gosched()
					}
					s.Stop()
					v.events = events
				default:
					ctx, cancel := context.WithCancel(t.Context())
					for e, err := range topic.Subscribe(ctx, overflow).All() {
						lag := (*pubsub.LaggedError)(nil)
						switch {
						case errors.As(err, &lag):
							v.events = append(v.events, -int(lag.Missed))
						case err == nil:
							v.events = append(v.events, e)
						}
						if left--; left == 0 && i%3 == 1 {
							break
						} else if left == 0 {
							cancel()
						}
					}
					cancel()
				}
				mu.Lock()
				views = append(views, v)
				mu.Unlock()
			}
		})
	}
	for p := range publishers {
		publishersDone.Go(func() {
			for i := range each {
				assert.NoError(t, topic.Publish(t.Context(), p*each+i+1))
			}
		})
	}
	publishersDone.Wait()
	require.NoError(t, topic.Close(t.Context()))
	readersDone.Wait()
	requireTopicGoroutines(t, before)

	require.Len(t, order, publishers*each)
	at := make([]int, publishers*each+1)
	last := make([]int, publishers)
	for i, v := range order {
		at[v] = i
		require.Less(t, last[(v-1)/each], v, "the order of one publisher")
		last[(v-1)/each] = v
	}
	for _, v := range views {
		pos := -1
		for _, e := range v.events {
			switch {
			case pos < 0 && e < 0: // it begins with a gap
			case e < 0:
				pos += -e
			case pos < 0, !v.all:
				require.LessOrEqual(t, pos, at[e])
				pos = at[e] + 1
			default:
				require.Equal(t, pos, at[e])
				pos++
			}
		}
	}
}
