package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// runToEnd runs the program and returns its exit status and output.
func runToEnd(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	status = run(t.Context(), args, &out, &errOut)
	return status, out.String(), errOut.String()
}

// serverURL starts a server and returns its address.
func serverURL(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// answering starts a server that always answers the same.
func answering(t *testing.T, status int, retryAfter string) string {
	t.Helper()
	return serverURL(t, func(w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(status)
		io.WriteString(w, "0123456789")
	})
}

// lines returns the lines of the output.
func lines(output string) []string {
	return strings.Split(strings.TrimSuffix(output, "\n"), "\n")
}

// row returns the columns that follow the name in the table.
func row(t *testing.T, stdout, name string) string {
	t.Helper()
	for _, line := range lines(stdout) {
		if columns, found := strings.CutPrefix(line, name+" "); found {
			return regexp.MustCompile(" {2,}").ReplaceAllString(strings.TrimSpace(columns), " | ")
		}
	}
	require.Fail(t, "no row of "+name, stdout)
	return ""
}

// requireRefused checks that nothing listens at the address.
func requireRefused(t *testing.T, address string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err == nil {
		conn.Close()
	}
	require.Error(t, err, "a server is still listening on %s", address)
}

// watcher calls seen, once, when the output contains text.
type watcher struct {
	bytes.Buffer

	text string
	seen func()
}

func (w *watcher) Write(b []byte) (int, error) {
	n, err := w.Buffer.Write(b)
	if w.seen != nil && strings.Contains(w.String(), w.text) {
		w.seen()
		w.seen = nil
	}
	return n, err
}

func TestRun_demo(t *testing.T) {
	status, stdout, stderr := runToEnd(t)

	assert.Equal(t, exitOK, status)
	assert.Empty(t, stderr)
	got := lines(stdout)
	require.Len(t, got, 1+4+7, stdout)

	address, found := strings.CutPrefix(got[0], "Downloading from http://")
	require.True(t, found, got[0])
	requireRefused(t, strings.TrimSuffix(address, "/")) // the demo has ended with the run

	retries := slices.Sorted(slices.Values(got[1:5])) // of one path they came in order: it counts them
	for i, want := range []string{
		`^/busy: attempt 1: HTTP 429 Too Many Requests, again in 1s$`,
		`^/down: attempt 1: HTTP 503 Service Unavailable, again in \d+m?s$`,
		`^/down: attempt 2: HTTP 503 Service Unavailable, again in \d+m?s$`,
		`^/torn: attempt 1: .*reset.*, again in \d+m?s$`, // the rest of the text is the system's
	} {
		assert.Regexp(t, want, retries[i])
	}
	assert.Equal(t, []string{
		"URL    BYTES  ATTEMPTS  STATUS OR ERROR",
		"/fine  14     1         HTTP 200 OK",
		"/busy  14     2         HTTP 200 OK",
		"/down  14     3         HTTP 200 OK",
		"/torn  14     2         HTTP 200 OK",
		"/gone  0      1         HTTP 404 Not Found",
		"4 of 5 downloaded (bytes: 56, attempts: 9)",
	}, got[5:])
}

func TestRun_eachKindOfOutcome(t *testing.T) {
	well := answering(t, http.StatusOK, "")
	moved := serverURL(t, http.RedirectHandler(well, http.StatusFound).ServeHTTP)
	cut := serverURL(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "0123456789")
	})
	created, missing := answering(t, http.StatusCreated, ""), answering(t, http.StatusNotFound, "")
	broken, unknown := answering(t, http.StatusInternalServerError, ""), answering(t, 599, "")
	down := answering(t, http.StatusBadGateway, "0")
	refused, plain := "http://127.0.0.1:1", strings.Replace(well, "http:", "https:", 1)

	status, stdout, stderr := runToEnd(t, "-attempts", "2", "-timeout", "1m",
		well, created, moved, cut, missing, broken, unknown, down, refused, plain)

	assert.Equal(t, exitOK, status)
	assert.Empty(t, stderr)
	for name, want := range map[string]string{
		well:    "10 | 1 | HTTP 200 OK",
		created: "10 | 1 | HTTP 201 Created",
		moved:   "10 | 2 | HTTP 200 OK",
		cut:     "10 | 1 | unexpected EOF",
		missing: "0 | 1 | HTTP 404 Not Found",
		broken:  "0 | 1 | HTTP 500 Internal Server Error",
		unknown: "0 | 1 | HTTP 599",
		down:    "0 | 2 | HTTP 502 Bad Gateway",
		plain:   "0 | 1 | http: server gave HTTP response to HTTPS client",
	} {
		assert.Equal(t, want, row(t, stdout, name))
	}
	assert.Contains(t, row(t, stdout, refused), "0 | 2 | no attempts left, after: ") // the rest is the system's
	assert.Contains(t, stdout, down+": attempt 1: HTTP 502 Bad Gateway, again in 0s\n")
	assert.Contains(t, stdout, refused+": attempt 1: ")
	assert.Contains(t, stdout, "\n3 of 10 downloaded (bytes: 40, attempts: 13)\n")
}

