package httplimit_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/ratelimit"
	"github.com/seed4886185c/concert/ratelimit/httplimit"
)

// trusted are the proxies of the tests.
func trusted() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("::ffff:172.16.0.0/108"), // 172.16.0.0/12, mapped
		netip.MustParsePrefix("fd00::/8"),
	}
}

func from(remote string, forwarded ...string) *http.Request {
	r := &http.Request{RemoteAddr: remote, Header: http.Header{}}
	if forwarded != nil {
		r.Header["X-Forwarded-For"] = forwarded
	}
	return r
}

func TestByIP(t *testing.T) {
	for _, tt := range []struct {
		name      string
		remote    string
		forwarded []string
		want      string
	}{
		{"direct", "192.0.2.1:1234", nil, "192.0.2.1"},
		{"direct, no port", "192.0.2.1", nil, "192.0.2.1"},
		{"direct, IPv6", "[2001:db8:1:2:3:4:5:6]:1234", nil, "2001:db8:1:2::/64"},
		{"direct, IPv6, no port", "2001:db8:1:2:3:4:5:6", nil, "2001:db8:1:2::/64"},
		{"direct, IPv6, written at length", "[2001:0DB8:0:0:0:0:0:1]:1", nil, "2001:db8::/64"},
		{"direct, mapped", "[::ffff:192.0.2.1]:1234", nil, "192.0.2.1"},
		{"direct, mapped, in hex", "[::ffff:c000:201]:1234", nil, "192.0.2.1"},
		{"direct, mapped, with a zone", "[::ffff:192.0.2.1%eth0]:1234", nil, "192.0.2.1"},
		{"direct, with a zone", "[fe80::1%eth0]:1234", nil, "fe80::/64"},
		{"direct, loopback", "[::1]:1234", nil, "::/64"},
		{"a stranger forwards", "192.0.2.1:1234", []string{"198.51.100.1"}, "192.0.2.1"},
		{"a proxy", "10.1.2.3:1234", []string{"192.0.2.1"}, "192.0.2.1"},
		{"a proxy of IPv6", "[fd00::1]:1234", []string{"2001:db8::1"}, "2001:db8::/64"},
		{"a mapped proxy", "[::ffff:10.1.2.3]:1234", []string{"192.0.2.1"}, "192.0.2.1"},
		{"a proxy whose prefix is mapped", "172.31.0.1:1234", []string{"192.0.2.1"}, "192.0.2.1"},
		{"beside the prefix that is mapped", "172.32.0.1:1234", []string{"192.0.2.1"}, "172.32.0.1"},
		{"a chain", "10.1.2.3:1234", []string{"192.0.2.1, 172.16.0.1,fd00::2,\t10.0.0.9 "}, "192.0.2.1"},
		{"a chain of lines", "10.1.2.3:1234", []string{"192.0.2.1", "10.0.0.8, 10.0.0.9"}, "192.0.2.1"},
		{"made up", "10.1.2.3:1234", []string{"198.51.100.7, 192.0.2.1"}, "192.0.2.1"},
		{"made up, in another line", "10.1.2.3:1234", []string{"198.51.100.7", "192.0.2.1"}, "192.0.2.1"},
		{"made up, as a proxy", "10.1.2.3:1234", []string{"10.0.0.7, 192.0.2.1, 10.0.0.9"}, "192.0.2.1"},
		{"made up, as nonsense", "10.1.2.3:1234", []string{"x, 192.0.2.1"}, "192.0.2.1"},
		{"nothing", "10.1.2.3:1234", nil, "10.1.2.3"},
		{"empty", "10.1.2.3:1234", []string{""}, "10.1.2.3"},
		{"nonsense", "10.1.2.3:1234", []string{"unknown"}, "10.1.2.3"},
		{"nonsense further on", "10.1.2.3:1234", []string{"192.0.2.1, unknown, 10.0.0.9"}, "10.0.0.9"},
		{"nothing further on", "10.1.2.3:1234", []string{"192.0.2.1,, 10.0.0.9"}, "10.0.0.9"},
		{"nothing in a line", "10.1.2.3:1234", []string{"192.0.2.1", "", "10.0.0.9"}, "10.0.0.9"},
		{"nothing at the end", "10.1.2.3:1234", []string{"192.0.2.1,"}, "10.1.2.3"},
		{"all are proxies", "10.1.2.3:1234", []string{"10.0.0.7, 10.0.0.8"}, "10.0.0.7"},
		{"with ports", "10.1.2.3:1234", []string{"192.0.2.1:567, 10.0.0.9:80"}, "192.0.2.1"},
		{"IPv6 with a port", "10.1.2.3:1234", []string{"[2001:db8::1]:567"}, "2001:db8::/64"},
		{"IPv6 in brackets", "10.1.2.3:1234", []string{"[2001:db8::1]"}, "2001:db8::/64"},
		{"IPv6 with a zone", "10.1.2.3:1234", []string{"2001:db8::1%x"}, "2001:db8::/64"},
		{"mapped", "10.1.2.3:1234", []string{"::ffff:192.0.2.1"}, "192.0.2.1"},
		{"mapped with a port", "10.1.2.3:1234", []string{"[::ffff:192.0.2.1]:567"}, "192.0.2.1"},
		{"a proxy with a zone", "10.1.2.3:1234", []string{"192.0.2.1, fd00::1%eth0"}, "192.0.2.1"},
		{"IPv4 in brackets", "10.1.2.3:1234", []string{"[192.0.2.1]"}, "10.1.2.3"},
		{"brackets", "10.1.2.3:1234", []string{"[]"}, "10.1.2.3"},
		{"a bracket", "10.1.2.3:1234", []string{"["}, "10.1.2.3"},
		{"zeros before", "10.1.2.3:1234", []string{"192.0.2.01"}, "10.1.2.3"},
		{"quotes", "10.1.2.3:1234", []string{`"192.0.2.1"`}, "10.1.2.3"},
		{"the field Forwarded", "10.1.2.3:1234", []string{"for=192.0.2.1"}, "10.1.2.3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			key, err := httplimit.ByIP(trusted()...)(from(tt.remote, tt.forwarded...))
			require.NoError(t, err)
			assert.Equal(t, tt.want, key)
		})
	}
}

