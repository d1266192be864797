package ratelimitbench

import "github.com/seed4886185c/concert/bench/measure"

// ScenariosOf returns all scenarios, with so many keys where there are a million.
func ScenariosOf(many int) []measure.Scenario { return scenarios(many) }

// A Work tells a loop what to do.
type Work = work

func NewWork(calls int, keys ...string) *Work { return &work{calls: calls, keys: keys} }

func (w *work) Key() string { return w.key() }

// NewWorks returns the keys with which each of n works begins.
func NewWorks(n int, keys []string) []string {
	var first []string
	for _, w := range newWorks(n, keys) {
		first = append(first, w.key())
	}
	return first
}

// Keyring returns n keys as they are seen first, and as they come later.
func Keyring(n int) (first, later []string) {
	k := newKeyring(n)
	return k.first, k.later
}

// Limited returns loops under the names of the contenders, each with a new
// limiter, that allows so many events at once, and one more in a day.
func Limited(burst int) map[string]func(*Work) int {
	return loops(limit{every: day, burst: burst, daily: burst, keys: 10}, everyone())
}

// Keyed is the same for those who keep a limit for each key.
func Keyed(burst int) map[string]func(*Work) int {
	return loops(limit{every: day, burst: burst, daily: burst, keys: 10}, keyed())
}

func loops(l limit, makers []maker) map[string]func(*Work) int {
	all := map[string]func(*Work) int{}
	for _, m := range makers {
		c := m(l)
		all[c.name] = c.loop
	}
	return all
}

var Check = check
