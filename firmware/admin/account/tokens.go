package account

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Token is a script's key. Only its hash is kept.
type Token struct {
	ID      string    `json:"id"` // the part before the secret
	Name    string    `json:"name"`
	Scopes  []string  `json:"scopes"`
	Hash    string    `json:"hash"` // SHA-256 of the whole token: 256 random bits need no slow hash
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // zero: never
}

// Tokens lists the tokens.
func (s *Store) Tokens() ([]Token, error) {
	c, err := s.read()
	return c.Tokens, err
}

// AddToken makes a token; it is told once and cannot be read again. life 0: it does not end.
func (s *Store) AddToken(name string, scopes Scope, life time.Duration) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	if scopes == None || life < 0 {
		return "", errors.New("a token needs a scope, and a life that is not negative")
	}
	id, secret := make([]byte, 4), make([]byte, 32)
	rand.Read(id)
	rand.Read(secret)
	t := Token{ID: hex.EncodeToString(id), Name: name, Scopes: scopes.Names(), Created: s.now().UTC()}
	if life > 0 {
		t.Expires = t.Created.Add(life)
	}
	text := "hf_" + t.ID + "_" + base64.RawURLEncoding.EncodeToString(secret)
	sum := sha256.Sum256([]byte(text))
	t.Hash = hex.EncodeToString(sum[:])
	return text, s.change(func(c *contents) error {
		if len(c.Tokens) >= mostTokens {
			return fmt.Errorf("there are %d tokens already: remove some", mostTokens)
		}
		c.Tokens = append(c.Tokens, t)
		return nil
	})
}

// Revoke takes a token away, by its ID; ErrUnknown.
func (s *Store) Revoke(id string) (Token, error) {
	var gone Token
	err := s.change(func(c *contents) error {
		i := slices.IndexFunc(c.Tokens, func(t Token) bool { return t.ID == id })
		if i < 0 {
			return ErrUnknown
		}
		gone = c.Tokens[i]
		c.Tokens = slices.Delete(c.Tokens, i, i+1)
		return nil
	})
	return gone, err
}

// Token is whose token it is and what it may do; ErrUnknown, also for one that has ended.
func (s *Store) Token(text string) (Token, Scope, error) {
	c, err := s.read()
	if err != nil {
		return Token{}, None, err
	}
	sum := sha256.Sum256([]byte(text))
	got := []byte(hex.EncodeToString(sum[:]))
	for _, t := range c.Tokens {
		if subtle.ConstantTimeCompare(got, []byte(t.Hash)) != 1 {
			continue
		}
		if !t.Expires.IsZero() && !s.now().Before(t.Expires) {
			break
		}
		scopes, err := ParseScopes(strings.Join(t.Scopes, ","))
		return t, scopes, err
	}
	return Token{}, None, ErrUnknown
}
