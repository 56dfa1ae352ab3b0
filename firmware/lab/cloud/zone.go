// Package cloud is one zone of the lab's cloud phone system: a SIP registrar with Digest and a small proxy over TLS, and
// an HTTPS server. It can be cut in two ways and mended.
//
// For the lab only; it knows nothing of the box. The zones of a cloud share no bindings: a phone is where it registered.
package cloud

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/firmware/lab/wire"
)

// Config of a zone. Port 0 takes a free one.
type Config struct {
	Name        string
	SIP, HTTPS  netip.AddrPort
	Certificate tls.Certificate
	Domain      string
	Passwords   map[string]string // by user
}

// Zone is one zone.
type Zone struct {
	cfg   Config
	sip   *gate
	https *gate
	web   *http.Server
	owned sync.WaitGroup

	mu       sync.Mutex
	bindings map[string]*binding
	nonces   map[string]time.Time
	branches map[string]forwarded
}

type binding struct {
	conn    *wire.Conn
	contact sip.Uri
	expires time.Time
}

const handshakeWait = 5 * time.Second

// Start listens and serves until Close.
func Start(cfg Config) (*Zone, error) {
	z := &Zone{cfg: cfg, bindings: map[string]*binding{}, nonces: map[string]time.Time{}, branches: map[string]forwarded{}}
	var err error
	if z.sip, err = newGate(cfg.SIP); err != nil {
		return nil, err
	}
	if z.https, err = newGate(cfg.HTTPS); err != nil {
		z.sip.Close()
		return nil, err
	}
	tlsConfig := &tls.Config{Certificates: []tls.Certificate{cfg.Certificate}, MinVersion: tls.VersionTLS12}
	z.web = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, cfg.Name+" is up\n")
		}),
		ReadHeaderTimeout: handshakeWait, ErrorLog: log.New(io.Discard, "", 0),
	}
	z.owned.Go(func() { z.web.Serve(tls.NewListener(z.https, tlsConfig)) })
	z.owned.Go(func() {
		for {
			raw, err := z.sip.Accept()
			if err != nil {
				return
			}
			z.owned.Go(func() {
				nc := tls.Server(raw, tlsConfig)
				conn := wire.New(nc, z.handle, nil)
				conn.Run()
				z.forget(conn)
			})
		}
	})
	return z, nil
}

// SIP is where the zone listens for SIP over TLS.
func (z *Zone) SIP() netip.AddrPort { return z.sip.addr }

// HTTPS is where the zone's web server listens.
func (z *Zone) HTTPS() netip.AddrPort { return z.https.addr }

// Name is the zone's name.
func (z *Zone) Name() string { return z.cfg.Name }

// Cut makes the zone unreachable, SIP and HTTPS.
func (z *Zone) Cut(c Cut) error {
	if err := z.sip.set(c); err != nil {
		return err
	}
	return z.https.set(c)
}

// Mend makes it reachable again. Its bindings are gone: phones register anew.
func (z *Zone) Mend() error {
	z.mu.Lock()
	clear(z.bindings)
	z.mu.Unlock()
	return z.Cut(0)
}

// Registered are the users with a live binding.
func (z *Zone) Registered() map[string]bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	out := map[string]bool{}
	for user, b := range z.bindings {
		if time.Now().Before(b.expires) {
			out[user] = true
		}
	}
	return out
}

// Close ends the zone and waits for its goroutines.
func (z *Zone) Close() {
	z.web.Close()
	z.sip.Close()
	z.https.Close()
	z.owned.Wait()
}

func (z *Zone) forget(conn *wire.Conn) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for user, b := range z.bindings {
		if b.conn == conn {
			delete(z.bindings, user)
		}
	}
	for branch, f := range z.branches {
		if f.from == conn {
			delete(z.branches, branch)
		}
	}
}
