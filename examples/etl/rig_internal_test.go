package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// runToEnd runs the program and returns its exit status and output.
func runToEnd(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	status = run(t.Context(), args, &out, &errOut)
	return status, out.String(), errOut.String()
}

// serverURL starts a server and returns its address.
func serverURL(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// writeFile writes a file into a directory of the test.
func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	return name
}

// rows returns all orders in a SQLite file, one in a line.
func rows(t *testing.T, file string) []string {
	t.Helper()
	db, err := openStore(t.Context(), settings{db: file})
	require.NoError(t, err)
	defer db.close()
	return db.rows(t)
}

func (s *store) rows(t *testing.T) []string {
	t.Helper()
	found, err := s.db.QueryContext(t.Context(), `SELECT id, email, cents, currency, day,
		COALESCE(CAST(rate AS TEXT), '-'), COALESCE(segment, '-') FROM orders ORDER BY id`)
	require.NoError(t, err)
	defer found.Close()
	var all []string
	for found.Next() {
		var o order
		var rate, segment string
		require.NoError(t, found.Scan(&o.id, &o.email, &o.cents, &o.currency, &o.day, &rate, &segment))
		all = append(all, fmt.Sprintf("%s %s %d %s %s %s %s", o.id, o.email, o.cents, o.currency, o.day.Format(time.DateOnly), rate, segment))
	}
	require.NoError(t, found.Err())
	return all
}

// number returns the one that follows the name in the summary.
func number(t *testing.T, stdout, name string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^` + name + ` +(\d+) `).FindStringSubmatch(stdout)
	require.NotNil(t, found, "no %s in\n%s", name, stdout)
	return found[1]
}

// mustURL parses a URL.
func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	require.NoError(t, err)
	return u
}
