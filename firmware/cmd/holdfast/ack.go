package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"holdfast/firmware/control"
	"holdfast/firmware/emergency"
)

// ack takes note of emergency calls.
func ack(ctx context.Context, args []string, out io.Writer) error {
	f := flags("ack", "ack [--call ID] NAME")
	socket := socketFlag(f)
	call := f.String("call", "", "only this call, by its ID; without it all that wait")
	if err := parse(f, args, out); err != nil {
		return err
	}
	name := strings.Join(f.Args(), " ")
	if strings.TrimSpace(name) == "" || strings.HasPrefix(name, "-") {
		return usageError("say who takes note: holdfast ack [--call ID] NAME")
	}
	msg, err := control.NewClient(*socket).Acknowledge(ctx, control.AckOrder{By: name, How: emergency.ByCommand, Call: *call})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, msg)
	return err
}
