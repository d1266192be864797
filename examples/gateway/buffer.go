package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
)

// maxBody is how many bytes the body of a request may have.
const maxBody = 1 << 20

// buffer reads the body of each request before it goes on. A client that sends
// slowly takes no place in the bulkhead meanwhile; one that sends badly cannot
// make the upstream look bad to the breaker; and a body that is there can be sent
// again, by GetBody, without which httpretry would not try. All that costs up to
// maxBody of memory for each connection.
func (g *gateway) buffer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			g.refuse(w, unread, unreadStatus(err), 0)
			return
		}
		r = r.WithContext(r.Context()) // a copy: the one that came is not ours to change
		r.ContentLength, r.TransferEncoding = int64(len(body)), nil
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// unreadStatus returns the answer to a request whose body could not be read.
func unreadStatus(err error) int {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return http.StatusRequestEntityTooLarge
	}
	if errors.Is(err, os.ErrDeadlineExceeded) { // of the server's ReadTimeout
		return http.StatusRequestTimeout
	}
	return http.StatusBadRequest
}
