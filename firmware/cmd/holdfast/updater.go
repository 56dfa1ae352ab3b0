package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sync/errgroup"

	"holdfast/firmware/update"
)

// imageKey is the key that came with the image; a boot file may name another one.
const imageKey = "/etc/holdfast/update.pub"

// updater is the program of root's that writes the card for the box's own program, which may not. What it writes is signed,
// or it writes nothing.
func updater(ctx context.Context, args []string, out io.Writer) error {
	f := flags("updater")
	file := f.String("c", defaultBootFile, "boot file: its public_key in [update] says whose bundles are taken; without one "+imageKey+" does")
	group := f.Int("group", 990, "number of the group that may ask")
	after := f.Duration("look-after", update.SentryAfter, "how long after its start it reads both slots back for the first time; then it does every day")
	if err := parseAll(f, args, out); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	card, err := update.Open()
	if err != nil {
		return err
	}
	key, err := updateKey(*file, imageKey)
	if err != nil {
		log.Error("updater: no update is taken", "err", err)
	}
	s := &update.Server{Card: card, Key: key, Group: *group, Log: log, Reboot: func() error { return exec.Command("reboot").Run() }}
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { return s.Serve(ctx, update.SocketPath) })
	all.Go(func() error { return update.NewSticks(s).Run(ctx) })
	sentry := update.Sentry{Card: card, Log: log, After: *after, Every: update.SentryEvery, Rate: update.SentryRate}
	all.Go(func() error { return sentry.Run(ctx) })
	return all.Wait()
}

// updateKey is whose bundles are taken: those of the boot file, or of the image where that has faults or names nobody.
func updateKey(bootFile, keyFile string) (ed25519.PublicKey, error) {
	text, where := "", bootFile
	cfg, errBoot := readConfig(bootFile)
	if errBoot == nil {
		text = cfg.Update.PublicKey
	}
	if text == "" {
		data, err := os.ReadFile(keyFile)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("no key that signs bundles: %w", err), errBoot)
		}
		text, where = strings.TrimSpace(string(data)), keyFile
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%s: %q is not an ed25519 public key in base64", where, text)
	}
	return key, nil
}
