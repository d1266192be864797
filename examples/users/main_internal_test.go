package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/pubsub"
)

// runToEnd runs the program and returns its exit status and output.
func runToEnd(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	status = run(t.Context(), args, &out, &errOut)
	return status, out.String(), errOut.String()
}

func TestRun(t *testing.T) {
	status, stdout, stderr := runToEnd(t)
	assert.Equal(t, exitFailed, status)
	assert.Equal(t, `ann@example.com: 201 Created
bob@nowhere.invalid: 201 Created
cid@example.com: 201 Created
dan@example.com: 201 Created
Shut down: 4 profiles, 3 mails sent. Audit trail:
{"id":1,"email":"ann@example.com"}
{"id":2,"email":"bob@nowhere.invalid"}
{"id":3,"email":"cid@example.com"}
{"id":4,"email":"dan@example.com"}
`, stdout)
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	require.Len(t, lines, 2, stderr)
	assert.Contains(t, lines[0], `level=WARN msg="no welcome mail" id=2 err="bob@nowhere.invalid: no such domain"`)
	assert.Contains(t, lines[1], `level=ERROR msg="users failed" err="mail: bob@nowhere.invalid: no such domain"`)
}

func TestRun_allWell(t *testing.T) {
	status, stdout, stderr := runToEnd(t, "-mail", "0", "ann@example.com", "not an address")
	assert.Equal(t, exitOK, status)
	assert.Empty(t, stderr)
	assert.Contains(t, stdout, "not an address: 400 Bad Request\n")
	assert.Contains(t, stdout, "1 profiles, 1 mails")
}

func TestRun_usage(t *testing.T) {
	status, stdout, stderr := runToEnd(t, "-h")
	assert.Equal(t, exitOK, status)
	assert.Empty(t, stdout)
	for _, want := range []string{"Usage: users", "Exit status:", "-mail duration"} {
		assert.Contains(t, stderr, want)
	}
	status, _, stderr = runToEnd(t, "-mail", "often")
	assert.Equal(t, exitUsage, status)
	assert.Contains(t, stderr, "-mail")
}

func TestRun_cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	assert.Equal(t, exitFailed, run(ctx, nil, &stdout, &stderr))
	assert.Contains(t, stderr.String(), context.Canceled.Error())
}

// cancelling is a writer that ends the program after its first line.
type cancelling struct {
	bytes.Buffer

	cancel context.CancelFunc
}

func (w *cancelling) Write(b []byte) (int, error) {
	w.cancel()
	return w.Buffer.Write(b)
}

// What was begun when the signal came is brought to its end.
func TestRun_cancelledInBetween(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stdout := &cancelling{cancel: cancel}
	assert.Equal(t, exitFailed, run(ctx, nil, stdout, io.Discard))
	assert.Contains(t, stdout.String(), "Shut down: 1 profiles, 1 mails sent.")
}

func TestRun_brokenOutput(t *testing.T) {
	reader, writer := io.Pipe()
	reader.Close()
	var stderr bytes.Buffer
	assert.Equal(t, exitFailed, run(t.Context(), []string{"-mail", "0", "ann@example.com"}, writer, &stderr))
	assert.Contains(t, stderr.String(), io.ErrClosedPipe.Error())
}

// post asks the service for a new user.
func post(t *testing.T, s *service, email string) (status int) {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/users", strings.NewReader(`{"email":"`+email+`"}`))
	s.handler().ServeHTTP(w, r)
	return w.Code
}

func discard(context.Context, string) error { return nil }

// The answers do not wait for mails; the shutdown does.
func TestService_losesNothingAtShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(io.Discard, sender(time.Second), slog.New(slog.DiscardHandler))
		start := time.Now()
		for range queue {
			require.Equal(t, http.StatusCreated, post(t, s, "ann@example.com"))
		}
		assert.Equal(t, start, time.Now())
		require.NoError(t, s.close(t.Context()))
		assert.Equal(t, queue*time.Second, time.Since(start))
		assert.Len(t, s.profiles, queue)
		assert.Equal(t, queue, s.sent)
		assert.Equal(t, http.StatusInternalServerError, post(t, s, "late@example.com"))
	})
}

// A panic in one costs the others nothing.
func TestService_listenersDoNotDisturbEachOther(t *testing.T) {
	var log strings.Builder
	var mails atomic.Int32
	s := newService(full{}, func(context.Context, string) error {
		if mails.Add(1) == 1 {
			panic("no network")
		}
		return nil
	}, slog.New(slog.NewTextHandler(&log, nil)))
	for range 3 {
		assert.Equal(t, http.StatusInternalServerError, post(t, s, "ann@example.com"))
	}
	err := s.close(t.Context())
	var panicked *pubsub.PanicError
	require.ErrorAs(t, err, &panicked)
	assert.Equal(t, "no network", panicked.Value)
	assert.Equal(t, 3, strings.Count(log.String(), `err="audit: disk full"`), log.String())
	assert.Len(t, s.profiles, 3)
	assert.Equal(t, 2, s.sent)
}

// full is a disk that is full.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestService_waitsOnlyForSoLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s := newService(io.Discard, sender(time.Hour), slog.New(slog.NewTextHandler(&log, nil)))
		for range queue + 1 { // one is being sent
			require.Equal(t, http.StatusCreated, post(t, s, "ann@example.com"))
			synctest.Wait()
		}
		start := time.Now()
		assert.Equal(t, http.StatusInternalServerError, post(t, s, "one.too.many@example.com"))
		assert.Equal(t, patience, time.Since(start))
		assert.Contains(t, log.String(), "queue: "+context.DeadlineExceeded.Error())

		ctx, cancel := context.WithTimeout(t.Context(), drainTime)
		defer cancel()
		require.ErrorIs(t, s.close(ctx), context.DeadlineExceeded)
		err := s.close(t.Context())
		require.ErrorContains(t, err, "mail: context deadline exceeded", "that was under way")
		lagged, ok := errors.AsType[*pubsub.LaggedError](err)
		require.True(t, ok, "those that were not")
		assert.EqualValues(t, queue, lagged.Missed)
	})
}

func TestService_badRequests(t *testing.T) {
	s := newService(io.Discard, discard, slog.New(slog.DiscardHandler))
	for _, email := range []string{"", "ann", "Ann <ann@example.com>", `"`, strings.Repeat("a", 2*maxBody) + "@example.com"} {
		assert.Equal(t, http.StatusBadRequest, post(t, s, email), email)
	}
	require.NoError(t, s.close(t.Context()))
	assert.Empty(t, s.profiles)
}
