package ratelimit

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// A Rate is a number of events per second. Zero means none, [Inf] no limit.
type Rate float64

// Inf is the Rate of what is not limited. What is more is Inf, too.
const Inf = Rate(math.MaxFloat64)

// Every returns the Rate of one event in each interval, and [Inf] if that is
// zero or negative.
func Every(interval time.Duration) Rate {
	if interval <= 0 {
		return Inf
	}
	return Rate(float64(time.Second) / float64(interval))
}

// Per returns the Rate of n events in each d, such as 100 in a minute. It panics
// if n is negative, or d not positive.
func Per(n int, d time.Duration) Rate {
	if n < 0 || d <= 0 {
		panic("ratelimit: Per of a negative number, or of no time")
	}
	return Rate(float64(n) * float64(time.Second) / float64(d))
}

const (
	// room is how many units a bucket can hold. There may be four times as many
	// earned, and as many in debt, before an int64 overflows.
	room = 1 << 60

	// maxBurst leaves enough units for a token that the rate is exact, and
	// longToken leaves room for a debt of a thousand tokens.
	maxBurst  = 1 << 36
	longToken = 1 << 52
)

// A pace is a rate and a burst in integers. Time earns units, earn of them in
// 1<<shift nanoseconds, and a token costs some. A bucket holds at most depth
// units. If the rate is [Inf], all of them are 0.
//
// For a rate such as 10 or 100/60 or 12.5, or 1e9/7, cost:earn is exactly the
// interval between two tokens in nanoseconds; otherwise it is within a millionth
// of that.
type pace struct {
	earn, cost, depth int64
	shift             uint8

	// The number of tokens in depth, or math.MaxInt if the rate is Inf.
	most int

	// The time for which units can be counted.
	horizon time.Duration
}

// newPace panics if the rate or the burst cannot be.
func newPace(r Rate, burst int) pace {
	switch {
	case math.IsNaN(float64(r)) || r < 0:
		panic("ratelimit: a rate that is negative or no number")
	case burst < 0:
		panic("ratelimit: a negative burst")
	case r >= Inf:
		return pace{most: math.MaxInt, horizon: 4 * room}
	case uint64(burst) > maxBurst:
		panic("ratelimit: a burst of more than 1<<36")
	}
	size := int64(max(burst, 1))
	interval := max(float64(time.Second)/float64(r), 1./maxBurst) // what is full in 1 ns cannot be fuller
	p := pace{cost: min(room/size, 1<<32), most: burst, horizon: 4 * room}
	if interval*float64(size) < 0x1p120 { // what is more never comes
		for interval*float64(size) > room || interval > longToken {
			interval /= 2
			p.shift++
		}
		p.cost, p.earn = fraction(interval, room/size)
		p.horizon = time.Duration(4 * room / p.earn)
	}
	p.depth = int64(burst) * p.cost
	return p
}

// fraction returns the integers whose quotient is x, or as near to it as is
// needed, by continued fractions. The first is at most limit, if that is not
// less than x, and neither is 0.
func fraction(x float64, limit int64) (num, den int64) {
	const (
		exact  = 0x1p-50
		enough = 1 << 20 // more would bring the horizon near
	)
	num, den = 1, 0
	num0, den0 := int64(0), int64(1) // the one before
	for rest := x; ; rest = 1 / (rest - math.Floor(rest)) {
		whole := math.Floor(rest)
		n, d := whole*float64(num)+float64(num0), whole*float64(den)+float64(den0)
		if num > 0 && den > 0 && (n > float64(limit) || d > enough) {
			return num, den
		}
		num, num0 = int64(whole)*num+num0, num
		den, den0 = int64(whole)*den+den0, den
		if num > 0 && math.Abs(n/d-x) <= x*exact {
			return num, den
		}
	}
}

// earned returns the units that time has earned, if it is not beyond the
// horizon.
func (p *pace) earned(elapsed time.Duration) int64 {
	return int64(elapsed) * p.earn >> p.shift
}

