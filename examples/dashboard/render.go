package main

import (
	_ "embed" // for page.html
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
)

//go:embed page.html
var pageHTML string

// writeText writes the snapshot as an aligned table.
func writeText(w io.Writer, s snapshot) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := fmt.Fprintln(table, "NAME\tSTATUS\tLATENCY\tMETRICS OR ERROR"); err != nil {
		return err
	}
	for _, p := range s.Parts {
		_, err := fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", printable(p.Name), p.Status(), p.Latency(), printable(p.summary()))
		if err != nil {
			return err
		}
	}
	return table.Flush()
}

// writeJSON writes the snapshot as an indented JSON object.
func writeJSON(w io.Writer, s snapshot) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(s)
}

// htmlWriter returns a function that writes a snapshot as a web page.
func htmlWriter() func(io.Writer, snapshot) error {
	page := template.Must(template.New("page").Funcs(template.FuncMap{"number": number}).Parse(pageHTML))
	return func(w io.Writer, s snapshot) error {
		return page.Execute(w, s)
	}
}

// Status is one word for how the endpoint did.
func (p part) Status() string {
	if p.OK {
		return "ok"
	}
	return "failed"
}

// Latency is the latency for people to read, or a dash if it is not known.
func (p part) Latency() string {
	if p.LatencyMS == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f ms", p.LatencyMS)
}

// summary is the metrics, sorted by key, or the error, in one line.
func (p part) summary() string {
	switch {
	case !p.OK:
		return p.Error
	case len(p.Metrics) == 0:
		return "no metrics"
	}
	pairs := make([]string, 0, len(p.Metrics))
	for _, key := range slices.Sorted(maps.Keys(p.Metrics)) {
		pairs = append(pairs, key+"="+number(p.Metrics[key]))
	}
	return strings.Join(pairs, " ")
}

// number writes 1250000 as it is, not as 1.25e+06.
func number(f float64) string {
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// printable replaces what could upset a terminal or the table: a server chooses
// the names of its metrics, and may choose control characters.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
