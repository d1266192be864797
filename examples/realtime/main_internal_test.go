package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// With this in its environment, the test binary is the program.
const beProgram = "REALTIME_TEST_IS_THE_PROGRAM=yes"

func TestMain(m *testing.M) {
	if os.Getenv(strings.TrimSuffix(beProgram, "=yes")) == "yes" {
		main()
	}
	os.Exit(m.Run())
}

// runToEnd runs the program and returns its exit status and output.
func runToEnd(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	status = run(t.Context(), args, strings.NewReader(stdin), &out, &errOut)
	return status, out.String(), errOut.String()
}

// serverURL starts a server and returns its address.
func serverURL(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// watcher calls seen, once, when the output contains text.
type watcher struct {
	strings.Builder

	text string
	seen func()
}

func (w *watcher) WriteString(s string) (int, error) {
	n, err := w.Builder.WriteString(s)
	if w.seen != nil && strings.Contains(w.String(), w.text) {
		w.seen()
		w.seen = nil
	}
	return n, err
}

// totals are what the summary tells.
type totals struct{ read, bad, orders, lost, breaks int }

// summed reads the summary, and checks that the rows of the tables add up to it.
func summed(t *testing.T, stdout string) totals {
	t.Helper()
	found := regexp.MustCompile(`\nRead (\d+) events: (\d+) bad, (\d+) orders in \d+ windows, (\d+) lost\.\n` +
		`Orders of further regions: \d+\. Alerts: \d+\. Broken connections: (\d+)\.\n$`).FindStringSubmatch(stdout)
	require.NotNil(t, found, stdout)
	var n [5]int
	for i := range n {
		n[i], _ = strconv.Atoi(found[i+1])
	}
	shown := 0
	for _, row := range regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d\.\d  [a-z(][^ :]* +(\d+)( |$)`).FindAllStringSubmatch(stdout, -1) {
		orders, _ := strconv.Atoi(row[1])
		shown += orders
	}
	assert.Equal(t, n[2], shown, stdout)
	assert.Equal(t, n[0], n[1]+n[2])
	assert.Zero(t, n[3])
	return totals{n[0], n[1], n[2], n[3], n[4]}
}

// shop returns a handler that serves orders with the numbers up to last, of which
// those in bad are malformed. Once for each number in cuts the connection breaks in
// the middle of that order. After the last there are no more.
func shop(last int, bad, cuts []int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.Header.Get("Last-Event-ID"))
		if n == last {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for first := n + 1; n < last; {
			n++
			text := fmt.Sprintf("id: %d\ndata: %s\n\n", n, sold("eu", n, 1, false).data)
			if slices.Contains(bad, n) {
				text = fmt.Sprintf("id: %d\ndata: bad\n\n", n)
			}
			if n != first && slices.Contains(cuts, n) {
				io.WriteString(w, text[:len(text)-3])
				http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}
			io.WriteString(w, text)
		}
	}
}

func TestRun_demo(t *testing.T) {
	out := &watcher{text: "TIME "}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out.seen = cancel // once there is something
	var stderr bytes.Buffer
	status := run(ctx, []string{"-window", "50ms"}, nil, out, &stderr)

	assert.Equal(t, exitOK, status, stderr.String())
	assert.Empty(t, stderr.String())
	got := summed(t, out.String())
	assert.Positive(t, got.orders)
}

func TestRun_url(t *testing.T) {
	url := serverURL(t, shop(5000, []int{7, 2000, 5000}, []int{1500, 2000, 2001, 4000}))
	status, stdout, stderr := runToEnd(t, "", "-window", "20ms", "-url", url)

	assert.Equal(t, exitOK, status, stderr)
	assert.Equal(t, totals{read: 5000, bad: 3, orders: 4997, breaks: 5}, summed(t, stdout), "four that were cut, and the end")
	assert.Contains(t, stdout, `bad event "7": invalid character 'b' `)
	assert.Contains(t, stdout, "no stream: unexpected EOF; trying again in ")
	assert.NotContains(t, stdout, "\x1b")
}

// The server is gone, and after a while another one is there at the same address.
func TestRun_serverDies(t *testing.T) {
	var first *httptest.Server
	first = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first.Listener.Close() // from now on nobody listens
		shop(100, nil, []int{50})(w, r)
	}))
	first.Start()
	defer first.Close()
	address := first.Listener.Addr().String()
	second := httptest.NewUnstartedServer(shop(100, nil, nil))
	defer second.Close()

	out := &watcher{text: "dial tcp", seen: func() {
		listener, err := net.Listen("tcp", address)
		if assert.NoError(t, err) {
			second.Listener.Close()
			second.Listener = listener
			second.Start()
		}
	}}
	var stderr bytes.Buffer
	status := run(t.Context(), []string{"-url", first.URL}, nil, out, &stderr)

	assert.Equal(t, exitOK, status, stderr.String())
	got := summed(t, out.String())
	assert.Equal(t, 100, got.orders)
	assert.GreaterOrEqual(t, got.breaks, 3, "it was cut, refused, and at its end")
}

func TestRun_stdin(t *testing.T) {
	lines := strings.Repeat(sold("eu", 1, 1, false).data+"\n", 500) + "bad\n" + sold("us", 1, 1, true).data
	status, stdout, stderr := runToEnd(t, lines, "-url", "-")

	assert.Equal(t, exitOK, status, stderr)
	assert.Equal(t, totals{read: 502, bad: 1, orders: 501}, summed(t, stdout))
	assert.Contains(t, stdout, `bad event "501": `)
	assert.Regexp(t, ` eu +500 +0 +5\.00 +1 +1\n`, stdout)
	assert.Regexp(t, ` us +1 +1 +0\.00 +1 +1\n`, stdout)
}

func TestRun_for(t *testing.T) {
	reader, writer := io.Pipe()
	defer writer.Close() // ends the goroutine that reads
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), []string{"-url", "-", "-for", "1ms"}, reader, &stdout, &stderr)
	assert.Equal(t, exitOK, status, stderr.String())
	assert.Equal(t, totals{}, summed(t, stdout.String()))
}

func TestRun_failures(t *testing.T) {
	status, stdout, stderr := runToEnd(t, "", "-url", serverURL(t, http.NotFound))
	assert.Equal(t, exitFailed, status)
	assert.Contains(t, stderr, "reading the stream: ")
	assert.Contains(t, stderr, "404")
	assert.Equal(t, totals{}, summed(t, stdout))

	status, stdout, stderr = runToEnd(t, sold("eu", 1, 1, false).data+"\n"+strings.Repeat("x", 1<<20), "-url", "-")
	assert.Equal(t, exitFailed, status)
	assert.Contains(t, stderr, "token too long")
	assert.Equal(t, totals{read: 1, orders: 1}, summed(t, stdout), "what came before is there")
}

func TestRun_cancelledBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	assert.Equal(t, exitOK, run(ctx, nil, nil, &stdout, &stderr), stderr.String())
	assert.Equal(t, totals{}, summed(t, stdout.String()))
}

// Also a stream without an end is left when nobody can see it.
func TestRun_brokenOutput(t *testing.T) {
	for _, args := range [][]string{{"-window", "10ms", "-for", "10m"}, {"-url", "-"}} {
		reader, writer := io.Pipe()
		reader.Close()
		var stderr bytes.Buffer
		assert.Equal(t, exitFailed, run(t.Context(), args, strings.NewReader(""), writer, &stderr))
		assert.Contains(t, stderr.String(), "printing: "+io.ErrClosedPipe.Error())
	}
}

// A signal ends the reading, and all that was read is shown.
func TestMain_signal(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no such signal")
	}
	program := exec.CommandContext(t.Context(), os.Args[0], "-url", "-", "-window", "10ms")
	program.Env = append(os.Environ(), beProgram)
	var stderr bytes.Buffer
	program.Stderr = &stderr
	stdin, err := program.StdinPipe() // which stays open
	require.NoError(t, err)
	stdout, err := program.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, program.Start())

	_, err = io.WriteString(stdin, sold("eu", 1, 1, false).data+"\nbad\n")
	require.NoError(t, err)
	output := bufio.NewReader(stdout)
	var seen strings.Builder
	for !strings.Contains(seen.String(), " eu ") || !strings.Contains(seen.String(), "bad event") {
		line, err := output.ReadString('\n')
		require.NoError(t, err)
		seen.WriteString(line)
	}
	require.NoError(t, program.Process.Signal(syscall.SIGTERM))
	rest, err := io.ReadAll(output)
	require.NoError(t, err)

	require.NoError(t, program.Wait(), stderr.String())
	assert.Equal(t, totals{read: 2, bad: 1, orders: 1}, summed(t, seen.String()+string(rest)))
	assert.Empty(t, stderr.String())
}

func TestRun_wrongArguments(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"unknown flag":  {[]string{"-o", "dir"}, "flag provided but not defined: -o"},
		"no URL":        {[]string{"-url", "http://[::1"}, "missing ']' in host"},
		"wrong scheme":  {[]string{"-url", "ftp://a/b"}, `-url "ftp://a/b": want a URL such as http://host/path, or -`},
		"no host":       {[]string{"-url", "http:///b"}, "want a URL such as"},
		"no window":     {[]string{"-window", "0"}, "-window 0s: want more than 0"},
		"negative time": {[]string{"-for", "-1s"}, "-for -1s: want 0 or more"},
		"an argument":   {[]string{"orders.ndjson"}, `argument "orders.ndjson": want only flags`},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := runToEnd(t, "", test.args...)
			assert.Equal(t, exitUsage, status)
			assert.Empty(t, stdout)
			assert.Contains(t, stderr, "realtime: ")
			assert.Contains(t, stderr, test.want)
			assert.Contains(t, stderr, "-h for help")
		})
	}
}

func TestRun_help(t *testing.T) {
	status, stdout, stderr := runToEnd(t, "", "-h")
	assert.Equal(t, exitOK, status)
	assert.Empty(t, stderr)
	for _, want := range []string{"Usage:", "Exit status:", "-for duration", "-url URL", "-window duration"} {
		assert.Contains(t, stdout, want)
	}
}

func TestParseArgs(t *testing.T) {
	got, err := parseArgs(nil, nil)
	require.NoError(t, err)
	assert.Equal(t, settings{window: time.Second}, got)
	got, err = parseArgs([]string{"-url", "https://a/b?c", "-window", "5s", "-for", "1m"}, nil)
	require.NoError(t, err)
	assert.Equal(t, settings{url: "https://a/b?c", window: 5 * time.Second, length: time.Minute}, got)
}
