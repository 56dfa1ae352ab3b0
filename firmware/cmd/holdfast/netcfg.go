package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/firmware/bootfile"
	"holdfast/firmware/box"
	"holdfast/firmware/clock"
	"holdfast/firmware/config"
	"holdfast/firmware/netcfg"
	"holdfast/firmware/privilege"
)

// settingsEvery is how often the boot file is looked at for a change.
const settingsEvery = 5 * time.Second

// netcfgCommand is the helper that keeps the machine's network and clock. It begins as root, does what only root can, and
// goes on with the capabilities for just these two.
func netcfgCommand(ctx context.Context, args []string, out io.Writer) error {
	f := flags("netcfg")
	file := f.String("c", defaultBootFile, "boot file")
	dir := f.String("dir", netcfg.Dir, "folder in RAM for what it knows")
	resolv := f.String("resolv", "", "the resolver's file; without it resolv.conf in the folder")
	raised := f.Bool("raised", false, "the clock was behind (set by the program itself)")
	ready := f.Bool("ready", false, "no rights are to be given up (set by the program itself)")
	if err := parseAll(f, args, out); err != nil {
		return err
	}
	if *resolv == "" {
		*resolv = filepath.Join(*dir, "resolv.conf")
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if !*ready {
		if err := os.MkdirAll(*dir, 0o755); err != nil {
			return err
		}
		behind := prepare(*file, log)
		if ctx.Err() != nil { // the new program would not hear of it
			return nil
		}
		again := []string{os.Args[0], "netcfg", "-ready", "-raised=" + strconv.FormatBool(behind), "-c", *file, "-dir", *dir, "-resolv", *resolv}
		return privilege.Become{Keep: []int{privilege.NetAdmin, privilege.NetRaw, privilege.SetTime}}.Exec("/proc/self/exe", again, os.Environ())
	}
	network, when, usable := readNetwork(*file, log)
	if !usable {
		log.Error("the boot file says nothing usable about the network: the box answers at its fallback address only")
	}
	manager := netcfg.New(network, netcfg.Options{Dir: *dir, ResolvConf: *resolv, Log: log})
	keeper := clock.New(clock.Options{Servers: when.Servers, Gateway: text(network.Gateway), Built: built(), Raised: *raised, Dir: *dir, Log: log, OnStep: manager.Wake})
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return manager.Run(ctx) })
	g.Go(func() error { return keeper.Run(ctx) })
	g.Go(func() error {
		watch(ctx, *file, func() {
			network, when, usable := readNetwork(*file, log)
			if !usable { // a file that is being written, a card that is pulled: calls are on what is there
				log.Error("the network stays as it was")
				return
			}
			manager.Update(network)
			keeper.Update(when.Servers, text(network.Gateway))
		})
		return nil
	})
	return g.Wait()
}

// prepare raises the clock and writes down what is wrong with the boot file. A failure stops nothing: the box has to come
// onto the wire.
func prepare(file string, log *slog.Logger) (behind bool) {
	dataDir := config.DefaultDataDir
	cfg, err := readConfig(file)
	var faults []error
	if err != nil {
		faults = append(faults, err)
	} else {
		dataDir = cfg.DataDir
	}
	behind, e := clock.Raise(time.Now(), clock.Floor(dataDir, built()), clock.Machine{})
	if e != nil {
		log.Error("clock", "err", e)
	} else if behind {
		log.Warn("clock: behind what is known; it is now set to that", "time", time.Now().UTC())
	}
	if err == nil {
		faults, _ = box.CheckFiles(cfg, time.Now())
	}
	if e := bootfile.Report(file, faults); e != nil {
		log.Error("boot file", "err", e)
	}
	return behind
}

// readNetwork reads what the network needs, whatever is wrong with the rest of the file. usable: it is known what the network should be.
func readNetwork(file string, log *slog.Logger) (network config.Network, when config.Time, usable bool) {
	data, err := readBoot(file)
	if err != nil {
		log.Error("the boot file cannot be read", "err", err)
		return network, when, false
	}
	network, when, err = config.ParseNetwork(file, data)
	if err != nil {
		log.Error("the boot file has faults", "err", err, "network", network.Address.IsValid())
	}
	return network, when, err == nil || network.Address.IsValid()
}

// watch calls changed after the file was written, until ctx ends.
func watch(ctx context.Context, file string, changed func()) {
	tick := time.NewTicker(settingsEvery)
	defer tick.Stop()
	last := stamp(file)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if now := stamp(file); now != last {
				last = now
				changed()
			}
		}
	}
}

// stamp differs when a file was written; "" while it is not there.
func stamp(file string) string {
	i, err := os.Stat(file)
	if err != nil {
		return ""
	}
	return i.ModTime().String() + " " + strconv.FormatInt(i.Size(), 10)
}

// text is an address, or nothing.
func text(a interface {
	IsValid() bool
	String() string
}) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// built is when the program was built; a time before that of any box when nobody said.
func built() time.Time {
	seconds, err := strconv.ParseInt(buildTime, 10, 64)
	if err != nil || seconds <= 0 {
		return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return time.Unix(seconds, 0)
}
