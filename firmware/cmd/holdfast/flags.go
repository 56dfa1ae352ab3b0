package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"holdfast/firmware/control"
)

// ways are how a command may be called: what stands behind "holdfast" on the command line.
type ways []string

// say names them to somebody who called it otherwise.
func (w ways) say() error {
	return usageError("say `holdfast " + strings.Join(w, "` or `holdfast ") + "`")
}

// flags are those of a command. With -h they are printed behind what it is for and how it may be called; w is for one
// that may be called in several ways, or whose name is of two words.
func flags(name string, w ...string) *flag.FlagSet {
	f := flag.NewFlagSet("holdfast "+name, flag.ContinueOnError)
	f.Usage = func() {
		for _, c := range commands() {
			if c.name != strings.Fields(name)[0] {
				continue
			}
			fmt.Fprintf(f.Output(), "holdfast %s: %s\n\n", c.name, c.about)
			if len(w) == 0 {
				w = ways{c.name + " " + c.args}
			}
		}
		for _, line := range w {
			fmt.Fprintf(f.Output(), "  holdfast %s\n", strings.TrimSpace(line))
		}
		some := false
		f.VisitAll(func(*flag.Flag) { some = true })
		if some {
			fmt.Fprintln(f.Output(), "\nFlags:")
			f.PrintDefaults()
		}
	}
	return f
}

// parse reads the flags of a command; what is left over is the command's. -h prints them and gives flag.ErrHelp, which is
// no failure; a wrong flag is a usage error.
func parse(f *flag.FlagSet, args []string, out io.Writer) error {
	f.SetOutput(io.Discard) // an error is said once, by main
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		f.SetOutput(out)
		f.Usage()
		return err
	case err != nil:
		return usageError(fmt.Sprintf("%v; `%s -h` lists the flags", err, word(f)))
	}
	return nil
}

// parseAll is parse for a command that takes flags only. What is left over is not passed over: `drill start 1001` must
// not become a drill for everybody.
func parseAll(f *flag.FlagSet, args []string, out io.Writer) error {
	if err := parse(f, args, out); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return usageError(fmt.Sprintf("%q has no place here; `%s -h` lists the flags", f.Arg(0), word(f)))
	}
	return nil
}

// word is the command without its subcommands.
func word(f *flag.FlagSet) string { return strings.Join(strings.Fields(f.Name())[:2], " ") }

// subcommand takes the first argument off if it is one of names. Help needs none.
func subcommand(args []string, names ...string) (name string, rest []string, ok bool) {
	if len(args) == 0 {
		return "", nil, false
	}
	switch args[0] {
	case "-h", "-help", "--help":
		return "", args, true
	}
	for _, n := range names {
		if args[0] == n {
			return n, args[1:], true
		}
	}
	return "", nil, false
}

// given reports whether a flag stood on the command line.
func given(f *flag.FlagSet, name string) (yes bool) {
	f.Visit(func(x *flag.Flag) { yes = yes || x.Name == name })
	return yes
}

// socketFlag names the running box's socket; $HOLDFAST_SOCKET is the default where it is set.
func socketFlag(f *flag.FlagSet) *string {
	path := os.Getenv("HOLDFAST_SOCKET")
	if path == "" {
		path = filepath.Join("/run/holdfast", control.SocketName)
	}
	return f.String("socket", path, "control socket of the box (in its run_dir)")
}
