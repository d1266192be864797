package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
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

// The real time of the network is nothing to rely on: what the breaker does when
// is tested without it.
func TestRun(t *testing.T) {
	status, stdout, stderr := runToEnd(t, "-period", "50ms", "-for", "10ms", "-rate", "200")

	assert.Equal(t, exitOK, status)
	assert.Empty(t, stderr)
	address, rest, found := strings.Cut(strings.TrimPrefix(stdout, "Calling http://"), "/")
	require.True(t, found, stdout)
	requireRefused(t, address) // the service has ended with the run
	assert.Contains(t, rest, " every 5ms, 20 times; it is broken for 10ms in every 50ms.\n")
	assert.Contains(t, rest, "\nTIME     SERVICE  BREAKER ")
	assert.Contains(t, rest, "\ncalls                 20               20\n")
	assert.Contains(t, rest, "\nThe breaker saved ")
}

func TestRun_cancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	var stderr bytes.Buffer
	stdout := &watcher{text: "TIME ", seen: func() { cancel(errors.New("the user has had enough")) }}
	status := run(ctx, []string{"-period", "1m"}, stdout, &stderr) // else it would take two minutes

	assert.Equal(t, exitFailed, status)
	assert.Contains(t, stderr.String(), "the user has had enough")
	assert.Contains(t, stdout.String(), "\ncalls                 0                0\n")
}

func TestRun_cancelledTooLate(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var stderr bytes.Buffer
	stdout := &watcher{text: "The breaker saved", seen: cancel}
	status := run(ctx, []string{"-period", "5ms", "-for", "0"}, stdout, &stderr)

	require.Error(t, ctx.Err())
	assert.Equal(t, exitOK, status, "there was nothing left to end")
	assert.Empty(t, stderr.String())
}

func TestRun_brokenOutput(t *testing.T) {
	reader, writer := io.Pipe()
	reader.Close()
	var stderr bytes.Buffer
	status := run(t.Context(), []string{"-period", "5ms", "-for", "0"}, writer, &stderr)
	assert.Equal(t, exitFailed, status)
	assert.Contains(t, stderr.String(), "printing: "+io.ErrClosedPipe.Error())
}
