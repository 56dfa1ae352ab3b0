package b2bua

import (
	"net/netip"
	"testing"

	"holdfast/sip/site"
)

// TestBorrowedDevice: whose device it is gets its place, and a phone that nobody vouches for; another user that claims it
// does not. Only a user's phone is the device for the pins.
func TestBorrowedDevice(t *testing.T) {
	const instance = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
	w := newWorld(t, func(d *site.Document) {
		helpful(d)
		d.Devices = []site.Device{{ID: instance, User: "u1001", Zone: "floor2"}, {ID: "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf7", Zone: "floor2"}}
	})
	owner, ok := w.site.UserByID("u1001")
	other, ok2 := w.site.UserByID("u1002")
	if !ok || !ok2 {
		t.Fatal("no users")
	}
	for _, tt := range []struct {
		name          string
		user          *site.User
		instance      string
		known, pinned bool
	}{
		{"its user", owner, instance, true, true},
		{"another user", other, instance, false, false},
		{"nobody", nil, instance, true, false},
		{"a device of everybody", other, "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf7", true, true},
		{"no instance", owner, "", false, false},
	} {
		c := &Call{site: w.site, caller: &leg{user: tt.user, instance: tt.instance, source: netip.MustParseAddr("127.0.0.9")}}
		if d := c.callerDevice(); (d != nil) != tt.known {
			t.Errorf("%s: %+v", tt.name, d)
		}
		if who := c.helper(); (who.Device != "") != tt.pinned {
			t.Errorf("%s: %+v", tt.name, who)
		}
	}
}
