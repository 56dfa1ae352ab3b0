package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"holdfast/firmware/clock"
	"holdfast/firmware/config"
	"holdfast/firmware/control"
	"holdfast/sip/site"
)

var now = time.Now()

// issuer signs certificates, good and bad ones.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func issue(t *testing.T, by *issuer, change func(*x509.Certificate)) (*issuer, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "leaf"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(365 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature}
	change(c)
	signer := by
	if signer == nil {
		signer = &issuer{c, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, signer.cert, &key.PublicKey, signer.key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{parsed, key}, der
}

func authority(t *testing.T, name string) *issuer {
	a, _ := issue(t, nil, func(c *x509.Certificate) {
		c.Subject.CommonName, c.IsCA, c.BasicConstraintsValid, c.KeyUsage = name, true, true, x509.KeyUsageCertSign
	})
	return a
}

func write(t *testing.T, file, kind string, ders ...[]byte) {
	t.Helper()
	var out []byte
	for _, der := range ders {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
	}
	if err := os.WriteFile(file, out, 0o600); err != nil {
		t.Fatal(err)
	}
}

func keep(t *testing.T, dir, name string, i *issuer, chain ...[]byte) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(i.key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, name+".pem"), "CERTIFICATE", append([][]byte{i.cert.Raw}, chain...)...)
	write(t, filepath.Join(dir, name+".key"), "PRIVATE KEY", key)
}

// clinic is a healthy box and what is round it; tests make it ill.
type clinic struct {
	Patient
	t     *testing.T
	dir   string
	ca    *issuer
	reply func(q dnsmessage.Message) dnsmessage.Message
	sbc   atomic.Pointer[tls.Config]
}

const boxName = "box.branch.example"

func usual(c *x509.Certificate) {
	c.DNSNames, c.IPAddresses = []string{boxName, "branch.example"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
}

func healthy(t *testing.T) *clinic {
	t.Helper()
	c := &clinic{t: t, dir: t.TempDir(), ca: authority(t, "branch CA")}
	if err := os.Mkdir(filepath.Join(c.dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	c.phones(c.ca, usual, c.ca.cert.Raw)
	own, _ := issue(t, c.ca, usual)
	keep(t, c.dir, "trunk", own)
	write(t, filepath.Join(c.dir, "roots.pem"), "CERTIFICATE", c.ca.cert.Raw)

	zone := c.listen(nil)
	sbc, _ := issue(t, c.ca, func(x *x509.Certificate) {
		usual(x)
		x.DNSNames = []string{"sbc.example"}
	})
	clients := x509.NewCertPool()
	clients.AddCert(c.ca.cert)
	c.sbc.Store(&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{sbc.cert.Raw}, PrivateKey: sbc.key}}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients})
	trunk := c.listen(func() *tls.Config { return c.sbc.Load() })
	pair, err := tls.LoadX509KeyPair(filepath.Join(c.dir, "phones.pem"), filepath.Join(c.dir, "phones.key"))
	if err != nil {
		t.Fatal(err)
	}
	door := c.listen(func() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{pair}} })

	cfg, err := config.Parse("x", fmt.Appendf(nil, `
data_dir = "data"
run_dir = "run"
[phones]
listen = %q
certificate = "phones.pem"
key = "phones.key"
[trunk]
listen = "127.0.0.1:5062"
certificate = "trunk.pem"
key = "trunk.key"
roots = "roots.pem"
[[cloud.zone]]
name = "east"
address = %q
[site]
file = "site.json"
allow_unsigned = true
[metrics]
listen = "off"
[admin]
listen = "off"
`, door, zone))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Resolve(c.dir)
	c.Patient = Patient{Config: cfg, Now: now, Fetched: now.Add(-time.Hour), Source: "portal", Clock: clock.State{Known: true, Last: now, Source: "10.0.0.1"},
		Status:    &control.Status{Mode: control.Mode{Name: "normal", Since: now}, Trunks: []control.Trunk{{ID: "sbc", Up: true}}},
		Dial:      new(net.Dialer).DialContext,
		Resolvers: []string{"10.0.0.1:53"},
		Card:      func(string) (Card, error) { return Card{900 << 20, 1000 << 20, 5 * time.Millisecond}, nil },
		InRAM:     func(string) bool { return true }}
	c.document(func(d *site.Document) { d.Trunks = []site.Trunk{{ID: "sbc", Address: trunk, TLSName: "sbc.example"}} })
	c.reply = func(q dnsmessage.Message) dnsmessage.Message {
		q.Response, q.Authoritative = true, true
		q.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Questions[0].Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}}}
		return q
	}
	c.Exchange = func(_ context.Context, _ string, query []byte) ([]byte, error) {
		var q dnsmessage.Message
		if err := q.Unpack(query); err != nil || q.RecursionDesired {
			t.Errorf("the question asks others: %v", err)
		}
		a := c.reply(q)
		return a.Pack()
	}
	return c
}

