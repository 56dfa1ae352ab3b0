package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// terminal is a screen that is drawn on, with keys that come at once.
type terminal struct {
	in     *os.File
	out    io.Writer
	before unix.Termios
}

// openTerminal takes the screen; Close gives it back as it was. Ctrl-C stays a signal.
func openTerminal(in *os.File, out io.Writer) (*terminal, error) {
	before, err := unix.IoctlGetTermios(int(in.Fd()), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("this is no terminal (use --once): %w", err)
	}
	t := &terminal{in, out, *before}
	raw := *before
	raw.Lflag &^= unix.ICANON | unix.ECHO
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 0, 2 // a read waits for a fifth of a second at most
	if err := unix.IoctlSetTermios(int(in.Fd()), unix.TCSETS, &raw); err != nil {
		return nil, fmt.Errorf("prepare the terminal: %w", err)
	}
	fmt.Fprint(out, "\x1b[?1049h\x1b[?25l") // a screen of its own, no cursor
	return t, nil
}

// Close gives the screen back.
func (t *terminal) Close() error {
	fmt.Fprint(t.out, "\x1b[?25h\x1b[?1049l")
	return unix.IoctlSetTermios(int(t.in.Fd()), unix.TCSETS, &t.before)
}

// draw replaces what is on the screen, without flicker.
func (t *terminal) draw(text string) {
	fmt.Fprint(t.out, "\x1b[H"+strings.ReplaceAll(text, "\n", "\x1b[K\n")+"\x1b[J")
}

// keys hands out what is typed until ctx ends.
func (t *terminal) keys(ctx context.Context, to chan<- byte) {
	var b [1]byte
	for ctx.Err() == nil {
		n, err := t.in.Read(b[:])
		if err != nil && err != io.EOF {
			return
		}
		if n > 0 {
			select {
			case to <- b[0]:
			case <-ctx.Done():
			}
		}
	}
}
