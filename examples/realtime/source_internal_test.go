package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/pipeline"
)

func TestReadEvents(t *testing.T) {
	const stream = ": a comment\n\ndata: one\n\nid: 7\r\ndata:two\r\ndata:  2\r\n\r\nevent: x\ndata: three\n\nid: 8\n\nid:\ndata\n\nid: 9\ndata: cut"
	var got []event
	all := func(e event) bool {
		got = append(got, e)
		return true
	}
	require.ErrorIs(t, readEvents(iotest.OneByteReader(strings.NewReader(stream)), all), io.ErrUnexpectedEOF)
	assert.Equal(t, []event{{"", "one"}, {"7", "two\n 2"}, {"7", "three"}, {"", ""}}, got)

	got = nil
	require.NoError(t, readEvents(strings.NewReader(stream), func(e event) bool { return all(e) && len(got) < 2 }))
	assert.Len(t, got, 2)

	require.ErrorContains(t, readEvents(strings.NewReader(strings.Repeat("x", 1<<20)), all), "token too long")
}

func TestFromLines(t *testing.T) {
	got, err := pipeline.Collect(t.Context(), pipeline.Until(t.Context(), pipeline.Generate(fromLines(strings.NewReader("a\nb\n\nc")))))
	require.NoError(t, err)
	assert.Equal(t, []event{{"1", "a"}, {"2", "b"}, {"3", ""}, {"4", "c"}}, got)

	broken := errors.New("broken")
	got, err = pipeline.Collect(t.Context(), pipeline.Until(t.Context(), pipeline.Generate(fromLines(io.MultiReader(strings.NewReader("a\n"), iotest.ErrReader(broken))))))
	require.ErrorIs(t, err, broken)
	assert.Len(t, got, 1)
}

// The source ends although a read does not, also when only the pipeline wants it to.
func TestFromLines_stopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, writer := io.Pipe()
		defer writer.Close() // ends the goroutine that reads
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go io.WriteString(writer, "a\n")
		got, err := pipeline.Collect(t.Context(), pipeline.Until(ctx, pipeline.Generate(fromLines(reader))))
		require.NoError(t, err)
		assert.Equal(t, []event{{"1", "a"}}, got)
	})
	synctest.Test(t, func(t *testing.T) {
		got, err := pipeline.Collect(t.Context(), pipeline.Take(pipeline.Until(t.Context(), pipeline.Generate(fromLines(strings.NewReader("a\nb\nc\n")))), 1))
		require.NoError(t, err)
		assert.Len(t, got, 1)
	})
}

// answers is a network whose servers answer one request after the other.
type answers []func(*http.Request) (*http.Response, error)

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := (*a)[0]
	if len(*a) > 1 {
		*a = (*a)[1:]
	}
	return answer(r)
}

// streaming answers with a stream that ends after the text.
func streaming(text string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		io.WriteString(w, text)
		return w.Result(), nil
	}
}

// status answers with a status, and headers by name and value.
func status(code int, headers ...string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
		return w.Result(), nil
	}
}

func refused(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }

func TestFromServer(t *testing.T) {
	for name, test := range map[string]struct {
		network answers
		events  int
		breaks  int
		err     string // empty if it is the end
	}{
		"no events":         {answers{status(204)}, 0, 0, ""},
		"to the end":        {answers{streaming("data: a\n\ndata: b\n\n"), status(204)}, 2, 1, ""},
		"nobody there":      {answers{refused}, 0, maxFruitless - 1, "refused"},
		"never any":         {answers{streaming(":\n")}, 0, maxFruitless - 1, "unexpected EOF"},
		"no more":           {answers{streaming("data: a\n\n"), refused}, 1, maxFruitless, "refused"},
		"busy":              {answers{status(503), status(429, "Retry-After", "60"), streaming("data: a\n\n"), status(204)}, 1, 3, ""},
		"not found":         {answers{streaming("data: a\n\n"), status(404)}, 1, 1, "404"},
		"something else":    {answers{status(200, "Content-Type", "text/html")}, 0, 0, `want text/event-stream, not "text/html"`},
		"nothing to follow": {answers{status(200)}, 0, 0, `want text/event-stream, not ""`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				breaks := 0
				var waited time.Duration
				start := time.Now()
				read := fromServer(&http.Client{Transport: &test.network}, "http://shop", func(_ error, delay time.Duration) {
					breaks++
					waited += delay
				})
				got, err := pipeline.Collect(t.Context(), pipeline.Until(t.Context(), pipeline.Generate(read)))
				if test.err == "" {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, test.err)
				}
				assert.Len(t, got, test.events)
				assert.Equal(t, test.breaks, breaks)
				assert.Equal(t, waited, time.Since(start))
				if name == "busy" {
					assert.Greater(t, waited, time.Minute, "as the server has asked")
				}
			})
		})
	}
}

// As long as each connection brings something, there is another.
func TestFromServer_breaksAlways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		start := time.Now()
		network := &answers{streaming("data: a\n\n")}
		read := fromServer(&http.Client{Transport: network}, "http://shop", func(error, time.Duration) {})
		n, err := pipeline.Count(t.Context(), pipeline.Tap(pipeline.Until(ctx, pipeline.Generate(read)), func(event) {
			if time.Since(start) > time.Minute {
				cancel()
			}
		}))
		require.NoError(t, err)
		assert.Greater(t, n, int(time.Minute/firstDelay))
		assert.Less(t, n, 3*int(time.Minute/firstDelay))
	})
}
