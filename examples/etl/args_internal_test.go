package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRun_wrongArguments(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"unknown flag":        {[]string{"-o", "dir"}, "flag provided but not defined: -o"},
		"no workers":          {[]string{"-workers", "0"}, "-workers 0: want 1 or more and at most 256"},
		"too many workers":    {[]string{"-workers", "257"}, "-workers 257: want 1 or more and at most 256"},
		"batch of none":       {[]string{"-batch", "0"}, "-batch 0: want 1 or more and at most 10000"},
		"batch too large":     {[]string{"-batch", "10001"}, "-batch 10001: want 1 or more and at most 10000"},
		"two databases":       {[]string{"-db", "a", "-dsn", "b"}, "want only one of -db and -dsn"},
		"no database":         {[]string{"a.json"}, "want -db or -dsn, to write the sources to"},
		"service alone":       {[]string{"-db", "a", "-rates", "http://a"}, "want a source with -rates and -customers"},
		"service of no use":   {[]string{"-rates", "a"}, `invalid value "a" for flag -rates: want a URL`},
		"no kind of file":     {[]string{"-db", "a", "b.xml"}, `argument "b.xml": want a URL, or a file that ends in .json or .csv`},
		"flag comes late":     {[]string{"-db", "a", "b.csv", "-batch"}, `argument "-batch": want a URL, or a file that ends in .json or .csv, after the flags`},
		"no URL":              {[]string{"-db", "a", "http://[::1"}, "missing ']' in host"},
		"wrong scheme":        {[]string{"-db", "a", "ftp://a/b.csv"}, "want a URL that begins with http:// or https://"},
		"no host":             {[]string{"-db", "a", "http:///b"}, "the URL has no host"},
		"service of no host":  {[]string{"-customers", "http://:80"}, "the URL has no host"},
		"several that follow": {[]string{"-db", "a", "b.csv", "c.txt"}, `argument "c.txt"`},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := runToEnd(t, test.args...)
			assert.Equal(t, exitUsage, status)
			assert.Empty(t, stdout)
			assert.Contains(t, stderr, "etl: ")
			assert.Contains(t, stderr, test.want)
			assert.Contains(t, stderr, "-h for help")
		})
	}
}

func TestRun_help(t *testing.T) {
	status, stdout, stderr := runToEnd(t, "-h")
	assert.Equal(t, exitOK, status)
	assert.Empty(t, stderr)
	for _, want := range []string{
		"Usage:", "Exit status:", "-batch records", "-customers URL", "-db file", "-dsn URL", "-rates URL", "-rejects file", "-workers records",
	} {
		assert.Contains(t, stdout, want)
	}
}

func TestParseArgs(t *testing.T) {
	got, err := parseArgs([]string{
		"-dsn", "postgres://db/shop", "-workers", "3", "-batch", "7", "-rejects", "bad",
		"-rates", "http://r", "-customers", "https://c", "https://me:secret@a/b?x=y", "a.json", "b.csv",
	}, nil)
	require.NoError(t, err)
	assert.Equal(t, settings{
		sources: []target{
			{name: "https://me:xxxxx@a/b?x=y", url: mustURL(t, "https://me:secret@a/b?x=y")},
			{name: "a.json"},
			{name: "b.csv"},
		},
		rates:     mustURL(t, "http://r"),
		customers: mustURL(t, "https://c"),
		dsn:       "postgres://db/shop",
		rejects:   "bad",
		workers:   3,
		batch:     7,
	}, got)
	got, err = parseArgs(nil, nil)
	require.NoError(t, err)
	assert.Equal(t, settings{workers: 8, batch: 100}, got)
}
