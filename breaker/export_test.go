package breaker

// Parts returns how many parts the windows of b hold on to.
func (b *Breaker) Parts() int {
	n := 0
	for _, g := range b.current.Load().gauges {
		if w, ok := g.(*window); ok {
			for p := w.newest.Load(); p != nil; p = p.before.Load() {
				n++
			}
		}
	}
	return n
}
