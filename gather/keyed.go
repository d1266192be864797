package gather

import (
	"context"
	"fmt"
	"sort"
)

// KeyedResults holds the result of each task under the task's key.
type KeyedResults[K comparable, T any] map[K]Result[T]

// Values returns the values of the tasks that succeeded.
func (rs KeyedResults[K, T]) Values() map[K]T {
	values := make(map[K]T, len(rs))
	for k, r := range rs {
		if r.Err == nil {
			values[k] = r.Value
		}
	}
	return values
}

// Err returns nil if every task succeeded, and otherwise an [*Error] that
// lists every failure with its key, in the order in which they happened.
func (rs KeyedResults[K, T]) Err() error {
	var failed failures
	for k, r := range rs {
		if r.Err != nil {
			failed.add(TaskError{Index: -1, Key: k, Err: r.Err}, r.rank)
		}
	}
	sort.Sort(&failed)
	return failed.err()
}

// Keyed runs the tasks, in no particular order, and returns when they have
// ended. The results have the keys of the tasks. Where the order matters, [Map]
// over a slice of what names the tasks keeps it.
//
// Keyed takes the options of [All]. It panics if a task is nil.
func Keyed[K comparable, T any](ctx context.Context, tasks map[K]Task[T], opts ...Option) KeyedResults[K, T] {
	keys := make([]K, 0, len(tasks))
	list := make([]Task[T], 0, len(tasks))
	for k, task := range tasks {
		if task == nil {
			panic(fmt.Sprintf("gather: Keyed with a nil task, at key %v", k))
		}
		keys = append(keys, k)
		list = append(list, task)
	}
	results := make(KeyedResults[K, T], len(tasks))
	for i, r := range runBatch(ctx, "Keyed", list, call[T], opts) {
		results[keys[i]] = r
	}
	return results
}
