package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The demo's rows, in order: the name and what its line contains.
var demoRows = [][]string{
	{"api", " ok ", "error_rate=0.01 requests_per_second=1234.5"},
	{"database", " ok ", "connections=42 queries_per_second=870.25"},
	{"billing", " failed ", "HTTP 503 Service Unavailable"},
	{"queue", " ok ", "depth=17 oldest_seconds=3.2"},
	{"search", " failed ", "no answer within 2s"},
}

// runToEnd runs the program and returns its exit status and output.
func runToEnd(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	status = run(t.Context(), args, &out, &errOut)
	return status, out.String(), errOut.String()
}

// answering starts a server that always answers the same.
func answering(t *testing.T, status int, body string) string {
	t.Helper()
	return serverURL(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
}

// serverURL starts a server and returns its address.
func serverURL(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
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

func TestRun_demoAsText(t *testing.T) {
	status, stdout, stderr := runToEnd(t)

	assert.Equal(t, exitOK, status)
	assert.Empty(t, stderr)
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	require.Len(t, lines, 1+len(demoRows))
	column := strings.Index(lines[0], "METRICS OR ERROR")
	for i, row := range demoRows {
		line := lines[1+i]
		assert.True(t, strings.HasPrefix(line, row[0]+" "), line)
		assert.Contains(t, line, row[1])
		assert.Equal(t, row[2], line[column:], "the columns are aligned")
	}
}

func TestRun_demoAsJSON(t *testing.T) {
	status, stdout, stderr := runToEnd(t, "-json")

	assert.Equal(t, exitOK, status)
	assert.Empty(t, stderr)
	var got snapshot
	require.NoError(t, json.Unmarshal([]byte(stdout), &got))
	assert.False(t, got.At.IsZero())
	require.Len(t, got.Parts, len(demoRows))
	for i, p := range got.Parts {
		assert.Equal(t, demoRows[i][0], p.Name)
		assert.Equal(t, demoRows[i][2], p.summary())
		assert.Positive(t, p.LatencyMS)
		assert.Equal(t, p.OK, p.Error == "")
		assert.Equal(t, p.OK, p.Metrics != nil)

		u, err := url.Parse(p.URL)
		require.NoError(t, err)
		requireRefused(t, u.Host) // the demo has ended with the run
	}
}

func TestRun_jsonNames(t *testing.T) {
	well := answering(t, http.StatusOK, `{"up": 1}`)
	ill := answering(t, http.StatusInternalServerError, "")
	_, stdout, _ := runToEnd(t, "-json", "well="+well, "ill="+ill)

	var got struct {
		At    time.Time
		Parts []map[string]any
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &got))
	require.Len(t, got.Parts, 2)
	for _, p := range got.Parts {
		assert.Positive(t, p["latency_ms"])
		delete(p, "latency_ms")
	}
	assert.Equal(t, []map[string]any{
		{"name": "well", "url": well, "ok": true, "metrics": map[string]any{"up": 1.0}},
		{"name": "ill", "url": ill, "ok": false, "error": "HTTP 500 Internal Server Error"},
	}, got.Parts)
}

func TestRun_eachKindOfFailure(t *testing.T) {
	status, stdout, stderr := runToEnd(t, "-json", "-timeout", "1m",
		"well="+answering(t, http.StatusOK, `{"b": 2, "a": 1e6}`),
		"created="+answering(t, http.StatusCreated, `{}`),
		"error="+answering(t, http.StatusInternalServerError, `{"a": 1}`),
		"unknown="+answering(t, 599, `{"a": 1}`),
		"html="+answering(t, http.StatusOK, "<html>"),
		"empty="+answering(t, http.StatusOK, ""),
		"list="+answering(t, http.StatusOK, "[1]"),
		"nested="+answering(t, http.StatusOK, `{"a": {"b": 1}}`),
		"null="+answering(t, http.StatusOK, `null`),
		"fits="+answering(t, http.StatusOK, `{"a": 1`+strings.Repeat(" ", maxBody-8)+"}"),
		"long="+answering(t, http.StatusOK, `{"a": 1`+strings.Repeat(" ", maxBody-7)+"}"),
		"refused=http://127.0.0.1:1",
		"cut="+serverURL(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, `{"a": 1`)
		}),
	)

	assert.Equal(t, exitOK, status)
	assert.Empty(t, stderr)
	var got snapshot
	require.NoError(t, json.Unmarshal([]byte(stdout), &got))
	want := []struct{ name, summary string }{
		{"well", "a=1000000 b=2"},
		{"created", "no metrics"},
		{"error", "HTTP 500 Internal Server Error"},
		{"unknown", "HTTP 599"},
		{"html", "bad JSON: invalid character '<' looking for beginning of value"},
		{"empty", "bad JSON: unexpected end of JSON input"},
		{"list", "the answer is not a JSON object"},
		{"nested", `metric "a" is not a number`},
		{"null", "the answer is not a JSON object"},
		{"fits", "a=1"},
		{"long", "the answer is longer than 1 MiB"},
		{"refused", "refused"},
		{"cut", "unexpected EOF"},
	}
	require.Len(t, got.Parts, len(want))
	for i, w := range want {
		assert.Equal(t, w.name, got.Parts[i].Name)
		if w.name == "refused" { // the rest of the text is the system's
			assert.Contains(t, got.Parts[i].summary(), w.summary)
			continue
		}
		assert.Equal(t, w.summary, got.Parts[i].summary(), w.name)
	}
}

func TestRun_allFailed(t *testing.T) {
	t.Run("with a status", func(t *testing.T) {
		status, stdout, stderr := runToEnd(t, "a="+answering(t, http.StatusNotFound, ""))
		assert.Equal(t, exitFailed, status)
		assert.Contains(t, stdout, "HTTP 404 Not Found")
		assert.Contains(t, stderr, errAllFailed.Error())
	})
	t.Run("hanging before the header", func(t *testing.T) {
		hanging := serverURL(t, hanging)
		status, stdout, _ := runToEnd(t, "-timeout", "50ms", "a="+hanging)
		assert.Equal(t, exitFailed, status)
		assert.Contains(t, stdout, "no answer within 50ms")
	})
	t.Run("hanging in the body", func(t *testing.T) {
		half := serverURL(t, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"a": `)
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		status, stdout, _ := runToEnd(t, "-timeout", "50ms", "a="+half)
		assert.Equal(t, exitFailed, status)
		assert.Contains(t, stdout, "no answer within 50ms")
	})
}

func TestRun_cancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	asked := serverURL(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel(errors.New("the user has had enough"))
		<-r.Context().Done()
	})
	var stdout, stderr bytes.Buffer
	status := run(ctx, []string{"-timeout", "1m", "a=" + asked}, &stdout, &stderr)

	assert.Equal(t, exitFailed, status)
	assert.Empty(t, stdout.String())
	assert.Contains(t, stderr.String(), "the user has had enough")
}

func TestRun_brokenOutput(t *testing.T) {
	reader, writer := io.Pipe()
	reader.Close()
	for _, args := range [][]string{{}, {"-json"}, {"-serve", "127.0.0.1:0"}} {
		var stderr bytes.Buffer
		args = append(args, "a="+answering(t, http.StatusOK, `{}`))
		status := run(t.Context(), args, writer, &stderr)
		assert.Equal(t, exitFailed, status)
		assert.Contains(t, stderr.String(), io.ErrClosedPipe.Error())
	}
}
