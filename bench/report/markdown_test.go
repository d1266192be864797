package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/bench/measure"
)

func TestTable(t *testing.T) {
	s := measure.Scenario{Name: "s", Unit: "ns/task"}
	assert.Equal(t, `
## s

| contender | ns/task | p10 - p90 | ratio to a | allocs/call | |
| --- | ---: | ---: | ---: | ---: | --- |
| a | 40.0 | 8.12 - 123 | 1.00 | 3 |  |
| b | 60.0 | 60.0 - 60.0 | 1.50 | 7 | less |
`, table(s, []measure.Result{
		{Name: "a", Median: 40, P10: 8.123, P90: 123.4, Allocs: 3.1},
		{Name: "b", Note: "less", Median: 60, P10: 60, P90: 60, Allocs: 7},
	}))
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

// The report can be written into the README of the module.
func TestReadme_hasMarkers(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "README.md")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	assert.NoError(t, intoReadme(file, "new\n"))
}