// everEarned is earned for any time: what is beyond seven times the room is as
// good as that, as nothing is due so late.
func (p *pace) everEarned(elapsed time.Duration) int64 {
	if p.shift == 0 && p.earn > 0 && int64(elapsed) > 7*room/p.earn {
		return 7 * room
	}
	return p.earned(elapsed)
}

// from returns what may be called spent where earned is what it is: a bucket
// that is full earns nothing.
func (p *pace) from(spent, earned int64) int64 {
	return max(spent, earned-p.depth)
}

// replaced is what spent is in a bucket that is not in force any more: there is
// nothing to be had.
const replaced = math.MaxInt64

// take spends so many units, if that is not more than is earned. It returns what
// is spent then, or replaced.
func (p *pace) take(spent *atomic.Int64, units, earned int64) (now int64, ok bool) {
	for {
		before := spent.Load()
		from := p.from(before, earned)
		if from > earned-units {
			if before == replaced {
				return replaced, false
			}
			return from, false
		}
		if spent.CompareAndSwap(before, from+units) {
			return from + units, true
		}
	}
}

// result returns the Result for n, given what is spent then.
func (p *pace) result(n int, at level, ok bool) Result {
	earned := p.earned(at.elapsed)
	spent := p.from(at.spent, earned)
	r := Result{
		OK: ok, Limit: p.most, Remaining: p.most,
		ResetAfter: never(p.delay(spent+p.depth, at.elapsed)),
		Window:     never(p.delay(p.depth, 0)),
	}
	if p.most == 0 {
		r.Window = -1
	}
	if p.cost > 0 {
		r.Remaining = int(max(0, earned-spent) / p.cost)
	}
	switch {
	case ok:
	case uint(n) > uint(p.most):
		r.RetryAfter = -1
	default:
		r.RetryAfter = never(p.delay(spent+int64(n)*p.cost, at.elapsed))
	}
	return r
}

// never returns d, or -1 if that is forever.
func never(d time.Duration) time.Duration {
	if d == forever {
		return -1
	}
	return d
}

// tokens returns how many tokens so many units are.
func (p *pace) tokens(units int64) float64 {
	if p.cost == 0 {
		return math.Inf(1)
	}
	return float64(units) / float64(p.cost)
}

// forever is a time that does not come.
const forever = time.Duration(math.MaxInt64)

// delay returns for how long after elapsed what is earned is less than at, or
// forever.
func (p *pace) delay(at int64, elapsed time.Duration) time.Duration {
	if at <= p.everEarned(elapsed) {
		return 0
	}
	if p.earn == 0 {
		return forever
	}
	// The first moment at which moment*earn >> shift is not less than at.
	hi, lo := bits.Mul64(uint64(max(at, 0)), 1<<p.shift)
	lo, carry := bits.Add64(lo, uint64(p.earn-1), 0)
	if hi += carry; hi >= uint64(p.earn) {
		return forever
	}
	moment, _ := bits.Div64(hi, lo, uint64(p.earn))
	if moment >= math.MaxInt64+uint64(min(elapsed, 0)) {
		return forever
	}
	return time.Duration(moment) - elapsed
}

// scale returns what a debt in units of q is in units of p. A negative one is
// credit.
func (p *pace) scale(debt int64, q *pace) int64 {
	if q.cost == 0 || p.cost == q.cost {
		return debt
	}
	hi, lo := bits.Mul64(uint64(max(debt, -debt)), uint64(p.cost))
	scaled, rest := uint64(maxDebt), uint64(0)
	if hi < uint64(q.cost) {
		scaled, rest = bits.Div64(hi, lo, uint64(q.cost))
	}
	if debt > 0 && rest > 0 {
		scaled++
	}
	units := int64(min(scaled, maxDebt))
	if debt < 0 {
		return -units
	}
	return units
}
