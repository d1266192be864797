package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"
)

const (
	defaultWorkers = 8
	maxWorkers     = 256
	defaultBatch   = 100
	maxBatch       = 10_000
)

const usage = `Usage: etl [flags] [source ...]

Loads orders into the table "orders" of a database, which it creates. A source is
the URL of an API, or a file whose name ends in .json or .csv. Without sources it
starts some of its own on the loopback interface and loads those.

An API answers {"orders": [...], "next": "..."}; next is the URL of the page that
follows, if there is one. A JSON file is an array, a CSV file has a header. An
order has the fields id, email, amount, currency and day, all of them text:

  {"id": "N-1", "email": "a@example.com", "amount": "12.50", "currency": "EUR", "day": "2026-01-31"}

Records with the same id are the same order, of which the one that comes last is
kept; within a source that is the later one. So a run may be repeated. When it is
interrupted, what was committed stays, and the next run completes it.

The services are asked with ?currency=USD&day=2026-01-31 for {"eur": 0.91}, and
with ?email=a@example.com for {"segment": "gold"}. What they do not tell is NULL.

Exit status: 0 if all sources were read, also with some records rejected; 1 if a
source or the database failed, or a signal came before the end; 2 if the command
line is wrong.

Flags:
`

// settings is what the command line says.
type settings struct {
	sources   []target // none for the demo
	rates     *url.URL // of the service, or nil
	customers *url.URL // of the service, or nil
	db        string   // a SQLite file
	dsn       string   // of PostgreSQL; one of the two is empty
	rejects   string   // a file, or empty
	workers   int
	batch     int
}

// target is a source by name. It has a URL unless it is a file.
type target struct {
	name string // to print, and to open if it is a file
	url  *url.URL
}

// parseArgs reads the command line. Asked for help, it writes that and returns
// flag.ErrHelp.
func parseArgs(args []string, help io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("etl", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the caller reports errors
	flags.StringVar(&s.db, "db", "", "write to the SQLite `file`")
	flags.StringVar(&s.dsn, "dsn", "", "write to PostgreSQL, at a `URL`; better have its password in PGPASSWORD")
	flags.StringVar(&s.rejects, "rejects", "", "write the records that are rejected to `file`, as lines of JSON")
	flags.IntVar(&s.workers, "workers", defaultWorkers, "how many `records` to work on at once")
	flags.IntVar(&s.batch, "batch", defaultBatch, "how many `records` to write in a transaction")
	service := func(into **url.URL) func(string) error {
		return func(arg string) (err error) {
			*into, err = parseURL(arg)
			return err
		}
	}
	flags.Func("rates", "the `URL` of the service that knows exchange rates", service(&s.rates))
	flags.Func("customers", "the `URL` of the service that knows the segments of customers", service(&s.customers))

	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			_, _ = fmt.Fprint(help, usage) // as PrintDefaults, which tells no error either
			flags.SetOutput(help)
			flags.PrintDefaults()
		}
		return settings{}, err
	}
	for _, arg := range flags.Args() {
		t, err := parseTarget(arg)
		if err != nil {
			return settings{}, fmt.Errorf("argument %q: %w", arg, err)
		}
		s.sources = append(s.sources, t)
	}
	return s, s.check()
}

// check returns an error if the values do not go together.
func (s *settings) check() error {
	switch {
	case s.workers < 1 || s.workers > maxWorkers:
		return fmt.Errorf("-workers %d: want 1 or more and at most %d", s.workers, maxWorkers)
	case s.batch < 1 || s.batch > maxBatch:
		return fmt.Errorf("-batch %d: want 1 or more and at most %d", s.batch, maxBatch)
	case s.db != "" && s.dsn != "":
		return errors.New("want only one of -db and -dsn")
	case len(s.sources) > 0 && s.db == "" && s.dsn == "":
		return errors.New("want -db or -dsn, to write the sources to")
	case len(s.sources) == 0 && (s.rates != nil || s.customers != nil):
		return errors.New("want a source with -rates and -customers")
	}
	return nil
}

// parseTarget reads one argument.
func parseTarget(arg string) (target, error) {
	if strings.Contains(arg, "://") {
		u, err := parseURL(arg)
		if err != nil {
			return target{}, err
		}
		return target{name: u.Redacted(), url: u}, nil
	}
	switch filepath.Ext(arg) {
	case ".json", ".csv":
		return target{name: arg}, nil
	}
	return target{}, errors.New("want a URL, or a file that ends in .json or .csv, after the flags")
}

// parseURL reads the URL of an API or a service.
func parseURL(arg string) (*url.URL, error) {
	u, err := url.Parse(arg)
	switch {
	case err != nil:
		return nil, err
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("want a URL that begins with http:// or https://")
	case u.Hostname() == "":
		return nil, errors.New("the URL has no host")
	}
	return u, nil
}
