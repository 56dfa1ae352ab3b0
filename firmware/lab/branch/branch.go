// Package branch puts a whole branch together on one machine's loopback addresses: two cloud zones, an SBC with a PSTN
// behind it, six phones, and the real box in its own process with a real boot file and site document.
//
// What happens in it is another package's job (demo).
package branch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"holdfast/firmware/lab/appliance"
	"holdfast/firmware/lab/ca"
	"holdfast/firmware/lab/cloud"
	"holdfast/firmware/lab/lowport"
	"holdfast/firmware/lab/phone"
	"holdfast/firmware/lab/sbc"
	"holdfast/firmware/lab/ua"
	"holdfast/firmware/lab/voice"
)

// Names and addresses of the branch.
const (
	Domain   = "branch.example"
	boxName  = "box.branch.example"  // in the certificate towards the phones
	trunkTLS = "trunk.holdfast.test" // in the certificate towards the SBC
	sbcName  = "sbc.carrier.example" // in the SBC's
	HoldOff  = 3 * time.Second       // of the box
	BoxPlace = "box"                 // the box's name in the phones' server list
	Agent    = "Deskphone/2.1 (lab)" // the phones' User-Agent: must not reach the SBC

	registrationTime = 20 * time.Second // a phone that looks for a silent zone may refresh some seconds late
	homeEvery        = time.Second
	mediaPorts       = 1000
	certificates     = 90 * 24 * time.Hour // long enough that the box has nothing to say about them
)

// Ground is where a branch stands: its addresses. All but the box's must be this machine's own.
type Ground struct {
	BoxPhones, BoxTrunk netip.Addr // towards the phones, towards the SBC
	Zones               [2]netip.Addr
	SBC                 netip.Addr
	FirstDesk           netip.Addr // the other phones have the addresses after it
}

// On loopback every address is this machine's own (Linux).
var loopback = Ground{
	BoxPhones: netip.MustParseAddr("127.0.0.10"), BoxTrunk: netip.MustParseAddr("127.0.0.11"),
	Zones: [2]netip.Addr{netip.MustParseAddr("127.0.0.20"), netip.MustParseAddr("127.0.0.21")},
	SBC:   netip.MustParseAddr("127.0.0.60"), FirstDesk: netip.MustParseAddr("127.0.0.31"),
}

// Ports of a box that is a machine of its own, and where that keeps its files.
const (
	elsewherePort  = 5061
	elsewhereMedia = 20000
)

// Branch is a running branch.
type Branch struct {
	Dir     string
	Zones   []*cloud.Zone
	SBC     *sbc.SBC
	Backup  *sbc.SBC       // the second trunk, of another carrier
	Box     *appliance.Box // nil: it is a machine of its own
	People  []*Person
	Metrics netip.AddrPort
	Admin   netip.AddrPort // the box's page
	Servers []phone.Server

	ground                Ground
	authority             *ca.Authority
	phonesAddr, trunkAddr netip.AddrPort
	mediaBase             int
	stopPhones            context.CancelFunc
	owned                 sync.WaitGroup
}

// Start builds everything in a folder and starts it; the phones are switched on last. binary is the holdfast program.
func Start(dir, binary string) (b *Branch, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("branch: %w", err)
	}
	if binary, err = filepath.Abs(binary); err != nil {
		return nil, fmt.Errorf("branch: %w", err)
	}
	b = &Branch{Dir: dir, People: people(), ground: loopback, Box: &appliance.Box{Binary: binary, BootFile: filepath.Join(dir, "holdfast.toml"),
		RunDir: filepath.Join(dir, "run"), LogFile: filepath.Join(dir, "box.log")}}
	if err := b.Box.Check(); err != nil {
		return nil, err
	}
	for _, d := range []string{"run", "data"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return nil, fmt.Errorf("branch: %w", err)
		}
	}
	defer func() {
		if err != nil {
			b.Close()
		}
	}()
	if err := b.addresses(); err != nil {
		return nil, err
	}
	if err := b.outside(); err != nil {
		return nil, err
	}
	if err := errors.Join(b.writeSite(), b.writeBoot(settings{dataDir: filepath.Join(dir, "data"), runDir: b.Box.RunDir, log: "debug"})); err != nil {
		return nil, err
	}
	if err := b.Box.Start(); err != nil {
		return nil, err
	}
	b.phones()
	return b, nil
}

