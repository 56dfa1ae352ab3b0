package provision

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
)

// keysOf are the keys that a document on the card has brought into force; none when the boot file's key has changed
// since.
func (p *Provisioner) keysOf(d *document) []string {
	if d == nil || d.Pinned != p.o.PublicKey {
		return nil
	}
	return d.Keys
}

// trusted are the keys in force.
func (p *Provisioner) trusted() []string {
	if keys := p.keysOf(p.has()); len(keys) > 0 {
		return keys
	}
	if p.pinned == nil {
		return nil
	}
	return []string{p.o.PublicKey}
}

// signer is the key that has signed data.
func (p *Provisioner) signer(data []byte, signature string) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(signature)
	if err != nil || len(raw) != ed25519.SignatureSize {
		return "", ErrSignature
	}
	for _, text := range p.trusted() {
		if key, err := decodeKey(text); err == nil && ed25519.Verify(key, data, raw) {
			return text, nil
		}
	}
	return "", ErrSignature
}

// keysAfter are the keys in force once d is: its own and the one that it announces. An unsigned document changes none.
func (p *Provisioner) keysAfter(d *document) ([]string, error) {
	if d.SignedBy == "" {
		return p.trusted(), nil
	}
	keys := []string{d.SignedBy}
	if next := d.site.Doc().KeyRotation; next != "" && next != d.SignedBy {
		if _, err := decodeKey(next); err != nil {
			return nil, err
		}
		keys = append(keys, next)
	}
	return keys, nil
}

func decodeKey(text string) (ed25519.PublicKey, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, errors.New("key_rotation is not an ed25519 public key in base64")
	}
	return key, nil
}
