package box

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"holdfast/firmware/config"
)

// ErrRestart is Run's end when the program is to begin anew with other settings: nobody needed the box at that moment.
var ErrRestart = errors.New("the program begins anew with other settings")

// settings are the boot file while the box runs. Most of it counts at the start only; so a change is told, and taken up when
// somebody asks for it (SIGHUP) and nobody needs the box. What is wrong with it is told too, and never taken up.
type settings struct {
	file string // "": nobody said which it is
	read func() ([]byte, error)
	data []byte // as the box began with it

	mu     sync.Mutex
	alarm  string // "": it is as it was
	ready  bool   // there is another one to begin with
	wanted bool   // and somebody wants it
}

// FollowSettings tells the box which boot file it was made from. Before Run.
func (b *Box) FollowSettings(file string, data []byte, read func() ([]byte, error)) {
	b.settings.file, b.settings.data, b.settings.read = file, data, read
}

const (
	settingsEvery = 5 * time.Second // the file is looked at
	restartEvery  = time.Second     // does anybody need the box?
)

// followSettings works until ctx ends, or with ErrRestart.
func (b *Box) followSettings(ctx context.Context) error {
	s := &b.settings
	if s.file == "" {
		<-ctx.Done()
		return nil
	}
	look, restart := time.NewTicker(settingsEvery), time.NewTicker(restartEvery)
	defer look.Stop()
	defer restart.Stop()
	before := stamps([]string{s.file})
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			if now := stamps([]string{s.file}); now != before {
				before = now
				b.lookAtSettings()
			}
		case <-restart.C:
			if s.due() && len(b.needs().wait(false)) == 0 {
				b.log.Warn("the program begins anew with the settings that have changed")
				return ErrRestart
			}
		}
	}
}

// lookAtSettings compares the boot file with the one that the box began with.
func (b *Box) lookAtSettings() {
	s := &b.settings
	if s.file == "" {
		return
	}
	keys, err := b.newSettings()
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.alarm
	s.alarm, s.ready = "", false
	switch {
	case err != nil:
		s.alarm = fmt.Sprintf("%s has changed and could not be begun with; the box goes on as before: %v", filepath.Base(s.file), err)
	case len(keys) > 0:
		s.ready = true
		s.alarm = fmt.Sprintf("%s has changed (%s), which counts from the next start of the program on", filepath.Base(s.file), strings.Join(keys, ", "))
	}
	s.wanted = s.wanted && s.ready
	if s.alarm != "" && s.alarm != before {
		b.log.Warn(s.alarm)
	}
}

// newSettings are the keys that stand otherwise in the boot file now; the error says why the box could not begin with it.
func (b *Box) newSettings() ([]string, error) {
	s := &b.settings
	data, err := s.read()
	if err != nil {
		return nil, err
	}
	keys := config.Changed(s.data, data)
	cfg, err := config.Parse(s.file, data)
	if err != nil || len(keys) == 0 {
		return keys, err
	}
	dir, err := filepath.Abs(filepath.Dir(s.file))
	if err != nil {
		return nil, err
	}
	cfg.Resolve(dir)
	faults, _ := CheckFiles(cfg, time.Now())
	return keys, errors.Join(append(faults, b.free(cfg))...)
}

// free tries the listeners that would be new.
func (b *Box) free(cfg *config.Config) error {
	var errs []error
	for _, l := range []struct {
		key string
		at  netip.AddrPort
	}{{"phones.listen", cfg.Phones.Listen}, {"trunk.listen", cfg.Trunk.Listen}} {
		if slices.Contains(b.listeners(), l.at) {
			continue
		}
		try, err := net.Listen("tcp4", l.at.String())
		switch {
		case err == nil:
			err = try.Close()
		case errors.Is(err, syscall.EADDRNOTAVAIL): // it may come yet
			err = nil
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", l.key, err))
		}
	}
	return errors.Join(errs...)
}

// want has the settings taken up as soon as nobody needs the box.
func (s *settings) want() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = s.ready
}

func (s *settings) due() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wanted
}

// settingsAlarms are what a person should know of the boot file.
func (b *Box) settingsAlarms() []string {
	s := &b.settings
	s.mu.Lock()
	alarm, ready, wanted := s.alarm, s.ready, s.wanted
	s.mu.Unlock()
	switch {
	case alarm == "":
		return nil
	case wanted:
		waits := b.needs().wait(false)
		if len(waits) == 0 {
			return []string{alarm + ": it restarts now"}
		}
		return []string{alarm + ": it restarts after " + list(waits)}
	case ready:
		return []string{alarm + ": kill -HUP restarts it when nobody needs the box, switching the box off and on does at once"}
	}
	return []string{alarm}
}