func (c *clinic) phones(by *issuer, change func(*x509.Certificate), chain ...[]byte) {
	own, _ := issue(c.t, by, change)
	keep(c.t, c.dir, "phones", own, chain...)
}

func (c *clinic) document(change func(*site.Document)) {
	c.t.Helper()
	d := site.Document{Version: site.FormatVersion, Serial: 7, Site: site.Info{ID: "s", Name: "Branch", Domain: "branch.example", Timezone: "UTC", MainNumber: "+12175550100"},
		DialPlan: site.DialPlan{Country: "US"}, Users: []site.User{}, Trunks: []site.Trunk{},
		Emergency: site.Emergency{Security: []string{"+12175550142"}, ELINs: []site.ELIN{{Trunk: "sbc", Number: "+12175559000", Address: "1 Main St", Confirmed: now.Format(time.DateOnly)}}}}
	if c.Site != nil {
		d = *c.Site.Doc()
	}
	change(&d)
	text, err := json.Marshal(d)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.Site, err = site.Load(text); err != nil {
		c.t.Fatal(err)
	}
}

// listen answers at an address until the test ends; with TLS where cfg says how.
func (c *clinic) listen(cfg func() *tls.Config) string {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			if cfg == nil {
				raw.Close()
				continue
			}
			go func() {
				defer raw.Close()
				s := tls.Server(raw, cfg())
				s.SetDeadline(time.Now().Add(30 * time.Second))
				if s.Handshake() == nil {
					s.Read(make([]byte, 1))
				}
			}()
		}
	}()
	return l.Addr().String()
}

