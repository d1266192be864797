package ratelimit

import "time"

// A Reservation is a promise that n events may happen, after a while. Its
// methods may be called concurrently.
type Reservation struct {
	limiter *Limiter
	made    time.Time
	atOnce  bool   // it was due when it was made
	place   *place // with units, as long as something can be given back; guarded by limiter.mu
}

// Reserve takes n tokens, also if they are not there yet, and returns how long
// to wait for them, by [Reservation.Delay]. It is for those who cannot wait
// here, or may decide not to. It comes after those who wait already.
//
// If n is more than the burst or negative, or the rate is 0 and the tokens are not
// there, or more are owed than can be counted, a thousand and six times the
// burst at least, it returns nil and false, and has taken nothing.
func (l *Limiter) Reserve(n int) (*Reservation, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, elapsed := l.current()
	if uint(n) > uint(b.most) {
		return nil, false
	}
	units, earned := int64(n)*b.cost, b.earned(elapsed)
	if units == 0 {
		return &Reservation{limiter: l, place: &place{}}, true
	}
	for {
		spent := b.spent.Load()
		at := b.from(spent, earned) + units
		if at > maxDebt || b.delay(at, elapsed) == forever {
			return nil, false
		}
		if !b.spent.CompareAndSwap(spent, at) {
			continue
		}
		x := &place{at: max(at, earned), units: units, kind: reserved}
		l.last = x.at
		l.line.forget(earned)
		l.line.insert(x)
		return &Reservation{limiter: l, made: time.Now(), atOnce: at <= earned, place: x}, true
	}
}

// Delay returns how long it will be, from now, until the events may happen; zero
// if they may. It changes with [Limiter.Set], to the largest Duration if the rate
// becomes 0. Once r is canceled, it is zero.
func (r *Reservation) Delay() time.Duration {
	r.limiter.mu.Lock()
	defer r.limiter.mu.Unlock()
	if r.place.units == 0 {
		return 0
	}
	b, elapsed := r.limiter.current()
	return b.delay(r.place.at, elapsed)
}

// Cancel gives back the tokens, as far as those that come later do not build on
// them: as many are lost as were reserved afterwards, and more if there would
// otherwise be more than the burst when these are due. Who waits after r waits for
// less. Once the time at which r is due is over, nothing happens, as what it is
// for may have; so one that is due at once cannot be canceled later. Nothing
// happens either if r is canceled already.
func (r *Reservation) Cancel() {
	l := r.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	b, _ := l.current()
	x := r.place
	due := b.born.Add(b.delay(x.at, 0))
	if r.atOnce {
		due = r.made
	}
	if x.units > 0 && !time.Now().After(due) {
		if x.at == l.last {
			l.last -= x.units
		}
		l.line.leave(x, x.units-max(0, l.last-x.at), &b.pace, &b.spent, b.elapsed)
		l.alert()
	}
	x.units = 0
}
