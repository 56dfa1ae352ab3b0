package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"holdfast/firmware/box"
	"holdfast/firmware/provision"
	"holdfast/sip/site"
)

// check looks at files without starting anything.
func check(_ context.Context, args []string, out io.Writer) error {
	f := flags("check")
	if err := parse(f, args, out); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return usageError("name a boot file (.toml) or a site document (.json): holdfast check FILE…")
	}
	bad := 0
	for _, file := range f.Args() {
		if err := checkFile(file, out); err != nil {
			bad++
			fmt.Fprintf(out, "%s: not usable\n%s\n", file, indent(err.Error()))
		}
	}
	if bad > 0 {
		return errors.New("mend what is listed and check again")
	}
	return nil
}

func checkFile(file string, out io.Writer) error {
	if filepath.Ext(file) == ".toml" {
		cfg, err := readConfig(file)
		if err != nil {
			return err
		}
		faults, warnings := box.CheckFiles(cfg, time.Now())
		if len(faults) > 0 {
			return errors.Join(append([]error{errors.New("its words are right; the files that it names are not")}, faults...)...)
		}
		fmt.Fprintf(out, "%s: good. Phones at %s, trunk at %s, %d cloud zones.\n", file, cfg.Phones.Listen, cfg.Trunk.Listen, len(cfg.Cloud.Zones))
		for _, w := range warnings {
			fmt.Fprintf(out, "  warning: %s\n", w)
		}
		return nil
	}
	data, err := readBounded(file, provision.MaxDocument)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))), []byte("{")) {
		return errors.New("this is neither a boot file (its name ends in .toml) nor a site document (JSON, beginning with \"{\")")
	}
	s, err := site.Load(data)
	if err != nil {
		return err
	}
	d := s.Doc()
	fmt.Fprintf(out, "%s: good. %s (serial %d): %d users, %d devices, %d trunks.\n", file, d.Site.Name, d.Serial, len(d.Users), len(d.Devices), len(d.Trunks))
	for _, w := range s.WarningsAt(time.Now()) {
		fmt.Fprintf(out, "  warning: %s\n", w.Error())
	}
	return nil
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n  ")
}
