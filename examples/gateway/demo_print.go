package main

import (
	"expvar"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

// print prints what each client got, what the upstream saw, and what the gateway
// counted.
func (d *demo) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	p := &printer{w: table}
	p.printf("Each client may make %v requests a second, all of them %d at once.\n\n", float64(d.gateway.rate), d.gateway.atOnce)
	p.clients(d.clients)
	p.printf("\nUPSTREAM\tREQUESTS\tAT ONCE\n")
	for _, m := range d.upstream.moods {
		requests, most := m.seen()
		p.printf("%s\t%d\t%d\n", m.name, requests, most)
	}
	p.printf("\nGATEWAY\tREQUESTS\n")
	d.gateway.requests.Do(func(outcome expvar.KeyValue) {
		if n := outcome.Value.String(); n != "0" {
			p.printf("%s\t%s\n", outcome.Key, n)
		}
	})
	p.printf("\nIt made %v retries, and its breaker opened %v times.\n", &d.gateway.retries, &d.gateway.opened)
	p.printf("It was told to end while a request was under way, which got %d.\n", d.last)
	if p.err == nil {
		p.err = table.Flush()
	}
	return p.err
}

// printer keeps the first error that printing met.
type printer struct {
	w   io.Writer
	err error
}

// clients prints a line for each client, with a column for each status.
func (p *printer) clients(clients []*client) {
	seen := make(map[int]bool)
	for _, c := range clients {
		for status := range c.statuses {
			seen[status] = true
		}
	}
	statuses := slices.Sorted(maps.Keys(seen))

	p.printf("CLIENT\tWANTS")
	for _, status := range statuses {
		p.printf("\t%d", status)
	}
	for _, c := range clients {
		p.printf("\n%s\t%d/s", c.address, c.rate)
		for _, status := range statuses {
			p.printf("\t%d", c.statuses[status])
		}
	}
	p.printf("\n")
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}
