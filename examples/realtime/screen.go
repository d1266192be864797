package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// screen shows lines, which stay, and tables. On a terminal there is one table,
// below the lines, in the place of the one before; elsewhere tables are lines.
type screen struct {
	w        io.Writer
	terminal bool

	mu     sync.Mutex // guards the fields below
	headed bool       // a header has been written
	drawn  string     // the table that is on the terminal
	err    error      // the first that writing met
}

func newScreen(w io.Writer) *screen {
	file, ok := w.(*os.File)
	return &screen{w: w, terminal: ok && term.IsTerminal(int(file.Fd()))}
}

// line shows a line, and when that was. If it cannot, table returns the error.
func (s *screen) line(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writeLocked(clock(time.Now())+"  "+fmt.Sprintf(format, args...)+"\n", s.drawn)
}

// table shows a table. It returns the first error that writing has met.
func (s *screen) table(head, rows string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.terminal:
		s.writeLocked("", head+rows)
	case s.headed:
		s.writeLocked(rows, "")
	default:
		s.writeLocked(head+rows, "")
	}
	s.headed = true
	return s.err
}

// writeLocked writes lines where the table is, and below them a table.
func (s *screen) writeLocked(lines, table string) {
	if s.err != nil {
		return
	}
	erase := ""
	if n := strings.Count(s.drawn, "\n"); n > 0 {
		erase = fmt.Sprintf("\x1b[%dA\x1b[J", n) // up, and clear what is below
	}
	s.drawn = table
	if _, err := io.WriteString(s.w, erase+lines+table); err != nil {
		s.err = fmt.Errorf("printing: %w", err)
	}
}

func clock(t time.Time) string { return t.Format("15:04:05.0") }
