package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/breaker"
	"github.com/seed4886185c/concert/retry"
)

// roundTripper stands in for the network.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// reach returns a network in which there is nothing but the service.
func reach(plan schedule) roundTripper {
	s := &service{plan: plan, logger: slog.New(slog.DiscardHandler)}
	return func(r *http.Request) (*http.Response, error) {
		recorder := httptest.NewRecorder()
		s.ServeHTTP(recorder, r)
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
		return recorder.Result(), nil
	}
}

// hang is a network that brings no answer.
func hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// compare shows the comparison for the arguments, without a real network and
// without chance: the waits are such that no two things happen at once that
// could happen in any order.
func compare(ctx context.Context, t *testing.T, out io.Writer, args ...string) error {
	t.Helper()
	s, err := parseArgs(args, io.Discard)
	require.NoError(t, err)
	plan := schedule{start: time.Now(), period: s.period, broken: s.broken}
	c := &comparison{url: "http://service/", network: reach(plan), policy: newPolicy(), calls: s.calls(), every: s.every()}
	c.policy.Backoff = retry.Constant(53 * time.Millisecond)
	return c.show(ctx, &printer{w: out, plan: plan})
}

func TestComparison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		require.NoError(t, compare(t.Context(), t, &out))
		assert.Equal(t, `Calling http://service/ every 25ms, 200 times; it is broken for 1s in every 2.5s.

TIME     SERVICE  BREAKER              SUCCEEDED  FAILED  REJECTED
0.829s   broken   closed -> open              30       5         0
1.079s   broken   open -> half-open            0       0        14
1.083s   broken   half-open -> open            0       1        13
1.333s   broken   open -> half-open            0       0        24
1.337s   broken   half-open -> open            0       1        23
1.587s   broken   open -> half-open            0       0        34
1.591s   broken   half-open -> open            0       1        33
1.841s   well     open -> half-open            0       0        44
1.845s   well     half-open -> closed          1       0        43
3.329s   broken   closed -> open              99       5         0
3.579s   broken   open -> half-open            0       0        14
3.583s   broken   half-open -> open            0       1        13
3.833s   broken   open -> half-open            0       0        24
3.837s   broken   half-open -> open            0       1        23
4.087s   broken   open -> half-open            0       0        34
4.091s   broken   half-open -> open            0       1        33
4.341s   well     open -> half-open            0       0        44
4.345s   well     half-open -> closed          1       0        43

                      WITHOUT BREAKER  WITH BREAKER
calls                 200              200
calls that succeeded  200              200
longest call          1.03s            1.148s
requests let through  954              216
requests that failed  754              16
attempts rejected     0                456
The breaker saved 738 of 954 requests: 16 failed instead of 754.
`, out.String())
	})
}

func TestComparison_neverBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		require.NoError(t, compare(t.Context(), t, &out, "-for", "0"))
		assert.Equal(t, `Calling http://service/ every 25ms, 200 times; it is broken for 0s in every 2.5s.

TIME     SERVICE  BREAKER              SUCCEEDED  FAILED  REJECTED

                      WITHOUT BREAKER  WITH BREAKER
calls                 200              200
calls that succeeded  200              200
longest call          4ms              4ms
requests let through  200              200
requests that failed  0                0
attempts rejected     0                0
The breaker saved 0 of 200 requests: 0 failed instead of 0.
`, out.String())
	})
}

func TestComparison_alwaysBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		start := time.Now()
		err := compare(t.Context(), t, &out, "-for", "2.5s")

		require.ErrorIs(t, err, errAllFailed)
		require.ErrorIs(t, err, retry.ErrElapsed)
		require.ErrorIs(t, err, statusError(http.StatusServiceUnavailable))
		assert.LessOrEqual(t, time.Since(start), 5*time.Second+patience)
		assert.Contains(t, out.String(), "\ncalls that succeeded  0                0\n")
		assert.NotContains(t, out.String(), "-> closed")
	})
}

func TestComparison_cancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		enough := errors.New("the user has had enough")
		time.AfterFunc(1190*time.Millisecond, func() { cancel(enough) })
		var out strings.Builder
		start := time.Now()
		require.ErrorIs(t, compare(ctx, t, &out), enough)
		assert.Equal(t, 1190*time.Millisecond, time.Since(start))
		_, table, _ := strings.Cut(out.String(), "13\n\n")
		assert.Equal(t, ""+
			"                      WITHOUT BREAKER  WITH BREAKER\n"+
			"calls                 48               48\n"+
			"calls that succeeded  30               30\n"+
			"longest call          440ms            440ms\n"+
			"requests let through  111              36\n"+
			"requests that failed  81               6\n"+
			"attempts rejected     0                45\n"+
			"The breaker saved 75 of 111 requests: 6 failed instead of 81.\n", table)
	})
}

// newClient returns a client that waits only if it is told to, and the states
// that its breaker comes to.
func newClient(network roundTripper) (*client, *[]string) {
	var states []string
	b := newBreaker(func(c breaker.Change) { states = append(states, c.To.String()) })
	p := newPolicy()
	p.Backoff = retry.Constant(0)
	return &client{url: "http://service/", network: network, policy: p, breaker: b}, &states
}

func TestClient_waitsForTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c, states := newClient(func(r *http.Request) (*http.Response, error) {
			recorder := httptest.NewRecorder()
			if time.Since(start) < 2*openFor {
				recorder.WriteHeader(http.StatusServiceUnavailable)
			}
			recorder.WriteString("well")
			return recorder.Result(), nil
		})
		answer, err := c.call(t.Context())

		require.NoError(t, err)
		assert.Equal(t, "well", answer)
		assert.Equal(t, 2*openFor, time.Since(start), "without a wait that nobody asked for")
		assert.EqualValues(t, mostFailures+2, c.requests.Load())
		assert.EqualValues(t, mostFailures+1, c.failed.Load())
		assert.EqualValues(t, 2, c.rejected.Load())
		assert.Equal(t, []string{"open", "half-open", "open", "half-open", "closed"}, *states)
	})
}

func TestClient_noAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(hang)
		start := time.Now()
		_, err := c.call(t.Context())

		require.ErrorIs(t, err, retry.ErrElapsed)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, mostFailures*attemptTimeout+4*(openFor+attemptTimeout), time.Since(start))
		assert.EqualValues(t, mostFailures+4, c.requests.Load())
		assert.EqualValues(t, mostFailures+4, c.failed.Load())
		assert.Equal(t, breaker.Open, c.breaker.State(), "time-outs count")
	})
}

func TestClient_cancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, states := newClient(hang)
		for range 2 * mostFailures {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(attemptTimeout/2, cancel)
			_, err := c.call(ctx)
			require.ErrorIs(t, err, context.Canceled)
		}
		assert.EqualValues(t, 2*mostFailures, c.requests.Load())
		assert.Empty(t, *states, "who does not want to know any more says nothing of the service")
	})
}

func TestClient_badAnswers(t *testing.T) {
	noRoute := errors.New("no route")
	for want, network := range map[error]roundTripper{
		noRoute: func(*http.Request) (*http.Response, error) { return nil, noRoute },
		io.ErrUnexpectedEOF: func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))}, nil
		},
		statusError(599): func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 599, Body: http.NoBody}, nil
		},
	} {
		c, _ := newClient(network)
		_, err := c.request(t.Context())
		require.ErrorIs(t, err, want)
		assert.EqualValues(t, 1, c.failed.Load())
	}
	assert.Equal(t, "HTTP 503 Service Unavailable", statusError(503).Error())
	assert.Equal(t, "HTTP 599", statusError(599).Error())
}
