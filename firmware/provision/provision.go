// Package provision brings the site document: from the portal by HTTPS or from a file on the card. What comes is checked
// (signature, serial, meaning), put on the card as the last good one, and only then handed over; what is not right is
// refused with a reason, and the one before serves on. What the document means is sip/site's job; what happens to
// running calls when it changes is firmware/box's.
//
// Trust: a document is signed with ed25519 over its exact bytes, by a key that the boot file pins. A document may
// announce the next key; from then on both sign, and the first document of the new key retires the old one. The keys
// in force stand on the card with the last good document; changing the pinned key in the boot file starts afresh.
package provision

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"holdfast/sip/site"
)

// MaxDocument is the largest document, in bytes.
const MaxDocument = 32 << 20

// Why a document is refused.
var (
	ErrSignature = errors.New("signature is missing or wrong")
	ErrOlder     = errors.New("serial is not newer than that of the document in force")
	ErrTooBig    = fmt.Errorf("document is larger than %d MiB", MaxDocument>>20)
	ErrNothing   = errors.New("no site document yet")
)

// Options of a Provisioner. URL or File, or both, must be there.
type Options struct {
	Dir           string         // on the card, for the last good document and its predecessor
	URL           string         // https; "" for none
	Token         string         // bearer token for it
	Roots         *x509.CertPool // nil: the system's
	PublicKey     string         // base64 ed25519; may be "" when only an unsigned file is used
	Interval      time.Duration  // between two looks at the portal
	File          string         // its signature is File + ".sig"; "" for none
	AllowUnsigned bool           // the file needs no signature
	Adopt         func(*site.Site)
	Log           *slog.Logger
}

// Outcome is what a look at the sources brought.
type Outcome string

// The outcomes.
const (
	Adopted   Outcome = "adopted"   // a new document is in force
	Unchanged Outcome = "unchanged" // the one in force is the newest
)

// Status is for people.
type Status struct {
	Serial    uint64    // 0: no document
	Source    string    // where the document in force came from
	Unsigned  bool      // nobody has signed it
	Fetched   time.Time // when it came
	Confirmed time.Time // when its source last said that it is the newest
	Checked   time.Time // last look at any source
	Next      time.Time // next look at the portal
	Error     string    // what was wrong at the last look; "" when nothing was
	Card      string    // what is wrong with keeping it on the card; "" when nothing is
}

// Provisioner watches the sources. Its methods are safe for concurrent use.
type Provisioner struct {
	o      Options
	pinned ed25519.PublicKey
	client *http.Client
	store  store
	busy   chan struct{} // held while sources are looked at
	kick   chan struct{}

	mu      sync.Mutex
	current *document // nil: none yet
	status  Status
}

// New checks the options; it reads and fetches nothing.
func New(o Options) (*Provisioner, error) {
	p := &Provisioner{o: o, store: store{dir: o.Dir}, busy: make(chan struct{}, 1), kick: make(chan struct{}, 1)}
	if o.URL == "" && o.File == "" {
		return nil, errors.New("provision: neither a portal nor a file to take the site document from")
	}
	if o.PublicKey != "" {
		key, err := base64.StdEncoding.DecodeString(o.PublicKey)
		if err != nil || len(key) != ed25519.PublicKeySize {
			return nil, errors.New("provision: the public key is not 32 bytes in base64")
		}
		p.pinned = key
	}
	if p.pinned == nil && (o.URL != "" || !o.AllowUnsigned) {
		return nil, errors.New("provision: no public key to check signatures with")
	}
	p.client = newClient(o.Roots)
	return p, nil
}

// Begin puts a document into force: the last good one, or the file where that is newer, or, only when there is neither, one
// from the portal. The error says why there is none; Run goes on looking.
func (p *Provisioner) Begin(ctx context.Context) error {
	if err := p.lock(ctx); err != nil {
		return err
	}
	defer p.unlock()
	if d, err := p.store.load(p.keep); err != nil {
		p.o.Log.Error("last good site document", "err", err)
		p.note(func(s *Status) { s.Card = err.Error() })
		if d != nil {
			p.adopt(d)
		}
	} else if d != nil {
		p.adopt(d)
	}
	var fault error
	if p.o.File != "" {
		_, fault = p.look(ctx, false, p.readFile)
	}
	if p.has() == nil && p.o.URL != "" {
		_, err := p.look(ctx, false, p.fetchURL)
		fault = errors.Join(fault, err)
	}
	if p.has() == nil {
		return errors.Join(ErrNothing, fault)
	}
	return nil
}

