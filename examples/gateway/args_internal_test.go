package main

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRun_wrongArguments(t *testing.T) {
	base := []string{"-addr", ":0", "-upstream", "http://a"}
	with := func(args ...string) []string { return append(base[:4:4], args...) }
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"an argument":       {[]string{"http://a"}, `argument "http://a": want only flags`},
		"unknown flag":      {[]string{"-url", "http://a"}, "flag provided but not defined: -url"},
		"no upstream":       {[]string{"-addr", ":0"}, "want both -addr and -upstream, or no flag"},
		"no address":        {[]string{"-upstream", "http://a"}, "want both -addr and -upstream, or no flag"},
		"neither":           {[]string{"-rate", "1"}, "want both -addr and -upstream, or no flag"},
		"no URL":            {[]string{"-addr", ":0", "-upstream", "http://[::1"}, "missing ']' in host"},
		"no scheme":         {[]string{"-addr", ":0", "-upstream", "localhost:80"}, "want a URL that begins with http:// or https://"},
		"no host":           {[]string{"-addr", ":0", "-upstream", "http://:80"}, "the URL has no host"},
		"a password":        {[]string{"-addr", ":0", "-upstream", "http://me:secret@a"}, "want a URL of scheme, host and path alone"},
		"a query":           {[]string{"-addr", ":0", "-upstream", "http://a?x=y"}, "want a URL of scheme, host and path alone"},
		"rate of zero":      {with("-rate", "0"), "-rate 0: want more than 0"},
		"rate not a number": {with("-rate", "NaN"), "-rate NaN: want more than 0"},
		"rate without end":  {with("-rate", "Inf"), "-rate +Inf: want more than 0"},
		"burst of zero":     {with("-burst", "0"), "-burst 0: want 1 or more and at most 1000000"},
		"none at once":      {with("-at-once", "0"), "-at-once 0: want 1 or more and at most 1000000"},
		"less than none":    {with("-queue", "-1"), "-queue -1: want 0 or more and at most 1000000"},
		"delay too long":    {with("-drain-delay", "61m"), "-drain-delay 1h1m0s: want 0 or more and at most 1h0m0s"},
		"no prefix":         {with("-trust", "10.0.0.0"), `invalid value "10.0.0.0" for flag -trust`},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := runToEnd(t, test.args...)
			assert.Equal(t, exitUsage, status)
			assert.Empty(t, stdout)
			assert.Contains(t, stderr, "gateway: ")
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
		"Usage:", "Exit status:", "-addr address", "-upstream url", "-admin address",
		"-rate requests", "-burst requests", "-at-once requests", "-queue requests", "-drain-delay duration", "-trust prefix",
	} {
		assert.Contains(t, stdout, want)
	}
}

// What the help says in words is what the program does.
func TestUsage(t *testing.T) {
	assert.Equal(t, 1<<20, maxBody)
	assert.Equal(t, 3, defaultConfig().retry.MaxAttempts)
}

func TestParseArgs(t *testing.T) {
	got, err := parseArgs(nil, nil)
	require.NoError(t, err)
	assert.Empty(t, got.addr, "the demo")

	got, err = parseArgs([]string{
		"-addr", ":0", "-admin", ":1", "-upstream", "https://API:1/v1", "-rate", "0.5", "-burst", "3", "-at-once", "4",
		"-queue", "0", "-drain-delay", "0", "-trust", "10.0.0.0/8", "-trust", "::1/128",
	}, nil)
	require.NoError(t, err)
	assert.Equal(t, ":0", got.addr)
	assert.Equal(t, ":1", got.admin)
	assert.Equal(t, "https://api:1/v1", got.upstream.String(), "the host as httpbreaker has it")
	assert.InDelta(t, 0.5, float64(got.rate), 0)
	assert.Equal(t, []int{3, 4, 0}, []int{got.burst, got.atOnce, got.queue})
	assert.Zero(t, got.drainDelay)
	assert.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}, got.trusted)
	assert.Equal(t, 10*time.Second, got.timeout)
}
