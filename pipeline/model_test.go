package pipeline_test

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/pipeline"
)

// A failure with a number is an error that can be compared.
type numbered int

func (n numbered) Error() string { return "failure " + strconv.Itoa(int(n)) }

// An element of a modelled stream is an item, or an error.
type element struct {
	value int
	err   error
}

func compareElements(a, b element) int {
	number := func(e element) int {
		if n, ok := e.err.(numbered); ok { //nolint:errorlint // it is one, or nil
			return 1 + int(n)
		}
		return 0
	}
	return cmp.Or(cmp.Compare(number(a), number(b)), cmp.Compare(a.value, b.value))
}

// A modelled pipeline is the stream and what has to be in it.
type modelled struct {
	data    []byte // what is made of it
	stream  pipeline.Stream[int]
	want    []element
	ordered bool // and in which order
	slow    bool
	kinds   []int // of the stages
}

// next is less than n.
func (m *modelled) next(n int) int {
	if len(m.data) == 0 {
		return 0
	}
	b := int(m.data[0])
	m.data = m.data[1:]
	return b % n
}

func (m *modelled) delay(x int) {
	if m.slow && x%3 == 0 {
		time.Sleep(time.Duration(x%5) * time.Second)
	}
}

// each replaces every item by what f makes of it.
func (m *modelled) each(f func(x int) []element) {
	var out []element
	for _, e := range m.want {
		if e.err != nil {
			out = append(out, e)
		} else {
			out = append(out, f(e.value)...)
		}
	}
	m.want = out
}

// fused calls f with each element until it returns false.
func (m *modelled) fused(f func(e element, emit func(element)) bool) {
	var out []element
	for _, e := range m.want {
		if !f(e, func(e element) { out = append(out, e) }) {
			break
		}
	}
	m.want = out
}

func (m *modelled) options(more bool) []pipeline.Option {
	switch n := 1 + m.next(5); m.next(4) {
	case 0:
		m.ordered = false
		return []pipeline.Option{pipeline.Workers(n)}
	case 1:
		return []pipeline.Option{pipeline.Workers(n), pipeline.Ordered()}
	case 2:
		if !more {
			return nil
		}
		opts := []pipeline.Option{pipeline.Workers(n), pipeline.Ordered(), pipeline.Ahead(n)}
		if m.next(2) == 0 {
			opts = []pipeline.Option{pipeline.Workers(n)}
			m.ordered = false
		}
		return append(opts, pipeline.ByKey(func(x int) int { return x % 4 }))
	default:
		return nil
	}
}

// source is of up to 200 elements, some of which are errors.
func (m *modelled) source() (pipeline.Stream[int], []element) {
	var all []element
	n, bad := 2*m.next(100), 2+m.next(30)
	for i := range n {
		e := element{value: i}
		if i%bad == bad-1 {
			e = element{err: numbered(1000 + i)}
		}
		all = append(all, e)
	}
	return pipeline.FromSeq2(func(yield func(int, error) bool) {
		for _, e := range all {
			m.delay(e.value)
			if !yield(e.value, e.err) {
				return
			}
		}
	}), slices.Clip(all)
}

// f drops some, and fails for some.
func (m *modelled) f(k int) (stage func(context.Context, int) (int, error), model func(int) []element) {
	model = func(x int) []element {
		switch {
		case x%11 == k:
			return []element{{err: numbered(x)}}
		case x%7 == k:
			return nil
		}
		return []element{{value: (3*x + 1) % 1000}}
	}
	return func(_ context.Context, x int) (int, error) {
		m.delay(x)
		if es := model(x); es == nil {
			return x, pipeline.Drop
		} else if es[0].err != nil {
			return x, es[0].err
		}
		return (3*x + 1) % 1000, nil
	}, model
}

