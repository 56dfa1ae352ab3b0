// Command encode makes frame files (see media/prompt) out of text, tones and recordings. It is a build tool, run by `make prompts`, and
// never part of the box.
//
//	encode -out DIR                       the set that comes with the program
//	encode -out DIR NAME=FILE.wav ...     an owner's own recordings: 16-bit PCM, any rate from 8000 Hz
//
// Opus needs libopus and the build tags libopus and nolibopusfile, G.729 needs libbcg729 and the tag bcg729; without them the tool
// builds all the same, and says what it left out. The rest, G.711 and the sounds themselves, is Go.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"holdfast/media/prompt"
)

func main() {
	out := flag.String("out", "", "folder for the frame files")
	speaker := flag.String("espeak", "espeak-ng", "the program that speaks")
	loop := flag.Bool("loop", false, "recordings named as arguments are to be played in a loop")
	flag.Parse()
	if err := run(*out, *speaker, *loop, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "encode:", err)
		os.Exit(1)
	}
}

// piece is one prompt before it is encoded.
type piece struct {
	name  string
	sound sound
	loop  bool // its end is followed by its beginning
	music bool
}

func run(out, speaker string, loop bool, recordings []string) error {
	if out == "" {
		return fmt.Errorf("-out must name a folder")
	}
	var pieces []piece
	for _, arg := range recordings {
		name, file, ok := strings.Cut(arg, "=")
		if !ok || name == "" || strings.ContainsAny(name, "./") {
			return fmt.Errorf("%q is not NAME=FILE.wav, with no dot or slash in NAME", arg)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		s, err := parseWAV(b)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		pieces = append(pieces, piece{name: name, sound: s, loop: loop, music: loop})
	}
	if len(recordings) == 0 {
		var err error
		if pieces, err = standard(speaker); err != nil {
			return err
		}
	}
	total := 0
	for _, p := range pieces {
		n, err := write(out, p)
		if err != nil {
			return fmt.Errorf("prompt %s: %w", p.name, err)
		}
		total += n
	}
	fmt.Printf("%d prompts, %d bytes\n", len(pieces), total)
	return nil
}

// encoders in the order of the files. Each gives nil if the tool was built without what it needs.
var encoders = []struct {
	codec  string
	encode func(piece) (*prompt.Frames, error)
}{{"PCMU", encodeULaw}, {"opus", encodeOpus}, {"G729", encodeG729}}

// write makes a prompt's files; PCMA is not among them, as the box makes it of PCMU.
func write(folder string, p piece) (size int, err error) {
	for _, e := range encoders {
		f, err := e.encode(p)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", e.codec, err)
		}
		if f == nil {
			fmt.Printf("%-20s %-5s left out: the tool was built without it\n", p.name, e.codec)
			continue
		}
		b := f.Append(nil)
		if _, err := prompt.Parse(b); err != nil {
			return 0, err
		}
		name := filepath.Join(folder, p.name+"."+strings.ToLower(e.codec)+prompt.Suffix)
		if err := os.WriteFile(name, b, 0o644); err != nil {
			return 0, err
		}
		size += len(b)
		fmt.Printf("%-20s %-5s %6.2f s %7d bytes\n", p.name, e.codec, f.Duration().Seconds(), len(b))
	}
	return size, nil
}
