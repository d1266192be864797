package httplimit_test

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/ratelimit"
	"github.com/seed4886185c/concert/ratelimit/httplimit"
)

// An item is a string of RFC 9651 with parameters that are integers.
type item struct {
	name   string
	params map[string]int64
}

var errField = errors.New("not a list of strings with integers")

// parseList parses a List, strictly, as RFC 9651 says in section 4.2, as far as
// the two fields need it.
func parseList(s string) (items []item, err error) {
	s = strings.Trim(s, " ")
	for s != "" {
		var it item
		if it.name, s, err = parseString(s); err != nil {
			return nil, err
		}
		it.params = map[string]int64{}
		for strings.HasPrefix(s, ";") {
			var key string
			var value int64
			if key, value, s, err = parseParameter(s[1:]); err != nil {
				return nil, err
			}
			if _, twice := it.params[key]; twice {
				return nil, fmt.Errorf("%w: two of %s", errField, key)
			}
			it.params[key] = value
		}
		items = append(items, it)
		if s == "" {
			return items, nil
		}
		rest, ok := strings.CutPrefix(strings.TrimLeft(s, " \t"), ",")
		if s = strings.TrimLeft(rest, " \t"); !ok || s == "" {
			return nil, fmt.Errorf("%w: %q after an item", errField, s)
		}
	}
	return items, nil
}

func parseString(s string) (value, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		return "", "", fmt.Errorf("%w: no string: %q", errField, s)
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], nil
		case c == '\\':
			if i++; i == len(s) || s[i] != '"' && s[i] != '\\' {
				return "", "", fmt.Errorf("%w: escaped: %q", errField, s)
			}
			b.WriteByte(s[i])
		case c < 0x20 || c > 0x7e:
			return "", "", fmt.Errorf("%w: %q", errField, c)
		default:
			b.WriteByte(c)
		}
	}
	return "", "", fmt.Errorf("%w: no end: %q", errField, s)
}

func parseParameter(s string) (key string, value int64, rest string, err error) {
	key, s, ok := strings.Cut(strings.TrimLeft(s, " "), "=")
	if !ok || key == "" || strings.Trim(key, "abcdefghijklmnopqrstuvwxyz") != "" {
		return "", 0, "", fmt.Errorf("%w: key %q", errField, key)
	}
	digits := s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
	if digits == "" || len(digits) > 15 {
		return "", 0, "", fmt.Errorf("%w: integer %q", errField, s)
	}
	value, err = strconv.ParseInt(digits, 10, 64)
	return key, value, s[len(digits):], err
}

