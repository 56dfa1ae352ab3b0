package access

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/registrar"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// patience is how long a test waits for what must come; no test waits that long when all is well.
const patience = 30 * time.Second

const domain = "branch.example.com"

// person is a user of the test's site document.
type person struct{ id, ext, password string }

func ha1(h func([]byte) []byte, p person) string {
	return hex.EncodeToString(h([]byte(p.ext + ":" + domain + ":" + p.password)))
}

func sum256(b []byte) []byte { s := sha256.Sum256(b); return s[:] }
func sum5(b []byte) []byte   { s := md5.Sum(b); return s[:] }

// document has Alice with both algorithms, Bob with MD5 only and Carol with SHA-256 only.
func document(t testing.TB, alicePassword string) *site.Site {
	t.Helper()
	people := []person{{"alice", "1001", alicePassword}, {"bob", "1002", "secret-b"}, {"carol", "1003", "secret-c"}}
	doc := site.Document{Version: 1, Serial: 1, Trunks: []site.Trunk{}, DialPlan: site.DialPlan{Country: "US", SiteCode: "801"},
		Site:    site.Info{ID: "s", Name: "Branch", Domain: domain, Timezone: "UTC", MainNumber: "+12175551000"},
		Options: site.Options{MinExpires: 60, MaxExpires: 600, MaxContacts: 3, AllowedHosts: []string{"old.cloud.example.com"}}}
	for _, p := range people {
		u := site.User{ID: p.id, Name: p.id, Extension: p.ext, BYOCNumbers: []string{"+1217555" + p.ext}, Auth: site.Auth{Username: p.ext, HA1: map[string]string{}}}
		if p.id != "bob" {
			u.Auth.HA1["SHA-256"] = ha1(sum256, p)
		}
		if p.id != "carol" {
			u.Auth.HA1["MD5"] = ha1(sum5, p)
		}
		doc.Users = append(doc.Users, u)
	}
	return load(t, doc)
}

func load(t testing.TB, doc site.Document) *site.Site {
	t.Helper()
	data, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := site.Load(data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// door is an access server on a real stack over loopback TLS.
type door struct {
	t testing.TB
	*Server
	stack *stack.Stack
	roots *x509.CertPool

	mu      sync.Mutex
	site    *site.Site
	gate    Gate
	persist func(string, []registrar.Binding) error
	refused []string
	counts  []int
	inCall  bool
}

// newDoor runs until the test ends; REGISTER goes to Register, MESSAGE to Known, everything else to Authenticate, which a
// 200 with the user's ID as reason follows.
func newDoor(t testing.TB) *door {
	t.Helper()
	d := &door{t: t, site: document(t, "secret-a"), gate: Gate{Open: true}, roots: x509.NewCertPool()}
	reg := registrar.New(registrar.Options{Min: time.Minute, Max: 10 * time.Minute, MaxContacts: 3, MaxBindings: 8})
	d.Server = New(Options{Registrar: reg,
		Site: func() *site.Site { d.mu.Lock(); defer d.mu.Unlock(); return d.site },
		Gate: func() Gate { d.mu.Lock(); defer d.mu.Unlock(); return d.gate },
		Persist: func(id string, list []registrar.Binding) error {
			d.mu.Lock()
			f := d.persist
			d.mu.Unlock()
			if f == nil {
				return nil
			}
			return f(id, list)
		},
		InCall: func(*stack.Conn) bool { d.mu.Lock(); defer d.mu.Unlock(); return d.inCall },
		OnRefused: func(user string, from netip.AddrPort) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.refused = append(d.refused, user+" "+from.Addr().String())
		},
		OnRegistered: func(id string, n int) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.counts = append(d.counts, n)
		},
	})
	d.stack = stack.New(stack.Options{OnRequest: func(tx *stack.ServerTx) {
		if tx.Request().Method == sip.REGISTER {
			d.Register(tx)
		} else if tx.Request().Method == sip.MESSAGE {
			u, ok := d.Known(tx)
			if !ok {
				u = &site.User{ID: "stranger"}
			}
			tx.Reply(200, u.ID)
		} else if tx.Request().Method == sip.INFO {
			if u, ok := d.Known(tx); ok && d.Prove(tx, u) {
				tx.Reply(200, u.ID)
			}
		} else if u, ok := d.Authenticate(tx); ok {
			tx.Reply(200, u.ID)
		}
	}, OnClosed: func(c *stack.Conn) { reg.FlowGone(registrar.Flow(c.Flow())) },
		Limits: stack.Limits{UnauthenticatedRate: 1000}})

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"box.test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	d.roots.AddCert(leaf)
	cfg := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	if err := d.stack.Listen(stack.Access, netip.MustParseAddrPort("127.0.0.1:0"), cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.stack.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return d
}

// set changes what the door is given.
func (d *door) set(f func(*door)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d)
}

