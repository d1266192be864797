package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hostile is a snapshot full of what a server may send to do harm.
var hostile = snapshot{
	At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	Parts: []part{
		{
			Name: "api", URL: `http://api/"><script>`, OK: true, LatencyMS: 12.34,
			Metrics: map[string]float64{"a\x1b[2J": 1, "<script>": 2.5, "z\n": 1e6},
		},
		{Name: "größe", Error: "panic: \n<b>&\tx"},
		{Name: "idle", OK: true, LatencyMS: 1, Metrics: map[string]float64{}},
	},
}

func TestWriteText(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, writeText(&out, hostile))
	assert.Equal(t, ""+
		"NAME   STATUS  LATENCY  METRICS OR ERROR\n"+
		"api    ok      12.3 ms  <script>=2.5 a\uFFFD[2J=1 z\uFFFD=1000000\n"+
		"größe  failed  -        panic: \uFFFD<b>&\uFFFDx\n"+
		"idle   ok      1.0 ms   no metrics\n", out.String())
}

func TestWriteJSON_keepsEmptyMetrics(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, writeJSON(&out, snapshot{At: hostile.At, Parts: hostile.Parts[1:]}))
	assert.JSONEq(t, `{"at": "2026-01-02T03:04:05Z", "parts": [
		{"name": "größe", "url": "", "ok": false, "latency_ms": 0, "error": "panic: \n<b>&\tx"},
		{"name": "idle", "url": "", "ok": true, "latency_ms": 1, "metrics": {}}
	]}`, out.String())
}

func TestHTMLWriter_escapes(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, htmlWriter()(&out, hostile))
	page := out.String()
	for _, want := range []string{
		`<meta http-equiv="refresh" content="5">`,
		"<li>&lt;script&gt;: 2.5</li>",
		": 1000000</li>",
		"<td>12.3 ms</td>",
		"&lt;b&gt;&amp;",
		"<li>no metrics</li>",
		`<tr class="failed">`,
		"2026-01-02 03:04:05 UTC",
	} {
		assert.Contains(t, page, want)
	}
	assert.NotContains(t, page, "<script>")
	assert.NotContains(t, page, "<b>")
}
