package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// With this in its environment, the test binary is the program.
const beProgram = "GATEWAY_TEST_IS_THE_PROGRAM=yes"

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

// requireRefused checks that nothing listens at the address.
func requireRefused(t *testing.T, address string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err == nil {
		conn.Close()
	}
	require.Error(t, err, "a server is still listening on %s", address)
}

// waitRefused returns when nothing listens at the address any more.
func waitRefused(address string) {
	for {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		conn.Close()
	}
}

// addresses reads what the program prints when it serves.
func addresses(t *testing.T, stdout io.Reader) (public, admin string) {
	t.Helper()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	found := regexp.MustCompile(`^Gateway on http://(.+)/, metrics on http://(.+)/debug/vars\n$`).FindStringSubmatch(line)
	require.Len(t, found, 3, line)
	return found[1], found[2]
}

func TestRun_serves(t *testing.T) {
	u := startTestUpstream(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) })
	ctx, cancel := context.WithCancel(t.Context())
	stdout, output := io.Pipe()
	var stderr bytes.Buffer
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{
			"-addr", "127.0.0.1:0", "-upstream", u.url + "/base",
			"-rate", "0.001", "-burst", "1", "-drain-delay", "0",
		}, output, &stderr)
	}()
	public, admin := addresses(t, stdout)

	c := clientAt(t, "127.0.0.2")
	assert.Equal(t, answer{status: 200, body: "/base/x"}, c.get("http://"+public+"/x").plain())
	assert.Equal(t, 429, c.get("http://"+public+"/x").status)
	assert.Contains(t, c.get("http://"+admin+"/debug/vars").body, `"client_limited": 1`)
	assert.Equal(t, 404, c.get("http://"+admin+"/x").status)
	assert.Equal(t, 200, clientAt(t, "127.0.0.3").get("http://"+public+"/debug/vars").status, "that of the upstream")

	cancel()
	assert.Equal(t, exitOK, <-status)
	assert.Contains(t, stderr.String(), "drained")
	requireRefused(t, public)
	requireRefused(t, admin)
}

func TestRun_addressInUse(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	used := listener.Addr().String()
	for _, args := range [][]string{
		{"-addr", used, "-upstream", "http://a"},
		{"-addr", "127.0.0.1:0", "-admin", used, "-upstream", "http://a"},
	} {
		status, stdout, stderr := runToEnd(t, args...)
		assert.Equal(t, exitFailed, status)
		assert.Empty(t, stdout)
		assert.Contains(t, stderr, used)
	}
}

func TestRun_brokenOutput(t *testing.T) {
	reader, writer := io.Pipe()
	reader.Close()
	var stderr bytes.Buffer
	status := run(t.Context(), []string{"-addr", "127.0.0.1:0", "-upstream", "http://a"}, writer, &stderr)
	assert.Equal(t, exitFailed, status)
	assert.Contains(t, stderr.String(), "printing: "+io.ErrClosedPipe.Error())
}

// The program ends when it is told to, but not before it has answered.
func TestMain_signal(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no such signal")
	}
	asked, release := make(chan struct{}), make(chan struct{})
	u := startTestUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-release
		io.WriteString(w, "at last")
	})
	program := exec.CommandContext(t.Context(), os.Args[0], "-addr", "127.0.0.1:0", "-upstream", u.url, "-drain-delay", "0")
	program.Env = append(os.Environ(), beProgram)
	var stderr bytes.Buffer
	program.Stderr = &stderr
	stdout, err := program.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, program.Start())
	public, _ := addresses(t, stdout)

	go func() {
		defer close(release)
		<-asked
		if assert.NoError(t, program.Process.Signal(syscall.SIGTERM)) {
			waitRefused(public)
		}
	}()
	got := clientAt(t, "127.0.0.2").get("http://" + public + "/")

	assert.Equal(t, answer{status: 200, body: "at last"}, got.plain())
	require.NoError(t, program.Wait(), stderr.String())
	assert.Regexp(t, `msg=draining cause=.*terminated`, stderr.String())
	assert.Contains(t, stderr.String(), "msg=drained")
}

func TestRun_demoCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the user has had enough"))
	var stdout, stderr bytes.Buffer
	assert.Equal(t, exitFailed, run(ctx, nil, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "gateway failed")
	assert.Empty(t, stdout.String())
}