// Who makes up addresses gets no more than who does not, and no more is stored.
func TestByIP_rotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			byIP httplimit.KeyFunc
			keys int
		}{
			{httplimit.ByIP(trusted()...), 1},
			{httplimit.ByIP(), 2}, // the proxy is a client, too
		} {
			keyed := ratelimit.NewKeyed[string](1, 5, 1000)
			handler := httplimit.Middleware(ratelimit.StoreOf(keyed), tt.byIP, httplimit.Options{})(&teapot{})
			served := 0
			for i := range 100 {
				r := request(t.Context())
				r.RemoteAddr = fmt.Sprintf("[2001:db8::%x]:%d", i, 1000+i) // a client has all of them
				if i%2 == 1 {
					r.RemoteAddr = "10.0.0.1:1234"
				}
				for range i % 3 {
					r.Header.Add("X-Forwarded-For", fmt.Sprintf("198.51.100.%d, 10.0.0.%d", i, i))
				}
				r.Header.Add("X-Forwarded-For", fmt.Sprintf("203.0.113.%d, 2001:db8::%x", i, i)) // the right one is from the proxy
				if serve(handler, r).Code == http.StatusTeapot {
					served++
				}
			}
			assert.Equal(t, tt.keys, keyed.Len())
			assert.Equal(t, 5*tt.keys, served)
		}
	})
}

// Without trusted proxies, the field is not looked at.
func TestByIP_nobodyIsTrusted(t *testing.T) {
	for _, forwarded := range []string{"", "198.51.100.1", "10.0.0.1, 192.0.2.1", "x"} {
		key, err := httplimit.ByIP()(from("192.0.2.1:1", forwarded))
		require.NoError(t, err)
		assert.Equal(t, "192.0.2.1", key)
	}
}