// phone is a raw client on a connection of its own.
type phone struct {
	t testing.TB
	*tls.Conn
	r    *bufio.Reader
	cseq int
	user string // in From and To
	host string
	call string // Call-ID
}

func (d *door) phone(user string) *phone {
	d.t.Helper()
	c, err := tls.Dial("tcp4", d.stack.Addr(stack.Access).String(), &tls.Config{RootCAs: d.roots, ServerName: "box.test"})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.NetConn().Close() })
	return &phone{t: d.t, Conn: c, r: bufio.NewReader(c), user: user, host: domain, call: stack.NewCallID()}
}

// login is what the phone answers challenges with.
type login struct{ alg, username, password string }

func sha(username, password string) login { return login{"SHA-256", username, password} }
func md(username, password string) login  { return login{"MD5", username, password} }

// ask sends a request with extra header lines and returns the answer.
func (p *phone) ask(method string, lines ...string) *sip.Response {
	p.t.Helper()
	p.cseq++
	extra := ""
	for _, l := range lines {
		extra += l + "\r\n"
	}
	fmt.Fprintf(p.Conn, "%[1]s sip:%[2]s SIP/2.0\r\nVia: SIP/2.0/TLS 10.0.0.9:5061;branch=%[3]s\r\nMax-Forwards: 70\r\n"+
		"From: <sip:%[4]s@%[2]s>;tag=abc\r\nTo: <sip:%[4]s@%[2]s>\r\nCall-ID: %[7]s\r\nCSeq: %[5]d %[1]s\r\n%[6]sContent-Length: 0\r\n\r\n",
		method, p.host, stack.NewBranch(), p.user, p.cseq, extra, p.call)
	return p.answer()
}

func (p *phone) answer() *sip.Response {
	p.t.Helper()
	p.SetReadDeadline(time.Now().Add(patience))
	var b bytes.Buffer
	for length := 0; ; {
		line, err := p.r.ReadString('\n')
		if err != nil {
			p.t.Fatalf("receive after %q: %v", b.String(), err)
		}
		b.WriteString(line)
		if v, ok := strings.CutPrefix(strings.ToLower(line), "content-length:"); ok {
			length, _ = strconv.Atoi(strings.TrimSpace(v))
		}
		if line == "\r\n" {
			io.CopyN(&b, p.r, int64(length))
			break
		}
	}
	m, err := sip.ParseMessage(b.Bytes())
	if err != nil {
		p.t.Fatalf("%v in:\n%s", err, b.String())
	}
	return m.(*sip.Response)
}

// authorization answers a 401's challenge for the algorithm.
func (p *phone) authorization(method string, res *sip.Response, l login) string {
	p.t.Helper()
	for _, c := range values(res, "WWW-Authenticate") {
		if !strings.Contains(c, "algorithm="+l.alg+",") {
			continue
		}
		_, nonce, _ := strings.Cut(c, `nonce="`)
		nonce, _, _ = strings.Cut(nonce, `"`)
		return p.credentials(method, nonce, l)
	}
	p.t.Fatalf("no challenge for %s in:\n%s", l.alg, res)
	return ""
}

func (p *phone) credentials(method, nonce string, l login) string {
	h := sum256
	if l.alg == "MD5" {
		h = sum5
	}
	hash := func(parts ...string) string { return hex.EncodeToString(h([]byte(strings.Join(parts, ":")))) }
	uri := "sip:" + p.host
	response := hash(hash(l.username, domain, l.password), nonce, "00000001", "cn", "auth", hash(method, uri))
	return fmt.Sprintf(`Authorization: Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s", algorithm=%s, cnonce="cn", qop=auth, nc=00000001`,
		l.username, domain, nonce, uri, response, l.alg)
}

// register asks, answers the challenge and returns the second answer.
func (p *phone) register(l login, lines ...string) *sip.Response {
	p.t.Helper()
	return p.proving("REGISTER", l, lines...)
}

func (p *phone) proving(method string, l login, lines ...string) *sip.Response {
	p.t.Helper()
	first := p.ask(method, lines...)
	p.want(first, 401)
	return p.ask(method, append([]string{p.authorization(method, first, l)}, lines...)...)
}

func (p *phone) want(res *sip.Response, status int) *sip.Response {
	p.t.Helper()
	if res.StatusCode != status {
		p.t.Fatalf("want a %d, got:\n%s", status, res)
	}
	return res
}

// values are a header's, in order.
func values(res *sip.Response, name string) []string {
	var out []string
	for _, h := range res.GetHeaders(name) {
		out = append(out, h.Value())
	}
	return out
}

// contacts are the Contact header lines as sent, sorted.
func contacts(res *sip.Response) []string {
	out := values(res, "Contact")
	slices.Sort(out)
	return out
}

const contact = "Contact: <sip:1001@10.0.0.9:5061;transport=tls>"
