package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// With this in its environment, the test binary is the program.
const beProgram = "CHAT_TEST_IS_THE_PROGRAM=yes"

func TestMain(m *testing.M) {
	if os.Getenv(strings.TrimSuffix(beProgram, "=yes")) == "yes" {
		main()
	}
	os.Exit(m.Run())
}

// runToEnd runs the program and returns its exit status and output.
func runToEnd(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	status = run(t.Context(), args, &out, &errOut)
	return status, out.String(), errOut.String()
}

// printedURL reads what the program prints when it serves.
func printedURL(t *testing.T, stdout io.Reader) string {
	t.Helper()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	found := regexp.MustCompile(`^Chat on (http://.+/)\n$`).FindStringSubmatch(line)
	require.Len(t, found, 2, line)
	return found[1]
}

func TestRun_wrongArguments(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"an argument":    {[]string{":8080"}, `argument ":8080": want only flags`},
		"unknown flag":   {[]string{"-port", "1"}, "flag provided but not defined: -port"},
		"nobody":         {[]string{"-max-clients", "0"}, "-max-clients 0: want 1 or more and at most 100000"},
		"too many":       {[]string{"-max-clients", "100001"}, "-max-clients 100001: want 1 or more and at most 100000"},
		"a bad pattern":  {[]string{"-origin", "[a"}, `invalid value "[a" for flag -origin: syntax error in pattern`},
		"a bad address":  {[]string{"-addr"}, "flag needs an argument: -addr"},
		"a bad number":   {[]string{"-max-clients", "many"}, `invalid value "many" for flag -max-clients`},
		"an origin last": {[]string{"-origin"}, "flag needs an argument: -origin"},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := runToEnd(t, test.args...)
			assert.Equal(t, exitUsage, status)
			assert.Empty(t, stdout)
			assert.Contains(t, stderr, "chat: ")
			assert.Contains(t, stderr, test.want)
			assert.Contains(t, stderr, "-h for help")
		})
	}
}

func TestRun_help(t *testing.T) {
	status, stdout, stderr := runToEnd(t, "-h")
	assert.Equal(t, exitOK, status)
	assert.Empty(t, stderr)
	for _, want := range []string{"Usage:", "Exit status:", "-addr address", "-max-clients clients", "-origin host"} {
		assert.Contains(t, stdout, want)
	}
}

func TestParseArgs(t *testing.T) {
	got, err := parseArgs(nil, nil)
	require.NoError(t, err)
	assert.Equal(t, "127.0.0.1:8080", got.addr)
	assert.Empty(t, got.origins, "only its own")

	got, err = parseArgs([]string{"-addr", ":0", "-max-clients", "3", "-origin", "a.example", "-origin", "*.b.example"}, nil)
	require.NoError(t, err)
	assert.Equal(t, ":0", got.addr)
	assert.Equal(t, 3, got.maxClients)
	assert.Equal(t, []string{"a.example", "*.b.example"}, got.origins)
}

func TestRun_addressInUse(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	status, stdout, stderr := runToEnd(t, "-addr", listener.Addr().String())
	assert.Equal(t, exitFailed, status)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, listener.Addr().String())
}

func TestRun_brokenOutput(t *testing.T) {
	reader, writer := io.Pipe()
	reader.Close()
	var stderr bytes.Buffer
	assert.Equal(t, exitFailed, run(t.Context(), []string{"-addr", "127.0.0.1:0"}, writer, &stderr))
	assert.Contains(t, stderr.String(), "printing: "+io.ErrClosedPipe.Error())
}

func TestRun_serves(t *testing.T) {
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	stdout, output := io.Pipe()
	var stderr bytes.Buffer
	status := make(chan int, 1)
	go func() { status <- run(ctx, []string{"-addr", "127.0.0.1:0", "-max-clients", "1"}, output, &stderr) }()
	r := &running{url: printedURL(t, stdout), dial: new(net.Dialer).DialContext}
	ann := r.visit(t, "Ann")
	ann.mustSay("hello")
	ann.mustUntil("hello")
	_, _, err := r.try(t, "Bob", "")
	require.Error(t, err)

	cancel()
	assert.Equal(t, websocket.StatusGoingAway, ann.end())
	assert.Equal(t, exitOK, <-status)
	for _, want := range []string{"msg=joined name=Ann", "msg=closing", "clients=1", "msg=left name=Ann", "the room is closed"} {
		assert.Contains(t, stderr.String(), want)
	}
	goroutinesAre(t, before)
}

// The program ends when it is told to, but not before it has said goodbye.
func TestMain_signal(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no such signal")
	}
	program := exec.CommandContext(t.Context(), os.Args[0], "-addr", "127.0.0.1:0")
	program.Env = append(os.Environ(), beProgram)
	var stderr bytes.Buffer
	program.Stderr = &stderr
	stdout, err := program.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, program.Start())
	r := &running{url: printedURL(t, stdout), dial: new(net.Dialer).DialContext}
	ann := r.visit(t, "Ann")
	ann.mustSay("hello")
	ann.mustUntil("hello")

	require.NoError(t, program.Process.Signal(os.Interrupt))
	assert.Equal(t, websocket.StatusGoingAway, ann.end())
	require.NoError(t, program.Wait(), stderr.String())
	assert.Contains(t, stderr.String(), "msg=closing")
}
