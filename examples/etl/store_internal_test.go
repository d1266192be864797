package main

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// eachStore runs a test with an empty SQLite file, and if ETL_TEST_DSN is the URL
// of a PostgreSQL, there in a schema of its own.
func eachStore(t *testing.T, test func(t *testing.T, s *store)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		s, err := openStore(t.Context(), settings{db: filepath.Join(t.TempDir(), "a.db")})
		require.NoError(t, err)
		defer s.close()
		test(t, s)
	})
	t.Run("postgres", func(t *testing.T) {
		dsn := os.Getenv("ETL_TEST_DSN")
		if dsn == "" {
			t.Skip("ETL_TEST_DSN is not set")
		}
		admin, err := sql.Open("pgx", dsn)
		require.NoError(t, err)
		defer admin.Close()
		_, err = admin.ExecContext(t.Context(), "CREATE SCHEMA etl_test")
		require.NoError(t, err)
		defer func() {
			_, err := admin.ExecContext(context.WithoutCancel(t.Context()), "DROP SCHEMA etl_test CASCADE")
			assert.NoError(t, err)
		}()
		u, err := url.Parse(dsn)
		require.NoError(t, err)
		query := u.Query()
		query.Set("search_path", "etl_test")
		u.RawQuery = query.Encode()
		s, err := openStore(t.Context(), settings{dsn: u.String()})
		require.NoError(t, err)
		defer s.close()
		test(t, s)
	})
}

func testOrder(id string) order {
	return order{
		id: id, email: "a@example.com", cents: 1250, currency: "USD", day: time.Date(2026, time.January, 31, 0, 0, 0, 0, time.UTC),
		rate: sql.Null[float64]{V: 0.5, Valid: true}, segment: sql.Null[string]{V: "gold", Valid: true},
	}
}

func TestStore(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store) {
		bare := testOrder("2")
		bare.rate, bare.segment = sql.Null[float64]{}, sql.Null[string]{}
		older := testOrder("1")
		older.cents = 1
		require.NoError(t, s.write(t.Context(), []order{older, bare, testOrder("1")}))
		want := []string{"1 a@example.com 1250 USD 2026-01-31 0.5 gold", "2 a@example.com 1250 USD 2026-01-31 - -"}
		assert.Equal(t, want, s.rows(t))
		n, err := s.count(t.Context())
		require.NoError(t, err)
		assert.EqualValues(t, 2, n)

		require.NoError(t, s.write(t.Context(), []order{testOrder("1"), bare}), "again")
		assert.Equal(t, want, s.rows(t))
	})
}

func TestStore_keepsWhatStillHolds(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*order)
		want   string
	}{
		"no service answers": {func(*order) {}, "1 a@example.com 1250 USD 2026-01-31 0.5 gold"},
		"another amount":     {func(o *order) { o.cents = 1 }, "1 a@example.com 1 USD 2026-01-31 0.5 gold"},
		"another currency":   {func(o *order) { o.currency = "JPY" }, "1 a@example.com 1250 JPY 2026-01-31 - gold"},
		"another day":        {func(o *order) { o.day = o.day.AddDate(0, 0, 1) }, "1 a@example.com 1250 USD 2026-02-01 - gold"},
		"another customer":   {func(o *order) { o.email = "b@example.com" }, "1 b@example.com 1250 USD 2026-01-31 0.5 -"},
		"another rate":       {func(o *order) { o.rate = sql.Null[float64]{V: 2.5, Valid: true} }, "1 a@example.com 1250 USD 2026-01-31 2.5 gold"},
	} {
		t.Run(name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, s *store) {
				require.NoError(t, s.write(t.Context(), []order{testOrder("1")}))
				o := testOrder("1")
				o.rate, o.segment = sql.Null[float64]{}, sql.Null[string]{}
				test.change(&o)
				require.NoError(t, s.write(t.Context(), []order{o}))
				assert.Equal(t, []string{test.want}, s.rows(t))
			})
		})
	}
}

func TestStore_writesToTheEnd(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, s.write(ctx, []order{testOrder("1"), testOrder("2")}))
		assert.Len(t, s.rows(t), 2)
	})
}

func TestStore_allOrNothing(t *testing.T) {
	eachStore(t, func(t *testing.T, s *store) {
		_, err := s.db.ExecContext(t.Context(), "CREATE UNIQUE INDEX one_each ON orders (email)")
		require.NoError(t, err)
		require.ErrorContains(t, s.write(t.Context(), []order{testOrder("1"), testOrder("2")}), "writing order 2: ")
		assert.Empty(t, s.rows(t))
		require.NoError(t, s.write(t.Context(), []order{testOrder("2")}), "the connection is in order")
	})
}

func TestDialect(t *testing.T) {
	driver, dsn, statement := dialect(settings{dsn: "postgres://me@db/shop"})
	assert.Equal(t, "pgx", driver)
	assert.Equal(t, "postgres://me@db/shop", dsn)
	assert.Contains(t, statement, "VALUES ($1, $2, $3, $4, $5, $6, $7)")
	assert.NotContains(t, statement, "?")
	_, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)

	driver, dsn, statement = dialect(settings{db: "a b?.db"})
	assert.Equal(t, "sqlite", driver)
	assert.Equal(t, "file:a%20b%3F.db?_pragma=busy_timeout(5000)&_txlock=immediate", dsn)
	assert.Contains(t, statement, "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")
}
