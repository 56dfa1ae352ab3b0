package cloud

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/firmware/config"
	"holdfast/firmware/mode"
)

// authority makes a self-signed certificate for name, valid in synctest's year 2000 too.
func authority(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// answering is a TLS zone that answers each OPTIONS with what reply writes.
func answering(cert tls.Certificate, reply func(w io.Writer, via string)) func(net.Conn) {
	return func(raw net.Conn) {
		conn := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{cert}})
		defer conn.Close()
		in := bufio.NewReader(conn)
		for {
			_, via, err := message(in)
			if err != nil {
				return
			}
			reply(conn, via)
		}
	}
}

func sip(status string, more ...string) func(io.Writer, string) {
	return func(w io.Writer, via string) {
		fmt.Fprintf(w, "SIP/2.0 %s\r\nVia:%s\r\n%sContent-Length: 0\r\n\r\n", status, via, strings.Join(more, ""))
	}
}

// buffered is a client's end of a pipe that, like a socket, takes what is written without the other end reading it.
type buffered struct {
	net.Conn
	queue chan []byte
	done  chan struct{}
	once  sync.Once
}

// pipe is a connection without sockets, for use in a synctest bubble.
func pipe() (client, server net.Conn) {
	c, server := net.Pipe()
	b := &buffered{Conn: c, queue: make(chan []byte, 64), done: make(chan struct{})}
	go func() {
		for {
			select {
			case <-b.done:
				return
			case data := <-b.queue:
				b.Conn.Write(data)
			}
		}
	}()
	return b, server
}

func (b *buffered) Write(data []byte) (int, error) {
	select {
	case <-b.done:
		return 0, net.ErrClosed
	case b.queue <- append([]byte(nil), data...):
		return len(data), nil
	}
}

func (b *buffered) Close() error {
	b.once.Do(func() { close(b.done) })
	return b.Conn.Close()
}

// run probes serve (called for each connection, its n-th) for d of fake time and returns the outcomes.
func run(t *testing.T, d time.Duration, roots *x509.CertPool, serve func(n int, conn net.Conn)) (got []mode.Probe, dials int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var servers sync.WaitGroup
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			dials++
			if serve == nil {
				return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
			}
			client, server := pipe()
			n := dials
			servers.Go(func() { serve(n, server); server.Close() })
			return client, nil
		}
		c := config.Cloud{Interval: 2 * time.Second, Timeout: 2 * time.Second,
			Zones: []config.Zone{{Name: "east", Address: "zone.test:5061", TLSName: "zone.test"}}}
		p := newProber(c, roots, func(r mode.Probe) { got = append(got, r) }, slog.New(slog.DiscardHandler), dial)
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
		servers.Wait()
	})
	return got, dials
}