func TestRun_budgetExhausted(t *testing.T) {
	down := answering(t, http.StatusServiceUnavailable, "0")
	status, stdout, stderr := runToEnd(t, "-attempts", "100", "-budget", "0", down)

	assert.Equal(t, exitFailed, status)
	assert.Contains(t, stderr, errAllFailed.Error())
	assert.Equal(t, 10, strings.Count(stdout, ", again in 0s\n"), "the free ones")
	assert.Equal(t, "0 | 11 | HTTP 503 Service Unavailable", row(t, stdout, down))
}

func TestRun_masksPasswords(t *testing.T) {
	well := answering(t, http.StatusOK, "")
	for _, address := range []string{well, answering(t, http.StatusBadGateway, "0"), "http://127.0.0.1:1"} {
		_, stdout, stderr := runToEnd(t, "-attempts", "2", strings.Replace(address, "http://", "http://me:secret@", 1))
		assert.Contains(t, stdout, "http://me:xxxxx@127.0.0.1:")
		assert.NotContains(t, stdout+stderr, "secret")
	}
}

func TestRun_cancelled(t *testing.T) {
	down := answering(t, http.StatusServiceUnavailable, "1800")
	ctx, cancel := context.WithCancelCause(t.Context())
	var stderr bytes.Buffer
	stdout := &watcher{text: "again in 30m0s", seen: func() { cancel(errors.New("the user has had enough")) }}
	status := run(ctx, []string{"-total", "1h", down}, stdout, &stderr) // else it would take half an hour

	assert.Equal(t, exitFailed, status)
	assert.Contains(t, stderr.String(), "the user has had enough")
	assert.Equal(t, "0 | 1 | the user has had enough, after: HTTP 503 Service Unavailable", row(t, stdout.String(), down))
	assert.Contains(t, stdout.String(), "\n0 of 1 downloaded (bytes: 0, attempts: 1)\n")
}

func TestRun_cancelledTooLate(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var stderr bytes.Buffer
	stdout := &watcher{text: "1 of 1 downloaded", seen: cancel}
	status := run(ctx, []string{answering(t, http.StatusOK, "")}, stdout, &stderr)

	require.Error(t, ctx.Err())
	assert.Equal(t, exitOK, status, "there was nothing left to end")
	assert.Empty(t, stderr.String())
}

func TestRun_brokenOutput(t *testing.T) {
	reader, writer := io.Pipe()
	reader.Close()
	for _, args := range [][]string{
		{}, // the demo
		{answering(t, http.StatusOK, "")},
		{"-attempts", "2", answering(t, http.StatusServiceUnavailable, "0")},
	} {
		var stderr bytes.Buffer
		status := run(t.Context(), args, writer, &stderr)
		assert.Equal(t, exitFailed, status)
		assert.Contains(t, stderr.String(), "printing: "+io.ErrClosedPipe.Error())
	}
}
