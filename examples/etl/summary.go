package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"
)

// printSummary prints what a run has done. Before and after are how many rows
// the database had: if others write to it meanwhile, what is new is theirs, too.
func printSummary(w io.Writer, e *etl, before, after int64) error {
	p := &printer{table: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	p.printf("SOURCE\tREAD\tERROR\n")
	for _, s := range e.sources {
		text := "none"
		if s.err != nil {
			text = s.err.Error()
		}
		p.printf("%s\t%d\t%s\n", printable(s.name), s.read, printable(text))
	}
	p.printf("\n")
	reasons := p.rejects(e.rejects)

	t := &e.tally
	p.printf("read\t%d\trequests sent again: %d\n", t.read.Load(), t.retries.Load())
	p.printf("rejected\t%d\treasons: %d\n", t.rejected.Load(), reasons)
	p.printf("enriched\t%d\tin part: %d\n", t.complete.Load()+t.partly.Load(), t.partly.Load())
	p.printf("written\t%d\tbatches: %d\n", t.written.Load(), t.batches.Load())
	added := after - before
	p.printf("rows in the database\t%d\tnew: %d, replaced: %d\n", after, added, t.written.Load()-added)
	if p.err != nil {
		return p.err
	}
	return p.table.Flush()
}

// printer prints tables.
type printer struct {
	table *tabwriter.Writer
	err   error // the first that writing met
}

// rejects prints a line for each reason, and returns how many there are.
func (p *printer) rejects(r *rejects) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.byReason) == 0 {
		return 0
	}
	p.printf("REJECTED FOR\tRECORDS\tSUCH AS\n")
	for _, reason := range slices.Sorted(maps.Keys(r.byReason)) {
		x := r.byReason[reason]
		p.printf("%s\t%d\t%s\n", printable(reason), x.count, printable(brief(x.record)))
	}
	p.printf("\n")
	return len(r.byReason)
}

// brief tells a record in a line.
func brief(r record) string {
	if r.unread != nil {
		return r.unread.Error()
	}
	return strings.Join([]string{r.ID, r.Email, r.Amount, r.Currency, r.Day}, " | ")
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.table, format, args...)
	}
}

// printable replaces what could upset a terminal or the table: what is printed may
// come from a server.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
