package httplimit

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"
)

// A KeyFunc returns the key of a request: those with the same key share a limit.
// An error that matches [ErrNoKey] means that the client has not sent what the
// key is made of; any other, that the key could not be found for another reason.
// To limit all requests together, return the same key for each.
type KeyFunc = func(*http.Request) (string, error)

// ErrNoKey is matched by the error of a [KeyFunc] that finds no key in a request.
var ErrNoKey = errors.New("ratelimit: httplimit: no key")

// maxKey is the length of the longest key, in bytes.
const maxKey = 256

// checkKey returns an error if key is not to be had in the store.
func checkKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("%w: it is empty", ErrNoKey)
	case len(key) > maxKey:
		return fmt.Errorf("%w: it has %d bytes, more than %d", ErrNoKey, len(key), maxKey)
	}
	return nil
}

// ByHeader returns a KeyFunc whose key is the value of the header field of that
// name, such as X-Api-Key. A request that has no such field, or an empty one, or
// more than one, has no key. What the value says is not verified: unless it has
// been checked before, a client gets a new limit by making up another. A
// [Middleware] takes no keys of more than 256 bytes; for longer values, such as
// tokens, use a KeyFunc that returns a hash.
//
// ByHeader panics if name is not the name of a field, or is Host, which is none
// in an [http.Request].
func ByHeader(name string) KeyFunc {
	field := textproto.CanonicalMIMEHeaderKey(name)
	if !isToken(name) || field == "Host" {
		panic(fmt.Sprintf("ratelimit: httplimit.ByHeader of %q", name))
	}
	return func(r *http.Request) (string, error) {
		values := r.Header[field]
		if len(values) != 1 || values[0] == "" {
			return "", fmt.Errorf("%w: not one value of the field %s", ErrNoKey, field)
		}
		return values[0], nil
	}
}

// isToken reports whether name is a token of RFC 9110, section 5.6.2.
func isToken(name string) bool {
	for _, c := range []byte(name) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		digit := c >= '0' && c <= '9'
		if !letter && !digit && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return name != ""
}

// ByIP returns a KeyFunc whose key is the address of the client: for IPv4 the
// address, such as 192.0.2.1, also if it is mapped into IPv6; for IPv6 the
// network of 64 bits, such as 2001:db8::/64, since a client has all of it.
//
// The address is that of the connection, RemoteAddr, unless that is trusted:
// without trusted prefixes, X-Forwarded-For is not looked at. If it is trusted,
// it is that of a proxy, which has added to X-Forwarded-For, at the right, the
// address that it was called from. That is the client, unless it is trusted, too,
// and so on: the client is the right-most that is not trusted. All fields of that
// name count, one after the other.
//
// What is further to the left may be made up, and plays no part. If there is
// nothing more to the left before a client is found, or something that is not an
// address, the key is that of the last trusted address. So a client cannot make
// up keys, as long as only those are trusted that add to X-Forwarded-For what
// they see. An address may have a port, which, like the zone, is left out.
//
// If RemoteAddr is not an address, as with a Unix socket, there is an error,
// which does not match [ErrNoKey]; a handler before the [Middleware] may set it.
// ByIP panics if a prefix is not valid.
func ByIP(trusted ...netip.Prefix) KeyFunc {
	proxies := make(prefixes, len(trusted))
	for i, p := range trusted {
		if !p.IsValid() {
			panic(fmt.Sprintf("ratelimit: httplimit.ByIP with the prefix %d, which is not valid", i))
		}
		proxies[i] = canonical(p)
	}
	return func(r *http.Request) (string, error) {
		addr, ok := parse(r.RemoteAddr)
		if !ok {
			return "", fmt.Errorf("ratelimit: httplimit.ByIP: RemoteAddr is %q, which is not an address", r.RemoteAddr)
		}
		if proxies.contain(addr) {
			addr = proxies.client(addr, r.Header["X-Forwarded-For"])
		}
		return text(addr), nil
	}
}

// prefixes are those of the trusted proxies.
type prefixes []netip.Prefix

// canonical returns p, or if it is one of IPv4 that is mapped into IPv6, that of
// IPv4.
func canonical(p netip.Prefix) netip.Prefix {
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p
}

func (ps prefixes) contain(a netip.Addr) bool {
	for _, p := range ps {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// client returns the right-most address of the fields that is not trusted, or
// where that cannot be found, the last that is. It begins with the address of the
// connection.
func (ps prefixes) client(addr netip.Addr, fields []string) netip.Addr {
	for _, field := range slices.Backward(fields) {
		for rest, more := field, true; more; {
			var element string
			rest, element, more = cutLast(rest)
			next, ok := parse(strings.Trim(element, " \t"))
			if !ok {
				// Not even an empty one is passed over: if a proxy did not
				// know whom it was called by, all that is further to the
				// left is from a stranger.
				return addr
			}
			addr = next
			if !ps.contain(addr) {
				return addr
			}
		}
	}
	return addr
}

// cutLast cuts the last element off a list, and reports whether there are more.
func cutLast(list string) (rest, last string, more bool) {
	i := strings.LastIndexByte(list, ',')
	if i < 0 {
		return "", list, false
	}
	return list[:i], list[i+1:], true
}

// parse returns the address of s, which may have a port, and a zone.
func parse(s string) (netip.Addr, bool) {
	if s == "" {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		if s[0] == '[' && s[len(s)-1] == ']' {
			s += ":0"
		}
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		a = ap.Addr()
	}
	return a.WithZone("").Unmap(), true
}

// text returns the key of a.
func text(a netip.Addr) string {
	if a.Is4() {
		return a.String()
	}
	return netip.PrefixFrom(a, 64).Masked().String()
}
