package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRun_demo(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	status, stdout, stderr := runToEnd(t)

	assert.Equal(t, exitOK, status, stderr)
	assert.Regexp(t, `^(read \d+, rejected \d+, enriched \d+, written \d+ in \d+ batches\n)*$`, stderr)
	for _, want := range []string{
		`SOURCE +READ +ERROR\n`,
		`east\.json +301 +none\n`,
		`west\.csv +301 +none\n`,
		`http://127\.0\.0\.1:\d+/orders +300 +none\nhttp://127\.0\.0\.1:\d+/orders +300 +none\n\nREJECTED FOR`,
		`amount: want a number with up to two decimals +12 +[NESW]-1\d17 \| nobody \| free \| GBP \| 2026-01-\d\d\n`,
		`amount: zero +12 `, `currency: want three letters +12 `, `day: want a date such as 2026-01-31 +12 `,
		`email: not an address +12 `, `id: missing +12 `, `unreadable +2 `,
		`\nread +1202 +requests sent again: 6\n`,
		`\nrejected +62 +reasons: 7\n`,
		`\nenriched +1140 +in part: 260\n`,
		`\nwritten +1140 +batches: \d+\n`,
		`\nrows in the database +1128 +new: 1128, replaced: 12\n$`,
	} {
		assert.Regexp(t, want, stdout)
	}
	for _, address := range regexp.MustCompile(`http://(.*)/orders`).FindAllStringSubmatch(stdout, -1) {
		conn, err := net.Dial("tcp", address[1])
		if !assert.Error(t, err, "a server is still listening") {
			conn.Close()
		}
	}
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestRun_demoTwice(t *testing.T) {
	file := filepath.Join(t.TempDir(), "it's 100% #1?.db")
	var before []string
	for _, fresh := range []string{"new: 1128, replaced: 12\n", "new: 0, replaced: 1140\n"} {
		status, stdout, stderr := runToEnd(t, "-db", file)
		assert.Equal(t, exitOK, status, stderr)
		assert.Contains(t, stdout, fresh)
		after := rows(t, file)
		assert.Len(t, after, 1128)
		if before != nil {
			assert.Equal(t, before, after)
		}
		before = after
	}
	assert.Contains(t, before, "S-1008 customer8@example.com 908 JPY 2026-01-09 0.0061 new")
	assert.Contains(t, before, "N-1098 customer19@example.com 1099 XAU 2026-01-07 - silver", "the later of two")
}

func TestRun_eachKindOfSource(t *testing.T) {
	var asked atomic.Int32
	api := serverURL(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case asked.Add(1)%2 == 1:
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
		case r.URL.Path == "/orders":
			io.WriteString(w, `{"orders": [{"id": "A-1", "email": "a@example.com", "amount": "1", "currency": "EUR", "day": "2026-01-01"}, 7],
				"next": "more?after=A-1"}`)
		case r.URL.String() == "/more?after=A-1":
			io.WriteString(w, `{"orders": [{"id": "A-2", "email": "b@example.com", "amount": "2.5", "currency": "usd", "day": "2026-01-02", "note": ""}]}`)
		}
	})
	rates := serverURL(t, func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("day") == "2026-01-02" {
			io.WriteString(w, `{"eur": 0.5}`)
		}
	})
	customers := serverURL(t, func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("email") == "a@example.com" {
			io.WriteString(w, `{"segment": "gold"}`)
		}
	})
	jsonFile := writeFile(t, "a.json", ` [{"id": "J-1", "email": "a@example.com", "amount": "3,25", "currency": "JPY", "day": "2026-01-03"},
		{"id": "J-2", "email": "a@example.com\u001b[2J", "amount": "x", "currency": "JPY", "day": "2026-01-03"}]`)
	csvFile := writeFile(t, "a.csv", "id,other,email,amount,currency,day\n"+
		"C-1,x,c@example.com,4.00,EUR,2026-01-04\n"+
		"C-2,x,\"c\"@example.com,4.00,EUR,2026-01-04\n"+
		"C-3,x\n"+
		"C-4,x, C@Example.com ,5.00,EUR,2026-01-04\n")
	file, bad := filepath.Join(t.TempDir(), "a.db"), filepath.Join(t.TempDir(), "bad.jsonl")

	status, stdout, stderr := runToEnd(t, "-db", file, "-rejects", bad, "-rates", rates, "-customers", customers,
		api+"/orders", jsonFile, csvFile)

	assert.Equal(t, exitOK, status, stderr)
	assert.Equal(t, []string{
		"A-1 a@example.com 100 EUR 2026-01-01 1.0 gold",
		"A-2 b@example.com 250 USD 2026-01-02 0.5 -",
		"C-1 c@example.com 400 EUR 2026-01-04 1.0 -",
		"C-4 c@example.com 500 EUR 2026-01-04 1.0 -",
		"J-1 a@example.com 325 JPY 2026-01-03 - gold",
	}, rows(t, file))
	assert.Equal(t, "9", number(t, stdout, "read"))
	assert.Equal(t, "4", number(t, stdout, "rejected"))
	assert.Regexp(t, `requests sent again: 2\n`, stdout)
	assert.Regexp(t, `enriched +5 +in part: 4\n`, stdout)
	assert.NotContains(t, stdout, "\x1b")
	rejected, err := os.ReadFile(bad)
	require.NoError(t, err)
	assert.Equal(t, 4, strings.Count(string(rejected), "\n"))
	assert.Contains(t, string(rejected), `{"source":"`+jsonFile+`","record":{"id":"J-2","email":"a@example.com\u001b[2j","amount":"x",`+
		`"currency":"JPY","day":"2026-01-03"},"reasons":["email: not an address","amount: want a number with up to two decimals"]}`)
	assert.Contains(t, string(rejected), `"reasons":["record on line 4: wrong number of fields"]`)
}

