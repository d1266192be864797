package pipelinebench

import "context"

const BatchSize = batchSize

// A Job is what contenders work on.
type Job = job

func NewJob(n int) *Job { return newJob(n, 1) }

// CheckSum takes the sum of what was kept.
func (j *job) CheckSum(sum int) { checkSum(sum, j.kept.sum) }

// Check takes what has come of the items, in any order.
func (j *job) Check(items ...int) { j.check(tallied(items)) }

// CheckOrder takes it in the order of the items.
func (j *job) CheckOrder(items ...int) { j.checkOrder(tallied(items)) }

// CheckBatches takes it in batches.
func (j *job) CheckBatches(all ...[]int) {
	var b batches
	for _, items := range all {
		b = b.add(items)
	}
	j.checkBatches(b)
}

func tallied(items []int) (t tally) {
	for _, v := range items {
		t = t.add(v)
	}
	return t
}

// InBatches is what is written by hand.
func InBatches(in <-chan int) <-chan []int { return inBatches(context.Background(), in) }
