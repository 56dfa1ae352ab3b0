package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"time"

	"holdfast/firmware/box"
	"holdfast/firmware/config"
	"holdfast/firmware/privilege"
)

// defaultBootFile is where the image has it.
const defaultBootFile = "/boot/holdfast.toml"

// rescueFor is how long the box says why it could not start before it tries again: what was missing may have come.
const rescueFor = time.Minute

// run serves until SIGTERM or Ctrl-C.
func run(ctx context.Context, args []string, out io.Writer) error {
	f := flags("run")
	file := f.String("c", defaultBootFile, "boot file")
	user := f.String("user", "", "become this user first, with the right to ports below 1024 and to the media threads' priority only (needs root)")
	rescue := f.String("rescue", "", `where a page says what is wrong when the box cannot start, such as ":80"; without it the program ends`)
	if err := parseAll(f, args, out); err != nil {
		return err
	}
	if *user != "" {
		again := []string{os.Args[0], "run", "-c", *file, "-rescue", *rescue}
		return privilege.Become{User: *user, Keep: []int{privilege.NetBind, privilege.Nice}}.Exec("/proc/self/exe", again, os.Environ())
	}
	data, err := readBoot(*file)
	var cfg *config.Config
	if err == nil {
		cfg, err = parseConfig(*file, data)
	}
	if err != nil {
		if *rescue == "" {
			return err
		}
		return errors.Join(box.Rescue(ctx, *rescue, versionText(), err, []string{*file}, logger(config.Log{Level: "info"})), err)
	}
	log := logger(cfg.Log)
	b, err := box.New(cfg, versionText(), log)
	if err != nil {
		if *rescue == "" {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, rescueFor)
		defer cancel()
		return errors.Join(box.Rescue(ctx, *rescue, versionText(), err, []string{*file}, log), err)
	}
	b.FollowSettings(*file, data, func() ([]byte, error) { return readBoot(*file) })
	return b.Run(ctx)
}

// logger writes to standard error.
func logger(c config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo // config knows the words
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, o))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, o))
}
