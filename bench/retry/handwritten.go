package retrybench

// byHand is what one writes without a library, where no wait is needed.
func byHand() contender {
	return contender{"loop", "by hand; no waits, no context, the last error only", func(w *work) {
		sum := 0
		for range calls {
			var v int
			var err error
			for range attempts {
				if v, err = w.get(); err == nil {
					break
				}
			}
			must(err)
			sum += v
		}
		w.done(sum)
	}}
}
