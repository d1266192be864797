package pipeline

import (
	"cmp"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A job is an item with its place in the stream.
type job[A any] struct {
	item[A]

	seq int64
}

// A queue is of jobs for workers, who take several at once.
type queue[A any] struct {
	// Of capacity 1; who sees that there is work for those who sleep, or will
	// be no more, sends. Who receives passes it on, if that still holds.
	work chan struct{}

	mu     sync.Mutex // guards the fields below
	jobs   []job[A]   // from head on
	head   int
	asleep int
	closed bool       // there will be no more
	hands  []*hand[A] // of the workers
}

// A hand holds the jobs that a worker has taken. That takes the next by adding
// to begun; who takes the others away makes that larger than there are jobs.
// The jobs change only under the lock of the queue.
type hand[A any] struct {
	jobs  []job[A]
	begun atomic.Int64
	timer *time.Timer // of a worker that sleeps
}

// takenAway is more than there ever are jobs in a hand.
const takenAway = 1 << 40

func newQueue[A any]() *queue[A] { return &queue[A]{work: make(chan struct{}, 1)} }

// hand adds a worker.
func (q *queue[A]) hand() *hand[A] {
	h := &hand[A]{timer: time.NewTimer(time.Hour)}
	h.timer.Stop()
	q.hands = append(q.hands, h)
	return h
}

// next returns the next job of h, or nil.
func (h *hand[A]) next() *job[A] {
	if i := h.begun.Add(1) - 1; i < int64(len(h.jobs)) {
		return &h.jobs[i]
	}
	return nil
}

func (q *queue[A]) push(j job[A]) {
	q.mu.Lock()
	if len(q.jobs) == cap(q.jobs) && q.head > 0 {
		n := copy(q.jobs, q.jobs[q.head:])
		clear(q.jobs[n:])
		q.jobs, q.head = q.jobs[:n], 0
	}
	q.jobs = append(q.jobs, j)
	asleep := q.asleep > 0
	q.mu.Unlock()
	if asleep {
		q.signal()
	}
}

func (q *queue[A]) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
}

func (q *queue[A]) signal() {
	select {
	case q.work <- struct{}{}:
	default:
	}
}

// patience is how often a worker looks for work before it sleeps: to sleep, and
// to be woken, takes longer than many a call.
const patience = 4

// take waits for jobs, up to most of them, which it puts into h. It returns
// false if there will be none, or done is closed.
func (q *queue[A]) take(done <-chan struct{}, most int, h *hand[A]) bool {
	for tries := 0; ; tries++ {
		took, tell, over := q.try(most, h, tries >= patience)
		if tell {
			q.signal()
		}
		switch {
		case took || over:
			return took
		case tries < patience:
			runtime.Gosched()
			continue
		}
		q.sleep(done, h)
		if isDone(done) {
			return false
		}
	}
}

// try takes jobs, or if there are none and sleep is set, counts one more who is
// asleep. It returns whether others have to be told, and whether there will be
// no more.
func (q *queue[A]) try(most int, h *hand[A], sleep bool) (took, tell, over bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	clear(h.jobs)
	h.jobs = h.jobs[:0]
	n := min(len(q.jobs)-q.head, most)
	if n == 0 {
		over = q.closed && !q.held()
		if sleep && !over {
			q.asleep++
		}
		return false, over, over
	}
	h.jobs = append(h.jobs, q.jobs[q.head:q.head+n]...)
	h.begun.Store(0)
	clear(q.jobs[q.head : q.head+n])
	q.head += n
	if q.head == len(q.jobs) {
		q.jobs, q.head = q.jobs[:0], 0
	}
	// Those who sleep may take what it does not come to soon.
	return true, q.asleep > 0 && (q.head < len(q.jobs) || n > 1), false
}

// held reports whether somebody has jobs that are not begun. It requires mu.
func (q *queue[A]) held() bool {
	return slices.ContainsFunc(q.hands, func(h *hand[A]) bool { return h.begun.Load() < int64(len(h.jobs)) })
}

// sleep waits until there is something to do. After some time it takes the jobs
// away that others have not begun, as they may be held up by one that takes
// long.
func (q *queue[A]) sleep(done <-chan struct{}, h *hand[A]) {
	h.timer.Reset(4 * quick)
	defer h.timer.Stop()
	select {
	case <-q.work:
	case <-done:
	case <-h.timer.C:
		if !q.rob() {
			select {
			case <-q.work:
			case <-done:
			}
		}
	}
	q.mu.Lock()
	q.asleep--
	q.mu.Unlock()
}

// rob puts the jobs back that others have not begun, and reports whether there
// are some.
func (q *queue[A]) rob() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	any := false
	for _, h := range q.hands {
		if i := h.begun.Swap(takenAway); i < int64(len(h.jobs)) {
			q.jobs = append(q.jobs, h.jobs[i:]...)
			any = true
		}
	}
	// Those that come first go first: others may wait for them.
	slices.SortFunc(q.jobs[q.head:], func(a, b job[A]) int { return cmp.Compare(a.seq, b.seq) })
	return any
}
