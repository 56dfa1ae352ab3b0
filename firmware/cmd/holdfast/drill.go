package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"holdfast/firmware/control"
)

// drill starts or stops a rehearsal.
func drill(ctx context.Context, args []string, out io.Writer) error {
	f := flags("drill start|stop")
	socket := socketFlag(f)
	limit := f.Duration("for", 15*time.Minute, "time limit; the drill ends by itself after it (start)")
	users := f.String("users", "", "extensions or user names, separated by commas; empty: the whole site (start)")
	by := f.String("by", loginName(), "who orders it")
	if len(args) == 0 || args[0] != "start" && args[0] != "stop" {
		return usageError("say `holdfast drill start [--for 15m] [--users 1001,1002]` or `holdfast drill stop`")
	}
	if err := parse(f, args[1:]); err != nil {
		return err
	}
	var msg string
	var err error
	if args[0] == "stop" {
		msg, err = client(*socket).StopDrill(ctx, *by)
	} else {
		msg, err = client(*socket).StartDrill(ctx, control.DrillOrder{By: *by, Limit: *limit,
			Users: strings.FieldsFunc(*users, func(r rune) bool { return r == ',' || r == ' ' })})
	}
	if err == nil {
		fmt.Fprintln(out, msg)
	}
	return err
}

func loginName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "command"
}

// socketFlag names the running box's socket; $HOLDFAST_SOCKET is the default where it is set.
func socketFlag(f *flag.FlagSet) *string {
	path := os.Getenv("HOLDFAST_SOCKET")
	if path == "" {
		path = filepath.Join("/run/holdfast", control.SocketName)
	}
	return f.String("socket", path, "control socket of the box (in its run_dir)")
}

func client(socket string) *control.Client { return control.NewClient(socket) }
