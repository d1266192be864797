package concert_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestReadmeSnippetsAreTested compares the Go code in the README with this
// package's examples, which are compiled and run.
func TestReadmeSnippetsAreTested(t *testing.T) {
	readme := read(t, "README.md")
	examples := unindented(read(t, "example_test.go"))
	fences := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(readme, -1)
	require.NotEmpty(t, fences)
	for _, fence := range fences {
		assert.Contains(t, examples, unindented(fence[1]))
	}
}

func TestReadmeFitsAndNamesItsCommands(t *testing.T) {
	readme := read(t, "README.md")
	assert.LessOrEqual(t, strings.Count(readme, "\n"), 150)
	screen := strings.Join(strings.SplitN(readme, "\n", 41)[:40], "\n")
	assert.Contains(t, screen, "\ngo run ./examples/dashboard")
	assert.Contains(t, screen, "\ngo test -race work")
	assert.Contains(t, read(t, ".ci/run"), "\ngo test -race -shuffle=on work\n")
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(b)
}

// unindented drops the white space that begins each line.
func unindented(s string) string {
	return regexp.MustCompile(`(?m)^[ \t]+`).ReplaceAllString(s, "")
}