func TestParseList(t *testing.T) {
	items, err := parseList(`"a \"b\"";q=1;w=2 , "c"`)
	require.NoError(t, err)
	assert.Equal(t, []item{{`a "b"`, map[string]int64{"q": 1, "w": 2}}, {"c", map[string]int64{}}}, items)
	for _, bad := range []string{
		`default`, `"a`, `"a\`, `"\b"`, "\"\x00\"", `"a",`, `"a" "b"`, `"a";`, `"a";q`, `"a";q=`, `"a";q=-1`,
		`"a";q=1234567890123456`, `"a";q=1;q=2`, `"a";Q=1`, `"a";q=1.5`, `"a" ;q=1`,
	} {
		_, err := parseList(bad)
		require.ErrorIs(t, err, errField, bad)
	}
}

// fields returns the one item of each of the two fields.
func fields(t *testing.T, h http.Header) (policy, limit item) {
	t.Helper()
	for field, it := range map[string]*item{"RateLimit-Policy": &policy, "RateLimit": &limit} {
		items, err := parseList(strings.Join(h.Values(field), ", "))
		require.NoError(t, err, field)
		require.Len(t, items, 1, field)
		*it = items[0]
	}
	return policy, limit
}

const (
	most  = 999_999_999_999_999 // of an integer
	never = time.Duration(-1)
)

func TestFields(t *testing.T) {
	type params = map[string]int64
	bucket := func(limit, remaining int, reset time.Duration) ratelimit.Result {
		return ratelimit.Result{OK: true, Limit: limit, Remaining: remaining, ResetAfter: reset, Window: time.Minute}
	}
	denied := func(retry time.Duration) ratelimit.Result {
		return ratelimit.Result{Limit: 60, Remaining: 2, RetryAfter: retry, ResetAfter: 58 * time.Second, Window: time.Minute}
	}
	for _, tt := range []struct {
		name   string
		res    ratelimit.Result
		policy params
		limit  params
		retry  string
	}{
		{"full", bucket(60, 60, 0), params{"q": 60, "w": 60}, params{"r": 60, "t": 0}, ""},
		{"to full", bucket(60, 50, 10*time.Second), params{"q": 60, "w": 60}, params{"r": 50, "t": 10}, ""},
		{"rounded up", bucket(60, 50, 9*time.Second+1), params{"q": 60, "w": 60}, params{"r": 50, "t": 10}, ""},
		{"less than a second", bucket(60, 59, 1), params{"q": 60, "w": 60}, params{"r": 59, "t": 1}, ""},
		{"none left", bucket(60, 0, time.Minute), params{"q": 60, "w": 60}, params{"r": 0, "t": 1}, ""},
		{"none left, half of the next", bucket(10, 0, 57*time.Second), params{"q": 10, "w": 60}, params{"r": 0, "t": 3}, ""},
		{"none left, thirds", bucket(7, 0, time.Minute), params{"q": 7, "w": 60}, params{"r": 0, "t": 9}, ""},
		{"none left of one", bucket(1, 0, 42*time.Second), params{"q": 1, "w": 60}, params{"r": 0, "t": 42}, ""},
		{"in debt", bucket(10, 0, 80*time.Second), params{"q": 10, "w": 60}, params{"r": 0, "t": 26}, ""},
		{"a window that ends", bucket(60, 0, 20*time.Second), params{"q": 60, "w": 60}, params{"r": 0, "t": 20}, ""},
		{"none left, never more", bucket(60, 0, never), params{"q": 60, "w": 60}, params{"r": 0}, ""},
		{"never full", bucket(60, 10, never), params{"q": 60, "w": 60}, params{"r": 10}, ""},
		{"denied", denied(1100 * time.Millisecond), params{"q": 60, "w": 60}, params{"r": 2, "t": 2}, "2"},
		{"denied for a whole second", denied(time.Second), params{"q": 60, "w": 60}, params{"r": 2, "t": 1}, "1"},
		{"denied for a nanosecond", denied(1), params{"q": 60, "w": 60}, params{"r": 2, "t": 1}, "1"},
		{"denied for ever", denied(never), params{"q": 60, "w": 60}, params{"r": 2}, ""},
		{"denied for long", denied(math.MaxInt64), params{"q": 60, "w": 60}, params{"r": 2, "t": 9223372037}, "9223372037"},
		{"no time", denied(0), params{"q": 60, "w": 60}, params{"r": 2, "t": 0}, "0"},
		{
			"a short window",
			ratelimit.Result{OK: true, Limit: 5, Remaining: 4, ResetAfter: 20 * time.Millisecond, Window: 100 * time.Millisecond},
			params{"q": 5, "w": 1},
			params{"r": 4, "t": 1},
			"",
		},
		{
			"a window of one and a half",
			ratelimit.Result{OK: true, Limit: 5, Remaining: 5, Window: 1500 * time.Millisecond},
			params{"q": 5, "w": 2},
			params{"r": 5, "t": 0},
			"",
		},
		{
			"no limit",
			ratelimit.Result{OK: true, Limit: math.MaxInt, Remaining: math.MaxInt},
			params{"q": min(math.MaxInt, most), "w": -1},
			params{"r": min(math.MaxInt, most), "t": 0},
			"",
		},
		{
			"the rate is 0",
			ratelimit.Result{OK: true, Limit: 5, Remaining: 0, ResetAfter: never, Window: never},
			params{"q": 5, "w": -1},
			params{"r": 0},
			"",
		},
		{
			"the rate is 0, but full",
			ratelimit.Result{OK: true, Limit: 5, Remaining: 5, Window: never},
			params{"q": 5, "w": -1},
			params{"r": 5, "t": 0},
			"",
		},
		{
			"a burst of 0",
			ratelimit.Result{OK: true, Window: time.Minute},
			params{"q": 0, "w": 60},
			params{"r": 0},
			"",
		},
		{
			"a burst of 0, denied",
			ratelimit.Result{RetryAfter: never, Window: time.Minute},
			params{"q": 0, "w": 60},
			params{"r": 0},
			"",
		},
		{
			"nonsense",
			ratelimit.Result{OK: true, Limit: -1, Remaining: -1, ResetAfter: math.MaxInt64, Window: math.MaxInt64},
			params{"q": 0, "w": 9223372037},
			params{"r": 0},
			"",
		},
		{
			"more left than there may be",
			ratelimit.Result{OK: true, Limit: 1, Remaining: 2, ResetAfter: math.MinInt64, Window: math.MinInt64},
			params{"q": 1, "w": -1},
			params{"r": 2},
			"",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.policy["w"] < 0 {
				delete(tt.policy, "w")
			}
			for _, x := range []bool{false, true} {
				h := serve(httplimit.Middleware(always(tt.res, nil), one, httplimit.Options{XHeaders: x})(&teapot{}), request(t.Context())).Header()
				policy, limit := fields(t, h)
				assert.Equal(t, item{"default", tt.policy}, policy)
				assert.Equal(t, item{"default", tt.limit}, limit)
				assert.Equal(t, tt.retry, h.Get("Retry-After"))
				assert.Equal(t, x, h.Get("X-RateLimit-Limit") == strconv.FormatInt(tt.policy["q"], 10))
				assert.Equal(t, x, h.Get("X-RateLimit-Remaining") == strconv.FormatInt(tt.limit["r"], 10))
				reset, ok := tt.limit["t"]
				assert.Equal(t, x && ok, h.Get("X-RateLimit-Reset") == strconv.FormatInt(reset, 10))
				assert.Equal(t, x && ok, h.Get("X-RateLimit-Reset") != "")
			}
		})
	}
}

// A client that waits for t finds what it was promised, in a bucket of whatever
// kind: it is not too early, and by less than a second too late.
func TestFields_neverTooEarly(t *testing.T) {
	for limit := 1; limit <= 100; limit++ {
		for _, window := range []time.Duration{time.Millisecond, time.Second, 7 * time.Second, time.Minute, 24 * time.Hour} {
			for part := range 4 {
				// The next token is as far away as that, so many parts of four.
				next := max(1, window/time.Duration(limit)*time.Duration(part)/4)
				full := next + time.Duration(int64(limit-1)*int64(window)/int64(limit))
				h := serve(httplimit.Middleware(always(ratelimit.Result{OK: true, Limit: limit, ResetAfter: full, Window: window}, nil), one,
					httplimit.Options{})(&teapot{}), request(t.Context())).Header()
				_, got := fields(t, h)
				wait := time.Duration(got.params["t"]) * time.Second
				require.GreaterOrEqual(t, wait, next)
				require.Less(t, wait, next+time.Second+time.Nanosecond)
			}
		}
	}
}

// With a bucket that is one, a client that does what it is told is let through
// each time, and one that comes more than a second earlier is not.
func TestFields_keyed(t *testing.T) {
	for _, tt := range []struct {
		n     int
		per   time.Duration
		burst int
	}{{60, time.Minute, 60}, {7, time.Minute, 7}, {1, time.Minute, 1}, {1, 90 * time.Second, 4}, {1000, 24 * time.Hour, 1000}, {3, time.Second, 10}} {
		synctest.Test(t, func(t *testing.T) {
			keyed := ratelimit.NewKeyed[string](ratelimit.Per(tt.n, tt.per), tt.burst, 10)
			handler := httplimit.Middleware(ratelimit.StoreOf(keyed), one, httplimit.Options{})(&teapot{})
			for range tt.burst + 10 {
				w := serve(handler, request(t.Context()))
				require.Equal(t, http.StatusTeapot, w.Code)
				policy, limit := fields(t, w.Header())
				require.EqualValues(t, tt.burst, policy.params["q"])
				each := float64(tt.per) / float64(tt.n)
				require.InDelta(t, each*float64(tt.burst)/1e9, policy.params["w"], 1)
				if limit.params["r"] > 0 {
					continue
				}
				wait := time.Duration(limit.params["t"]) * time.Second
				if early := wait - time.Second - time.Microsecond; early > 0 {
					time.Sleep(early)
					wait -= early
					require.Equal(t, http.StatusTooManyRequests, serve(handler, request(t.Context())).Code)
				}
				time.Sleep(wait)
			}
		})
	}
}

func TestFields_policies(t *testing.T) {
	for _, name := range []string{"", "default", "per minute", `"`, `\`, `"; q=1`, `a","b`, "~", " "} {
		h := serve(httplimit.Middleware(always(some, nil), one, httplimit.Options{Policy: name})(&teapot{}), request(t.Context())).Header()
		policy, limit := fields(t, h)
		if name == "" {
			name = "default"
		}
		assert.Equal(t, name, policy.name)
		assert.Equal(t, name, limit.name)
	}
}

// Whatever a store says and however the policy is called, the fields are what
// RFC 9651 and the draft allow.
func FuzzFields(f *testing.F) {
	f.Add("default", true, int64(100), int64(50), int64(0), int64(30e9), int64(60e9))
	f.Add(`"\`, false, int64(-1), int64(math.MaxInt64), int64(-1), int64(math.MinInt64), int64(math.MaxInt64))
	f.Add("x", true, int64(math.MaxInt64), int64(0), int64(0), int64(math.MaxInt64), int64(1))
	f.Fuzz(func(t *testing.T, name string, ok bool, limit, remaining, retry, reset, window int64) {
		if strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c > '~' }) {
			assert.Panics(t, func() { httplimit.Middleware(always(some, nil), one, httplimit.Options{Policy: name}) })
			return
		}
		h := serve(httplimit.Middleware(always(ratelimit.Result{
			OK: ok, Limit: int(limit), Remaining: int(remaining),
			RetryAfter: time.Duration(retry), ResetAfter: time.Duration(reset), Window: time.Duration(window),
		}, nil), one, httplimit.Options{Policy: name, XHeaders: true})(&teapot{}), request(t.Context())).Header()
		policy, service := fields(t, h)
		assert.Equal(t, policy.name, service.name)
		assert.Contains(t, policy.params, "q")
		assert.Contains(t, service.params, "r")
		if w, ok := policy.params["w"]; ok {
			assert.Positive(t, w)
		}
		after, told := service.params["t"]
		if ok {
			assert.Empty(t, h.Get("Retry-After"))
		} else {
			assert.Equal(t, told, h.Get("Retry-After") == strconv.FormatInt(after, 10))
			assert.Equal(t, retry >= 0, told)
		}
	})
}
