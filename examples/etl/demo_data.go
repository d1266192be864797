package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	demoOrders = 300 // of each source
	demoPage   = 50
	latency    = 12 * time.Millisecond // of the services
)

// demoRecords returns the records of a source: most are well, some untidy, and a
// few wrong, each in a way of its own.
func demoRecords(prefix string) []record {
	first := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	currencies := []string{"EUR", "USD", " gbp", "JPY", "XAU"}
	records := make([]record, demoOrders)
	for i := range records {
		r := record{
			ID:       fmt.Sprintf("%s-%d", prefix, 1000+i),
			Email:    fmt.Sprintf("Customer%d@example.com ", i%40),
			Amount:   fmt.Sprintf("%d,%02d", 1+i%90, i%100),
			Currency: currencies[i%len(currencies)],
			Day:      first.AddDate(0, 0, i%31).Format(time.DateOnly),
		}
		switch i % 100 {
		case 17:
			r.Email, r.Amount = "nobody", "free"
		case 34:
			r.ID = ""
		case 51:
			r.Day = "2026-02-30"
		case 68:
			r.Amount = "0.00"
		case 85:
			r.Currency = "euros"
		case 99:
			r.ID = records[i-1].ID // and more recent
		}
		records[i] = r
	}
	return records
}

// jsonFile returns the records, and one more that is not as it should be.
func jsonFile(records []record) []byte {
	text := mustJSON(records)
	return append(bytes.TrimSuffix(text, []byte("]")), `,{"id": "E-1", "amount": 12.5}]`...)
}

// csvFile returns the records below a header, and one more that is cut off.
func csvFile(records []record) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	lines := [][]string{{"day", "id", "email", "amount", "currency"}}
	for _, r := range records {
		lines = append(lines, []string{r.Day, r.ID, r.Email, r.Amount, r.Currency})
	}
	if err := w.WriteAll(append(lines, []string{"2026-01-31", "W-1"})); err != nil {
		panic(err) // a buffer takes everything
	}
	return b.Bytes()
}

// pages answers with a page of the records.
func (d *demo) pages(records []record) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.FormValue("page")) // 0 if there is none
		if n < 0 || n*demoPage >= len(records) {
			http.NotFound(w, r)
			return
		}
		p := page{}
		for _, rec := range records[n*demoPage : min(len(records), (n+1)*demoPage)] {
			p.Orders = append(p.Orders, mustJSON(rec))
		}
		if (n+1)*demoPage < len(records) {
			p.Next = fmt.Sprintf("?page=%d", n+1)
		}
		d.answer(w, mustJSON(p))
	})
}

// flaky returns a handler that answers every request badly before it does well.
func flaky(next http.Handler) http.Handler {
	var asked sync.Map
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, again := asked.LoadOrStore(r.URL.String(), true); !again {
			http.Error(w, "out of order", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// rate answers what a currency is worth, if it knows.
func (d *demo) rate(w http.ResponseWriter, r *http.Request) {
	<-time.After(latency)
	rate, known := map[string]float64{"USD": 0.92, "GBP": 1.15, "JPY": 0.0061}[r.FormValue("currency")]
	if !known {
		http.NotFound(w, r)
		return
	}
	d.answer(w, mustJSON(map[string]float64{"eur": rate}))
}

// customer answers who a customer is, but for one, about whom it fails.
func (d *demo) customer(w http.ResponseWriter, r *http.Request) {
	<-time.After(latency)
	email := r.FormValue("email")
	if email == "customer7@example.com" {
		http.Error(w, "out of order", http.StatusInternalServerError)
		return
	}
	segments := []string{"new", "silver", "gold"}
	d.answer(w, mustJSON(map[string]string{"segment": segments[len(email)%len(segments)]}))
}

func (d *demo) answer(w io.Writer, body []byte) {
	if _, err := w.Write(body); err != nil {
		d.logger.Debug("client gone", "err", err)
	}
}

// mustJSON returns the JSON of a value that has some.
func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}