// stage adds a stage, to both.
func (m *modelled) stage() {
	kinds := 16
	if !m.ordered { // what is left does not depend on the order
		kinds = 8
	}
	s := m.stream
	k, kind := m.next(7), m.next(kinds)
	m.kinds = append(m.kinds, kind)
	switch kind {
	case 0:
		f, model := m.f(k)
		m.stream = pipeline.Map(s, f, m.options(true)...)
		m.each(model)
	case 1:
		m.stream = pipeline.Filter(s, func(_ context.Context, x int) (bool, error) {
			m.delay(x)
			if x%11 == k {
				return true, numbered(x)
			}
			return x%5 != k, nil
		}, m.options(true)...)
		m.each(func(x int) []element {
			switch {
			case x%11 == k:
				return []element{{err: numbered(x)}}
			case x%5 == k:
				return nil
			}
			return []element{{value: x}}
		})
	case 2:
		f, model := m.f(k)
		inner := func(x int) []int { return []int{x, x + 1, x + 2, x + 3}[:x%5%4] }
		m.stream = pipeline.FlatMap(s, func(_ context.Context, x int) pipeline.Stream[int] {
			m.delay(x + 1)
			return pipeline.Map(pipeline.FromSlice(inner(x)), f)
		}, m.options(false)...)
		m.each(func(x int) (all []element) {
			for _, y := range inner(x) {
				all = append(all, model(y)...)
			}
			return all
		})
	case 3:
		m.stream = pipeline.Recover(s, func(err error) error {
			if n, _ := err.(numbered); int(n)%7 == k { //nolint:errorlint // it is one
				return nil
			}
			return err
		})
		m.want = slices.DeleteFunc(slices.Clone(m.want), func(e element) bool {
			n, bad := e.err.(numbered) //nolint:errorlint // it is one
			return bad && int(n)%7 == k
		})
	case 4:
		m.stream = pipeline.Buffer(s, 1+k*k)
	case 5:
		other, want := m.source()
		m.stream = pipeline.Merge(s, other)
		m.want = append(m.want, want...)
		m.ordered = false
	case 6:
		other, want := m.source()
		m.stream = pipeline.Concat(s, other)
		m.want = append(m.want, want...)
	case 7:
		m.stream = pipeline.Tap(s, m.delay)
	case 8:
		m.stream = pipeline.Take(s, 10*k)
		left := 10 * k
		if left == 0 {
			m.want = nil
		}
		m.fused(func(e element, emit func(element)) bool {
			emit(e)
			if e.err == nil {
				left--
			}
			return left > 0
		})
	case 9:
		m.stream = pipeline.Skip(s, 10*k)
		left := 10 * k
		m.fused(func(e element, emit func(element)) bool {
			if e.err == nil && left > 0 {
				left--
			} else {
				emit(e)
			}
			return true
		})
	case 10:
		m.stream = pipeline.TakeWhile(s, func(x int) bool { return x%50 != k })
		m.fused(func(e element, emit func(element)) bool {
			if e.err == nil && e.value%50 == k {
				return false
			}
			emit(e)
			return true
		})
	case 11:
		m.stream = pipeline.SkipWhile(s, func(x int) bool { return x%50 != k })
		skipping := true
		m.fused(func(e element, emit func(element)) bool {
			skipping = skipping && (e.err != nil || e.value%50 != k)
			if e.err != nil || !skipping {
				emit(e)
			}
			return true
		})
	case 12:
		m.stream = pipeline.Distinct(s, func(x int) int { return x % 10 }, 1+k)
		var keys []int
		m.fused(func(e element, emit func(element)) bool {
			if e.err == nil {
				if slices.Contains(keys, e.value%10) {
					return true
				}
				keys = append(keys, e.value%10)
				keys = keys[max(0, len(keys)-1-k):]
			}
			emit(e)
			return true
		})
	case 13:
		f := func(a, b int) int { return (2*a + b) % 1000 }
		m.stream = pipeline.Scan(s, k, f)
		sum := k
		m.fused(func(e element, emit func(element)) bool {
			if e.err == nil {
				sum = f(sum, e.value)
				e.value = sum
			}
			emit(e)
			return true
		})
	case 14:
		m.zip(m.next(2) == 0)
	case 15:
		m.stream = pipeline.Map(pipeline.Chunk(s, 1+k), pipeline.Pure(func(xs []int) int {
			sum := len(xs)
			for _, x := range xs {
				sum += 10 * x
			}
			return sum % 1000
		}))
		n, sum := 0, 0
		flush := func(emit func(element)) {
			if n > 0 {
				emit(element{value: (sum + n) % 1000})
			}
			n, sum = 0, 0
		}
		m.want = append(m.want, element{err: numbered(-1)}) // the end
		m.fused(func(e element, emit func(element)) bool {
			switch {
			case e.err != nil:
				flush(emit)
				emit(e)
			default:
				sum += 10 * e.value
				if n++; n == 1+k {
					flush(emit)
				}
			}
			return true
		})
		m.want = m.want[:len(m.want)-1]
	}
}

