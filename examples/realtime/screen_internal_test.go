package main

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestScreen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := clock(time.Now())
		for _, test := range []struct {
			terminal bool
			want     string
		}{
			{false, now + "  one\nhead\na\n" + now + "  two\nb\nc\n"},
			{true, now + "  one\n" +
				"head\na\n" +
				"\x1b[2A\x1b[J" + now + "  two\nhead\na\n" +
				"\x1b[2A\x1b[Jhead\nb\nc\n"},
		} {
			var out bytes.Buffer
			s := newScreen(&out)
			assert.False(t, s.terminal)
			s.terminal = test.terminal
			s.line("one")
			require.NoError(t, s.table("head\n", "a\n"))
			s.line("%s", "two")
			require.NoError(t, s.table("head\n", "b\nc\n"))
			assert.Equal(t, test.want, out.String())
		}
	})
}

func TestScreen_brokenOutput(t *testing.T) {
	reader, writer := io.Pipe()
	reader.Close()
	s := newScreen(writer)
	s.line("one")
	s.w = io.Discard
	require.EqualError(t, s.table("head\n", "a\n"), "printing: "+io.ErrClosedPipe.Error(), "the first error stays")
}
