package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"holdfast/firmware/config"
)

// readConfig reads a boot file; relative names in it mean its own folder.
func readConfig(file string) (*config.Config, error) {
	data, err := readBoot(file)
	if err != nil {
		return nil, err
	}
	return parseConfig(file, data)
}

func readBoot(file string) ([]byte, error) {
	data, err := readBounded(file, config.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("boot file: %w: `holdfast example` prints one to begin with; -c names another", err)
	}
	if err != nil {
		return nil, fmt.Errorf("boot file: %w", err)
	}
	return data, nil
}

func parseConfig(file string, data []byte) (*config.Config, error) {
	cfg, err := config.Parse(file, data)
	if err != nil {
		return nil, fmt.Errorf("the boot file has faults:\n%w", err)
	}
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	cfg.Resolve(dir)
	return cfg, nil
}

// readBounded reads a file of at most limit bytes, so that a wrong name (a disk image, say) does not fill the memory.
func readBounded(file string, limit int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", file, limit)
	}
	return data, nil
}
