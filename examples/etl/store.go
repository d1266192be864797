package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	_ "modernc.org/sqlite"             // the driver sqlite
)

// writeTime is how long a batch may take.
const writeTime = 30 * time.Second

const createTable = `CREATE TABLE IF NOT EXISTS orders (
	id       TEXT PRIMARY KEY,
	email    TEXT NOT NULL,
	cents    BIGINT NOT NULL,
	currency TEXT NOT NULL,
	day      DATE NOT NULL,
	rate     DOUBLE PRECISION,
	segment  TEXT
)`

// upsert writes an order, or replaces the one with its id. What a service told in
// an earlier run, and not in this one, is kept if it still holds.
const upsert = `INSERT INTO orders (id, email, cents, currency, day, rate, segment)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (id) DO UPDATE SET
	email = excluded.email,
	cents = excluded.cents,
	currency = excluded.currency,
	day = excluded.day,
	rate = COALESCE(excluded.rate,
		CASE WHEN orders.currency = excluded.currency AND orders.day = excluded.day THEN orders.rate END),
	segment = COALESCE(excluded.segment,
		CASE WHEN orders.email = excluded.email THEN orders.segment END)`

// store is a database with a table of orders.
type store struct {
	db     *sql.DB
	upsert string // with the placeholders of the database
}

// dialect tells by which driver to open a database, and how.
func dialect(s settings) (driver, dsn, upsertSQL string) {
	if s.dsn != "" {
		return "pgx", s.dsn, strings.ReplaceAll(upsert, "?", "$")
	}
	// Others may write to the file: wait for them, and have no transaction begin
	// that could not become one that writes.
	return "sqlite", "file:" + url.PathEscape(s.db) + "?_pragma=busy_timeout(5000)&_txlock=immediate", upsert
}

// openStore opens the database that the settings name, and creates the table.
func openStore(ctx context.Context, s settings) (*store, error) {
	driver, dsn, upsertSQL := dialect(s)
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, createTable); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &store{db: db, upsert: upsertSQL}, nil
}

// write writes the orders in one transaction: all of them, or if it returns an
// error, none. It goes on when ctx ends: who cancels a commit does not know
// whether it took place.
func (s *store) write(ctx context.Context, orders []order) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning a batch: %w", err)
	}
	defer func() {
		if rollback := tx.Rollback(); !errors.Is(rollback, sql.ErrTxDone) { // as it is after Commit
			err = errors.Join(err, rollback)
		}
	}()
	insert, err := tx.PrepareContext(ctx, s.upsert)
	if err != nil {
		return fmt.Errorf("preparing a batch: %w", err)
	}
	for _, o := range orders { // the transaction closes insert
		_, err := insert.ExecContext(ctx, o.id, o.email, o.cents, o.currency, o.day.Format(time.DateOnly), o.rate, o.segment)
		if err != nil {
			return fmt.Errorf("writing order %s: %w", o.id, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("committing a batch: %w", err)
	}
	return nil
}

// count returns how many orders there are.
func (s *store) count(ctx context.Context) (n int64, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM orders").Scan(&n)
	return n, err
}

func (s *store) close() error { return s.db.Close() }