func TestRun_failedSources(t *testing.T) {
	const order = `{"id": "A-1", "email": "a@example.com", "amount": "1", "currency": "EUR", "day": "2026-01-01"}`
	gone := serverURL(t, http.NotFound)
	broken := serverURL(t, func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("page") == "" {
			io.WriteString(w, `{"orders": [`+order+`], "next": "/?page=2"}`)
			return
		}
		io.WriteString(w, `<html>`)
	})
	lost := serverURL(t, saying(http.StatusOK, `{"next": "http://[::1"}`))
	cut := writeFile(t, "cut.json", "["+strings.ReplaceAll(order, "A-1", "J-1"))
	file := filepath.Join(t.TempDir(), "a.db")

	status, stdout, stderr := runToEnd(t, "-db", file, gone, broken, lost, cut, "missing.csv")

	assert.Equal(t, exitFailed, status)
	assert.Contains(t, stderr, errIncomplete.Error())
	assert.Len(t, rows(t, file), 2, "what came before the failure is there")
	for _, want := range []string{
		regexp.QuoteMeta(gone) + ` +0 +HTTP 404 Not Found\n`,
		regexp.QuoteMeta(broken) + ` +1 +invalid character '<'.*\n`,
		regexp.QuoteMeta(lost) + ` +0 +the next page: .*missing ']' in host\n`,
		`cut\.json +1 +unexpected EOF\n`,
		`missing\.csv +0 +open missing\.csv: .*\n`,
	} {
		assert.Regexp(t, want, stdout)
	}
}

func TestRun_cancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	var asked atomic.Int32
	customers := serverURL(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 150 {
			cancel(errors.New("the user has had enough"))
		}
		io.WriteString(w, `{"segment": "gold"}`)
	})
	records := demoRecords("N")
	for i := range records {
		records[i].ID = fmt.Sprintf("N-%d", 1000+i) // none twice, or missing
	}
	source := writeFile(t, "n.json", string(mustJSON(records)))
	file := filepath.Join(t.TempDir(), "a.db")
	args := []string{"-db", file, "-batch", "20", "-customers", customers, source}
	var stdout, stderr bytes.Buffer
	status := run(ctx, args, &stdout, &stderr)

	assert.Equal(t, exitFailed, status)
	assert.Contains(t, stderr.String(), "the user has had enough")
	written := rows(t, file)
	assert.Less(t, len(written), 150)
	assert.Equal(t, fmt.Sprint(len(written)), number(t, stdout.String(), "rows in the database"))
	assert.Equal(t, fmt.Sprint(len(written)), number(t, stdout.String(), "written"))

	status, second, _ := runToEnd(t, args...)
	assert.Equal(t, exitOK, status)
	assert.Len(t, rows(t, file), 288)
	assert.Contains(t, second, fmt.Sprintf("new: %d, replaced: %d\n", 288-len(written), len(written)))
}

func TestRun_cancelledBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	assert.Equal(t, exitFailed, run(ctx, nil, &stdout, &stderr))
	assert.Contains(t, stderr.String(), context.Canceled.Error())
}

func TestRun_noDatabase(t *testing.T) {
	source := writeFile(t, "a.json", "[]")
	for _, args := range [][]string{
		{"-db", filepath.Join(t.TempDir(), "none", "a.db"), source},
		{"-dsn", "postgres://127.0.0.1:1/shop", source}, // nobody listens there
	} {
		status, _, stderr := runToEnd(t, args...)
		assert.Equal(t, exitFailed, status)
		assert.Contains(t, stderr, "opening the database: ")
	}
	status, _, stderr := runToEnd(t, "-db", filepath.Join(t.TempDir(), "a.db"), "-rejects", t.TempDir(), source)
	assert.Equal(t, exitFailed, status)
	assert.Contains(t, stderr, "is a directory")
}

func TestRun_brokenOutput(t *testing.T) {
	reader, writer := io.Pipe()
	reader.Close()
	var stderr bytes.Buffer
	args := []string{"-db", filepath.Join(t.TempDir(), "a.db"), writeFile(t, "a.json", "[]")}
	assert.Equal(t, exitFailed, run(t.Context(), args, writer, &stderr))
	assert.Contains(t, stderr.String(), "printing: "+io.ErrClosedPipe.Error())
}
