package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"holdfast/firmware/bootfile"
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
		return nil, fmt.Errorf("boot file: %w: %s", err, misnamed(file))
	}
	if err != nil {
		return nil, fmt.Errorf("boot file: %w", err)
	}
	return data, nil
}

// misnamed is what helps where a boot file is not there: perhaps something beside it was meant to be. Windows hides how a name ends, and its
// editors put .txt behind it.
func misnamed(file string) string {
	dir, name := filepath.Split(file)
	entries, _ := os.ReadDir(cmp.Or(dir, ".")) // without a folder there is nothing to say
	hint := "`holdfast example` prints one to begin with; -c names another"
	for _, e := range entries {
		other := strings.ToLower(e.Name())
		switch {
		case e.IsDir() || name != filepath.Base(defaultBootFile) || !strings.HasPrefix(other, "holdfast") || other == bootfile.ErrorsName:
		case other == exampleName:
			hint = fmt.Sprintf("copy %s to %s, and write your own settings into it", e.Name(), name)
		case strings.Contains(other, ".toml"), strings.HasSuffix(other, ".txt"):
			return fmt.Sprintf("%s lies beside it: give that the name %s (Windows hides the end of names: tick View, File name extensions)", e.Name(), name)
		}
	}
	return hint
}

// exampleName is the file with every setting that the image's card has.
const exampleName = "holdfast.example.toml"

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