// Around builds what is around a box that is a machine of its own, and writes that box's files (Files) into dir. The
// phones are on from the start. more is added to the boot file: what only a machine has, such as its network.
func Around(dir string, ground Ground, more string) (b *Branch, err error) {
	b = &Branch{Dir: dir, People: people(), ground: ground, Metrics: netip.MustParseAddrPort("127.0.0.1:9464"),
		Admin: netip.AddrPortFrom(ground.BoxPhones, 8443), mediaBase: elsewhereMedia,
		phonesAddr: netip.AddrPortFrom(ground.BoxPhones, elsewherePort), trunkAddr: netip.AddrPortFrom(ground.BoxTrunk, elsewherePort+1)}
	defer func() {
		if err != nil {
			b.Close()
		}
	}()
	if err := b.outside(); err != nil {
		return nil, err
	}
	if err := errors.Join(b.writeSite(), b.writeBoot(settings{dataDir: "/var/lib/holdfast", runDir: "/run/holdfast", log: "info", more: more})); err != nil {
		return nil, err
	}
	b.phones()
	return b, nil
}

// Files are the names of what the box needs, in Dir.
func (b *Branch) Files() []string {
	return []string{"holdfast.toml", "site.json", "phones.crt", "phones.key", "trunk.crt", "trunk.key", "roots.crt"}
}

// addresses chooses free ports for the box, whose listeners start later.
func (b *Branch) addresses() (err error) {
	for _, x := range []struct {
		addr netip.Addr
		into *netip.AddrPort
	}{{b.ground.BoxPhones, &b.phonesAddr}, {b.ground.BoxPhones, &b.Admin}, {b.ground.BoxTrunk, &b.trunkAddr}, {netip.MustParseAddr("127.0.0.1"), &b.Metrics}} {
		l, err := lowport.Listen(x.addr)
		if err != nil {
			return fmt.Errorf("branch: address %v is not usable here: %w", x.addr, err)
		}
		*x.into = l.Addr().(*net.TCPAddr).AddrPort()
		defer l.Close() // after all are chosen, so that none is chosen twice
	}
	b.mediaBase = 10000 + 2*rand.IntN(5000)
	return nil
}

// outside starts the cloud and the SBC and writes the certificates.
func (b *Branch) outside() (err error) {
	if b.authority, err = ca.New("Holdfast lab"); err != nil {
		return err
	}
	b.authority.Life = certificates
	if err := b.authority.WriteRoots(filepath.Join(b.Dir, "roots.crt")); err != nil {
		return err
	}
	phones, err := b.authority.Leaf([]string{boxName, Domain}, b.ground.BoxPhones)
	if err != nil {
		return err
	}
	trunk, err := b.authority.Leaf([]string{trunkTLS}, b.ground.BoxTrunk)
	if err != nil {
		return err
	}
	if err := errors.Join(ca.Write(b.Dir, "phones", phones), ca.Write(b.Dir, "trunk", trunk)); err != nil {
		return err
	}
	passwords := map[string]string{}
	for _, p := range b.People {
		passwords[p.Extension] = p.Password
	}
	for i, addr := range b.ground.Zones {
		cert, err := b.authority.Leaf([]string{zoneName(i)}, addr)
		if err != nil {
			return err
		}
		z, err := cloud.Start(cloud.Config{Name: fmt.Sprintf("zone%d", i+1), SIP: netip.AddrPortFrom(addr, 0), HTTPS: netip.AddrPortFrom(addr, 0),
			Certificate: cert, Domain: Domain, Passwords: passwords})
		if err != nil {
			return err
		}
		b.Zones = append(b.Zones, z)
		b.Servers = append(b.Servers, phone.Server{Name: z.Name(), Addr: z.SIP(), TLSName: zoneName(i)})
	}
	b.Servers = append(b.Servers, phone.Server{Name: BoxPlace, Addr: b.phonesAddr, TLSName: boxName})
	if b.SBC, err = b.startSBC(); err != nil {
		return err
	}
	b.Backup, err = b.startSBC()
	return err
}

