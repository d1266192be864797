package breaker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// What calls that end at the same moment may leave for a moment is no picture of
// it: a success and a failure in a row.
func TestStay_countsBetween(t *testing.T) {
	var s stay
	s.successes.Store(1)
	s.row.Store(1)
	assert.Equal(t, Counts{Successes: 1, ConsecutiveFailures: 1}, s.counts())
}

// A stay does not begin before the one before it, whenever the clock was read.
func TestNewStay_clockReadBefore(t *testing.T) {
	b := New(Settings{})
	b.current.Store(b.newStay(Closed, time.Hour))
	assert.Equal(t, time.Hour, b.newStay(Open, time.Minute).since)
	assert.Equal(t, 2*time.Hour, b.newStay(Open, 2*time.Hour).since)
}
