package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/term"

	"github.com/seed4886185c/concert/pipeline"
)

const (
	redrawEvery = 100 * time.Millisecond // on a terminal
	lineEvery   = time.Second
)

// tally counts what happens while it does.
type tally struct {
	read, rejected   atomic.Int64
	complete, partly atomic.Int64 // enriched
	written, batches atomic.Int64 // committed
	retries          atomic.Int64 // of requests to sources
}

// String tells the progress in less than a line.
func (t *tally) String() string {
	return fmt.Sprintf("read %d, rejected %d, enriched %d, written %d in %d batches",
		t.read.Load(), t.rejected.Load(), t.complete.Load()+t.partly.Load(), t.written.Load(), t.batches.Load())
}

// startProgress shows t on w until the function that it returns is called: in one
// line that changes if w is a terminal, and otherwise in a new line now and then.
func startProgress(ctx context.Context, t *tally, w io.Writer) (stop func()) {
	every, format, last := lineEvery, "%v\n", ""
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		every, format, last = redrawEvery, "\r\x1b[K%v", "\r\x1b[K"
	}
	// The last batch may take longer than ctx.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var showing sync.WaitGroup
	showing.Go(func() {
		_ = pipeline.ForEach(ctx, pipeline.Ticks(every), func(context.Context, time.Time) error {
			_, err := fmt.Fprintf(w, format, t)
			return err // ends it; there is nobody to tell
		})
	})
	return func() {
		cancel()
		showing.Wait()
		_, _ = io.WriteString(w, last) // what follows begins at the margin
	}
}
