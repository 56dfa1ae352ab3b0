package box

import (
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/firmware/snapshot"
	"holdfast/sip/registrar"
	"holdfast/sip/site"
)

func from(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 5061)
}

func TestStrays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s strays
		if n, _ := s.recent(time.Time{}); n != 0 {
			t.Errorf("%d strays", n)
		}
		begin := time.Now()
		time.Sleep(time.Second)
		for range 5 { // one phone that tries again and again is one phone
			s.note("1001", from(1))
			time.Sleep(time.Second)
		}
		s.note("1002", from(2))
		if n, user := s.recent(begin); n != 2 || user != "1002" {
			t.Errorf("%d strays, last %s", n, user)
		}
		if n, _ := s.recent(time.Now()); n != 0 {
			t.Errorf("%d strays after now", n)
		}
		if n, _ := s.recent(time.Now().Add(-time.Second)); n != 1 {
			t.Errorf("%d strays in the last second", n)
		}
		time.Sleep(straysFor + time.Second)
		s.note("1003", from(3))
		if n, user := s.recent(begin); n != 1 || user != "1003" || len(s.seen) != 1 {
			t.Errorf("%d strays, last %s, %d kept", n, user, len(s.seen))
		}
	})
}

func TestStraysAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s strays
		begin := time.Now().Add(-time.Second)
		for n := range 2 * straysKept {
			s.note(fmt.Sprint(n), from(n))
		}
		if n, _ := s.recent(begin); n != straysKept {
			t.Errorf("%d strays kept", n)
		}
		time.Sleep(time.Minute)
		middle := time.Now().Add(-time.Second)
		s.note("again", from(0)) // known already: its time is news although there is no room
		if n, user := s.recent(middle); n != 1 || user != "again" {
			t.Errorf("%d strays, last %s", n, user)
		}
	})
}

// TestBindingsSurvive: what a user has is saved as it is now, in whatever order the saves come, and comes back.
func TestBindingsSurvive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot")
	open := func() *Box {
		f, _, err := snapshot.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		b := &Box{log: slog.New(slog.DiscardHandler), snapshot: f, registrar: registrar.New(registrar.Options{})}
		b.site.Store(oneUser(t, site.RegisterInResilience))
		return b
	}
	b := open()
	register := func(uri, user string, expires int) []registrar.Binding {
		list, err := b.registrar.Register(time.Now(), registrar.Request{AOR: user, CallID: uri, CSeq: 1, Flow: 1, Expires: expires,
			Contacts: []registrar.Contact{{URI: uri, Expires: -1, Q: 1}}})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	first := register("sip:a@10.0.0.1", "alice", 600)
	second := register("sip:b@10.0.0.2", "alice", 600)
	for _, list := range [][]registrar.Binding{second, first} { // the older list is saved last
		if err := b.saveBindings("alice", list); err != nil {
			t.Fatal(err)
		}
	}
	register("sip:c@10.0.0.3", "who left the document", 600)
	if err := b.saveBindings("who left the document", nil); err != nil {
		t.Fatal(err)
	}
	b.snapshot.Close()

	b = open()
	b.restoreBindings()
	list := b.registrar.Bindings(time.Now(), "alice")
	if len(list) != 2 || list[0].Reachable() || len(b.registrar.All(time.Now())) != 2 {
		t.Fatalf("restored %+v", b.registrar.All(time.Now()))
	}
	b.clearBindings()
	if n := b.registrar.Counts(time.Now()).Bindings; n != 0 {
		t.Errorf("%d bindings after clearing", n)
	}
	b.snapshot.Close()

	b = open()
	b.restoreBindings()
	if n := b.registrar.Counts(time.Now()).Bindings; n != 0 {
		t.Errorf("%d bindings come back although they were cleared", n)
	}
	b.site.Store(oneUser(t, site.RegisterAlways)) // warm registrations stay when the outage is over
	register("sip:a@10.0.0.1", "alice", 600)
	b.clearBindings()
	if n := b.registrar.Counts(time.Now()).Bindings; n != 1 {
		t.Errorf("%d warm bindings after clearing", n)
	}
	b.snapshot.Close()
}
