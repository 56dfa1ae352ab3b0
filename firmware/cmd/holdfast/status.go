package main

import (
	"context"
	"io"
	"os"
	"time"

	"holdfast/firmware/control"
)

// status shows the running box.
func status(ctx context.Context, args []string, out io.Writer) error {
	f := flags("status")
	socket := socketFlag(f)
	asJSON := f.Bool("json", false, "print JSON")
	if err := parseAll(f, args, out); err != nil {
		return err
	}
	s, err := control.NewClient(*socket).Status(ctx)
	if err != nil {
		return err
	}
	if *asJSON {
		return printJSON(out, s)
	}
	p := page{now: time.Now(), zone: time.Local, colour: isTerminal(out)}
	p.status(s)
	_, err = io.WriteString(out, p.text.String())
	return err
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" {
		return false
	}
	i, err := f.Stat()
	return err == nil && i.Mode()&os.ModeCharDevice != 0
}
