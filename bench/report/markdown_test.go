package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/bench/measure"
)

func TestSection(t *testing.T) {
	assert.Equal(t, `
## p/s

| contender | ns/task | p10 - p90 | ratio to a | allocs/call | |
| --- | ---: | ---: | ---: | ---: | --- |
| a | 40.0 | 8.12 - 123 | 1.00 | 3.1 |  |
| b | 60.0 | 60.0 - 60.0 | 1.50 | 7 | less |
| c | 4.00 | 4.00 - 4.00 | 0.10 | 0 |  |
| d | 400 | 400 - 400 | 10.00 | 2002 |  |
`, section("p/s", "ns/task", []measure.Result{
		{Name: "a", Median: 40, P10: 8.123, P90: 123.4, Allocs: 3.1},
		{Name: "b", Note: "less", Median: 60, P10: 60, P90: 60, Allocs: 7.04},
		{Name: "c", Median: 4, P10: 4, P90: 4, Allocs: 0.002},
		{Name: "d", Median: 400, P10: 400, P90: 400, Allocs: 2002.4},
	}))
}

func TestTargetRows(t *testing.T) {
	assert.Equal(t, `| | target | measured | |
| --- | --- | --- | --- |
| `+"`p`"+` | fast | 2 times | met |
| `+"`p`"+` | small | not measured |  |
`, targetHead+targetRows("p", []verdict{{"fast", "2 times", "met"}, {"small", notMeasured, ""}}))
}

func TestIntoReadme(t *testing.T) {
	file := filepath.Join(t.TempDir(), "README.md")
	for _, figures := range []string{"", "old\nfigures\n"} {
		old := "head\n<!-- figures -->\n" + figures + "<!-- end of figures -->\ntail\n"
		require.NoError(t, os.WriteFile(file, []byte(old), 0o600))
		require.NoError(t, intoReadme(file, "new\n"))
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, "head\n<!-- figures -->\nnew\n<!-- end of figures -->\ntail\n", string(text))
	}
	require.NoError(t, os.WriteFile(file, []byte("<!-- figures -->\n"), 0o600))
	require.Error(t, intoReadme(file, "new\n"))
}

// The peers are those modules that this one requires for itself.
func TestIndirect(t *testing.T) {
	text, err := os.ReadFile("../go.mod")
	require.NoError(t, err)
	n := 0
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) > 1 && strings.HasPrefix(words[1], "v") && !strings.HasSuffix(line, "// indirect\n") {
			assert.False(t, indirect(words[0]), words[0])
			n++
		}
	}
	assert.Greater(t, n, 10)
	assert.True(t, indirect("go.uber.org/atomic"))
}

// The report can be written into the README of the module.
func TestReadme_hasMarkers(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "README.md")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	assert.NoError(t, intoReadme(file, "new\n"))
}
