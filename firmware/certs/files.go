package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"holdfast/firmware/typed"
)

// newSuffix marks a key that no certificate has been brought for yet.
const newSuffix = ".new"

// Pair is where a certificate and its key are. They may be in one file.
type Pair struct{ Certificate, Key string }

// Load reads both. Where the certificate belongs to the new key instead, the power went in the middle of Install: the new
// key is the right one.
func (p Pair) Load() (*tls.Certificate, error) {
	c, err := load(p.Certificate, p.Key)
	if err != nil {
		if n, e := load(p.Certificate, p.Key+newSuffix); e == nil {
			return n, nil
		}
		return nil, err
	}
	return c, nil
}

func load(certificate, key string) (*tls.Certificate, error) {
	chain, err := readFile(certificate)
	if err != nil {
		return nil, err
	}
	secret, err := readFile(key)
	if err != nil {
		return nil, err
	}
	c, err := tls.X509KeyPair(chain, secret)
	if err != nil {
		return nil, err
	}
	return &c, nil
}

// Missing reports that neither file is there.
func (p Pair) Missing() bool {
	_, errC := os.Stat(p.Certificate)
	_, errK := os.Stat(p.Key)
	return errors.Is(errC, fs.ErrNotExist) && errors.Is(errK, fs.ErrNotExist)
}

// Keys are the box's own, the newest first; those that cannot be read are left out.
func (p Pair) Keys() (keys [][]byte) {
	for _, name := range []string{p.Key + newSuffix, p.Key} {
		if data, err := readFile(name); err == nil {
			keys = append(keys, data)
		}
	}
	return keys
}

// NewKey makes a key for a request, or hands out the one that waits for its certificate already: a second request must not make
// the answer to the first one worthless.
func (p Pair) NewKey(useRSA bool) ([]byte, error) {
	if data, err := readFile(p.Key + newSuffix); err == nil {
		if _, err := signer(data); err == nil {
			return data, nil
		}
	}
	key, err := NewKey(useRSA)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(p.Key), 0o700); err != nil {
		return nil, fmt.Errorf("keep the key: %w", err)
	}
	if err := replace(p.Key+newSuffix, key); err != nil {
		return nil, fmt.Errorf("keep the key: %w", err)
	}
	return key, nil
}

// Install puts a candidate into force for the next Load: the key first, as the new one, then the certificate in one step, then the
// key under its own name. Whenever the power goes, certificate and one of the keys belong together.
func (p Pair) Install(c Candidate) error {
	if c.Key != nil {
		if err := replace(p.Key+newSuffix, c.Key); err != nil {
			return fmt.Errorf("keep the key: %w", err)
		}
	}
	if p.Certificate == p.Key {
		keys := p.Keys()
		for _, k := range keys {
			if _, err := tls.X509KeyPair(c.Chain, k); err == nil {
				err := replace(p.Certificate, append(append([]byte(nil), c.Chain...), k...))
				if err == nil {
					err = drop(p.Key + newSuffix)
				}
				return err
			}
		}
		return errors.New("the key that the certificate belongs to is gone")
	}
	if err := replace(p.Certificate, c.Chain); err != nil {
		return fmt.Errorf("keep the certificate: %w", err)
	}
	data, err := readFile(p.Key + newSuffix)
	if err != nil {
		return nil // it belongs to the key that is there
	}
	if _, err := tls.X509KeyPair(c.Chain, data); err != nil {
		return nil // likewise; the new key waits for its own
	}
	if err := replace(p.Key, data); err != nil {
		return fmt.Errorf("keep the key: %w", err)
	}
	return drop(p.Key + newSuffix)
}

func drop(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncFolder(filepath.Dir(name))
}

// replace writes a file that only its owner reads, in one step that survives a power cut.
func replace(name string, data []byte) error {
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, filepath.Base(name)+".*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	return syncFolder(dir)
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readFile reads what somebody may have edited.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, MaxSize)
	}
	if data, err = typed.Text(data); err != nil {
		return nil, fmt.Errorf("%s %w", name, err)
	}
	return data, nil
}
