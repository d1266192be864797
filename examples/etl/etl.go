package main

import (
	"context"
	"net/http"
	"time"

	"github.com/seed4886185c/concert/pipeline"
)

// batchTime is for how long an order may wait for a batch to become full.
const batchTime = 500 * time.Millisecond

// etl knows where orders come from and where they go.
type etl struct {
	sources  []*source
	services services
	store    *store
	rejects  *rejects
	workers  int
	batch    int
	network  *http.Transport
	tally    tally
}

// source is where records come from.
type source struct {
	name    string
	records pipeline.Stream[record]
	total   *tally // of all sources

	// Written in the goroutine that takes the records, and read after the run.
	read int
	err  error // why there were no more, unless that was the end
}

// take counts a record, and marks it with its source.
func (s *source) take(r record) record {
	s.read++
	s.total.read.Add(1)
	r.source = s.name
	return r
}

// fail takes the error that ended the source, so that the others go on.
func (s *source) fail(err error) error {
	s.err = err
	return nil
}

// newETL returns an etl for the settings, which are complete.
func newETL(s settings, db *store, rejected *rejects) *etl {
	e := &etl{store: db, rejects: rejected, workers: s.workers, batch: s.batch, network: newNetwork(s.workers)}
	e.services = newServices(e.network, s.rates, s.customers)
	api := newAPIClient(e.network, &e.tally)
	for _, t := range s.sources {
		e.sources = append(e.sources, &source{name: t.name, records: open(t, api), total: &e.tally})
	}
	return e
}

// run takes all orders from the sources to the database. If ctx ends before that,
// run returns its cause; a batch that is being written then is written to the end,
// others are not begun.
//
// The stages with workers keep the order, so that of two records with the same id
// the later one is written later.
func (e *etl) run(ctx context.Context) error {
	var streams []pipeline.Stream[record]
	for _, s := range e.sources {
		streams = append(streams, pipeline.Recover(pipeline.Map(s.records, pipeline.Pure(s.take)), s.fail))
	}
	cleaned := pipeline.Map(pipeline.Merge(streams...), pipeline.Pure(clean))
	orders := pipeline.Map(cleaned, pipeline.SkipErrors(validate, e.reject),
		pipeline.Workers(e.workers), pipeline.Ordered())
	enriched := pipeline.Map(orders, e.enrich, pipeline.Workers(e.workers), pipeline.Ordered())
	batches := pipeline.Batch(enriched, e.batch, batchTime)
	return pipeline.ForEach(ctx, batches, e.write)
}

// reject reports a record that is not to be written. It is called by several
// workers at once.
func (e *etl) reject(r record, err error) {
	e.tally.rejected.Add(1)
	e.rejects.add(r, err)
}

// enrich adds what the services tell of an order. If they tell nothing, it is
// written all the same.
func (e *etl) enrich(ctx context.Context, o order) (order, error) {
	o, err := e.services.enrich(ctx, o)
	if err != nil {
		return o, err
	}
	if o.rate.Valid && o.segment.Valid {
		e.tally.complete.Add(1)
	} else {
		e.tally.partly.Add(1)
	}
	return o, nil
}

// write writes a batch, and counts it once it is committed.
func (e *etl) write(ctx context.Context, batch []order) error {
	if err := e.store.write(ctx, batch); err != nil {
		return err
	}
	e.tally.batches.Add(1)
	e.tally.written.Add(int64(len(batch)))
	return nil
}

// failed tells whether a source could not be read to its end.
func (e *etl) failed() bool {
	for _, s := range e.sources {
		if s.err != nil {
			return true
		}
	}
	return false
}
