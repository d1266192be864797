package pubsub

import (
	"fmt"
	"strings"
	"unicode"
)

// valid reports whether a subject, or a pattern, keeps to the rules of [Bus].
func valid(subject string, pattern bool) bool {
	for more := true; more; {
		var word string
		word, subject, more = strings.Cut(subject, ".")
		switch {
		case pattern && word == "*", pattern && word == ">" && !more:
		case word == "" || strings.ContainsFunc(word, reserved):
			return false
		}
	}
	return true
}

func reserved(r rune) bool {
	return r == '*' || r == '>' || unicode.IsSpace(r) || unicode.IsControl(r)
}

func badSubject(subject string) error { return fmt.Errorf("%w: %q", ErrSubject, subject) }

// A node is a place in the tree of patterns, the words of which lead to it.
type node[T any] struct {
	parent *node[T]
	word   string              // by which the parent knows it
	next   map[string]*node[T] // by word, * and > included
	topic  *Topic[Message[T]]  // that of the pattern that ends here, or nil
	users  int                 // of those who need the topic to stay
}

// grow returns the node of a pattern, and makes it if need be.
func (n *node[T]) grow(pattern string) *node[T] {
	for word := range strings.SplitSeq(pattern, ".") {
		child := n.next[word]
		if child == nil {
			child = &node[T]{parent: n, word: word}
			if n.next == nil {
				n.next = map[string]*node[T]{}
			}
			n.next[word] = child
		}
		n = child
	}
	return n
}

// wither takes the node out of the tree, if no pattern needs it, and so on.
func (n *node[T]) wither() {
	for n.parent != nil && n.topic == nil && len(n.next) == 0 {
		delete(n.parent.next, n.word)
		n = n.parent
	}
}

// match appends the topics of the patterns that match what is left of a
// subject.
func (n *node[T]) match(subject string, found []*Topic[Message[T]]) []*Topic[Message[T]] {
	word, rest, more := strings.Cut(subject, ".")
	if child := n.next[">"]; child != nil && child.topic != nil {
		found = append(found, child.topic)
	}
	for _, child := range [2]*node[T]{n.next[word], n.next["*"]} {
		switch {
		case child == nil:
		case more:
			found = child.match(rest, found)
		case child.topic != nil:
			found = append(found, child.topic)
		}
	}
	return found
}

// topics appends all topics.
func (n *node[T]) topics(all []*Topic[Message[T]]) []*Topic[Message[T]] {
	if n.topic != nil {
		all = append(all, n.topic)
	}
	for _, child := range n.next {
		all = child.topics(all)
	}
	return all
}
