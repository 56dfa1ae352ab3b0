// Command bundle makes what `holdfast update` takes: a slot of an image, signed. Its key is made once and kept where builds
// are signed; the public half goes into images and boot files.
//
//	bundle key FILE               makes FILE (the secret, 0600) and FILE.pub; never over an old one
//	bundle make -key FILE -slot dist/image/BOARD/slot -o OUT   signs boot.img, root.squashfs and release of the folder
//	bundle show -pub FILE OUT     says what is in a bundle, after checking all of it
package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"holdfast/firmware/update"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("say key, make or show")
	}
	f := flag.NewFlagSet("bundle "+args[0], flag.ContinueOnError)
	key := f.String("key", "", "file with the secret key (make)")
	pub := f.String("pub", "", "file with the public key (show)")
	slot := f.String("slot", "", "folder with boot.img, root.squashfs and release (make)")
	out := f.String("o", "", "the bundle (make)")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	switch {
	case args[0] == "key" && f.NArg() == 1:
		return makeKey(f.Arg(0))
	case args[0] == "make" && f.NArg() == 0 && *key != "" && *slot != "" && *out != "":
		return makeBundle(*key, *slot, *out)
	case args[0] == "show" && f.NArg() == 1 && *pub != "":
		return show(*pub, f.Arg(0))
	}
	return errors.New("say: key FILE, make -key FILE -slot FOLDER -o OUT, or show -pub FILE BUNDLE")
}

func makeKey(file string) error {
	public, secret, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	if err := create(file, 0o600, secret.Seed()); err != nil {
		return err
	}
	if err := create(file+".pub", 0o644, public); err != nil {
		return err
	}
	fmt.Printf("%s signs updates: keep it off the boxes, and a copy in a safe\n%s.pub goes into images, or as public_key into [update] of boot files: %s\n",
		file, file, base64.StdEncoding.EncodeToString(public))
	return nil
}

func create(file string, mode os.FileMode, key []byte) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, base64.StdEncoding.EncodeToString(key))
	return errors.Join(err, f.Close())
}

// readKey reads a key of so many bytes.
func readKey(file string, size int) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != size {
		return nil, fmt.Errorf("%s is no key of %d bytes in base64 (`bundle key FILE` makes one)", file, size)
	}
	return key, nil
}

func makeBundle(keyFile, slot, out string) error {
	seed, err := readKey(keyFile, ed25519.SeedSize)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(slot, "release"))
	if err != nil {
		return err
	}
	release, err := update.ParseRelease(text)
	if err != nil {
		return fmt.Errorf("%s/release: %w", slot, err)
	}
	root, err := os.Open(filepath.Join(slot, update.RootFile))
	if err != nil {
		return err
	}
	defer root.Close()
	boot, err := os.Open(filepath.Join(slot, update.BootFile))
	if err != nil {
		return err
	}
	defer boot.Close()
	f, err := os.Create(out + ".new")
	if err != nil {
		return err
	}
	err = errors.Join(update.Write(f, release, root, boot, ed25519.NewKeyFromSeed(seed)), f.Close())
	if err == nil {
		err = os.Rename(out+".new", out)
	}
	if err != nil {
		return errors.Join(err, os.Remove(out+".new"))
	}
	i, err := os.Stat(out)
	if err != nil {
		return err
	}
	fmt.Printf("%s: version %s for %s, %.1f MiB\n", out, release.Version, release.Board, float64(i.Size())/(1<<20))
	return nil
}

func show(pubFile, file string) error {
	key, err := readKey(pubFile, ed25519.PublicKeySize)
	if err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	m, err := update.Check(f, key)
	if err != nil {
		return err
	}
	fmt.Printf("%s: whole and signed; version %s (%s) for %s\n", file, m.Version, m.Commit, m.Board)
	for _, x := range m.Files {
		fmt.Printf("  %-14s %10d bytes, sha256 %s\n", x.Name, x.Size, x.SHA256)
	}
	return nil
}
