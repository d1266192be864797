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
			if m.Path != self && !strings.HasPrefix(m.Path, "go.uber.org/") { // what only a peer imports
				peers = append(peers, m.Path+" "+m.Version)
			}
		}
		fmt.Fprintf(&b, "- %s\n", strings.Join(peers, ", "))
	}
	return b.String()
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

// table is the section of one scenario.
func table(s measure.Scenario, results []measure.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s\n\n", s.Name)
	fmt.Fprintf(&b, "| contender | %s | p10 - p90 | ratio to %s | allocs/call | |\n", s.Unit, results[0].Name)
	b.WriteString("| --- | ---: | ---: | ---: | ---: | --- |\n")
	for _, r := range results {
		fmt.Fprintf(&b, "| %s | %s | %s - %s | %.2f | %.0f | %s |\n", r.Name,
			number(r.Median), number(r.P10), number(r.P90), r.Median/results[0].Median, r.Allocs, r.Note)
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

func targetTable(verdicts []verdict) string {
	var b strings.Builder
	b.WriteString("| target | measured | |\n| --- | --- | --- |\n")
	for _, v := range verdicts {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", v.target, v.measured, v.outcome)
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
