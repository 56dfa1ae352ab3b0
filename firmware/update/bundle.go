package update

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A bundle is three lines of text and the files behind them, as long as the manifest says:
//
//	holdfast-update 1
//	ed25519 signature of a fixed text and the manifest, in base64
//	manifest, JSON
//
// So who it is from is known before the first byte is written.
const (
	magic   = "holdfast-update 1\n"
	purpose = "holdfast update bundle 1\n" // the signature is good for nothing else

	// MaxManifest is the longest manifest, in bytes.
	MaxManifest = 16 << 10
)

// Names of a bundle's files, in their order.
const (
	RootFile = "root.squashfs"
	BootFile = "boot.img"
)

// Manifest says what is in a bundle.
type Manifest struct {
	Release
	Files []File `json:"files"`
}

// File is one of a bundle's.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // hexadecimal
}

// Errors of reading a bundle.
var (
	ErrNoBundle  = errors.New("this is no update bundle")
	ErrSignature = errors.New("the bundle is not signed by a key that this box trusts")
	ErrDamaged   = errors.New("the bundle is damaged")
)

// readManifest reads up to the first file and checks the signature, and nothing else is looked at before.
func readManifest(r *bufio.Reader, key ed25519.PublicKey) (*Manifest, error) {
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(r, head); err != nil || string(head) != magic {
		return nil, ErrNoBundle
	}
	signature, err := line(r, base64.StdEncoding.EncodedLen(ed25519.SignatureSize))
	if err != nil {
		return nil, err
	}
	raw, err := base64.StdEncoding.DecodeString(string(signature))
	if err != nil || len(raw) != ed25519.SignatureSize {
		return nil, ErrNoBundle
	}
	text, err := line(r, MaxManifest)
	if err != nil {
		return nil, err
	}
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, append([]byte(purpose), text...), raw) {
		return nil, ErrSignature
	}
	m := new(Manifest)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("%w: manifest: %w", ErrDamaged, err)
	}
	return m, m.check()
}

// line reads a line of at most n bytes; the end of line is not part of it.
func line(r *bufio.Reader, n int) (text []byte, err error) {
	for len(text) <= n {
		b, err := r.ReadByte()
		if err != nil {
			return nil, ErrNoBundle
		}
		if b == '\n' {
			return text, nil
		}
		text = append(text, b)
	}
	return nil, ErrNoBundle
}

func (m *Manifest) check() error {
	if len(m.Files) != 2 || m.Files[0].Name != RootFile || m.Files[1].Name != BootFile {
		return fmt.Errorf("%w: it has to hold %s and %s", ErrDamaged, RootFile, BootFile)
	}
	for _, f := range m.Files {
		if sum, err := hex.DecodeString(f.SHA256); err != nil || len(sum) != sha256.Size || f.Size <= 0 {
			return fmt.Errorf("%w: size or hash of %s", ErrDamaged, f.Name)
		}
	}
	if m.SlotFormat != slotFormat {
		return fmt.Errorf("the bundle is for cards of format %d, this one has format %d: flash the card anew", m.SlotFormat, slotFormat)
	}
	return nil
}

// Check reads a whole bundle and says what is in it.
func Check(r io.Reader, key ed25519.PublicKey) (*Manifest, error) {
	in := bufio.NewReader(r)
	m, err := readManifest(in, key)
	if err != nil {
		return nil, err
	}
	for _, f := range m.Files {
		hash := sha256.New()
		if _, err := io.CopyN(hash, in, f.Size); err != nil {
			return nil, fmt.Errorf("%w: it ends in the middle: %w", ErrDamaged, err)
		}
		if err := sameHash(hash.Sum(nil), f); err != nil {
			return nil, err
		}
	}
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: there is more than the manifest names", ErrDamaged)
	}
	return m, nil
}

// Write makes a bundle. The files are read twice: to hash them, and to copy them.
func Write(w io.Writer, release Release, root, boot io.ReadSeeker, key ed25519.PrivateKey) error {
	m := Manifest{Release: release}
	for _, f := range []struct {
		name string
		from io.ReadSeeker
	}{{RootFile, root}, {BootFile, boot}} {
		hash := sha256.New()
		n, err := io.Copy(hash, f.from)
		if err != nil {
			return fmt.Errorf("read %s: %w", f.name, err)
		}
		if _, err := f.from.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("read %s: %w", f.name, err)
		}
		m.Files = append(m.Files, File{f.name, n, hex.EncodeToString(hash.Sum(nil))})
	}
	if err := m.check(); err != nil {
		return err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(text) > MaxManifest {
		return fmt.Errorf("the manifest has %d bytes", len(text))
	}
	signature := ed25519.Sign(key, append([]byte(purpose), text...))
	head := magic + base64.StdEncoding.EncodeToString(signature) + "\n" + string(text) + "\n"
	if _, err := io.Copy(w, io.MultiReader(bytes.NewReader([]byte(head)), root, boot)); err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	return nil
}
