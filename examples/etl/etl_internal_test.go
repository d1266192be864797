package main

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"modernc.org/sqlite"
)

// newTestETL returns an etl that writes the good records of one file to another.
func newTestETL(t *testing.T, source, file string) *etl {
	t.Helper()
	s := settings{sources: []target{{name: source}}, db: file, workers: 3, batch: 20}
	db, err := openStore(t.Context(), s)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.close()) })
	rejected, err := createRejects("")
	require.NoError(t, err)
	return newETL(s, db, rejected)
}

// onCommit has f called in each commit.
func (s *store) onCommit(t *testing.T, f func()) {
	t.Helper()
	s.db.SetMaxOpenConns(1) // the hook is the connection's
	conn, err := s.db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.Raw(func(c any) error {
		c.(sqlite.HookRegisterer).RegisterCommitHook(func() int32 {
			f()
			return 0 // let it be
		})
		return nil
	}))
}

// A run that is cancelled in the middle of a commit leaves exactly the batches that
// it counts, the last of them included, and the next run completes them.
func TestETL_cancelledInCommit(t *testing.T) {
	source := writeFile(t, "n.csv", string(csvFile(demoRecords("N"))))
	file := filepath.Join(t.TempDir(), "a.db")
	ctx, cancel := context.WithCancel(t.Context())
	commits := 0
	var written []int64
	first := newTestETL(t, source, file)
	first.store.onCommit(t, func() {
		written = append(written, first.tally.written.Load())
		if commits++; commits == 4 {
			cancel()
		}
	})
	require.ErrorIs(t, first.run(ctx), context.Canceled)
	assert.False(t, first.failed(), "the source has not failed")
	assert.EqualValues(t, 4, first.tally.batches.Load())
	assert.Len(t, written, 4)

	got := first.store.rows(t)
	assert.EqualValues(t, len(got), first.tally.written.Load())
	second := newTestETL(t, source, file)
	require.NoError(t, second.run(t.Context()))
	all := second.store.rows(t)
	assert.Len(t, all, 282)
	assert.Equal(t, all[:len(got)], got, "the first ones, in the order of the source")
	assert.EqualValues(t, 285, second.tally.written.Load(), "three of them twice")

	require.NoError(t, newTestETL(t, source, file).run(t.Context()))
	assert.Equal(t, all, second.store.rows(t), "nothing changes any more")
}

// A database that fails ends the run, and leaves the batches before.
func TestETL_failedWrite(t *testing.T) {
	source := writeFile(t, "n.csv", string(csvFile(demoRecords("N"))))
	e := newTestETL(t, source, filepath.Join(t.TempDir(), "a.db"))
	_, err := e.store.db.ExecContext(t.Context(), `CREATE TRIGGER full BEFORE INSERT ON orders WHEN NEW.id = 'N-1095'
		BEGIN SELECT RAISE(ABORT, 'no place left'); END`)
	require.NoError(t, err)

	err = e.run(t.Context())
	require.ErrorContains(t, err, "writing order N-1095: ")
	require.ErrorContains(t, err, "no place left")
	got := e.store.rows(t)
	assert.NotEmpty(t, got)
	assert.EqualValues(t, len(got), e.tally.written.Load())
	assert.Less(t, got[len(got)-1][:6], "N-1095")
}
