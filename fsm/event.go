package fsm

import (
	"fmt"
	"reflect"
	"sync/atomic"
)

// None is the payload of an [Event] without one.
type None struct{}

// An Event is something that may happen to a machine, with a payload of type P.
// Events are made once, as variables of a package, and used by any number of
// definitions. Two calls of [NewEvent] make two events, also if they have the
// same name. Copies are the same event. The zero Event is unknown everywhere.
type Event[P any] struct{ kind *event }

// An event is an [Event] without the type of its payload.
//
// Payloads travel as an any that holds a *P, or is nil for a zero one.
type event struct {
	name   string
	id     uint64                                         // all have different ones
	box    func(payload any) (any, error)                 // a P to a *P
	decode func(decode func(into any) error) (any, error) // to a P
}

// lastEvent is the id of the event made last.
var lastEvent atomic.Uint64 //nolint:gochecknoglobals // ids are global

// NewEvent returns a new event. Its name is what observers, errors and
// diagrams show, and what [Machine.FireNamed] takes. It panics if name is empty.
func NewEvent[P any](name string) Event[P] {
	if name == "" {
		panic("fsm: NewEvent without a name")
	}
	return Event[P]{&event{name, lastEvent.Add(1), box[P], decode[P]}}
}

// Name returns the name of the event, or "" for the zero Event.
func (e Event[P]) Name() string {
	if e.kind == nil {
		return ""
	}
	return e.kind.name
}

// box returns the *P of a payload that must be a P.
func box[P any](payload any) (any, error) { //nolint:ireturn // payloads have all types
	p, ok := payload.(P)
	if !ok && (payload != nil || !nillable[P]()) {
		return nil, fmt.Errorf("%w: %T, where %v is needed", ErrPayload, payload, reflect.TypeFor[P]())
	}
	return &p, nil
}

// nillable reports whether nil may be given for a P.
func nillable[P any]() bool {
	t := reflect.TypeFor[P]()
	return t == reflect.TypeFor[None]() || t.Kind() == reflect.Interface
}

// decode returns a P.
func decode[P any](decode func(into any) error) (any, error) { //nolint:ireturn // payloads have all types
	var p P
	if _, none := any(p).(None); none {
		return p, nil
	}
	if err := decode(&p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPayload, err)
	}
	return p, nil
}

// unbox returns what a payload is that travels.
func unbox[P any](payload any) (p P) {
	if b, ok := payload.(*P); ok {
		return *b
	}
	return p
}
