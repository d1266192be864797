package breakerbench

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/afex/hystrix-go/hystrix"
	backoffv4 "github.com/cenkalti/backoff/v4"
	eapachebreaker "github.com/eapache/go-resiliency/breaker"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	circuit "github.com/rubyist/circuitbreaker"
	gobreakerv1 "github.com/sony/gobreaker"
	gobreakerv2 "github.com/sony/gobreaker/v2"

	"github.com/seed4886185c/concert/breaker"
)

func newBreaker(r rule) *breaker.Breaker {
	s := breaker.Settings{OpenFor: openFor}
	switch r {
	case consecutive:
		s.Trip = breaker.Consecutive(limit)
	case rate:
		s.Trip = breaker.Rate(share, minCalls, window)
	}
	return breaker.New(s)
}

func breakerDo(r rule) contender {
	b, ctx := newBreaker(r), context.Background()
	return contender{name: "breaker.Do", loop: func(w *work) (t tally) {
		for range w.calls {
			t.add(breaker.Do(ctx, b, w.getContext))
		}
		return t
	}}
}

func breakerRun(r rule) contender {
	b, ctx := newBreaker(r), context.Background()
	return contender{name: "breaker.Run", note: "value in a variable", loop: func(w *work) (t tally) {
		for range w.calls {
			err := breaker.Run(ctx, b, w.runContext)
			t.add(w.value, err)
		}
		return t
	}}
}

func breakerAllow(r rule) contender {
	b, ctx := newBreaker(r), context.Background()
	const note = "in two steps; a panic goes unseen"
	return contender{name: "breaker.Allow", note: note, loop: func(w *work) (t tally) {
		for range w.calls {
			done, err := b.Allow(ctx)
			if err != nil {
				t.add(0, err)
				continue
			}
			v, err := w.get()
			done(err)
			t.add(v, err)
		}
		return t
	}}
}

// gobreaker1 counts requests that have not ended, too. Its windows do not roll.
func gobreaker1() contender {
	b := gobreakerv1.NewCircuitBreaker(gobreakerv1.Settings{
		Timeout:     openFor,
		ReadyToTrip: func(c gobreakerv1.Counts) bool { return c.ConsecutiveFailures >= limit },
	})
	const note = "value in a variable; no context"
	return contender{name: "gobreaker/v1", note: note, loop: func(w *work) (t tally) {
		for range w.calls {
			_, err := b.Execute(w.getAny)
			t.add(w.value, err)
		}
		return t
	}}
}

// gobreaker2Settings has the same ten parts in the window as [breaker.Rate].
func gobreaker2Settings(r rule) gobreakerv2.Settings {
	s := gobreakerv2.Settings{Timeout: openFor}
	switch r {
	case consecutive:
		s.ReadyToTrip = func(c gobreakerv2.Counts) bool { return c.ConsecutiveFailures >= limit }
	case rate:
		s.Interval, s.BucketPeriod = window, window/10
		s.ReadyToTrip = func(c gobreakerv2.Counts) bool {
			return c.Requests >= minCalls && float64(c.TotalFailures) >= share*float64(c.Requests)
		}
	}
	return s
}

func gobreaker2(r rule) contender {
	b := gobreakerv2.NewCircuitBreaker[int](gobreaker2Settings(r))
	const note = "no context"
	return contender{name: "gobreaker/v2", note: note, loop: func(w *work) (t tally) {
		for range w.calls {
			t.add(b.Execute(w.get))
		}
		return t
	}}
}

func gobreaker2TwoStep(r rule) contender {
	b := gobreakerv2.NewTwoStepCircuitBreaker[int](gobreaker2Settings(r))
	const note = "in two steps; a panic goes unseen"
	return contender{name: "gobreaker/v2-twostep", note: note, loop: func(w *work) (t tally) {
		for range w.calls {
			done, err := b.Allow()
			if err != nil {
				t.add(0, err)
				continue
			}
			v, err := w.get()
			done(err)
			t.add(v, err)
		}
		return t
	}}
}

func failsafeBreaker(r rule) circuitbreaker.CircuitBreaker[int] {
	b := circuitbreaker.NewBuilder[int]().WithDelay(openFor)
	switch r {
	case consecutive:
		b = b.WithFailureThreshold(limit)
	case rate:
		b = b.WithFailureRateThreshold(share, minCalls, window)
	}
	return b.Build()
}

func failsafeGet(r rule) contender {
	executor := failsafe.With(failsafeBreaker(r))
	const note = "executor made beforehand; no context"
	return contender{name: "failsafe", note: note, loop: func(w *work) (t tally) {
		for range w.calls {
			t.add(executor.Get(w.get))
		}
		return t
	}}
}

func failsafePermit(r rule) contender {
	b := failsafeBreaker(r)
	const note = "in two steps; a panic goes unseen, a late result counts in another state"
	return contender{name: "failsafe-permit", note: note, loop: func(w *work) (t tally) {
		for range w.calls {
			if !b.TryAcquirePermit() {
				t.add(0, circuitbreaker.ErrOpen)
				continue
			}
			v, err := w.get()
			if err == nil {
				b.RecordSuccess()
			} else {
				b.RecordError(err)
			}
			t.add(v, err)
		}
		return t
	}}
}

// hystrixDo looks at the share of failures within ten seconds and knows no other
// rule. Its commands are known by name, in the whole process. It counts when it
// finds the time, and frees a place for the next call after the call's end, so
// that there have to be more places than calls at once.
func hystrixDo() contender {
	name, ctx := rand.Text(), context.Background()
	hystrix.ConfigureCommand(name, hystrix.CommandConfig{
		Timeout:                int(openFor / time.Millisecond),
		MaxConcurrentRequests:  calls,
		RequestVolumeThreshold: minCalls,
		SleepWindow:            int(openFor / time.Millisecond),
		ErrorPercentThreshold:  100 * share,
	})
	const note = "value in a variable; two goroutines for each call, which it also gives a time limit; " +
		"opens by the share of failures, some time after the last; fewer calls"
	return contender{name: "hystrix", note: note, part: 20, loop: func(w *work) (t tally) {
		for range w.calls {
			err := hystrix.DoC(ctx, name, w.runContext, nil)
			t.add(w.value, err)
		}
		return t
	}}
}

func eapache() contender {
	b := eapachebreaker.New(limit, 1, openFor)
	const note = "value in a variable; no context, counts no success while closed"
	return contender{name: "eapache", note: note, loop: func(w *work) (t tally) {
		for range w.calls {
			err := b.Run(w.run)
			t.add(w.value, err)
		}
		return t
	}}
}

func rubyist(r rule) contender {
	o := circuit.Options{BackOff: backoffv4.NewConstantBackOff(openFor)}
	switch r {
	case consecutive:
		o.ShouldTrip = circuit.ConsecutiveTripFunc(limit)
	case rate:
		o.ShouldTrip = circuit.RateTripFunc(share, minCalls)
		o.WindowTime, o.WindowBuckets = window, 10
	}
	b, ctx := circuit.NewBreakerWithOptions(&o), context.Background()
	const note = "value in a variable; the function gets no context, a panic goes unseen"
	return contender{name: "rubyist", note: note, loop: func(w *work) (t tally) {
		for range w.calls {
			err := b.CallContext(ctx, w.run, 0)
			t.add(w.value, err)
		}
		return t
	}}
}
