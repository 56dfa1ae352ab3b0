package provision

import (
	"errors"
	"fmt"
	"os"
	"time"

	"holdfast/sip/site"
)

// Kept is the document that a folder keeps, for who looks at a box that does not run: what it is, where it came from and when.
// The signature is not checked again: New does that before a document serves. ErrNone says that there is none.
func Kept(dir string) (s *site.Site, source string, fetched time.Time, err error) {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil, "", time.Time{}, ErrNone
	}
	d, err := (&store{dir: dir}).load(func(d *document) (err error) {
		d.site, err = site.Load(d.data)
		return err
	})
	switch {
	case d != nil:
		return d.site, d.Source, d.Fetched, nil
	case err == nil:
		return nil, "", time.Time{}, ErrNone
	}
	return nil, "", time.Time{}, fmt.Errorf("site document on the card: %w", err)
}

// ErrNone says that no document was ever kept.
var ErrNone = errors.New("there is no site document on the card")
