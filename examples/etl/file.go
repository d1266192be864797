package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/seed4886185c/concert/pipeline"
)

// record is an order as a source has it: text that nobody has looked at. One that
// cannot be read is a record, too, so that it is reported as others are.
type record struct {
	ID       string `json:"id"`
	Email    string `json:"email"`
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
	Day      string `json:"day"`

	source string // its name
	unread error  // why it could not be read
}

// open returns the records of a target.
func open(t target, api *http.Client) pipeline.Stream[record] {
	switch {
	case t.url != nil:
		return fromAPI(api, t.url)
	case filepath.Ext(t.name) == ".json":
		return fromFile(t.name, readJSON)
	default:
		return fromFile(t.name, readCSV)
	}
}

// fromFile returns the records that read makes of a file, which is opened each
// time the stream is used, and closed however that ends.
func fromFile(name string, read func(io.Reader, func(record) bool) error) pipeline.Stream[record] {
	return pipeline.Generate(func(_ context.Context, emit func(record) bool) (err error) {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		return read(file, emit)
	})
}

// readJSON reads an array of records, one by one.
func readJSON(r io.Reader, emit func(record) bool) error {
	decoder := json.NewDecoder(r)
	if token, err := decoder.Token(); err != nil {
		return fmt.Errorf("want an array: %w", err)
	} else if token != json.Delim('[') {
		return fmt.Errorf("want an array, not %v", token)
	}
	for decoder.More() {
		var text json.RawMessage
		if err := decoder.Decode(&text); err != nil {
			return err
		}
		if !emit(decode(text)) {
			return nil
		}
	}
	_, err := decoder.Token() // the end of the array, or the file was cut off
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// decode makes a record of JSON.
func decode(text json.RawMessage) record {
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		r.unread = err
	}
	return r
}

// readCSV reads lines below a header that names the columns, in any order.
func readCSV(r io.Reader, emit func(record) bool) error {
	reader := csv.NewReader(r)
	header, err := reader.Read()
	if err != nil {
		return fmt.Errorf("want a header: %w", err)
	}
	for {
		fields, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var rec record
		if wrong, ok := errors.AsType[*csv.ParseError](err); ok {
			rec.unread = wrong // the reader goes on with the next line
		} else if err != nil {
			return err
		}
		for i := range min(len(header), len(fields)) {
			if into := field(&rec, header[i]); into != nil {
				*into = fields[i]
			}
		}
		if !emit(rec) {
			return nil
		}
	}
}

// field returns the field of that name, or nil.
func field(r *record, name string) *string {
	switch name {
	case "id":
		return &r.ID
	case "email":
		return &r.Email
	case "amount":
		return &r.Amount
	case "currency":
		return &r.Currency
	case "day":
		return &r.Day
	}
	return nil
}
