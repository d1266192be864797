// Package panics has the error that a panic becomes in other goroutines.
package panics

import (
	"fmt"
	"runtime/debug"
)

// PanicError is what the packages of the library make of a panic that comes to be
// known in another goroutine. They have it as an alias, so that it is the same
// type, and one errors.As finds it, whoever made it.
type PanicError struct {
	Value any    // what the function panicked with
	Stack []byte // the stack of its goroutine at the panic
}

// New must be called by the deferred function that recovered value, while the
// stack of the panic is still there. A value that is a PanicError already stays
// what it is: it was raised again.
func New(value any) *PanicError {
	if p, ok := value.(*PanicError); ok {
		return p
	}
	return &PanicError{Value: value, Stack: debug.Stack()}
}

// Error tells the value and the stack, for a log. To show it to people, print
// Value.
func (e *PanicError) Error() string {
	return fmt.Sprintf("panic: %v\n\n%s", e.Value, e.Stack)
}

// Unwrap returns Value if it is an error, and otherwise nil.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