func closed(t *testing.T) string {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestHealthy(t *testing.T) {
	found := Examine(t.Context(), healthy(t).Patient)
	for _, f := range found {
		if f.Verdict != OK && f.Area != "document" {
			t.Errorf("%+v", f)
		}
	}
	if got := strings.Join(Areas(found), " "); got != "box certificates clock dns network trunk document card" || Failed(found) != 0 {
		t.Error(got, Failed(found))
	}
}

// TestIll injects one fault after the other: each is found, is said in these words, and comes with what to do.
func TestIll(t *testing.T) {
	day := 24 * time.Hour
	for name, x := range map[string]struct {
		ill  func(*clinic)
		want Verdict
		text string // area: text
	}{
		"stopped": {func(c *clinic) { c.Status, c.StatusErr = nil, errors.New("no socket") }, Fail, "box: no box runs here: no socket"},
		"alarm":   {func(c *clinic) { c.Status.Alarms = []string{"smoke"} }, Warn, "box: says: smoke"},
		"ended": {func(c *clinic) {
			c.phones(c.ca, func(x *x509.Certificate) { usual(x); x.NotAfter = now.Add(-day) }, c.ca.cert.Raw)
		}, Fail, "certificates: phones: it ended on"},
		"ends this week": {func(c *clinic) {
			c.phones(c.ca, func(x *x509.Certificate) { usual(x); x.NotAfter = now.Add(3 * day) }, c.ca.cert.Raw)
		}, Fail, "certificates: phones: it ends on"},
		"ends this month": {func(c *clinic) {
			c.phones(c.ca, func(x *x509.Certificate) { usual(x); x.NotAfter = now.Add(20 * day) }, c.ca.cert.Raw)
		}, Warn, "certificates: phones: it ends on"},
		"begins tomorrow": {func(c *clinic) {
			c.phones(c.ca, func(x *x509.Certificate) { usual(x); x.NotBefore = now.Add(day) }, c.ca.cert.Raw)
		}, Fail, "certificates: phones: it begins on"},
		"for somebody else": {func(c *clinic) {
			c.phones(c.ca, func(x *x509.Certificate) { usual(x); x.DNSNames, x.IPAddresses = nil, []net.IP{{10, 9, 9, 9}} }, c.ca.cert.Raw)
		}, Fail, "certificates: phones: it stands for 10.9.9.9, which is neither"},
		"for another name": {func(c *clinic) {
			c.phones(c.ca, func(x *x509.Certificate) { usual(x); x.DNSNames, x.IPAddresses = []string{"other.example"}, nil }, c.ca.cert.Raw)
		}, Warn, "certificates: phones: it stands for other.example only"},
		"for nobody": {func(c *clinic) {
			c.phones(c.ca, func(x *x509.Certificate) { usual(x); x.DNSNames, x.IPAddresses = nil, nil }, c.ca.cert.Raw)
		}, Fail, "certificates: phones: it stands for nobody"},
		"for the address only": {func(c *clinic) {
			c.phones(c.ca, func(x *x509.Certificate) { usual(x); x.DNSNames = nil }, c.ca.cert.Raw)
		}, Warn, "certificates: phones: it stands for the address 127.0.0.1 only"},
		"no server": {func(c *clinic) {
			c.phones(c.ca, func(x *x509.Certificate) { usual(x); x.ExtKeyUsage = x.ExtKeyUsage[1:] }, c.ca.cert.Raw)
		}, Fail, "certificates: phones: it is not for servers"},
		"self-signed":          {func(c *clinic) { c.phones(nil, func(x *x509.Certificate) { usual(x) }) }, Warn, "certificates: phones: it is signed by itself"},
		"chain of somebody":    {func(c *clinic) { c.phones(c.ca, usual, authority(c.t, "other").cert.Raw) }, Fail, `certificates: phones: "CN=other" has signed nothing in this chain`},
		"no chain":             {func(c *clinic) { c.phones(c.ca, usual) }, OK, "certificates: phones must trust CN=branch CA, which the file does not contain"},
		"key of another":       {func(c *clinic) { os.Rename(c.Config.Trunk.Key, c.Config.Phones.Key) }, Fail, "certificates: phones: tls: private key does not match"},
		"no certificate yet":   {func(c *clinic) { os.Remove(c.Config.Trunk.Certificate); os.Remove(c.Config.Trunk.Key) }, Fail, "certificates: trunk: there is none yet"},
		"no roots":             {func(c *clinic) { os.WriteFile(c.Config.Trunk.Roots, []byte("x"), 0o600) }, Fail, "certificates: trunk roots: "},
		"renewed, not taken":   {func(c *clinic) { c.phones(c.ca, usual, c.ca.cert.Raw) }, Warn, "certificates: phones: the running box shows another"},
		"door shut":            {func(c *clinic) { c.Config.Phones.Listen = netip.MustParseAddrPort(closed(c.t)) }, Fail, "certificates: phones: nobody answers at 127.0.0.1"},
		"clock before build":   {func(c *clinic) { c.Built = now.Add(day) }, Fail, "clock: it says"},
		"clock from the floor": {func(c *clinic) { c.Clock = clock.State{Floor: true} }, Warn, "clock: it says"},
		"clock never heard":    {func(c *clinic) { c.Clock = clock.State{Error: "timeout"} }, Warn, "clock: no time server has answered yet"},
		"clock of yesterday":   {func(c *clinic) { c.Clock.Last = now.Add(-2 * day) }, Warn, "clock: no time server has answered since"},
		"no clock helper":      {func(c *clinic) { c.ClockErr = os.ErrNotExist }, OK, "clock: it says"},
		"DNS says no": {func(c *clinic) {
			c.reply = func(q dnsmessage.Message) dnsmessage.Message {
				q.Response, q.RCode = true, dnsmessage.RCodeNameError
				return q
			}
		}, Fail, "dns: 10.0.0.1:53 does not know box.branch.example by itself"},
		"DNS refuses": {func(c *clinic) {
			c.reply = func(q dnsmessage.Message) dnsmessage.Message {
				q.Response, q.RCode = true, dnsmessage.RCodeRefused
				return q
			}
		}, Fail, "dns: 10.0.0.1:53 refuses to answer for box.branch.example by itself (Refused)"},
		"DNS nonsense": {func(c *clinic) {
			c.Exchange = func(context.Context, string, []byte) ([]byte, error) { return []byte("x"), nil }
		}, Fail, "dns: 10.0.0.1:53 answers nonsense"},
		"DNS to another query": {func(c *clinic) {
			c.reply = func(q dnsmessage.Message) dnsmessage.Message { q.Response, q.ID = true, 1; return q }
		}, Fail, "dns: 10.0.0.1:53 answers nonsense"},
		"DNS dead": {func(c *clinic) {
			c.Exchange = func(context.Context, string, []byte) ([]byte, error) { return nil, os.ErrDeadlineExceeded }
		}, Fail, "dns: 10.0.0.1:53 does not answer"},
		"DNS wrong": {func(c *clinic) { c.Config.Phones.Listen = netip.MustParseAddrPort("10.0.0.5:5061"); c.Status = nil }, Fail, "dns: 10.0.0.1:53 says that box.branch.example is [127.0.0.1]"},
		"DNS from elsewhere": {func(c *clinic) {
			good := c.reply
			c.reply = func(q dnsmessage.Message) dnsmessage.Message { a := good(q); a.Authoritative = false; return a }
		}, Warn, "dns: 10.0.0.1:53 knows box.branch.example only from elsewhere"},
		"DNS far away": {func(c *clinic) { c.Resolvers = []string{"9.9.9.9:53"} }, Warn, "dns: 9.9.9.9 is outside of the branch"},
		"own name":     {func(c *clinic) { c.Config.DNS = netip.MustParseAddrPort("127.0.0.1:53") }, OK, "dns: 127.0.0.1:53 knows box.branch.example by itself"},
		"own name dead": {func(c *clinic) {
			c.Config.DNS, c.Resolvers = netip.MustParseAddrPort("127.0.0.1:53"), nil
			c.Exchange = func(context.Context, string, []byte) ([]byte, error) { return nil, os.ErrDeadlineExceeded }
		}, Fail, "dns: 127.0.0.1:53 does not answer"},
		"no DNS":                 {func(c *clinic) { c.Resolvers = nil }, Warn, "dns: there is no DNS server to ask"},
		"zone shut":              {func(c *clinic) { c.Config.Cloud.Zones[0].Address = closed(c.t) }, Fail, "network: cloud zone east at 127.0.0.1"},
		"zone shut in an outage": {func(c *clinic) { c.Config.Cloud.Zones[0].Address = closed(c.t); c.Status.Mode.Name = "resilience" }, Warn, "network: cloud zone east at 127.0.0.1"},
		"no trunk": {func(c *clinic) {
			c.document(func(d *site.Document) { d.Trunks = []site.Trunk{}; d.Emergency = site.Emergency{} })
		}, Warn, "trunk: there is none"},
		"SBC gone":              {func(c *clinic) { c.document(func(d *site.Document) { d.Trunks[0].Address = closed(c.t) }) }, Fail, "trunk: sbc does not answer at 127.0.0.1"},
		"SBC of another name":   {func(c *clinic) { c.document(func(d *site.Document) { d.Trunks[0].TLSName = "other.example" }) }, Fail, "trunk: sbc: certificate is not for other.example but for sbc.example"},
		"SBC of another CA":     {func(c *clinic) { write(c.t, c.Config.Trunk.Roots, "CERTIFICATE", authority(c.t, "x").cert.Raw) }, Fail, "trunk: sbc: the SBC's certificate: x509: certificate signed by unknown authority"},
		"SBC does not trust us": {func(c *clinic) { x := c.sbc.Load().Clone(); x.ClientCAs = x509.NewCertPool(); c.sbc.Store(x) }, Fail, "trunk: sbc"},
		"SBC does not ask":      {func(c *clinic) { x := c.sbc.Load().Clone(); x.ClientAuth = tls.NoClientCert; c.sbc.Store(x) }, Warn, "trunk: sbc: the SBC does not ask who the box is"},
		"SBC without TLS": {func(c *clinic) {
			addr := c.listen(nil)
			c.document(func(d *site.Document) { d.Trunks[0].Address = addr })
		}, Fail, "trunk: sbc: no TLS with"},
		"SBC is mute":       {func(c *clinic) { c.Status.Trunks[0] = control.Trunk{ID: "sbc", Error: "503"} }, Fail, "trunk: sbc: the box holds it for down: 503"},
		"no document":       {func(c *clinic) { c.Site, c.SiteErr = nil, errors.New("none") }, Fail, "document: nobody can be served: none"},
		"old document":      {func(c *clinic) { c.Fetched, c.Config.Portal.URL = now.Add(-9*day), "https://127.0.0.1:9/" }, Warn, "document: it came 9 days ago from portal"},
		"refused document":  {func(c *clinic) { c.Status.Site.LastError = "bad signature" }, Warn, "document: the last look for a new one: bad signature"},
		"doubtful document": {func(c *clinic) { c.document(func(d *site.Document) { d.Emergency.ELINs = nil }) }, Warn, "document: "},
		"card dead": {func(c *clinic) {
			c.Card = func(string) (Card, error) { return Card{}, errors.New("input/output error") }
		}, Fail, "card: "},
		"card full":           {func(c *clinic) { c.Card = func(string) (Card, error) { return Card{1, 1000, 0}, nil } }, Fail, "card: 0.1 % of it are free"},
		"card nearly full":    {func(c *clinic) { c.Card = func(string) (Card, error) { return Card{5, 100, 0}, nil } }, Warn, "card: 5 % of it are free"},
		"card slow":           {func(c *clinic) { c.Card = func(string) (Card, error) { return Card{9, 10, 3 * time.Second}, nil } }, Warn, "card: it took 3.0 s"},
		"card open to all":    {func(c *clinic) { os.Chmod(c.Config.DataDir, 0o755) }, Warn, "card: others may look into"},
		"run_dir on the card": {func(c *clinic) { c.InRAM = func(string) bool { return false } }, Warn, "card: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := healthy(t)
			x.ill(c)
			found := Examine(t.Context(), c.Patient)
			for _, f := range found {
				if f.Verdict == x.want && strings.HasPrefix(f.Area+": "+f.Text, x.text) {
					if f.Verdict != OK && f.Fix == "" {
						t.Errorf("nothing is said to do: %+v", f)
					}
					return
				}
			}
			for _, f := range found {
				t.Logf("%s %s: %s", f.Verdict, f.Area, f.Text)
			}
			t.Errorf("no %s %q", x.want, x.text)
		})
	}
}

