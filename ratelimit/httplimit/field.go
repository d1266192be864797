package httplimit

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed4886185c/concert/ratelimit"
)

// A policy is what the fields and the answers of a Middleware have in common.
type policy struct {
	name   string // a string of RFC 9651, with its quotes
	denied []byte // the body of the answer 429
}

// newPolicy returns the policy of that name. It panics if the name is not what
// RFC 9651, section 3.3.3, allows in a string.
func newPolicy(name string) policy {
	if name == "" {
		name = "default"
	}
	for i := range len(name) {
		if name[i] < ' ' || name[i] > '~' {
			panic(fmt.Sprintf("ratelimit: httplimit.Middleware with the policy %q: not printable ASCII", name))
		}
	}
	return policy{
		name: `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`,
		denied: problem{
			Type:     "https://iana.org/assignments/http-problem-types#quota-exceeded",
			Title:    "Request cannot be satisfied as assigned quota has been exceeded",
			Status:   http.StatusTooManyRequests,
			Violated: []string{name},
		}.body(),
	}
}

// addFields adds to h what res tells.
func (p policy) addFields(h http.Header, res ratelimit.Result, xHeaders bool) {
	limit, remaining, reset := integer(res.Limit), integer(res.Remaining), seconds(effective(res))
	h.Add("Ratelimit-Policy", p.item(";q=", limit, ";w=", window(res)))
	h.Add("Ratelimit", p.item(";r=", remaining, ";t=", reset))
	if xHeaders {
		set(h, "X-Ratelimit-Limit", limit)
		set(h, "X-Ratelimit-Remaining", remaining)
		set(h, "X-Ratelimit-Reset", reset)
	}
	if !res.OK {
		set(h, "Retry-After", reset)
	}
}

// item returns the item of the policy, with two parameters. The second is left
// out if it is negative.
func (p policy) item(key string, n int64, key2 string, n2 int64) string {
	b := append(make([]byte, 0, 64), p.name...)
	b = strconv.AppendInt(append(b, key...), n, 10)
	if n2 >= 0 {
		b = strconv.AppendInt(append(b, key2...), n2, 10)
	}
	return string(b)
}

// set sets a field, or removes it if n is negative: what an outer Middleware
// told does not go with what this one tells.
func set(h http.Header, field string, n int64) {
	if n < 0 {
		h.Del(field)
		return
	}
	h.Set(field, strconv.FormatInt(n, 10))
}

// window returns w. It is negative if there is none.
func window(res ratelimit.Result) int64 {
	if res.Window <= 0 {
		return -1
	}
	return seconds(res.Window)
}

// effective returns t. It is negative if it will never be.
func effective(res ratelimit.Result) time.Duration {
	switch {
	case !res.OK:
		return res.RetryAfter
	case res.Remaining > 0 || res.ResetAfter < 0:
		return res.ResetAfter
	case res.Limit <= 0 || res.Window < 0:
		return -1
	}
	// What is missing besides the next token takes (Limit-1)/Limit of Window. The
	// product might overflow.
	each := res.Window / time.Duration(res.Limit)
	if res.Window%time.Duration(res.Limit) > 0 {
		each++
	}
	if next := res.ResetAfter - res.Window + each; next > 0 {
		return next
	}
	return res.ResetAfter // not a bucket that fills evenly
}

// seconds returns d in whole seconds, rounded up. It is negative if d is.
func seconds(d time.Duration) int64 {
	if d < 0 {
		return -1
	}
	n := int64(d / time.Second)
	if d%time.Second > 0 {
		n++
	}
	return n
}

// integer returns n within what an integer of RFC 9651, section 3.3.1, may be,
// and what the draft wants.
func integer(n int) int64 {
	return min(max(int64(n), 0), 999_999_999_999_999)
}

// A problem is the body of an answer, see RFC 9457.
type problem struct {
	Type     string   `json:"type,omitempty"` // about:blank, if empty
	Title    string   `json:"title"`
	Status   int      `json:"status"`
	Detail   string   `json:"detail,omitempty"`
	Violated []string `json:"violated-policies,omitempty"`
}

// body returns the problem in JSON.
func (p problem) body() []byte {
	text, _ := json.Marshal(p) // there is nothing in it that could fail
	return append(text, '\n')
}

// answer answers a request that the handler does not get.
func (p policy) answer(w http.ResponseWriter, status int) {
	body := p.denied
	if status != http.StatusTooManyRequests {
		other := problem{Title: http.StatusText(status), Status: status}
		if status == http.StatusBadRequest {
			other.Detail = "The request has no key for its rate limit, such as an address or an API key."
		}
		body = other.body()
	}
	h := w.Header()
	h.Del("Content-Length") // which would be that of another body
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}
