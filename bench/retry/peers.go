package retrybench

import (
	"context"
	"time"

	avastv4 "github.com/avast/retry-go/v4"
	avastv5 "github.com/avast/retry-go/v5"
	backoffv4 "github.com/cenkalti/backoff/v4"
	backoffv5 "github.com/cenkalti/backoff/v5"
	"github.com/eapache/go-resiliency/retrier"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	goretry "github.com/sethvargo/go-retry"

	"github.com/seed4886185c/concert/retry"
)

func policy() retry.Policy {
	return retry.Policy{MaxAttempts: attempts, Backoff: retry.Constant(0)}
}

func retryDo(ctx context.Context) contender {
	p := policy()
	return contender{"retry.Do", "", func(w *work) {
		sum := 0
		for range calls {
			v, err := retry.Do(ctx, p, w.getContext)
			must(err)
			sum += v
		}
		w.done(sum)
	}}
}

func retryRun(ctx context.Context) contender {
	p := policy()
	return contender{"retry.Run", "value in a variable", func(w *work) {
		sum := 0
		for range calls {
			must(retry.Run(ctx, p, w.runContext))
			sum += w.value
		}
		w.done(sum)
	}}
}

// What limits the attempts of backoff v4 counts them, so that no two calls may
// share it.

func backoff4() contender {
	zero := &backoffv4.ZeroBackOff{}
	return contender{"backoff/v4", "back-off made per call; no context, the last error only", func(w *work) {
		sum := 0
		for range calls {
			v, err := backoffv4.RetryWithData(w.get, backoffv4.WithMaxRetries(zero, attempts-1))
			must(err)
			sum += v
		}
		w.done(sum)
	}}
}

func backoff4Context(ctx context.Context) contender {
	zero := &backoffv4.ZeroBackOff{}
	const note = "back-off made per call; the function gets no context, the last error only"
	return contender{"backoff/v4+cancel", note, func(w *work) {
		sum := 0
		for range calls {
			b := backoffv4.WithContext(backoffv4.WithMaxRetries(zero, attempts-1), ctx)
			v, err := backoffv4.RetryWithData(w.get, b)
			must(err)
			sum += v
		}
		w.done(sum)
	}}
}

// backoff5 is without the time limit, which would read the clock after each
// failure.
func backoff5(ctx context.Context) contender {
	options := []backoffv5.RetryOption{
		backoffv5.WithBackOff(&backoffv5.ZeroBackOff{}),
		backoffv5.WithMaxTries(attempts),
		backoffv5.WithMaxElapsedTime(0),
	}
	const note = "options made beforehand; the function gets no context, the last error only"
	return contender{"backoff/v5", note, func(w *work) {
		sum := 0
		for range calls {
			v, err := backoffv5.Retry(ctx, w.get, options...)
			must(err)
			sum += v
		}
		w.done(sum)
	}}
}

// Both versions of avast return the last error only, as v5 is faster then.

func avast4Options() []avastv4.Option {
	return []avastv4.Option{
		avastv4.Attempts(attempts), avastv4.Delay(0), avastv4.DelayType(avastv4.FixedDelay),
		avastv4.LastErrorOnly(true),
	}
}

func avast4() contender {
	options := avast4Options()
	return contender{"avast/v4", "options made beforehand; no context, the last error only", func(w *work) {
		sum := 0
		for range calls {
			v, err := avastv4.DoWithData(w.get, options...)
			must(err)
			sum += v
		}
		w.done(sum)
	}}
}

func avast4Context(ctx context.Context) contender {
	o := avast4Options()
	const note = "option with the context made per call; the function gets none, the last error only"
	return contender{"avast/v4+cancel", note, func(w *work) {
		sum := 0
		for range calls {
			v, err := avastv4.DoWithData(w.get, o[0], o[1], o[2], o[3], avastv4.Context(ctx))
			must(err)
			sum += v
		}
		w.done(sum)
	}}
}

func avast5Options() []avastv5.Option {
	return []avastv5.Option{
		avastv5.Attempts(attempts), avastv5.Delay(0), avastv5.DelayType(avastv5.FixedDelay),
		avastv5.LastErrorOnly(true),
	}
}

func avast5() contender {
	r := avastv5.NewWithData[int](avast5Options()...)
	return contender{"avast/v5", "retrier made beforehand; no context, the last error only", func(w *work) {
		sum := 0
		for range calls {
			v, err := r.Do(w.get)
			must(err)
			sum += v
		}
		w.done(sum)
	}}
}

func avast5Context(ctx context.Context) contender {
	o := avast5Options()
	const note = "retrier made per call, as it holds the context; the function gets none, the last error only"
	return contender{"avast/v5+cancel", note, func(w *work) {
		sum := 0
		for range calls {
			r := avastv5.NewWithData[int](o[0], o[1], o[2], o[3], avastv5.Context(ctx))
			v, err := r.Do(w.get)
			must(err)
			sum += v
		}
		w.done(sum)
	}}
}

// What limits the attempts of go-retry counts them, for good: each call needs
// its own. It retries only errors that are marked.
func sethvargo(ctx context.Context) contender {
	zero := goretry.BackoffFunc(func() (time.Duration, bool) { return 0, false })
	marked := goretry.RetryableError(errBusy)
	const note = "back-off made per call; errors marked beforehand; the last error only"
	return contender{"sethvargo", note, func(w *work) {
		w.err = marked
		sum := 0
		for range calls {
			v, err := goretry.DoValue(ctx, goretry.WithMaxRetries(attempts-1, zero), w.getContext)
			must(err)
			sum += v
		}
		w.done(sum)
	}}
}

func failsafePolicy() failsafe.Policy[int] {
	return retrypolicy.NewBuilder[int]().WithMaxAttempts(attempts).Build()
}

func failsafeGet() contender {
	executor := failsafe.With(failsafePolicy())
	return contender{"failsafe", "executor made beforehand; no context, the last error only", func(w *work) {
		sum := 0
		for range calls {
			v, err := executor.Get(w.get)
			must(err)
			sum += v
		}
		w.done(sum)
	}}
}

func failsafeContext(ctx context.Context) contender {
	executor := failsafe.With(failsafePolicy())
	const note = "executor copied per call, as it holds the context; the function gets none, the last error only"
	return contender{"failsafe+cancel", note, func(w *work) {
		sum := 0
		for range calls {
			v, err := executor.WithContext(ctx).Get(w.get)
			must(err)
			sum += v
		}
		w.done(sum)
	}}
}

// eapache is used by the method that the others wrap.
func eapache(ctx context.Context) contender {
	r := retrier.New(retrier.ConstantBackoff(attempts-1, 0), nil)
	return contender{"eapache", "retrier made beforehand; value in a variable, the last error only", func(w *work) {
		sum := 0
		for range calls {
			must(r.RunFn(ctx, w.runRetries))
			sum += w.value
		}
		w.done(sum)
	}}
}
