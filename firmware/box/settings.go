package box

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"holdfast/firmware/config"
)

// settings are the boot file while the box runs. It counts at the start only: a change is told, and what is wrong with it too, before
// the next power cut finds it.
type settings struct {
	file string // "": nobody said which it is
	read func() ([]byte, error)
	data []byte // as the box began with it

	mu    sync.Mutex
	alarm string // "": it is as it was
}

// FollowSettings tells the box which boot file it was made from. Before Run.
func (b *Box) FollowSettings(file string, data []byte, read func() ([]byte, error)) {
	b.settings.file, b.settings.data, b.settings.read = file, data, read
}

// settingsEvery is how often the file is looked at.
const settingsEvery = 5 * time.Second

// followSettings works until ctx ends.
func (b *Box) followSettings(ctx context.Context) error {
	s := &b.settings
	if s.file == "" {
		<-ctx.Done()
		return nil
	}
	look := time.NewTicker(settingsEvery)
	defer look.Stop()
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
		}
	}
}

// lookAtSettings compares the boot file with the one that the box began with.
func (b *Box) lookAtSettings() {
	s := &b.settings
	if s.file == "" {
		return
	}
	alarm := s.change()
	s.mu.Lock()
	before := s.alarm
	s.alarm = alarm
	s.mu.Unlock()
	if alarm != "" && alarm != before {
		b.log.Warn(alarm)
	}
}

// change says how the boot file differs, and "" when it does not.
func (s *settings) change() string {
	name := filepath.Base(s.file)
	data, err := s.read()
	if err != nil {
		return fmt.Sprintf("%s cannot be read any more, and the box would not start without it; it goes on as before: %v", name, err)
	}
	if _, err := config.Parse(s.file, data); err != nil {
		return fmt.Sprintf("%s has changed and has mistakes: the box would not start with it; it goes on as before: %v", name, err)
	}
	if keys := config.Changed(s.data, data); len(keys) > 0 {
		return fmt.Sprintf("%s has changed (%s), which counts from the next start of the program on: switch the box off and on, or restart the program", name, strings.Join(keys, ", "))
	}
	return ""
}

// settingsAlarms are what a person should know of the boot file.
func (b *Box) settingsAlarms() []string {
	b.settings.mu.Lock()
	defer b.settings.mu.Unlock()
	if b.settings.alarm == "" {
		return nil
	}
	return []string{b.settings.alarm}
}
