// Package card changes and reads the card of a box that is switched off: the boot partition as a person with a PC would, the slots and the
// boot state as a fault would, and what the box has kept. Layout and formats are those of board/README.md, written down here
// a second time on purpose: a test must not confirm itself.
//
// It needs mtools and e2fsprogs.
package card

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Partitions.
const (
	Boot  = 1
	SlotA = 2
	SlotB = 3
	Data  = 4
)

// Card is an image file.
type Card struct {
	File  string
	parts [5]part // by number
}

type part struct{ at, size int64 }

// Copy makes a card out of an image; holes stay holes.
func Copy(image, file string) (*Card, error) {
	if err := run("cp", "--sparse=always", "--reflink=auto", image, file); err != nil {
		return nil, err
	}
	return Open(file)
}

// Open reads the partition table.
func Open(file string) (*Card, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("card: %w", err)
	}
	defer f.Close()
	var mbr [512]byte
	if _, err := io.ReadFull(f, mbr[:]); err != nil {
		return nil, fmt.Errorf("card: %w", err)
	}
	if mbr[510] != 0x55 || mbr[511] != 0xaa || string(mbr[440:444]) != "TSFH" {
		return nil, fmt.Errorf("card: %s has no partition table of Holdfast's", file)
	}
	c := &Card{File: file}
	for n := 1; n <= 4; n++ {
		e := mbr[446+16*(n-1):]
		c.parts[n] = part{512 * int64(binary.LittleEndian.Uint32(e[8:])), 512 * int64(binary.LittleEndian.Uint32(e[12:]))}
	}
	return c, nil
}

func run(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// fat is the boot partition as mtools names it.
func (c *Card) fat() string { return fmt.Sprintf("%s@@%d", c.File, c.parts[Boot].at) }

// Put copies files to the root of the boot partition.
func (c *Card) Put(files ...string) error {
	return run("mcopy", append(append([]string{"-o", "-i", c.fat()}, files...), "::/")...)
}

// PutText writes a text file there.
func (c *Card) PutText(name, text string) error {
	dir, err := os.MkdirTemp("", "card-")
	if err != nil {
		return fmt.Errorf("card: %w", err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return fmt.Errorf("card: %w", err)
	}
	return c.Put(file)
}

// filler takes all the room of the boot partition.
const filler = "HOLIDAY.MP4"

// Fill leaves no room in the boot partition, until Empty.
func (c *Card) Fill() error {
	if err := c.PutText(filler, ""); err != nil { // its name may take room, too
		return err
	}
	out, err := exec.Command("mdir", "-i", c.fat(), "::/").Output()
	if err != nil {
		return fmt.Errorf("mdir: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	free, err := strconv.ParseInt(strings.ReplaceAll(strings.TrimSuffix(strings.TrimSpace(lines[len(lines)-1]), " bytes free"), " ", ""), 10, 64)
	if err != nil {
		return fmt.Errorf("mdir: %w: %q", err, lines[len(lines)-1])
	}
	return c.PutText(filler, string(make([]byte, free)))
}

// Empty undoes Fill.
func (c *Card) Empty() error { return run("mdel", "-i", c.fat(), "::/"+filler) }

// Get reads a file of the boot partition.
func (c *Card) Get(name string) ([]byte, error) {
	out, err := exec.Command("mtype", "-i", c.fat(), "::/"+name).Output()
	if err != nil {
		return nil, fmt.Errorf("mtype %s: %w", name, err)
	}
	return out, nil
}

// WriteRoot puts a root file system into a slot.
func (c *Card) WriteRoot(slot int, image []byte) error {
	if int64(len(image)) > c.parts[slot].size {
		return fmt.Errorf("card: %d bytes do not fit into a slot of %d", len(image), c.parts[slot].size)
	}
	return c.writeAt(image, c.parts[slot].at)
}

// Flip turns a bit in a slot, as wear does; a second time turns it back. The box may be running.
func (c *Card) Flip(slot int, at int64) error {
	f, err := os.Open(c.File)
	if err != nil {
		return fmt.Errorf("card: %w", err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], c.parts[slot].at+at); err != nil {
		return fmt.Errorf("card: %w", err)
	}
	b[0] ^= 0x10
	return c.writeAt(b[:], c.parts[slot].at+at)
}

func (c *Card) writeAt(data []byte, at int64) error {
	f, err := os.OpenFile(c.File, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("card: %w", err)
	}
	_, err = f.WriteAt(data, at)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("card: %w", err)
	}
	return nil
}

// Damage writes nonsense over the middle of a slot's boot file.
func (c *Card) Damage(slot string) error {
	data, err := c.Get("slot-" + slot + "/boot.img")
	if err != nil {
		return err
	}
	copy(data[len(data)/4:], strings.Repeat("nonsense", 64))
	return c.PutBootFile(slot, data)
}

// PutBootFile replaces a slot's boot file.
func (c *Card) PutBootFile(slot string, data []byte) error {
	return c.overwrite("slot-"+slot+"/boot.img", data)
}

// overwrite replaces a file's content.
func (c *Card) overwrite(name string, data []byte) error {
	f, err := os.CreateTemp("", "card-")
	if err != nil {
		return fmt.Errorf("card: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("card: %w", err)
	}
	return run("mcopy", "-o", "-i", c.fat(), f.Name(), "::/"+name)
}

// Kept copies the data partition's files into a folder, after what the box itself does at its start: e2fsck. The card is not changed.
func (c *Card) Kept(into string) error {
	if err := os.MkdirAll(into, 0o700); err != nil {
		return fmt.Errorf("card: %w", err)
	}
	image := filepath.Join(into, ".ext4")
	if err := c.extract(c.parts[Data], image); err != nil {
		return err
	}
	defer os.Remove(image)
	if err := exec.Command("e2fsck", "-fy", image).Run(); err != nil {
		if code := err.(*exec.ExitError).ExitCode(); code >= 4 {
			return fmt.Errorf("the data partition is beyond repair: e2fsck %d", code)
		}
	}
	return run("debugfs", "-R", "rdump / "+into, image)
}

// Keep puts a file into the data partition, as one of the box's own.
func (c *Card) Keep(file string) error {
	name := filepath.Base(file)
	commands, err := os.CreateTemp("", "card-")
	if err != nil {
		return fmt.Errorf("card: %w", err)
	}
	defer os.Remove(commands.Name())
	fmt.Fprintf(commands, "write %s %s\nset_inode_field %[2]s uid 990\nset_inode_field %[2]s gid 990\nset_inode_field %[2]s mode 0100600\n", file, name)
	if err := commands.Close(); err != nil {
		return fmt.Errorf("card: %w", err)
	}
	return run("debugfs", "-w", "-f", commands.Name(), fmt.Sprintf("%s?offset=%d", c.File, c.parts[Data].at))
}

func (c *Card) extract(p part, to string) error {
	from, err := os.Open(c.File)
	if err != nil {
		return fmt.Errorf("card: %w", err)
	}
	defer from.Close()
	f, err := os.Create(to)
	if err != nil {
		return fmt.Errorf("card: %w", err)
	}
	_, err = io.Copy(f, io.NewSectionReader(from, p.at, p.size))
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("card: %w", err)
	}
	return nil
}
