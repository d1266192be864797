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
		"an argument":      {[]string{"http://a"}, `argument "http://a": want only flags`},
		"unknown flag":     {[]string{"-url", "http://a"}, "flag provided but not defined: -url"},
		"period of zero":   {[]string{"-period", "0"}, "-period 0s: want more than 0 and at most 1m0s"},
		"period too long":  {[]string{"-period", "61s"}, "-period 1m1s: want more than 0 and at most 1m0s"},
		"period of no use": {[]string{"-period", "often"}, "-period"},
		"less than never":  {[]string{"-for", "-1s"}, "-for -1s: want 0 or more, and not more than the period, 2.5s"},
		"more than always": {[]string{"-period", "1s", "-for", "2s"}, "-for 2s: want 0 or more, and not more than the period, 1s"},
		"rate of zero":     {[]string{"-rate", "0"}, "-rate 0: want 1 or more and at most 1000"},
		"rate too high":    {[]string{"-rate", "1001"}, "-rate 1001: want 1 or more and at most 1000"},
		"rate of no use":   {[]string{"-rate", "1.5"}, "-rate"},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := runToEnd(t, test.args...)
			assert.Equal(t, exitUsage, status)
			assert.Empty(t, stdout)
			assert.Contains(t, stderr, "flaky: ")
			assert.Contains(t, stderr, test.want)
			assert.Contains(t, stderr, "-h for help")
		})
	}
}

func TestRun_help(t *testing.T) {
	status, stdout, stderr := runToEnd(t, "-h")
	assert.Equal(t, exitOK, status)
	assert.Empty(t, stderr)
	for _, want := range []string{"Usage:", "Exit status:", "-period duration", "-for duration", "-rate second"} {
		assert.Contains(t, stdout, want)
	}
}

// What the help says in words is what the program does.
func TestUsage(t *testing.T) {
	assert.Equal(t, 3*time.Second, patience)
	assert.Equal(t, 2, periods)
	assert.Equal(t, 5, mostFailures)
}

func TestParseArgs(t *testing.T) {
	for _, test := range []struct {
		args  []string
		want  settings
		every time.Duration
		calls int
	}{
		{nil, settings{2500 * time.Millisecond, time.Second, 40}, 25 * time.Millisecond, 200},
		{[]string{"-period", "1m", "-for", "1m", "-rate", "1"}, settings{time.Minute, time.Minute, 1}, time.Second, 120},
		{[]string{"-period", "1s", "-for", "0", "-rate", "3"}, settings{time.Second, 0, 3}, time.Second / 3, 7}, // a third of a second is a bit more
		{[]string{"-period", "1ns", "-for", "0", "-rate", "1000"}, settings{1, 0, 1000}, time.Millisecond, 1},
	} {
		got, err := parseArgs(test.args, nil)
		require.NoError(t, err)
		assert.Equal(t, test.want, got)
		assert.Equal(t, test.every, got.every())
		assert.Equal(t, test.calls, got.calls())
	}
}
