package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// program is a run with -serve.
type program struct {
	address string // it listens here
	cancel  context.CancelFunc
	status  <-chan int
}

// startServing runs the program with -serve on a free port.
func startServing(t *testing.T, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stdout, output := io.Pipe()
	status := make(chan int, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		status <- run(ctx, append([]string{"-serve", "127.0.0.1:0"}, args...), output, io.Discard)
		output.Close()
	}()
	t.Cleanup(func() { cancel(); <-done })

	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	_, rest, found := strings.Cut(line, "http://")
	require.True(t, found, line)
	return &program{address: strings.TrimSuffix(rest, "/\n"), cancel: cancel, status: status}
}

// get makes a request and returns the answer with its whole body.
func (p *program) get(t *testing.T, path string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.address+path, http.NoBody)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(body)
}

func TestServe_pageAndAPI(t *testing.T) {
	var hits atomic.Int64
	well := serverURL(t, func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		io.WriteString(w, `{"<up>": 1}`)
	})
	ill := answering(t, http.StatusBadGateway, "")
	p := startServing(t, "-timeout", "1m", "well="+well, "ill="+ill)

	resp, page := p.get(t, "/")
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Equal(t, "text/html; charset=utf-8", resp.Header.Get("Content-Type"))
	assert.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
	assert.Contains(t, page, "<li>&lt;up&gt;: 1</li>")
	assert.Contains(t, page, "HTTP 502 Bad Gateway")

	resp, body := p.get(t, "/api")
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Equal(t, "application/json", resp.Header.Get("Content-Type"))
	var got snapshot
	require.NoError(t, json.Unmarshal([]byte(body), &got))
	require.Len(t, got.Parts, 2)
	assert.Equal(t, "<up>=1", got.Parts[0].summary())
	assert.Equal(t, "HTTP 502 Bad Gateway", got.Parts[1].summary())
	assert.EqualValues(t, 2, hits.Load(), "each request fetches afresh")

	resp, _ = p.get(t, "/other")
	assert.Equal(t, http.StatusNotFound, resp.StatusCode)

	p.cancel()
	assert.Equal(t, exitOK, <-p.status)
	requireRefused(t, p.address)
}

func TestServe_demo(t *testing.T) {
	p := startServing(t)
	_, body := p.get(t, "/api")
	var got snapshot
	require.NoError(t, json.Unmarshal([]byte(body), &got))
	require.Len(t, got.Parts, len(demoRows))
	for i, part := range got.Parts {
		assert.Equal(t, demoRows[i][2], part.summary())
	}

	p.cancel()
	assert.Equal(t, exitOK, <-p.status)
	requireRefused(t, p.address)
	for _, part := range got.Parts {
		_, rest, _ := strings.Cut(part.URL, "http://")
		requireRefused(t, strings.TrimSuffix(rest, "/metrics"))
	}
}

func TestServe_addressInUse(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	status, stdout, stderr := runToEnd(t, "-serve", listener.Addr().String())
	assert.Equal(t, exitFailed, status)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, listener.Addr().String())
}

func TestServe_clientGoesAway(t *testing.T) {
	asked, left := make(chan struct{}), make(chan struct{})
	slow := serverURL(t, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
		close(left)
	})
	p := startServing(t, "-timeout", "1h", "slow="+slow)

	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/", http.NoBody)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		resp.Body.Close()
	}
	require.ErrorIs(t, err, context.Canceled)
	<-left // the fetch was cancelled: else this would take an hour
}

func TestServe_shutdownLetsRequestsEnd(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	slow := serverURL(t, func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-release
		io.WriteString(w, `{"up": 1}`)
	})
	p := startServing(t, "-timeout", "1h", "slow="+slow)
	go func() {
		defer close(release)
		<-asked
		p.cancel()
		for { // until the server has stopped listening
			conn, err := net.Dial("tcp", p.address)
			if err != nil {
				return
			}
			conn.Close()
		}
	}()

	resp, page := p.get(t, "/")
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Contains(t, page, "<li>up: 1</li>")
	assert.Equal(t, exitOK, <-p.status)
}

func TestHandler_concurrentLoadsShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var fetches atomic.Int64
		d := newDashboard(func(r *http.Request) (*http.Response, error) {
			fetches.Add(1)
			<-release
			return after(0, r)
		}, "a", "b")
		h := newHandler(d, slog.New(slog.DiscardHandler))

		var loads sync.WaitGroup
		answers := make([]*httptest.ResponseRecorder, 10)
		for i := range answers {
			path := []string{"/", "/api"}[i%2]
			answers[i] = httptest.NewRecorder()
			loads.Go(func() {
				h.ServeHTTP(answers[i], httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
			})
		}
		impatient, leave := context.WithCancel(t.Context())
		loads.Go(func() {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(impatient, http.MethodGet, "/", http.NoBody))
		})
		synctest.Wait() // all loads are under way
		leave()
		synctest.Wait()
		close(release)
		loads.Wait()

		assert.EqualValues(t, 2, fetches.Load(), "one for each endpoint")
		for i, answer := range answers {
			assert.Equal(t, http.StatusOK, answer.Code)
			assert.Equal(t, answers[i%2].Body.String(), answer.Body.String())
		}
	})
}

func TestHandler_snapshotPanics(t *testing.T) {
	d := newDashboard(nil, "a")
	d.timeout = -1 // which gather.TaskTimeout takes for a mistake in the program
	var logged strings.Builder
	h := newHandler(d, slog.New(slog.NewTextHandler(&logged, nil)))

	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))

	assert.Equal(t, http.StatusInternalServerError, answer.Code)
	assert.NotContains(t, answer.Body.String(), "panic")
	assert.Contains(t, logged.String(), "TaskTimeout")
}
