package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
)

// rejects is the records that are not written. It keeps one for each reason, and
// writes all of them to a file, if there is one.
type rejects struct {
	mu       sync.Mutex // guards the fields below
	byReason map[string]*example
	file     *os.File // nil if nobody wants them
	buffer   *bufio.Writer
	err      error // the first that writing met
}

// example is how many records there were with a reason, and the first of them.
type example struct {
	count  int
	record record
}

// createRejects returns rejects that go to the named file, unless that is empty.
func createRejects(name string) (*rejects, error) {
	r := &rejects{byReason: map[string]*example{}}
	if name == "" {
		return r, nil
	}
	file, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	r.file, r.buffer = file, bufio.NewWriter(file)
	return r, nil
}

// add adds a record. It may be called concurrently.
func (r *rejects) add(rec record, err error) {
	reasons, texts := explain(err)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, reason := range reasons {
		if r.byReason[reason] == nil {
			r.byReason[reason] = &example{record: rec}
		}
		r.byReason[reason].count++
	}
	if r.file == nil {
		return
	}
	line := struct {
		Source  string   `json:"source"`
		Record  record   `json:"record"`
		Reasons []string `json:"reasons"`
	}{rec.source, rec, texts}
	r.err = cmp.Or(r.err, json.NewEncoder(r.buffer).Encode(line))
}

// explain returns the reasons for which a record was rejected, of which there are
// few, and their texts.
func explain(err error) (reasons, texts []string) {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		for _, err := range joined.Unwrap() {
			r, t := explain(err)
			reasons, texts = append(reasons, r...), append(texts, t...)
		}
		return reasons, texts
	}
	if _, ok := errors.AsType[fieldError](err); ok {
		return []string{err.Error()}, []string{err.Error()}
	}
	return []string{"unreadable"}, []string{err.Error()}
}

// close writes what is not written yet, and returns the first error of all.
func (r *rejects) close() error {
	if r.file == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := errors.Join(cmp.Or(r.err, r.buffer.Flush()), r.file.Close()); err != nil {
		return fmt.Errorf("writing the rejected records: %w", err)
	}
	return nil
}