func (b *Branch) startSBC() (*sbc.SBC, error) {
	cert, err := b.authority.Leaf([]string{sbcName}, b.ground.SBC)
	if err != nil {
		return nil, err
	}
	return sbc.Start(sbc.Config{Listen: netip.AddrPortFrom(b.ground.SBC, 0), Certificate: cert, Roots: b.authority.Pool(), BoxName: trunkTLS,
		Box: b.trunkAddr, BoxTLSName: trunkTLS, Domain: sbcName, Subscribers: subscribers(),
		Voice: voice.Config{Codecs: []string{"pcmu"}, Suites: []string{AES80}, Hz: PSTNTone}})
}

func zoneName(i int) string { return fmt.Sprintf("zone%d.cloud.example", i+1) }

// phones switches the desk phones on.
func (b *Branch) phones() {
	ctx, stop := context.WithCancel(context.Background())
	b.stopPhones = stop
	for _, p := range b.People {
		p.Phone = b.NewPhone(p, b.Servers...)
		b.owned.Go(func() { p.Phone.Run(ctx) })
	}
}

// NewPhone makes a phone of a person for a list of servers; the caller runs it.
func (b *Branch) NewPhone(p *Person, servers ...phone.Server) *phone.Phone {
	desk, instance := b.ground.FirstDesk, "urn:uuid:5d1c0a8e-0000-4000-8000-00000000"+p.Extension
	retry := 300 * time.Millisecond // phones do not try in step with each other
	for range int(p.Extension[3] - '1') {
		desk, retry = desk.Next(), retry+100*time.Millisecond
	}
	if p.Second {
		instance = "urn:uuid:5d1c0a8e-0000-4000-8000-00010000" + p.Extension
	}
	cfg := phone.Config{
		Local: desk, Servers: servers, Roots: b.authority.Pool(), Expires: registrationTime, Home: homeEvery, Retry: retry,
		Instance: instance,
		UA: ua.Config{User: p.Extension, Domain: Domain, Name: p.Name, Password: p.Password, Algorithms: p.Algorithms, UserAgent: Agent, Incoming: p.incoming,
			Voice: voice.Config{Codecs: p.Codecs, Suites: p.Suites, EventClock: p.EventClock, Hz: p.Hz, Recording: p.Recording}},
	}
	if p.OnlyWhenTold {
		cfg.Home = 0
	}
	return phone.New(cfg)
}

// SwitchOff switches the desk phones off: a test has others in their places.
func (b *Branch) SwitchOff() {
	b.stopPhones()
	b.owned.Wait()
}

// Person finds somebody by extension; it panics on one that the branch does not have.
func (b *Branch) Person(extension string) *Person {
	for _, p := range b.People {
		if p.Extension == extension {
			return p
		}
	}
	panic("branch: no extension " + extension)
}

// CutCloud takes both zones away: the first becomes a black hole, the second refuses, so that both kinds of failure are met.
func (b *Branch) CutCloud() error {
	return errors.Join(b.Zones[0].Cut(cloud.Blackhole), b.Zones[1].Cut(cloud.Refuse))
}

// MendCloud brings both back.
func (b *Branch) MendCloud() error {
	var errs []error
	for _, z := range b.Zones {
		errs = append(errs, z.Mend())
	}
	return errors.Join(errs...)
}

// Inside are texts that must never reach the SBC.
func (b *Branch) Inside() (texts []string, keys [][]byte) {
	texts = []string{b.ground.BoxPhones.String(), boxName, Domain, Agent, "5d1c0a8e"}
	desk := b.ground.FirstDesk
	for _, p := range b.People {
		texts = append(texts, desk.String(), "sip:"+p.Extension+"@")
		desk = desk.Next()
		for _, c := range p.Phone.Calls() {
			texts = append(texts, c.ID())
			keys = append(keys, c.Media().Keys()...)
		}
	}
	return texts, keys
}

// Close stops everything: phones first, so that they unregister, then the box, then the world outside. The error says
// whether the box ended cleanly.
func (b *Branch) Close() error {
	if b.stopPhones != nil {
		b.stopPhones()
		b.owned.Wait()
	}
	var err error
	if b.Box != nil {
		err = b.Box.Stop()
	}
	if b.SBC != nil {
		b.SBC.Close()
	}
	if b.Backup != nil {
		b.Backup.Close()
	}
	for _, z := range b.Zones {
		z.Close()
	}
	return err
}

// TrunkAddr is where the box listens for the SBC.
func (b *Branch) TrunkAddr() netip.AddrPort { return b.trunkAddr }
