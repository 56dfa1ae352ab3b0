package update

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// What a slot must hold it says itself, so that it can be read back at any time, whoever has written it, and without anything that would have
// to be kept beside it. The root has a seal behind it (board/README.md, "The slot's seal"); the boot file has checksums of its own,
// which U-Boot looks at with each start.
const (
	sealMagic = "holdfast-root 1 "
	sealSize  = 4096 // and the root before it is padded to a multiple of this
)

// errNoSeal is about a root from before there were seals, or one that was made otherwise.
var errNoSeal = errors.New("it has no seal")

// unsound is a fault of what the card holds, as opposed to one of looking at it.
type unsound string

// Error implements error.
func (u unsound) Error() string { return string(u) }

// Squashfs's superblock, as far as its length is concerned (little-endian).
const (
	squashHead  = 96
	squashMagic = "hsqs"
	squashBytes = 40 // where bytes_used stands
)

// readSeal finds out what a root must be.
func readSeal(f file) (File, error) {
	size, err := f.Size()
	if err != nil {
		return File{}, err
	}
	head := make([]byte, squashHead)
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return File{}, unreadable(RootFile, err)
	}
	used := binary.LittleEndian.Uint64(head[squashBytes:])
	if string(head[:len(squashMagic)]) != squashMagic || used < squashHead || used > uint64(size) {
		return File{}, unsound(RootFile + " is no file system")
	}
	at := (int64(used) + sealSize - 1) / sealSize * sealSize
	if at+sealSize > size {
		return File{}, errNoSeal
	}
	seal := make([]byte, sealSize)
	if _, err := f.ReadAt(seal, at); err != nil && !errors.Is(err, io.EOF) {
		return File{}, unreadable(RootFile, err)
	}
	if !bytes.HasPrefix(seal, []byte(sealMagic)) {
		return File{}, errNoSeal
	}
	text, _, _ := bytes.Cut(seal[len(sealMagic):], []byte("\n"))
	want := File{Name: RootFile}
	_, err = fmt.Sscanf(string(text), "%d %64s", &want.Size, &want.SHA256)
	if sum, e := hex.DecodeString(want.SHA256); err != nil || e != nil || len(sum) != sha256.Size || want.Size != at {
		return File{}, unsound("the seal of " + RootFile + " cannot be read")
	}
	return want, nil
}

// checkRoot reads a root from end to end. pace is called with each piece that was read.
func (c *Card) checkRoot(ctx context.Context, s Slot, pace func(context.Context, int) error) error {
	f, err := c.open(c.rootPath(s), false)
	if err != nil {
		return err
	}
	defer f.Close()
	f.Forget()
	want, err := readSeal(f)
	if err != nil {
		return err
	}
	hash := sha256.New()
	if err := c.pieces(ctx, f, RootFile, 0, want.Size, hash, pace); err != nil {
		return err
	}
	if sameHash(hash.Sum(nil), want) != nil {
		return unsound(RootFile + " is not what was written")
	}
	return nil
}

// U-Boot's legacy image header (include/image.h, big-endian): a checksum of itself, the length behind it, the checksum of that.
const (
	bootMagic      = 0x27051956
	bootHeader     = 64
	bootHeaderCRC  = 4
	bootDataLength = 12
	bootDataCRC    = 24
)

// checkBoot reads a boot file as U-Boot does before it starts anything of it.
func (c *Card) checkBoot(ctx context.Context, s Slot, pace func(context.Context, int) error) error {
	f, err := c.open(c.bootPath(s), false)
	if err != nil {
		return err
	}
	defer f.Close()
	f.Forget()
	size, err := f.Size()
	if err != nil {
		return err
	}
	head := make([]byte, bootHeader)
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return unreadable(BootFile, err)
	}
	be := binary.BigEndian
	sum, length, data := be.Uint32(head[bootHeaderCRC:]), int64(be.Uint32(head[bootDataLength:])), be.Uint32(head[bootDataCRC:])
	magic := be.Uint32(head)
	be.PutUint32(head[bootHeaderCRC:], 0)
	if magic != bootMagic || crc32.ChecksumIEEE(head) != sum || bootHeader+length > size {
		return unsound(BootFile + " has no sound head (so it is left when an update is cut off)")
	}
	hash := crc32.NewIEEE()
	if err := c.pieces(ctx, f, BootFile, bootHeader, bootHeader+length, hash, pace); err != nil {
		return err
	}
	if hash.Sum32() != data {
		return unsound(BootFile + " is not what was written")
	}
	return nil
}

// pieces reads from at to end, and leaves none of it in the kernel's memory, which calls may need.
func (c *Card) pieces(ctx context.Context, f file, name string, at, end int64, to io.Writer, pace func(context.Context, int) error) error {
	defer f.Forget()
	buffer := make([]byte, c.chunk)
	for at < end {
		n, err := f.ReadAt(buffer[:min(c.chunk, end-at)], at)
		if n == 0 || err != nil && !errors.Is(err, io.EOF) {
			return unreadable(name, err)
		}
		to.Write(buffer[:n])
		at += int64(n)
		f.Forget()
		if err := pace(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// unreadable is about a place that the card does not give back.
func unreadable(name string, err error) error {
	return unsound(fmt.Sprintf("%s cannot be read: %v", name, err))
}
