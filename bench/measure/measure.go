// Package measure compares functions by running them in turns.
//
// On a machine that others share, the speed of the processor changes from one
// second to the next. So the contenders of a [Scenario] are not measured one
// after another but interleaved: in each round every contender is timed once,
// and the order rotates from round to round. What slows one of them down slows
// its neighbours too, and the ratio of two medians means something even where
// the medians do not.
package measure

import (
	"math"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A Scenario is one piece of work that several contenders do.
type Scenario struct {
	Name       string
	Unit       string      // a unit of time, or B, and what it is spent on: "ns/task"
	Per        int         // operations in one run, to divide the time or bytes by; zero means 1
	Calls      int         // calls in one run, to divide the allocations by; zero means 1
	Rounds     int         // the most that there are, where each takes long; zero means no bound
	Contenders []Contender // the first is the baseline
}

// A Contender is one way to do the work of a [Scenario]. Run panics if the
// work has not come out right.
type Contender struct {
	Name string
	Note string // what it does less, or otherwise, than the baseline
	Part int    // how many times less work is in one run, for one that is slow; zero means 1
	Run  func()

	// Instead of Run, if the unit is B: makes what takes memory and returns a
	// function that lets go of it. It panics if it has not come out right.
	Make func() (drop func())
}

// A Result tells how one contender did.
type Result struct {
	Name, Note       string
	Median, P10, P90 float64 // per operation, in the unit of the scenario
	Allocs           float64 // per call
}

// The number of rounds: the least, and that of a call which asks for none.
const (
	MinRounds     = 7
	DefaultRounds = 21
)

const minSample = 20 * time.Millisecond

// weighings is how often something is made to see how many bytes it takes. That
// varies little.
const weighings = 3

// Run measures the contenders of s, and returns one result for each, in their
// order. Rounds below [MinRounds] are raised to it, but zero means
// [DefaultRounds]. If s has a bound, there are no more than that.
//
// One sample is as many runs of a contender as take 20ms or more, so that its
// share of garbage collection is in it. It begins with an empty heap and an
// untimed run: no contender pays for the garbage of the one before it.
//
// If the unit of s is B, a sample is the growth of the heap and the stacks, and
// there are three.
func Run(s Scenario, rounds int) []Result {
	if name, _, _ := strings.Cut(s.Unit, "/"); name == "B" {
		return weigh(s)
	}
	if rounds == 0 {
		rounds = DefaultRounds
	}
	if s.Rounds > 0 {
		rounds = min(rounds, s.Rounds)
	}
	rounds = max(rounds, MinRounds)
	n := len(s.Contenders)
	repeats := make([]int, n)
	results := make([]Result, n)
	samples := make([][]float64, n)
	for i, c := range s.Contenders {
		repeats[i] = calibrate(c.Run)
		results[i] = Result{Name: c.Name, Note: c.Note, Allocs: allocs(c.Run, repeats[i]) / c.count(s.Calls)}
	}

	unit := s.unit()
	for round := range rounds {
		for k := range n {
			i := (round + k) % n
			c := s.Contenders[i]
			runtime.GC()
			c.Run()
			d := timed(c.Run, repeats[i])
			operations := float64(repeats[i]) * c.count(s.Per)
			samples[i] = append(samples[i], float64(d)/operations/float64(unit))
		}
	}
	for i := range results {
		results[i].summarize(samples[i])
	}
	return results
}

// weigh is Run for what takes memory. What the contenders share is there before
// the first sample.
func weigh(s Scenario) []Result {
	s.Contenders[0].Make()()
	results := make([]Result, len(s.Contenders))
	samples := make([][]float64, len(s.Contenders))
	for range weighings {
		for i, c := range s.Contenders {
			before := settled()
			drop := c.Make()
			after := settled()
			drop()
			samples[i] = append(samples[i], (taken(after)-taken(before))/c.count(s.Per))
			results[i] = Result{Name: c.Name, Note: c.Note, Allocs: float64(after.Mallocs-before.Mallocs) / c.count(s.Calls)}
		}
	}
	for i := range results {
		results[i].summarize(samples[i])
	}
	return results
}

// settled returns what is on the heap and no garbage. What a finalizer keeps is
// garbage in the second collection only.
func settled() (m runtime.MemStats) {
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m
}

// taken returns how many bytes the heap and the stacks of goroutines take.
func taken(m runtime.MemStats) float64 { return float64(m.HeapAlloc) + float64(m.StackInuse) }

// summarize sets the figures of r to those of the samples.
func (r *Result) summarize(samples []float64) {
	slices.Sort(samples)
	r.P10 = quantile(samples, 0.1)
	r.Median = quantile(samples, 0.5)
	r.P90 = quantile(samples, 0.9)
}

// unit returns the unit of time that Unit begins with. It panics if there is
// none.
func (s Scenario) unit() time.Duration {
	name, _, _ := strings.Cut(s.Unit, "/")
	d, err := time.ParseDuration("1" + name)
	if err != nil {
		panic("measure: " + s.Name + ": no unit of time in " + s.Unit)
	}
	return d
}

// count returns how many there are in one run of c, if there are n in one of a
// contender that does all the work.
func (c Contender) count(n int) float64 { return float64(max(n, 1)) / float64(max(c.Part, 1)) }

// calibrate returns how many runs make a sample. It warms up on the way.
func calibrate(run func()) int {
	run()
	n := 1
	for timed(run, n) < minSample {
		n *= 2
	}
	return n
}

func timed(run func(), n int) time.Duration {
	start := time.Now()
	for range n {
		run()
	}
	return time.Since(start)
}

// allocs returns the allocations of one run, on average over n.
// testing.AllocsPerRun would allow one processor only, where the contenders
// start fewer goroutines than they do when they are timed.
func allocs(run func(), n int) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range n {
		run()
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(n)
}

// quantile returns the value below which the share q of the sorted values
// lies, interpolated between the two nearest ones.
func quantile(sorted []float64, q float64) float64 {
	pos := q * float64(len(sorted)-1)
	low := int(math.Floor(pos))
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (pos-float64(low))*(sorted[high]-sorted[low])
}
