package box

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// What the box keeps makes it better, not possible: with a hurt card or a full RAM disk it serves all the same, out of
// memory, and says so loudly.

// spares are where a folder is made instead of one that cannot be used.
var spares = [...]string{"/dev/shm", os.TempDir()}

// openFolders sees to the folders that the settings name; b.cfg is the box's own copy.
func (b *Box) openFolders() error {
	cfg := *b.cfg
	b.cfg = &cfg
	b.ram = cfg.RunDir
	if err := writable(cfg.RunDir); err != nil {
		spare, e := spareFolder("run")
		if e != nil {
			return fmt.Errorf("folder for what a crash must not lose: %w", errors.Join(err, e))
		}
		b.ram = spare
		b.hurt("run_dir %s cannot be used (%v): registrations are kept in %s", cfg.RunDir, err, spare)
	}
	err := writable(cfg.DataDir)
	if err == nil {
		b.tellNoData(noData)
		return nil
	}
	if i, e := os.Stat(cfg.DataDir); e == nil && i.IsDir() { // what is on the card can still be read
		b.hurt("data_dir %s cannot be written (%v): nothing new survives a power cut", cfg.DataDir, err)
		return nil
	}
	spare, e := spareFolder("data")
	if e != nil {
		return fmt.Errorf("folder for the box's files: %w", errors.Join(err, e))
	}
	cfg.DataDir = spare
	b.hurt("data_dir cannot be used (%v): records and documents are in RAM only, in %s", err, spare)
	return nil
}

// noData is there when the image's boot script has put RAM in the place of the card's data partition.
const noData = "/run/slot/no-data"

// tellNoData says so: to the box that RAM looks like any other folder.
func (b *Box) tellNoData(mark string) {
	if _, err := os.Stat(mark); err == nil {
		b.hurt("the card's data partition cannot be used, not even read: records and documents are in RAM only, and a power cut takes them; bring a new card")
	}
}

// hurt notes an alarm that lasts for this life of the program.
func (b *Box) hurt(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	b.log.Error(text)
	b.storage = append(b.storage, text)
}

// probeSize is what a folder must at least take.
const probeSize = 64 << 10

// writable makes a folder if it is not there, and tries whether it takes a file.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, probeSize))
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}

// spareFolder is the same one at each start, so that a crash loses nothing there either. Others may write where it lies, so it must
// be a folder of ours that nobody else can open.
func spareFolder(name string) (string, error) {
	var why error
	for _, where := range spares {
		dir := filepath.Join(where, fmt.Sprintf("holdfast-%d-%s", os.Getuid(), name))
		err := os.Mkdir(dir, 0o700)
		if errors.Is(err, fs.ErrExist) {
			err = nil
		}
		i, e := os.Lstat(dir)
		if err = errors.Join(err, e); err == nil {
			s, ok := i.Sys().(*syscall.Stat_t)
			if !i.IsDir() || !ok || int(s.Uid) != os.Getuid() || i.Mode().Perm() != 0o700 {
				err = fmt.Errorf("%s belongs to somebody else", dir)
			}
		}
		if err == nil {
			err = writable(dir)
		}
		if err == nil {
			return dir, nil
		}
		why = errors.Join(why, err)
	}
	return "", why
}
