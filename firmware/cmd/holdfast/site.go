package main

import (
	"context"
	"fmt"
	"io"

	"holdfast/firmware/config"
	"holdfast/firmware/control"
	"holdfast/sip/site"
)

// siteCommand fetches the site document, or prints what one looks like.
func siteCommand(ctx context.Context, args []string, out io.Writer) error {
	w := ways{"site fetch", "site schema", "site example"}
	f := flags("site", w...)
	socket := socketFlag(f)
	force := f.Bool("force", false, "take a signed document although its serial is older (fetch)")
	what, args, ok := subcommand(args, "fetch", "schema", "example")
	if !ok {
		return w.say()
	}
	if err := parseAll(f, args, out); err != nil {
		return err
	}
	switch what {
	case "schema":
		_, err := out.Write(site.Schema())
		return err
	case "example":
		_, err := out.Write(site.Example())
		return err
	}
	msg, err := control.NewClient(*socket).Fetch(ctx, *force)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, msg)
	return err
}

func example(_ context.Context, args []string, out io.Writer) error {
	if err := parseAll(flags("example"), args, out); err != nil {
		return err
	}
	_, err := io.WriteString(out, config.Example())
	return err
}