func (m *modelled) zip(first bool) {
	f := func(a, b int) int { return (a + 2*b) % 1000 }
	other, b := m.source()
	a := m.want
	if first {
		m.stream = pipeline.Zip(m.stream, other, f)
	} else {
		m.stream = pipeline.Zip(other, m.stream, f)
		a, b = b, a
	}
	m.want = nil
	for _, e := range a {
		if e.err != nil {
			m.want = append(m.want, e)
			continue
		}
		for len(b) > 0 && b[0].err != nil {
			m.want = append(m.want, b[0])
			b = b[1:]
		}
		if len(b) == 0 {
			return
		}
		m.want = append(m.want, element{value: f(e.value, b[0].value)})
		b = b[1:]
	}
}

// requireModel makes a pipeline of data, and compares what comes out of it with
// what has to.
func requireModel(t *testing.T, data []byte) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := &modelled{data: data, ordered: true}
		m.slow = m.next(2) == 0
		m.stream, m.want = m.source()
		for range m.next(7) {
			m.stage()
		}
		var got []element
		for v, err := range m.stream(t.Context()) {
			if err != nil {
				v = 0
			}
			got = append(got, element{v, err})
		}
		if !m.ordered {
			slices.SortFunc(got, compareElements)
			slices.SortFunc(m.want, compareElements)
		}
		if len(got) == 0 && len(m.want) == 0 {
			return
		}
		require.Equal(t, m.want, got, "stages %v", m.kinds)
	})
}

func TestPipelinesDoWhatTheirModelDoes(t *testing.T) {
	rounds := 3000
	if testing.Short() || underRace() {
		rounds = 500
	}
	for range rounds {
		seed := rand.Uint64()
		r := rand.New(rand.NewPCG(seed, 2))
		data := make([]byte, 60)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		requireModel(t, data)
		if t.Failed() {
			t.Logf("seed %d, data %v", seed, data)
			return
		}
	}
}

func FuzzPipeline(f *testing.F) {
	for i := range byte(16) {
		f.Add([]byte{i, 50, 7, 3, i, i, 4, 1, i, 5, 3})
	}
	f.Fuzz(func(t *testing.T, data []byte) { requireModel(t, data[:min(len(data), 200)]) })
}

// What goes into a stage comes out, fails, or is dropped.
func TestNothingIsLost(t *testing.T) {
	const n = 3000
	for name, opts := range map[string][]pipeline.Option{
		"fused":     nil,
		"unordered": {pipeline.Workers(5)},
		"ordered":   {pipeline.Workers(5), pipeline.Ordered()},
		"by key":    {pipeline.Workers(5), pipeline.ByKey(func(x int) int { return x % 9 })},
	} {
		t.Run(name, func(t *testing.T) {
			for range 5 {
				var in, dropped, failed atomic.Int64
				count := func(_ context.Context, x int) (bool, error) {
					in.Add(1)
					switch rand.IntN(10) {
					case 0:
						failed.Add(1)
						return false, numbered(x)
					case 1:
						dropped.Add(1)
						return false, nil
					}
					return true, nil
				}
				out, errs := 0, 0
				s := pipeline.Filter(numbers(n), count, opts...)
				for _, err := range s(t.Context()) {
					if err != nil {
						errs++
					} else {
						out++
					}
				}
				assert.EqualValues(t, n, in.Load())
				assert.EqualValues(t, failed.Load(), errs)
				assert.Equal(t, n, out+errs+int(dropped.Load()))
			}
		})
	}
}
