package box

import (
	"crypto/tls"
	"log/slog"

	"holdfast/firmware/certs"
	"holdfast/firmware/hep"
	"holdfast/firmware/syslog"
)

// buildSyslog lets the log go to a server too. What the server's absence has to say goes to standard error only.
func (b *Box) buildSyslog() error {
	c := b.cfg.Syslog
	if c.Address == "" {
		return nil
	}
	const without = "the log does not reach the syslog server"
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.TLSName, RootCAs: b.trusted("syslog", c.Roots, without)}
	if c.Certificate != "" {
		own, err := certificate("syslog", certs.Pair{Certificate: c.Certificate, Key: c.Key})
		if err == nil {
			t.Certificates = []tls.Certificate{*own}
		}
		b.lacks(err, without)
	}
	var err error
	b.syslog, err = syslog.New(syslog.Options{Address: c.Address, TLS: t, Facility: c.FacilityCode(), Host: b.cfg.Name, Log: b.log})
	if err != nil {
		return err
	}
	b.log = slog.New(b.syslog.Handler(b.log.Handler()))
	return nil
}

// buildHomer makes what copies SIP to a server, where the settings name one.
func (b *Box) buildHomer() (err error) {
	c := b.cfg.Homer
	if c.Address == "" {
		return nil
	}
	o := hep.Options{Address: c.Address, Transport: c.Transport, CaptureID: uint32(c.CaptureID), Node: b.cfg.Name, Log: b.log}
	if c.Transport == "tls" {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.TLSName, RootCAs: b.trusted("homer", c.Roots, "nothing is copied to the homer server")}
	}
	b.homer, err = hep.New(o)
	return err
}
