package box

import (
	"crypto/tls"
	"log/slog"

	"holdfast/firmware/certs"
	"holdfast/firmware/config"
	"holdfast/firmware/hep"
	"holdfast/firmware/syslog"
)

// buildSyslog lets the log go to a server too. What the server's absence has to say goes to standard error only.
func (b *Box) buildSyslog() error {
	c := b.cfg.Syslog
	if c.Address == "" {
		return nil
	}
	pool, err := roots("syslog", c.Roots)
	if err != nil {
		return err
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.TLSName, RootCAs: pool}
	if c.Certificate != "" {
		own, err := certificate("syslog", certs.Pair{Certificate: c.Certificate, Key: c.Key})
		if err != nil {
			return err
		}
		t.Certificates = []tls.Certificate{*own}
	}
	b.syslog, err = syslog.New(syslog.Options{Address: c.Address, TLS: t, Facility: c.FacilityCode(), Host: b.cfg.Name, Log: b.log})
	if err != nil {
		return err
	}
	b.log = slog.New(b.syslog.Handler(b.log.Handler()))
	return nil
}

// newHomer makes what copies SIP to a server; nil for none.
func newHomer(c config.Homer, name string, log *slog.Logger) (*hep.Exporter, error) {
	if c.Address == "" {
		return nil, nil
	}
	o := hep.Options{Address: c.Address, Transport: c.Transport, CaptureID: uint32(c.CaptureID), Node: name, Log: log}
	if c.Transport == "tls" {
		pool, err := roots("homer", c.Roots)
		if err != nil {
			return nil, err
		}
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.TLSName, RootCAs: pool}
	}
	return hep.New(o)
}
