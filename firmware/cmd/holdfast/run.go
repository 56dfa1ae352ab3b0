package main

import (
	"context"
	"io"
	"log/slog"
	"os"

	"holdfast/firmware/box"
)

// run serves until SIGTERM or Ctrl-C.
func run(ctx context.Context, args []string, out io.Writer) error {
	f := flags("run")
	file := f.String("c", "/boot/holdfast.toml", "boot file")
	if err := parseAll(f, args, out); err != nil {
		return err
	}
	cfg, err := readConfig(*file)
	if err != nil {
		return err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Log.Level)); err != nil {
		return err
	}
	o := &slog.HandlerOptions{Level: level}
	var h slog.Handler = slog.NewTextHandler(os.Stderr, o)
	if cfg.Log.Format == "json" {
		h = slog.NewJSONHandler(os.Stderr, o)
	}
	b, err := box.New(cfg, versionText(), slog.New(h))
	if err != nil {
		return err
	}
	return b.Run(ctx)
}
