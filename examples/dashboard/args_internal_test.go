package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRun_wrongArguments(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no equals sign":    {[]string{"http://a"}, `argument "http://a": want name=url`},
		"no name":           {[]string{"=http://a"}, `argument "=http://a": want name=url`},
		"flag comes late":   {[]string{"a=http://a", "-json"}, `argument "-json": want name=url, after the flags`},
		"name comes twice":  {[]string{"a=http://a", "b=http://b", "a=http://c"}, `argument "a=http://c": there is another endpoint named "a"`},
		"no URL":            {[]string{"a=http://[::1"}, "missing ']' in host"},
		"no scheme":         {[]string{"a=localhost"}, "want a URL that begins with http:// or https://"},
		"wrong scheme":      {[]string{"a=ftp://a"}, "want a URL that begins with http:// or https://"},
		"no host":           {[]string{"a=http:///metrics"}, "the URL has no host"},
		"only a port":       {[]string{"a=http://:80"}, "the URL has no host"},
		"unknown flag":      {[]string{"-xml"}, "flag provided but not defined: -xml"},
		"timeout of zero":   {[]string{"-timeout", "0"}, "-timeout 0s: want more than 0 and at most 1h"},
		"timeout too long":  {[]string{"-timeout", "61m"}, "-timeout 1h1m0s: want more than 0 and at most 1h"},
		"timeout of no use": {[]string{"-timeout", "soon"}, "-timeout"},
		"two outputs":       {[]string{"-json", "-serve", ":0"}, "-json and -serve exclude each other"},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := runToEnd(t, test.args...)
			assert.Equal(t, exitUsage, status)
			assert.Empty(t, stdout)
			assert.Contains(t, stderr, "dashboard: ")
			assert.Contains(t, stderr, test.want)
			assert.Contains(t, stderr, "-h for help")
		})
	}
}

func TestRun_help(t *testing.T) {
	status, stdout, stderr := runToEnd(t, "-h")
	assert.Equal(t, exitOK, status)
	assert.Empty(t, stderr)
	for _, want := range []string{"Usage:", "Exit status:", "-json", "-serve address", "-timeout duration"} {
		assert.Contains(t, stdout, want)
	}
}

func TestParseArgs(t *testing.T) {
	got, err := parseArgs([]string{"-timeout", "3s", "-serve", ":0", "b=https://b:1/m?x=y", "a=http://a"}, nil)

	require.NoError(t, err)
	assert.Equal(t, 3*time.Second, got.timeout)
	assert.Equal(t, ":0", got.serve)
	assert.False(t, got.json)
	require.Len(t, got.endpoints, 2)
	assert.Equal(t, "b", got.endpoints[0].name)
	assert.Equal(t, "https://b:1/m?x=y", got.endpoints[0].url.String())
	assert.Equal(t, "a", got.endpoints[1].name)
}
