package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// startDemo starts the upstream and returns a demo of it that has not been run.
func startDemo(t *testing.T) *demo {
	t.Helper()
	u, err := startUpstream(t.Context(), func() {}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(u.close)
	g := newGateway(demoConfig(&url.URL{Scheme: "http", Host: u.address}), slog.New(slog.DiscardHandler))
	return &demo{upstream: u, clients: newClients(), gateway: g}
}

// The real time of the network is nothing to rely on: how many get what is not
// looked at.
func TestRunDemo(t *testing.T) {
	clientAt(t, "127.0.0.4") // or skip
	var stdout, stderr bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&stderr, nil))
	require.NoError(t, runDemo(t.Context(), 60*time.Millisecond, &stdout, logger))

	assert.Contains(t, stderr.String(), errDemoOver.Error())
	assert.Contains(t, stderr.String(), "msg=drained")
	for _, want := range []string{
		`^Each client may make 25 requests a second, all of them 4 at once\.\n`,
		`\nCLIENT +WANTS( +\d{3})+\n127\.0\.0\.2 +10/s( +\d+)+\n127\.0\.0\.3 +40/s( +\d+)+\n127\.0\.0\.4 +100/s( +\d+)+\n`,
		`\nUPSTREAM +REQUESTS +AT ONCE\nwell +\d+ +\d\nslow +\d+ +\d\nbroken +\d+ +\d\nwell again +\d+ +\d\n`,
		`\nGATEWAY +REQUESTS\n(\w+ +\d+\n)+\nIt made \d+ retries, and its breaker opened \d+ times\.\n`,
		`was under way, which got \d{3}\.\n$`,
	} {
		assert.Regexp(t, regexp.MustCompile(want), stdout.String())
	}
}

func TestRunDemo_brokenOutput(t *testing.T) {
	clientAt(t, "127.0.0.4") // or skip
	reader, writer := io.Pipe()
	reader.Close()
	err := runDemo(t.Context(), time.Millisecond, writer, slog.New(slog.DiscardHandler))
	require.ErrorIs(t, err, io.ErrClosedPipe)
	assert.ErrorContains(t, err, "printing: ")
}

func TestClient_run(t *testing.T) {
	clientAt(t, "127.0.0.2") // or skip
	d := startDemo(t)
	d.upstream.now.Store(d.upstream.moods[2])
	c := newClient("127.0.0.2", 1000)
	defer c.network.CloseIdleConnections()
	require.NoError(t, c.run(t.Context(), "http://"+d.upstream.address, time.Millisecond))
	requests, most := d.upstream.moods[2].seen()
	assert.Positive(t, requests)
	assert.Positive(t, most)
	assert.Equal(t, map[int]int{503: requests}, c.statuses)

	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the user has had enough"))
	require.EqualError(t, c.run(ctx, "http://"+d.upstream.address, time.Hour), "the user has had enough")

	d.upstream.close()
	require.ErrorContains(t, c.run(t.Context(), "http://"+d.upstream.address, time.Millisecond), d.upstream.address)
}

func TestPrint(t *testing.T) {
	d := startDemo(t)
	d.clients[0].statuses = map[int]int{200: 12345}
	d.clients[2].statuses = map[int]int{200: 1, 503: 2}
	d.upstream.moods[1].requests, d.upstream.moods[1].most = 1234567, 4
	d.gateway.requests.Add(full, 7)
	d.gateway.retries.Add(2)
	d.gateway.opened.Add(1)
	d.last = 200
	var out strings.Builder
	require.NoError(t, d.print(&out))
	assert.Equal(t, ""+
		"Each client may make 25 requests a second, all of them 4 at once.\n"+
		"\n"+
		"CLIENT     WANTS  200    503\n"+
		"127.0.0.2  10/s   12345  0\n"+
		"127.0.0.3  40/s   0      0\n"+
		"127.0.0.4  100/s  1      2\n"+
		"\n"+
		"UPSTREAM    REQUESTS  AT ONCE\n"+
		"well        0         0\n"+
		"slow        1234567   4\n"+
		"broken      0         0\n"+
		"well again  0         0\n"+
		"\n"+
		"GATEWAY        REQUESTS\n"+
		"bulkhead_full  7\n"+
		"\n"+
		"It made 2 retries, and its breaker opened 1 times.\n"+
		"It was told to end while a request was under way, which got 200.\n", out.String())
}
