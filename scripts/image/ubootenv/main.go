// Command ubootenv changes the environment that is built into a U-Boot binary, in place: the block of "name=value" texts, each ended by a
// zero byte, that U-Boot takes when nothing was saved. Debian's U-Boot waits two seconds for a key and stops at its prompt for any
// noise on the serial line; what a box needs instead stands in board.conf.
//
// The block's place and size stay. Whatever does not look as expected is an error: a binary that is changed wrongly does not start.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
)

func main() {
	in := flag.String("in", "", "U-Boot's binary")
	out := flag.String("out", "", "where the changed one goes")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: ubootenv -in FILE -out FILE NAME=VALUE... (NAME= takes a variable away)")
	}
	flag.Parse()
	if *in == "" || *out == "" || flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*in, *out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "ubootenv:", err)
		os.Exit(1)
	}
}

func run(in, out string, changes []string) error {
	binary, err := os.ReadFile(in)
	if err != nil {
		return err
	}
	if err := change(binary, changes); err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	return os.WriteFile(out, binary, 0o644)
}

// first is what the block begins with in U-Boot's source: the boot command. The second half shows that it is the block.
var first, second = []byte("\x00bootcmd="), []byte("\x00bootdelay=")

// block finds the environment, with the zero bytes that end it.
func block(binary []byte) ([]byte, error) {
	var found []byte
	for at := 0; ; {
		i := bytes.Index(binary[at:], first)
		if i < 0 {
			break
		}
		begin := at + i + 1
		at = begin
		n := bytes.Index(binary[begin:], []byte{0, 0})
		if n < 0 || !bytes.HasPrefix(binary[begin+bytes.IndexByte(binary[begin:], 0):], second) {
			continue
		}
		if found != nil {
			return nil, errors.New("more than one built-in environment: which one U-Boot takes is not clear")
		}
		found = binary[begin : begin+n+2]
	}
	if found == nil {
		return nil, errors.New("no built-in environment that begins with bootcmd and bootdelay: is this another U-Boot?")
	}
	return found, nil
}

// change makes the changes in the binary. Each variable must be there already: a name that is spelled wrong would have no effect.
func change(binary []byte, changes []string) error {
	env, err := block(binary)
	if err != nil {
		return err
	}
	lines := strings.Split(string(env[:len(env)-2]), "\x00")
	for _, c := range changes {
		name, value, ok := strings.Cut(c, "=")
		if !ok || name == "" || strings.ContainsRune(value, 0) {
			return fmt.Errorf("%q is not NAME=VALUE", c)
		}
		at := -1
		for i, l := range lines {
			if strings.HasPrefix(l, name+"=") {
				at = i
			}
		}
		switch {
		case at < 0:
			return fmt.Errorf("the built-in environment has no variable %s", name)
		case value == "":
			lines = append(lines[:at], lines[at+1:]...)
		default:
			lines[at] = c
		}
	}
	text := strings.Join(lines, "\x00")
	if len(text)+2 > len(env) {
		return fmt.Errorf("the changes need %d bytes more than the built-in environment has: take a variable away", len(text)+2-len(env))
	}
	clear(env)
	copy(env, text)
	return nil
}
