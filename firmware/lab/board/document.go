package board

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"holdfast/firmware/lab/script"
)

// cutDuringDocument gives the box a newer site document and takes the power away as soon as it says that it is in force: with the
// next write, or when none comes. From then on it must be on the card.
func (r *rig) cutDuringDocument(ctx context.Context, n *script.Notes) error {
	if _, err := r.cut(); err != nil {
		return err
	}
	serial, err := r.newDocument()
	if err != nil {
		return err
	}
	if err := r.on(); err != nil {
		return err
	}
	said := fmt.Sprintf("site document in force\" serial=%d", serial)
	if _, err := r.machine.Console().Wait(ctx, 0, said); err != nil {
		return err
	}
	lost := r.disk.CutAfter(1, r.random)
	select {
	case loss := <-lost:
		n.Saw("%v", loss)
	case <-time.After(500 * time.Millisecond):
	case <-ctx.Done():
		return ctx.Err()
	}
	loss, err := r.cut()
	if err != nil {
		return err
	}
	if loss.Unflushed > 0 {
		n.Saw("%v", loss)
	}
	if err := r.documentKept(serial); err != nil {
		return err
	}
	n.Saw("serial %d is on the card", serial)
	return r.starts(ctx)
}

// newDocument puts the site document with a higher serial on the boot partition.
func (r *rig) newDocument() (serial int64, err error) {
	file := filepath.Join(r.Dir, "site.json")
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("site document: %w", err)
	}
	var doc map[string]any
	if err := json.Unmarshal(data, &doc); err != nil {
		return 0, fmt.Errorf("site document: %w", err)
	}
	old, ok := doc["serial"].(float64)
	if !ok {
		return 0, errors.New("site document: no serial")
	}
	serial = int64(old) + 1
	doc["serial"] = serial
	if data, err = json.Marshal(doc); err == nil {
		err = os.WriteFile(file, data, 0o600)
	}
	return serial, errors.Join(err, r.card.Put(file))
}

// documentKept looks for the document with a serial among what the box has kept.
func (r *rig) documentKept(serial int64) error {
	r.looks++
	dir := filepath.Join(r.o.Dir, fmt.Sprintf("kept-%d", r.looks))
	if err := r.card.Kept(dir); err != nil {
		return err
	}
	found := false
	err := filepath.WalkDir(filepath.Join(dir, "site"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		found = found || strings.Contains(string(data), fmt.Sprintf(`"serial":%d`, serial))
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("the document with serial %d was in force and is not on the card", serial)
	}
	return err
}
