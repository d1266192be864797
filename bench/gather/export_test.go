package gatherbench

func NewTripleJob(n int) *job { return newJob(n, 0, triple) }

func (j *job) Consume(out []int, err error) { j.consume(out, err) }
