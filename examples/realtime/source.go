package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed4886185c/concert/pipeline"
	"github.com/seed4886185c/concert/retry"
	"github.com/seed4886185c/concert/retry/httpretry"
)

// event is one that nobody has looked at.
type event struct {
	id   string // what the server calls it, or the number of the line
	data string
}

// source calls emit with events until there are no more, emit returns false, or
// ctx ends.
type source func(ctx context.Context, emit func(event) bool) error

// fromLines reads an event from each line. A read cannot be interrupted: it has a
// goroutine, which stays behind until r has one more line, or its end.
func fromLines(r io.Reader) source {
	return func(ctx context.Context, emit func(event) bool) error {
		lines, failed := make(chan string), make(chan error, 1)
		go func() {
			defer close(lines)
			scanner := bufio.NewScanner(r)
			for scanner.Scan() {
				if pipeline.Send(ctx, lines, scanner.Text()) != nil {
					return
				}
			}
			failed <- scanner.Err()
		}()
		for n := 1; ; n++ {
			line, ok, err := pipeline.Recv(ctx, lines)
			if err != nil {
				return err
			}
			if !ok {
				return <-failed
			}
			if !emit(event{strconv.Itoa(n), line}) {
				return nil
			}
		}
	}
}

const (
	firstDelay   = 50 * time.Millisecond
	maxFruitless = 8 // connections in a row that bring no event
)

// client reads [server-sent events].
//
// [server-sent events]: https://html.spec.whatwg.org/multipage/server-sent-events.html
type client struct {
	http      *http.Client
	url       string
	lastID    string // of the last event, after which the next connection goes on
	fruitless int    // connections, or attempts, since that
}

// fromServer reads the events at a URL. Where the stream breaks, it connects
// again, and asks for those after the last that it has got. It calls onBreak
// before each wait.
func fromServer(web *http.Client, url string, onBreak func(error, time.Duration)) source {
	return func(ctx context.Context, emit func(event) bool) error {
		c := &client{http: web, url: url}
		policy := retry.Policy{
			MaxAttempts: -1, // as long as there are events
			RetryIf:     func(error) bool { return c.fruitless < maxFruitless },
			Backoff:     retry.Func(func(int) time.Duration { return firstDelay << c.fruitless }).EqualJitter(),
			OnRetry:     func(_ context.Context, a retry.Attempt) { onBreak(a.Err, a.Delay) },
		}
		return retry.Run(ctx, policy, func(ctx context.Context) error { return c.connect(ctx, emit) })
	}
}

// connect reads the events of one connection. It returns nil if no more are
// wanted, or if the server says that there are no more.
func (c *client) connect(ctx context.Context, emit func(event) bool) error {
	c.fruitless++
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	if c.lastID != "" {
		req.Header.Set("Last-Event-ID", c.lastID)
	}
	// There is no limit of time: a stream has no end, and may be silent for long. If
	// the peer is gone, it is TCP's keep-alive that finds out.
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // it is not read to its end
	content := resp.Header.Get("Content-Type")
	switch {
	case resp.StatusCode == http.StatusNoContent:
		return nil
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode >= http.StatusInternalServerError:
		return &httpretry.StatusError{Code: resp.StatusCode, Header: resp.Header}
	case resp.StatusCode != http.StatusOK:
		return retry.Permanent(&httpretry.StatusError{Code: resp.StatusCode, Header: resp.Header})
	case !strings.HasPrefix(content, "text/event-stream"):
		return retry.Permanent(fmt.Errorf("want text/event-stream, not %q", content))
	}
	return readEvents(resp.Body, func(e event) bool {
		c.fruitless, c.lastID = 0, e.id
		return emit(e)
	})
}

// readEvents reads server-sent events. One that is cut off is none: the next
// connection brings it again. It returns nil only if emit returns false.
func readEvents(r io.Reader, emit func(event) bool) error {
	var id string
	var data []string
	for lines := bufio.NewScanner(r); ; {
		if !lines.Scan() {
			if err := lines.Err(); err != nil {
				return err
			}
			return io.ErrUnexpectedEOF
		}
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "" && data != nil:
			if !emit(event{id, strings.Join(data, "\n")}) {
				return nil
			}
			data = nil
		case field == "id":
			id = value
		case field == "data":
			data = append(data, value)
		}
	}
}
