package ratelimit

// Lines returns for how many keys there is a line.
func (k *Keyed[K]) Lines() (n int) {
	for i := range k.shards {
		s := &k.shards[i]
		s.mu.Lock()
		n += len(s.lines)
		s.mu.Unlock()
	}
	return n
}
