package main

import (
	"bytes"
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var tally tally
		var out bytes.Buffer
		stop := startProgress(ctx, &tally, &out)
		tally.read.Add(7)
		tally.rejected.Add(1)
		tally.complete.Add(2)
		tally.partly.Add(3)
		time.Sleep(lineEvery + 1)
		cancel()
		tally.written.Add(5)
		tally.batches.Add(2)
		time.Sleep(lineEvery)
		stop()
		time.Sleep(lineEvery)
		assert.Equal(t, "read 7, rejected 1, enriched 5, written 0 in 0 batches\n"+
			"read 7, rejected 1, enriched 5, written 5 in 2 batches\n", out.String())
	})
}

func TestProgress_brokenOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, writer := io.Pipe()
		reader.Close()
		stop := startProgress(t.Context(), &tally{}, writer)
		time.Sleep(3 * lineEvery)
		stop()
	})
}
