package main

import (
	"context"
	"fmt"
	"io"
	"os/user"
	"strings"
	"time"

	"holdfast/firmware/control"
)

// drill starts or stops a rehearsal.
func drill(ctx context.Context, args []string, out io.Writer) error {
	w := ways{"drill start [--for 15m] [--users 1001,1002]", "drill stop"}
	f := flags("drill", w...)
	socket := socketFlag(f)
	limit := f.Duration("for", 15*time.Minute, "time limit; the drill ends by itself after it (start)")
	users := f.String("users", "", "extensions or user names, separated by commas; without it the whole site (start)")
	by := f.String("by", loginName(), "who orders it")
	what, args, ok := subcommand(args, "start", "stop")
	if !ok {
		return w.say()
	}
	if err := parseAll(f, args, out); err != nil {
		return err
	}
	names := strings.FieldsFunc(*users, func(r rune) bool { return r == ',' || r == ' ' })
	if given(f, "users") && len(names) == 0 {
		return usageError("--users names nobody; leave it out for a drill of the whole site")
	}
	var msg string
	var err error
	if c := control.NewClient(*socket); what == "stop" {
		msg, err = c.StopDrill(ctx, *by)
	} else {
		msg, err = c.StartDrill(ctx, control.DrillOrder{By: *by, Limit: *limit, Users: names})
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, msg)
	return err
}

func loginName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "command"
}
