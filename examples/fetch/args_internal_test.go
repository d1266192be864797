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
		"no URL":            {[]string{"http://[::1"}, "missing ']' in host"},
		"no scheme":         {[]string{"localhost"}, `argument "localhost": want a URL that begins with http:// or https://`},
		"wrong scheme":      {[]string{"http://a", "ftp://a"}, `argument "ftp://a": want a URL that begins with http:// or https://`},
		"no host":           {[]string{"http:///metrics"}, "the URL has no host"},
		"only a port":       {[]string{"http://:80"}, "the URL has no host"},
		"flag comes late":   {[]string{"http://a", "-attempts"}, `argument "-attempts": want a URL that begins with http:// or https://, after the flags`},
		"unknown flag":      {[]string{"-o", "dir"}, "flag provided but not defined: -o"},
		"no attempts":       {[]string{"-attempts", "0"}, "-attempts 0: want 1 or more"},
		"negative attempts": {[]string{"-attempts", "-1"}, "-attempts -1: want 1 or more"},
		"timeout of zero":   {[]string{"-timeout", "0"}, "-timeout 0s: want more than 0 and at most 1h"},
		"timeout too long":  {[]string{"-timeout", "61m"}, "-timeout 1h1m0s: want more than 0 and at most 1h"},
		"timeout of no use": {[]string{"-timeout", "soon"}, "-timeout"},
		"total of zero":     {[]string{"-total", "0"}, "-total 0s: want more than 0 and at most 1h"},
		"total too long":    {[]string{"-total", "61m"}, "-total 1h1m0s: want more than 0 and at most 1h"},
		"negative budget":   {[]string{"-budget", "-0.1"}, "-budget -0.1: want 0 or more"},
		"infinite budget":   {[]string{"-budget", "Inf"}, "-budget +Inf: want 0 or more"},
		"budget of no use":  {[]string{"-budget", "NaN"}, "-budget NaN: want 0 or more"},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := runToEnd(t, test.args...)
			assert.Equal(t, exitUsage, status)
			assert.Empty(t, stdout)
			assert.Contains(t, stderr, "fetch: ")
			assert.Contains(t, stderr, test.want)
			assert.Contains(t, stderr, "-h for help")
		})
	}
}

func TestRun_help(t *testing.T) {
	status, stdout, stderr := runToEnd(t, "-h")
	assert.Equal(t, exitOK, status)
	assert.Empty(t, stderr)
	for _, want := range []string{"Usage:", "Exit status:", "-attempts int", "-budget ratio", "-timeout duration", "-total duration"} {
		assert.Contains(t, stdout, want)
	}
}

func TestParseArgs(t *testing.T) {
	got, err := parseArgs([]string{"-attempts", "7", "-timeout", "3s", "-total", "1h", "-budget", "0", "https://me:secret@b:1/m?x=y", "http://a"}, nil)

	require.NoError(t, err)
	assert.Equal(t, 7, got.policy().MaxAttempts)
	assert.Equal(t, 3*time.Second, got.policy().AttemptTimeout)
	assert.NotNil(t, got.policy().Budget)
	assert.Equal(t, time.Hour, got.total)
	require.Len(t, got.targets, 2)
	assert.Equal(t, "https://me:xxxxx@b:1/m?x=y", got.targets[0].name)
	assert.Equal(t, "https://me:secret@b:1/m?x=y", got.targets[0].url.String())
	assert.Equal(t, "http://a", got.targets[1].name)
}