// Trust in everything ends at the left-most address.
func TestByIP_everybodyIsTrusted(t *testing.T) {
	byIP := httplimit.ByIP(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"))
	key, err := byIP(from("192.0.2.1:1", "198.51.100.1, 2001:db8::1"))
	require.NoError(t, err)
	assert.Equal(t, "198.51.100.1", key)
}

func TestByIP_noAddress(t *testing.T) {
	for _, remote := range []string{"", "@", "/run/http.sock", "localhost:80", "192.0.2.1:x", "192.0.2.256:1", "[::1"} {
		key, err := httplimit.ByIP(trusted()...)(from(remote, "192.0.2.1"))
		require.ErrorContains(t, err, "ratelimit: httplimit.ByIP: RemoteAddr is ")
		require.NotErrorIs(t, err, httplimit.ErrNoKey, "which is not what the client has done")
		assert.Empty(t, key)
	}
}

func TestByIP_programmerErrors(t *testing.T) {
	assert.PanicsWithValue(t, "ratelimit: httplimit.ByIP with the prefix 1, which is not valid", func() {
		httplimit.ByIP(netip.MustParsePrefix("10.0.0.0/8"), netip.Prefix{})
	})
}

// What the caller does with its slice later changes nothing.
func TestByIP_copies(t *testing.T) {
	proxies := trusted()
	byIP := httplimit.ByIP(proxies...)
	clear(proxies)
	key, err := byIP(from("10.1.2.3:1", "192.0.2.1"))
	require.NoError(t, err)
	assert.Equal(t, "192.0.2.1", key)
}

func TestByHeader(t *testing.T) {
	byHeader := httplimit.ByHeader("x-api-key")
	for _, tt := range []struct {
		values []string
		want   string
	}{
		{nil, ""},
		{[]string{}, ""},
		{[]string{""}, ""},
		{[]string{"a"}, "a"},
		{[]string{"a, b"}, "a, b"},
		{[]string{"a", "a"}, ""},
		{[]string{"", "a"}, ""},
	} {
		key, err := byHeader(&http.Request{Header: http.Header{"X-Api-Key": tt.values}})
		assert.Equal(t, tt.want, key)
		if tt.want != "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, httplimit.ErrNoKey)
		require.EqualError(t, err, "ratelimit: httplimit: no key: not one value of the field X-Api-Key")
	}
	_, err := byHeader(&http.Request{})
	require.ErrorIs(t, err, httplimit.ErrNoKey)
	for _, name := range []string{"", "x api key", "x:y", "täglich", "host", "Host", "a\n"} {
		assert.Panics(t, func() { httplimit.ByHeader(name) }, name)
	}
	assert.PanicsWithValue(t, `ratelimit: httplimit.ByHeader of "a:"`, func() { httplimit.ByHeader("a:") })
	assert.NotPanics(t, func() { httplimit.ByHeader("!#$%&'*+-.^_`|~09azAZ") })
}

// reference finds the key slowly: it writes down all addresses there are, from
// the connection to the left, and looks for the first that is not trusted.
func reference(remote netip.Addr, forwarded []string, proxies []netip.Prefix) netip.Addr {
	path := []netip.Addr{remote}
	elements := strings.Split(strings.Join(forwarded, ","), ",")
	if len(forwarded) == 0 {
		elements = nil
	}
	for len(elements) > 0 {
		s := strings.Trim(elements[len(elements)-1], " \t")
		elements = elements[:len(elements)-1]
		a, err := netip.ParseAddr(s)
		if err != nil {
			ap, err := netip.ParseAddrPort(s)
			if err != nil && strings.HasPrefix(s, "[") {
				ap, err = netip.ParseAddrPort(s + ":1")
				if err == nil && !strings.HasSuffix(s, "]") {
					break
				}
			}
			if err != nil {
				break
			}
			a = ap.Addr()
		}
		path = append(path, netip.AddrFrom16(a.As16()).Unmap())
	}
	for _, a := range path {
		inside := false
		for _, p := range proxies {
			inside = inside || p.Contains(a)
		}
		if !inside {
			return a
		}
	}
	return path[len(path)-1]
}

// FuzzByIP lets a client send whatever it likes in X-Forwarded-For. Its own
// address is what the proxies add, and the only key that it gets.
func FuzzByIP(f *testing.F) {
	f.Add("192.0.2.1", "198.51.100.1", "10.0.0.2", true)
	f.Add("2001:db8::1", "x, [::1]:80,", "", false)
	f.Add("::ffff:192.0.2.1", "10.0.0.1\n10.0.0.2", "10.0.0.3, fd00::1", true)
	f.Add("10.9.9.9", "1.2.3.4, ,", "[fd00::1]:80", false)
	f.Add("fe80::1%x", "\t", "_hidden", false)
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	byIP := httplimit.ByIP(proxies...)
	canonical := func(a netip.Addr) string {
		if a.Is4() {
			return a.String()
		}
		return netip.PrefixFrom(a, 64).Masked().String()
	}
	f.Fuzz(func(t *testing.T, client, sent, chain string, lines bool) {
		// The connection is the client's: what it sends is of no account, unless
		// it is a proxy.
		key, err := byIP(from(client, sent))
		addr, bad := netip.ParseAddr(client)
		if bad != nil {
			if ap, e := netip.ParseAddrPort(client); e == nil {
				addr, bad = ap.Addr(), nil
			} else if ap, e := netip.ParseAddrPort(client + ":0"); e == nil && strings.HasSuffix(client, "]") {
				addr, bad = ap.Addr(), nil
			}
		}
		if bad != nil {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		addr = addr.WithZone("").Unmap()
		assert.Equal(t, canonical(reference(addr, []string{sent}, proxies)), key)

		// The first proxy adds the client's address, in a line of its own or
		// not; others may follow, and what they add is whatever it is.
		forwarded := []string{sent + ", " + client}
		if lines {
			forwarded = append(strings.Split(sent, "\n"), client)
		}
		honest := []string{client}
		if chain != "" {
			forwarded, honest = append(forwarded, chain), append(honest, chain)
		}
		key, err = byIP(from("10.0.0.1:1234", forwarded...))
		require.NoError(t, err)
		assert.Equal(t, canonical(reference(netip.MustParseAddr("10.0.0.1"), forwarded, proxies)), key)
		if !proxies[0].Contains(addr) && !proxies[1].Contains(addr) {
			same, err := byIP(from("10.0.0.1:1234", honest...))
			require.NoError(t, err)
			assert.Equal(t, same, key, "what the client sent plays no part")
		}
		if p, err := netip.ParsePrefix(key); err == nil {
			assert.Equal(t, p.Masked().String(), key)
			assert.Equal(t, 64, p.Bits())
			assert.True(t, p.Addr().Is6() && !p.Addr().Is4In6())
		} else {
			a, err := netip.ParseAddr(key)
			require.NoError(t, err)
			assert.True(t, a.Is4())
			assert.Equal(t, a.String(), key)
		}
	})
}
