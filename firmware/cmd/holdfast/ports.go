package main

import (
	"context"
	"fmt"
	"io"

	"holdfast/firmware/control"
	"holdfast/firmware/ports"
	"holdfast/firmware/provision"
	"holdfast/sip/site"
)

// portsCommand prints the table of ports and flows: that of the running box, or of files.
func portsCommand(ctx context.Context, args []string, out io.Writer) error {
	f := flags("ports", "ports [--format markdown]", "ports -c FILE [--site FILE] [--format markdown]")
	socket := socketFlag(f)
	boot := f.String("c", "", "boot file; without it the running box is asked")
	doc := f.String("site", "", "site document (with -c); without it that of the boot file's [site]")
	form := f.String("format", "text", "text, markdown (for a ticket) or json")
	if err := parseAll(f, args, out); err != nil {
		return err
	}
	var list []ports.Flow
	var err error
	if *boot == "" {
		list, err = control.NewClient(*socket).Ports(ctx)
	} else {
		list, err = portsOf(*boot, *doc)
	}
	if err != nil {
		return err
	}
	switch *form {
	case "text":
		_, err = io.WriteString(out, ports.Text(list))
	case "markdown":
		_, err = io.WriteString(out, ports.Markdown(list))
	case "json":
		err = printJSON(out, list)
	default:
		err = usageError(fmt.Sprintf("%q is no format: text, markdown or json", *form))
	}
	return err
}

// portsOf is the table of a box that need not run.
func portsOf(boot, doc string) ([]ports.Flow, error) {
	cfg, err := readConfig(boot)
	if err != nil {
		return nil, err
	}
	if doc == "" {
		doc = cfg.Site.File
	}
	if doc == "" {
		return ports.Table(cfg, nil), nil // it comes from the portal
	}
	data, err := readBounded(doc, provision.MaxDocument)
	if err != nil {
		return nil, fmt.Errorf("site document: %w", err)
	}
	s, err := site.Load(data)
	if err != nil {
		return nil, fmt.Errorf("site document %s:\n%w", doc, err)
	}
	return ports.Table(cfg, s.Doc()), nil
}
