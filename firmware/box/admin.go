package box

import (
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"holdfast/firmware/admin"
	"holdfast/firmware/admin/account"
	"holdfast/firmware/netcfg"
	"holdfast/media/relay"
	"holdfast/sip/registrar"
)

// AccountsFile is who may use the admin page, in the data folder.
const AccountsFile = "accounts.json"

// buildAdmin builds the box's page. What is wrong with its accounts keeps nobody from calling.
func (b *Box) buildAdmin() error {
	if !b.cfg.Admin.Listen.IsValid() {
		return nil
	}
	accounts := account.Open(filepath.Join(b.cfg.DataDir, AccountsFile), nil)
	if err := b.firstPassword(accounts); err != nil {
		b.hurt("nobody can log in to the admin page with the first password: %v", err)
	}
	var err error
	var updater admin.Updater // nil in the interface: the page must see that there is none
	if u := b.PageUpdater(); u != nil {
		updater = u
	}
	b.page, err = admin.New(admin.Options{
		Name: b.cfg.Name, Listen: []netip.AddrPort{b.cfg.Admin.Listen}, Certificate: b.phoneCert.Load,
		More: func() []netip.AddrPort { return b.fallbackDoors(netcfg.Dir) }, Accounts: accounts,
		Box: window{b}, Tracer: b, Updater: updater, Reports: b, Examine: b.Examine, Log: b.log, Tail: &b.tail,
	})
	return err
}

// fallbackDoors are where the page is besides its own address: at the fallback one, which answers an installer who has made a
// mistake in the others. The network helper says which that is; before it has said so, it is the usual one.
func (b *Box) fallbackDoors(dir string) []netip.AddrPort {
	own := b.cfg.Admin.Listen
	if own.Addr().IsUnspecified() || own.Addr().IsLoopback() {
		return nil
	}
	state, err := netcfg.ReadState(dir)
	if err != nil {
		if b.cfg.Network.Address.IsValid() {
			return []netip.AddrPort{netip.AddrPortFrom(netcfg.Fallback, own.Port())}
		}
		return nil
	}
	var doors []netip.AddrPort
	for _, p := range state.Ports {
		if a, err := netip.ParseAddr(p.Fallback); err == nil {
			doors = append(doors, netip.AddrPortFrom(a, own.Port()))
		}
	}
	return doors
}

// firstPassword makes the first account of what somebody has put on the card. The file stays: it is worth nothing once
// there is an account, and its folder may be read-only.
func (b *Box) firstPassword(accounts *account.Store) error {
	name := b.cfg.Admin.FirstPasswordFile
	if name == "" {
		return nil
	}
	if users, err := accounts.Users(); err != nil || len(users) > 0 {
		return err
	}
	text, err := secret("first password", name, 0)
	if err != nil {
		return err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	made, err := accounts.First(strings.TrimSpace(line))
	if made {
		b.log.Warn("the account admin is made of the first password file; it has to be changed at the first login")
	}
	return err
}

// window is the box as the admin page sees it.
type window struct{ *Box }

// Location is the site's time zone.
func (w window) Location() *time.Location { return w.site.Load().Location() }

// People are the users of the site document with their phones.
func (w window) People() []admin.Person {
	s := w.site.Load()
	now, drilled := time.Now(), drillUsers(w.modes.state())
	byUser := make(map[string][]registrar.Binding)
	for _, x := range w.registrar.All(now) {
		byUser[x.AOR] = append(byUser[x.AOR], x)
	}
	users := s.Doc().Users
	out := make([]admin.Person, 0, len(users))
	for _, u := range users {
		p := admin.Person{ID: u.ID, Name: u.Name, Extension: u.Extension, Phones: []admin.Phone{}, Drilled: len(drilled) == 0 || drilled[u.ID]}
		if z, ok := s.Zone(u.Zone); ok {
			p.Zone = z.Name
		}
		list := byUser[u.ID]
		slices.SortFunc(list, func(a, b registrar.Binding) int {
			return strings.Compare(a.Source.String()+a.URI, b.Source.String()+b.URI)
		})
		for _, x := range list {
			p.Phones = append(p.Phones, admin.Phone{Agent: x.UserAgent, Address: x.Source.String(), Registered: x.Registered, Expires: x.Expires, Reachable: x.Reachable()})
		}
		out = append(out, p)
	}
	return out
}

// Streams are the media legs of the running calls.
func (w window) Streams() []admin.Stream {
	legs := w.relay.Qualities()
	out := make([]admin.Stream, 0, len(legs))
	for _, l := range legs {
		side := "access"
		if l.Side == relay.Trunk {
			side = "trunk"
		}
		out = append(out, admin.Stream{Call: l.Session, Side: side, Packets: l.Stats.RxPackets, Lost: l.Stats.RxLost, Jitter: l.Stats.RxJitter,
			RTT: l.Stats.RTT, PeerLost: l.Stats.PeerLost})
	}
	return out
}

// Check is what `holdfast check` says of the boot file's files.
func (w window) Check() admin.Check {
	c := admin.Check{Faults: []string{}, Warnings: []string{}}
	faults, warnings := CheckFiles(w.cfg, time.Now())
	for _, f := range faults {
		c.Faults = append(c.Faults, f.Error())
	}
	for _, x := range warnings {
		c.Warnings = append(c.Warnings, x.Error())
	}
	return c
}
