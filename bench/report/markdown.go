package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/seed4886185c/concert/bench/measure"
)

const self = "github.com/seed4886185c/concert"

// machine tells what the figures were measured on and with.
func machine(rounds int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "- %s, GOMAXPROCS %d, %s/%s\n", cpuModel(), runtime.GOMAXPROCS(0), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(&b, "- %s, %d rounds\n", runtime.Version(), rounds)
	if info, ok := debug.ReadBuildInfo(); ok {
		var peers []string
		for _, m := range info.Deps {
			if m.Path != self && !indirect(m.Path) {
				peers = append(peers, m.Path+" "+m.Version)
			}
		}
		fmt.Fprintf(&b, "- %s\n", strings.Join(peers, ", "))
	}
	return b.String()
}

// indirect reports whether only a peer imports the module.
func indirect(path string) bool {
	switch path {
	case "github.com/benbjohnson/clock", "github.com/bits-and-blooms/bitset", "github.com/cenk/backoff", "github.com/facebookgo/clock",
		"github.com/hashicorp/golang-lru", "github.com/influxdata/tdigest", "github.com/klauspost/cpuid/v2", "github.com/pkg/errors",
		"github.com/zeebo/xxh3", "go.uber.org/atomic", "go.uber.org/multierr",
		"golang.org/x/exp", "golang.org/x/sys", "golang.org/x/text":
		return true
	}
	return false
}

// cpuModel returns the name of the processor, where the system is Linux.
func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // empty elsewhere
	for line := range strings.Lines(string(text)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

// section is the table of one scenario, with its heading.
func section(name, unit string, results []measure.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s\n\n", name)
	fmt.Fprintf(&b, "| contender | %s | p10 - p90 | ratio to %s | allocs/call | |\n", unit, results[0].Name)
	b.WriteString("| --- | ---: | ---: | ---: | ---: | --- |\n")
	for _, r := range results {
		fmt.Fprintf(&b, "| %s | %s | %s - %s | %.2f | %s | %s |\n", r.Name,
			number(r.Median), number(r.P10), number(r.P90), r.Median/results[0].Median, count(r.Allocs), r.Note)
	}
	return b.String()
}

// number writes three digits or more.
func number(v float64) string {
	switch {
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// count writes an average number of things, where less than a tenth of one
// may come from elsewhere in the process.
func count(v float64) string {
	if v < 10 {
		return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
	}
	return fmt.Sprintf("%.0f", v)
}

const targetHead = "| | target | measured | |\n| --- | --- | --- | --- |\n"

func targetRows(pkg string, verdicts []verdict) string {
	var b strings.Builder
	for _, v := range verdicts {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", pkg, v.target, v.measured, v.outcome)
	}
	return b.String()
}

// intoReadme replaces what stands between the two markers in the file.
func intoReadme(file, text string) error {
	const begin, end = "<!-- figures -->\n", "<!-- end of figures -->"
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(old), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("report: no figures in %s", file)
	}
	return os.WriteFile(file, []byte(head+begin+text+end+tail), 0o644)
}
