// Command sbom writes what the card's image is made of: sbom.spdx.json (SPDX 2.3), the licence texts of all parts, and SOURCES.txt, which
// says where the source of each Debian part is. The parts are the lines of scripts/image/fetch.sh's list and the Go modules that
// are linked into the program, as the program itself tells. Building or judging anything is not its job.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run() error {
	list := flag.String("packages", "", "list that fetch.sh wrote")
	docs := flag.String("docs", "", "usr/share/doc of the unpacked packages")
	program := flag.String("program", "", "the holdfast binary")
	version := flag.String("version", "", "of the image")
	board := flag.String("board", "", "")
	epoch := flag.Int64("epoch", 0, "time of creation, seconds since 1970")
	out := flag.String("out", "", "folder for the results")
	flag.Parse()
	if *list == "" || *docs == "" || *program == "" || *out == "" || *epoch <= 0 || flag.NArg() > 0 {
		return errors.New("-packages, -docs, -program, -epoch and -out are needed")
	}
	debs, err := readPackages(*list)
	if err != nil {
		return err
	}
	mods, err := readModules(*program)
	if err != nil {
		return err
	}
	if err := copyLicences(*out, *docs, debs, mods); err != nil {
		return err
	}
	if err := writeSources(*out, debs); err != nil {
		return err
	}
	return writeSPDX(*out, image{version: *version, board: *board, created: time.Unix(*epoch, 0).UTC()}, debs, mods)
}
