// Command etl loads orders from HTTP APIs and from files into a database.
//
// It reads several sources at once, cleans and checks each record, asks two
// services for what is missing, and writes batches, each in a transaction. Records
// that are wrong are left out and reported with the reason; a source or a service
// that fails costs the others nothing:
//
//	go run ./examples/etl                        # a demo, takes a few seconds
//	go run ./examples/etl -db orders.db -rejects bad.jsonl \
//		-rates http://localhost:9001/ -customers http://localhost:9002/ \
//		http://localhost:9000/orders old.json older.csv
//	go run ./examples/etl -dsn postgres://localhost/shop old.json
//
// Without arguments it starts APIs and services on the loopback interface, one of
// them flaky, writes sample files, and loads all that into a SQLite file, which is
// gone afterwards, unless -db names another. After Ctrl-C the batches that were
// committed stay; to run it again is safe, since an order that is there already is
// replaced by itself.
//
// What it shows of package pipeline: a source of each kind, by [pipeline.Generate]
// (in api.go and file.go); all stages, from [pipeline.Merge] to [pipeline.Batch],
// in one function (in etl.go); [pipeline.SkipErrors] for records and
// [pipeline.Recover] for sources; how a sink writes so that nothing committed is
// lost (in store.go); [pipeline.Ticks] for the progress (in progress.go). The
// fields of a record are checked by [gather.All5] (in validate.go), the services
// asked by [gather.All2] (in enrich.go), both through [httpretry.Transport].
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// The exit statuses, as the help tells them.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// errIncomplete ends a run that could not read a source to its end.
var errIncomplete = errors.New("not all sources were read to their end")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program but for the process around it. It returns the exit
// status; when ctx ends, it prints what there is and returns.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s, err := parseArgs(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "etl: %v\nRun it with -h for help.\n", err) // a failure has nowhere to go
		return exitUsage
	}
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	if err := load(ctx, s, stdout, stderr, logger); err != nil {
		logger.Error("etl failed", "err", err)
		return exitFailed
	}
	return exitOK
}

// load loads the given sources, or the demo's, and prints how it went.
func load(ctx context.Context, s settings, stdout, stderr io.Writer, logger *slog.Logger) (err error) {
	if len(s.sources) == 0 {
		demo, err := startDemo(ctx, logger)
		if err != nil {
			return fmt.Errorf("starting the demo: %w", err)
		}
		defer demo.close()
		s = demo.settings(s)
	}
	db, err := openStore(ctx, s)
	if err != nil {
		return fmt.Errorf("opening the database: %w", err)
	}
	defer func() { err = errors.Join(err, db.close()) }()
	rejected, err := createRejects(s.rejects)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rejected.close()) }()

	before, err := db.count(ctx)
	if err != nil {
		return fmt.Errorf("counting rows: %w", err)
	}
	e := newETL(s, db, rejected)
	defer e.network.CloseIdleConnections()
	stop := startProgress(ctx, &e.tally, stderr)
	runErr := e.run(ctx)
	stop()

	// What is in the database is asked of it, also when ctx has ended.
	after, err := db.count(context.WithoutCancel(ctx))
	if err != nil {
		return errors.Join(runErr, fmt.Errorf("counting rows: %w", err))
	}
	if err := printSummary(stdout, e, before, after); err != nil {
		return errors.Join(runErr, fmt.Errorf("printing: %w", err))
	}
	if runErr == nil && e.failed() {
		return errIncomplete
	}
	return runErr
}
