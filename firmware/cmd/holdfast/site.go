package main

import (
	"context"
	"fmt"
	"io"

	"holdfast/firmware/config"
	"holdfast/sip/site"
)

// siteCommand fetches the site document, or prints its schema.
func siteCommand(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 0 && args[0] == "schema" {
		_, err := out.Write(site.Schema())
		return err
	}
	f := flags("site fetch")
	socket := socketFlag(f)
	force := f.Bool("force", false, "take a signed document although its serial is older")
	if len(args) == 0 || args[0] != "fetch" {
		return usageError("say `holdfast site fetch` or `holdfast site schema`")
	}
	if err := parse(f, args[1:]); err != nil {
		return err
	}
	msg, err := client(*socket).Fetch(ctx, *force)
	if err == nil {
		fmt.Fprintln(out, msg)
	}
	return err
}

func example(_ context.Context, _ []string, out io.Writer) error {
	_, err := io.WriteString(out, config.Example())
	return err
}
