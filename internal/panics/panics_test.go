package panics_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed4886185c/concert/internal/panics"
)

func recovered(value any) (p *panics.PanicError) {
	defer func() { p = panics.New(recover()) }()
	panic(value)
}

// A panic keeps its value, and the stack of where it was.
func TestNew(t *testing.T) {
	p := recovered("boom")
	assert.Equal(t, "boom", p.Value)
	assert.Contains(t, string(p.Stack), "panics_test.recovered")
	require.ErrorContains(t, p, "panic: boom\n\n")
	require.NoError(t, p.Unwrap())

	cause := errors.New("broken")
	require.ErrorIs(t, recovered(cause), cause)
}

// One that is raised again stays what it was.
func TestNew_again(t *testing.T) {
	p := recovered("boom")
	assert.Same(t, p, recovered(p))
}