// Fetch looks at every source now. force accepts an older serial too, as a person may want; it forgives nothing else.
func (p *Provisioner) Fetch(ctx context.Context, force bool) (Outcome, error) {
	if err := p.lock(ctx); err != nil {
		return "", err
	}
	defer p.unlock()
	outcome := Unchanged
	var fault error
	if p.o.File != "" {
		got, err := p.look(ctx, force, p.readFile)
		if p.o.URL != "" && errors.Is(err, os.ErrNotExist) {
			got, err = Unchanged, nil // the file was for the first start only
		}
		if got == Adopted {
			outcome = Adopted
		}
		fault = errors.Join(fault, err)
	}
	if p.o.URL != "" {
		got, err := p.look(ctx, force, p.fetchURL)
		if got == Adopted {
			outcome = Adopted
		}
		fault = errors.Join(fault, err)
	}
	return outcome, fault
}

// Kick asks Run to look at the portal now: the cloud has returned.
func (p *Provisioner) Kick() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// Pauses after failures.
const (
	firstPause = time.Minute
	mostPause  = time.Hour
)

// Run looks at the sources: at once, every Interval, when kicked, and after failures sooner. It ends with ctx.
func (p *Provisioner) Run(ctx context.Context) error {
	pause := firstPause
	for {
		wait := p.o.Interval
		if p.o.URL == "" {
			wait = 0 // a file is looked at when somebody asks
		}
		if _, err := p.Fetch(ctx, false); ctx.Err() != nil {
			return nil
		} else if err != nil {
			p.o.Log.Warn("site document", "err", err)
			wait, pause = pause, min(2*pause, mostPause)
		} else {
			pause = firstPause
		}
		var timer <-chan time.Time
		if wait > 0 {
			timer = time.After(wait)
			p.note(func(s *Status) { s.Next = time.Now().Add(wait) })
		}
		select {
		case <-ctx.Done():
			return nil
		case <-timer:
		case <-p.kick:
			pause = firstPause
		}
	}
}

// Status is a copy.
func (p *Provisioner) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

// look takes what one source has. The caller holds the lock.
func (p *Provisioner) look(ctx context.Context, force bool, source func(context.Context) (*document, error)) (Outcome, error) {
	d, err := source(ctx)
	outcome := Unchanged
	if err == nil && d != nil {
		outcome, err = p.consider(d, force)
	}
	now := time.Now()
	p.note(func(s *Status) {
		s.Checked, s.Error = now, ""
		if err != nil {
			s.Error = err.Error()
		} else {
			s.Confirmed = now
		}
	})
	return outcome, err
}

// consider decides about a document whose origin is right and puts it into force.
func (p *Provisioner) consider(d *document, force bool) (Outcome, error) {
	loaded, err := site.Load(d.data)
	if err != nil {
		return Unchanged, fmt.Errorf("%s: %w", d.Source, err)
	}
	d.site = loaded
	serial := loaded.Doc().Serial
	if now := p.has(); now != nil {
		have := now.site.Doc().Serial
		same := bytes.Equal(now.data, d.data)
		// Who edits an unsigned file by hand may forget its serial; a signed document is not replaced that way.
		edited := serial == have && d.SignedBy == "" && now.SignedBy == ""
		switch {
		case same && (d.SignedBy == now.SignedBy || d.SignedBy == ""):
			return Unchanged, nil
		case !force && !same && serial <= have && !edited:
			return Unchanged, fmt.Errorf("%s: serial %d, in force is %d: %w", d.Source, serial, have, ErrOlder)
		}
	}
	if d.Keys, err = p.keysAfter(d); err != nil {
		return Unchanged, fmt.Errorf("%s: %w", d.Source, err)
	}
	d.Pinned = p.o.PublicKey
	card := ""
	if err := p.store.save(d); err != nil {
		// Newer data in RAM is better than older data that would survive a power cut.
		card = err.Error()
		p.o.Log.Error("site document cannot be kept", "err", err)
	}
	p.note(func(s *Status) { s.Card = card })
	p.adopt(d)
	return Adopted, nil
}

// adopt puts a document into force and tells whoever serves from it.
func (p *Provisioner) adopt(d *document) {
	serial := d.site.Doc().Serial
	p.mu.Lock()
	p.current = d
	p.status.Serial, p.status.Source, p.status.Unsigned, p.status.Fetched = serial, d.Source, d.SignedBy == "", d.Fetched
	p.mu.Unlock()
	p.o.Log.Info("site document in force", "serial", serial, "source", d.Source, "unsigned", d.SignedBy == "")
	p.o.Adopt(d.site)
}

// keep decides whether a document from the card may still be used: it must mean something. Its signature was checked
// when it came; should the boot file's key have changed since, serving from it is still better than serving nobody.
func (p *Provisioner) keep(d *document) error {
	loaded, err := site.Load(d.data)
	if err != nil {
		return err
	}
	d.site = loaded
	if d.SignedBy != "" && !slices.Contains(p.keysOf(d), d.SignedBy) {
		p.o.Log.Warn("the last good site document was signed with a key that is no longer trusted; it serves until a newer one comes")
	}
	return nil
}

func (p *Provisioner) has() *document {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current
}

func (p *Provisioner) note(change func(*Status)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.status)
}

func (p *Provisioner) lock(ctx context.Context) error {
	select {
	case p.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *Provisioner) unlock() { <-p.busy }
