package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sendRaw sends what a client would not, and returns the status of the answer.
func sendRaw(t *testing.T, address, request string) int {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestBuffer(t *testing.T) {
	u := startTestUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintln(w, r.ContentLength, len(body), err)
	})
	g := startGateway(t, u.url, nil)
	c := clientAt(t, "127.0.0.2")
	for size, want := range map[int]string{0: "0 0 <nil>\n", 1: "1 1 <nil>\n", maxBody: "1048576 1048576 <nil>\n"} {
		assert.Equal(t, answer{status: 200, body: want}, c.send(http.MethodPost, g.url, strings.Repeat("x", size)).plain())
	}
	assert.EqualValues(t, 3, u.hits.Load())
	assert.Equal(t, http.StatusRequestEntityTooLarge, c.send(http.MethodPost, g.url, strings.Repeat("x", maxBody+1)).status)

	const chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	assert.Equal(t, http.StatusOK, sendRaw(t, g.address, chunked+"4\r\ndata\r\n0\r\n\r\n"))
	assert.EqualValues(t, 4, u.hits.Load())
	assert.Equal(t, http.StatusBadRequest, sendRaw(t, g.address, chunked+"no number\r\n"))
	assert.EqualValues(t, 4, u.hits.Load(), "the upstream has nothing to do with it")
	assert.Equal(t, map[string]int{good: 4, unread: 2}, g.outcomes(t))
	assert.Zero(t, g.circuit.Counts().Failures)
}