func TestMachine(t *testing.T) {
	dir := t.TempDir()
	c, err := weigh(dir)
	if err != nil || c.Total == 0 || c.Free > c.Total {
		t.Errorf("%+v %v", c, err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Error("something is left")
	}
	if _, err := weigh(filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that is not there")
	}
	if inRAM("/proc/self") || !inRAM("/dev/shm/not/made/yet") {
		t.Error("what is in RAM")
	}
	file := filepath.Join(dir, "resolv.conf")
	os.WriteFile(file, []byte("# x\nnameserver 10.0.0.1\nsearch x\nnameserver fe80::1\nnameserver\nnameserver 10.0.0.2 \n"), 0o600)
	if got := strings.Join(nameservers(file), " "); got != "10.0.0.1:53 10.0.0.2:53" {
		t.Error(got)
	}
	l, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		b := make([]byte, 100)
		l.ReadFrom(b) // the first is lost
		n, from, err := l.ReadFrom(b)
		if err == nil {
			l.WriteTo(b[:n], from)
		}
	}()
	if got, err := exchange(t.Context(), l.LocalAddr().String(), []byte("question")); err != nil || string(got) != "question" {
		t.Errorf("%q %v", got, err)
	}
}

func FuzzAnswers(f *testing.F) {
	q, id, _ := question(boxName)
	f.Add(q)
	f.Fuzz(func(t *testing.T, reply []byte) {
		if _, addrs, err := answers(reply, id); err != nil && addrs != nil {
			t.Error("addresses beside an error")
		}
	})
}