func TestZone(t *testing.T) {
	cert, roots := authority(t, "zone.test")
	foreign, _ := authority(t, "zone.test")
	other, otherRoots := authority(t, "other.test")
	once := func(serve func(net.Conn)) func(int, net.Conn) { return func(_ int, c net.Conn) { serve(c) } }
	raw := func(text string) func(int, net.Conn) {
		return once(answering(cert, func(w io.Writer, via string) {
			io.WriteString(w, strings.ReplaceAll(text, "$via", via))
		}))
	}
	for name, c := range map[string]struct {
		roots  *x509.CertPool
		serve  func(int, net.Conn)
		alive  bool
		detail string
		dials  int // in the 5 probes of 9 s
	}{
		"200":             {roots, once(answering(cert, sip("200 OK"))), true, "200 OK", 1},
		"no reason":       {roots, once(answering(cert, sip("200"))), true, "200", 1},
		"404":             {roots, once(answering(cert, sip("404 Not Found"))), true, "404 Not Found", 1},
		"401":             {roots, once(answering(cert, sip("401 Unauthorized"))), true, "401 Unauthorized", 1},
		"500":             {roots, once(answering(cert, sip("500 Oops"))), true, "500 Oops", 1},
		"603":             {roots, once(answering(cert, sip("603 Decline"))), true, "603 Decline", 1},
		"503":             {roots, once(answering(cert, sip("503 Service Unavailable"))), false, "503 Service Unavailable", 1},
		"408":             {roots, once(answering(cert, sip("408 Request Timeout"))), false, "408 Request Timeout", 1},
		"200 after 100":   {roots, raw("SIP/2.0 100 Trying\r\nVia:$via\r\nContent-Length: 0\r\n\r\nSIP/2.0 200 OK\r\nv:$via\r\nl: 3\r\n\r\nabc"), true, "200 OK", 1},
		"100 and silence": {roots, raw("SIP/2.0 100 Trying\r\nVia:$via\r\nContent-Length: 0\r\n\r\n"), false, "no answer in time", 5},
		"keep-alive and its own request first": {roots,
			raw("\r\n\r\nOPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TLS z;branch=z9hG4bKother\r\nContent-Length: 0\r\n\r\nSIP/2.0 200 OK\r\nVia:$via\r\nContent-Length: 0\r\n\r\n"), true, "200 OK", 1},
		"answer to another request": {roots, raw("SIP/2.0 200 OK\r\nVia: SIP/2.0/TLS z;branch=z9hG4bKother\r\nContent-Length: 0\r\n\r\n"), false, "no answer in time", 5},
		"no Content-Length":         {roots, raw("SIP/2.0 200 OK\r\nVia:$via\r\n\r\n"), false, "read answer: no usable Content-Length", 5},
		"huge Content-Length":       {roots, raw("SIP/2.0 200 OK\r\nVia:$via\r\nContent-Length: 99999999\r\n\r\n"), false, "read answer: no usable Content-Length", 5},
		"negative Content-Length":   {roots, raw("SIP/2.0 200 OK\r\nVia:$via\r\nContent-Length: -1\r\n\r\n"), false, "read answer: no usable Content-Length", 5},
		"not SIP":                   {roots, raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), false, "read answer: not SIP", 5},
		"bad status":                {roots, raw("SIP/2.0 2000 OK\r\nContent-Length: 0\r\n\r\n"), false, "read answer: not SIP", 5},
		"control characters":        {roots, raw("SIP/2.0 200 \x1b[31mOK\r\nContent-Length: 0\r\n\r\n"), false, "read answer: control characters in the status line", 5},
		"endless header": {roots, once(answering(cert, func(w io.Writer, _ string) {
			for {
				if _, err := io.WriteString(w, "X: "+strings.Repeat("y", 1000)+"\r\n"); err != nil {
					return
				}
			}
		})), false, "read answer: header longer than 16 KiB", 5},
		"endless line": {roots, once(answering(cert, func(w io.Writer, _ string) {
			for {
				if _, err := io.WriteString(w, strings.Repeat("y", 1000)); err != nil {
					return
				}
			}
		})), false, "read answer: header longer than 16 KiB", 5},
		"endless 100s": {roots, once(answering(cert, func(w io.Writer, via string) {
			for {
				if _, err := fmt.Fprintf(w, "SIP/2.0 100 Trying\r\nVia:%s\r\nContent-Length: 0\r\n\r\n", via); err != nil {
					return
				}
			}
		})), false, "read answer: too many messages that are no answer", 5},
		"slow drip": {roots, once(answering(cert, func(w io.Writer, _ string) {
			for _, c := range []byte("SIP/2.0 200 OK\r\n" + strings.Repeat("X: y\r\n", 9)) {
				time.Sleep(300 * time.Millisecond)
				if _, err := w.Write([]byte{c}); err != nil {
					return
				}
			}
		})), false, "no answer in time", 5},
		"silence after TLS": {roots, once(answering(cert, func(io.Writer, string) {})), false, "no answer in time", 5},
		"half-open":         {roots, once(func(c net.Conn) { io.Copy(io.Discard, c) }), false, "no answer in time", 5},
		"closes at once":    {roots, once(func(net.Conn) {}), false, "connection closed", 5},
		"closes on the request": {roots, once(func(c net.Conn) {
			s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}})
			message(bufio.NewReader(s))
			s.Close()
		}), false, "connection closed", 5},
		"refused":               {roots, nil, false, "connection refused", 5},
		"foreign authority":     {roots, once(answering(foreign, sip("200 OK"))), false, "TLS: tls: failed to verify certificate: x509: certificate signed by unknown authority", 5},
		"name of somebody else": {otherRoots, once(answering(other, sip("200 OK"))), false, "TLS: tls: failed to verify certificate: x509: certificate is valid for other.test, not zone.test", 5},
		"no TLS at all":         {roots, once(func(c net.Conn) { io.WriteString(c, "SIP/2.0 200 OK\r\n\r\n"); io.Copy(io.Discard, c) }), false, "TLS: tls: first record does not look like a TLS handshake", 5},
		"TLS 1.1": {roots, once(func(c net.Conn) {
			tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: tls.VersionTLS11}).Handshake()
		}), false, "TLS: remote error: tls: protocol version not supported", 5},
	} {
		t.Run(name, func(t *testing.T) {
			got, dials := run(t, 9*time.Second, c.roots, c.serve)
			if want := 5; len(got) != want && !(c.detail == "no answer in time" && len(got) == want-1) {
				t.Errorf("%d outcomes, want %d", len(got), want)
			}
			for i, r := range got {
				if r.Zone != "east" || r.Kind != mode.SIP || r.Alive != c.alive || !strings.HasPrefix(r.Detail, c.detail) {
					t.Errorf("probe %d: %+v, want alive=%v %q", i, r, c.alive, c.detail)
				}
				if at := r.At.Sub(got[0].At); at != time.Duration(i)*2*time.Second {
					t.Errorf("probe %d sent at %s", i, at)
				}
			}
			if dials != c.dials {
				t.Errorf("%d connections, want %d", dials, c.dials)
			}
		})
	}
}

// TestKeptConnectionClosed: a zone that closes idle connections is alive; the probe dials anew within its deadline.
func TestKeptConnectionClosed(t *testing.T) {
	cert, roots := authority(t, "zone.test")
	got, dials := run(t, 9*time.Second, roots, func(_ int, c net.Conn) {
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}})
		if _, via, err := message(bufio.NewReader(s)); err == nil {
			sip("200 OK")(s, via)
		}
		time.Sleep(time.Second)
		s.Close()
	})
	for i, r := range got {
		if !r.Alive {
			t.Errorf("probe %d: %+v", i, r)
		}
	}
	if len(got) != 5 || dials != 5 {
		t.Errorf("%d outcomes over %d connections", len(got), dials)
	}
}

// TestDetection holds the promise of the defaults: a cloud that is cut is an outage within 8 s, however it is cut.
func TestDetection(t *testing.T) {
	cert, roots := authority(t, "zone.test")
	for name, dead := range map[string]func(net.Conn){
		"swallows everything": func(c net.Conn) { io.Copy(io.Discard, c) },
		"closes everything":   func(net.Conn) {},
	} {
		t.Run(name, func(t *testing.T) {
			var cut time.Time
			isCut := func() bool { return !cut.IsZero() && time.Now().After(cut) }
			var outage []mode.Transition
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				cut = begin.Add(4*time.Second + time.Millisecond) // just after a good answer: the worst moment
				m, err := mode.New(mode.Settings{Zones: []string{"east"}, Missed: 3, HoldOff: time.Minute}, begin)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				var servers sync.WaitGroup
				dial := func(context.Context, string, string) (net.Conn, error) {
					client, server := pipe()
					servers.Go(func() {
						defer server.Close()
						if isCut() {
							dead(server)
							return
						}
						s := tls.Server(server, &tls.Config{Certificates: []tls.Certificate{cert}})
						in := bufio.NewReader(s)
						for {
							_, via, err := message(in)
							if err != nil {
								return
							}
							if isCut() {
								dead(server)
								return
							}
							sip("200 OK")(s, via)
						}
					})
					return client, nil
				}
				c := config.Cloud{Interval: 2 * time.Second, Timeout: 2 * time.Second,
					Zones: []config.Zone{{Name: "east", Address: "zone.test:5061", TLSName: "zone.test"}}}
				p := newProber(c, roots, func(r mode.Probe) {
					if ts := m.Probe(time.Now(), r); len(ts) > 0 {
						outage = ts
						cancel()
					}
				}, slog.New(slog.DiscardHandler), dial)
				p.Run(ctx)
				servers.Wait()
			})
			if len(outage) != 1 || outage[0].To != mode.Resilience {
				t.Fatalf("%+v", outage)
			}
			took := outage[0].At.Sub(cut)
			t.Logf("noticed after %s", took)
			if took > 8*time.Second {
				t.Errorf("noticed after %s", took)
			}
		})
	}
}

// TestSockets runs the prober on real sockets: an answering zone, one that resets, and HTTPS.
func TestSockets(t *testing.T) {
	cert, roots := authority(t, "zone.test")
	listen := func(serve func(net.Conn)) string {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go serve(c)
			}
		}()
		return l.Addr().String()
	}
	good := listen(answering(cert, sip("200 OK")))
	reset := listen(func(c net.Conn) { c.(*net.TCPConn).SetLinger(0); c.Close() })
	closedListener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := closedListener.Addr().String()
	closedListener.Close()
	status := http.StatusFound
	webL, err := tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "https://elsewhere.test/")
		w.WriteHeader(status)
		status = http.StatusBadGateway
	}), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go server.Serve(webL)
	t.Cleanup(func() { server.Close() })

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	seen := map[string][]mode.Probe{}
	// The name of the HTTPS URL is what its certificate is checked against, so its address is answered by the dialer.
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "zone.test:443" {
			address = webL.Addr().String()
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	p := newProber(config.Cloud{Interval: 50 * time.Millisecond, Timeout: 5 * time.Second, HTTPS: "https://zone.test/",
		Zones: []config.Zone{{Name: "good", Address: good, TLSName: "zone.test"}, {Name: "reset", Address: reset, TLSName: "zone.test"},
			{Name: "refused", Address: refused, TLSName: "zone.test"}}}, roots, func(r mode.Probe) {
		seen[r.Zone] = append(seen[r.Zone], r)
		if len(seen["good"]) > 2 && len(seen["reset"]) > 2 && len(seen["refused"]) > 2 && len(seen["https"]) > 2 {
			cancel()
		}
	}, slog.New(slog.DiscardHandler), dial)
	p.Run(ctx)
	for zone, want := range map[string]mode.Probe{
		"good":    {Alive: true, Detail: "200 OK"},
		"reset":   {Detail: "connection closed"},
		"refused": {Detail: "connection refused"},
		"https":   {Kind: mode.HTTPS, Detail: "502 Bad Gateway"},
	} {
		if len(seen[zone]) < 3 {
			t.Fatalf("%s: %d outcomes", zone, len(seen[zone]))
		}
		got := seen[zone][len(seen[zone])-1]
		if got.Alive != want.Alive || got.Detail != want.Detail || got.Kind != want.Kind || got.Alive && got.RTT <= 0 {
			t.Errorf("%s: %+v", zone, got)
		}
	}
	if first := seen["https"][0]; !first.Alive || first.Detail != "302 Found" {
		t.Errorf("https: %+v", first)
	}
}

// FuzzFinal: nothing that a zone sends makes the reader panic, run away or invent a final answer.
func FuzzFinal(f *testing.F) {
	f.Add("SIP/2.0 100 Trying\r\nVia: x;branch=b\r\nContent-Length: 0\r\n\r\nSIP/2.0 200 OK\r\nVia: x;branch=b\r\nContent-Length: 2\r\n\r\nab")
	f.Add("\r\n\r\nOPTIONS sip:x SIP/2.0\r\nl:0\r\n\r\n")
	f.Add("SIP/2.0 200\nv:b\nl:0\n\n")
	f.Fuzz(func(t *testing.T, data string) {
		status, reason, err := final(bufio.NewReader(strings.NewReader(data)), "b")
		if err == nil && (status < 200 || status > 699 || len(reason) > 80 || !strings.Contains(data, "b")) {
			t.Fatalf("%d %q", status, reason)
		}
	})
}
