package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/pipeline"
)

func TestOpen_files(t *testing.T) {
	a, b := record{ID: "1", Email: "a", Amount: "1", Currency: "EUR", Day: "d"}, record{ID: "2"}
	for name, test := range map[string]struct {
		file, content string
		want          []record
		wantErr       string
	}{
		"JSON":                {"a.json", `[{"id":"1","email":"a","amount":"1","currency":"EUR","day":"d"}, {"id":"2"}]`, []record{a, b}, ""},
		"JSON, empty array":   {"a.json", "[]", nil, ""},
		"JSON, empty file":    {"a.json", "", nil, "want an array: EOF"},
		"JSON, no array":      {"a.json", `{"id":"1"}`, nil, "want an array, not {"},
		"JSON, cut off":       {"a.json", `[{"id":"2"}`, []record{b}, "unexpected EOF"},
		"JSON, cut off early": {"a.json", `[{"id":"2"},{"id"`, []record{b}, "unexpected EOF"},
		"JSON, broken":        {"a.json", `[{"id":"2"},}`, []record{b}, "invalid character"},
		"CSV":                 {"a.csv", "id,email,amount,currency,day\n1,a,1,EUR,d\n2,,,,\n", []record{a, b}, ""},
		"CSV, other order":    {"a.csv", "day,x,id,email,currency,amount\r\nd,x,1,a,EUR,1\r\n", []record{a}, ""},
		"CSV, few columns":    {"a.csv", "id\n2", []record{b}, ""},
		"CSV, only a header":  {"a.csv", "id\n", nil, ""},
		"CSV, empty file":     {"a.csv", "", nil, "want a header: EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := pipeline.Collect(t.Context(), open(target{name: writeFile(t, test.file, test.content)}, nil))
			assert.Equal(t, test.want, got)
			if test.wantErr == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.wantErr)
			}
		})
	}
	_, err := pipeline.Collect(t.Context(), open(target{name: filepath.Join(t.TempDir(), "a.csv")}, nil))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestOpen_unreadableRecords(t *testing.T) {
	for file, content := range map[string]string{
		"a.json": `[{"id":"1"}, {"id":2}, 3, {"id":"4"}]`,
		"a.csv":  "id,email\n1,\n2\n3,\"\"x\n4,\n",
	} {
		got, err := pipeline.Collect(t.Context(), open(target{name: writeFile(t, file, content)}, nil))
		require.NoError(t, err)
		require.Len(t, got, 4, file)
		assert.Equal(t, record{ID: "1"}, got[0])
		require.Error(t, got[1].unread)
		require.Error(t, got[2].unread)
		assert.Equal(t, record{ID: "4"}, got[3])
	}
}

func TestRead_leftEarly(t *testing.T) {
	for _, read := range []func() error{
		func() error { return readJSON(strings.NewReader("[{}, x"), func(record) bool { return false }) },
		func() error { return readCSV(strings.NewReader("id\n1\n\""), func(record) bool { return false }) },
	} {
		require.NoError(t, read())
	}
	failing := io.MultiReader(strings.NewReader("id\n1\n"), &io.LimitedReader{R: brokenReader{}, N: 1})
	require.ErrorIs(t, readCSV(failing, func(record) bool { return true }), io.ErrClosedPipe)
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }
