package site

import (
	"strings"
	"testing"
	"time"
)

// springfield is the example with addresses: the site's, the upper floor's, two rooms' and an annex down the road.
func springfield(t *testing.T) *Site {
	t.Helper()
	s, err := Load(edit(t, func(m map[string]any) {
		set(m, "/emergency/civic", object{"country": "US", "state": "IL", "city": "Springfield", "house": "100", "street": "Main",
			"street_type": "St", "postal_code": "62701", "floor": "1", "room": "Lobby", "name": "Example Inc."})
		set(m, "/zones/1/civic", object{"floor": "2"})
		set(m, "/users/4/civic", object{"room": "204"})
		set(m, "/devices/2/civic", object{"additional": "Elevator"})
		set(m, "/zones/0/elins", array{object{"trunk": "sbc-a", "number": "+12175559200",
			"civic": object{"country": "US", "city": "Shelbyville", "street": "Oak"}}})
		set(m, "/trunks/0/location", true)
	}))
	if err != nil {
		t.Fatal(err)
	}
	if w := s.Warnings(); len(w) != 0 {
		t.Errorf("warnings: %v", w)
	}
	return s
}

func TestPlace(t *testing.T) {
	s := springfield(t)
	for _, tt := range []struct {
		name, device, user, trunk string
		elins                     string
		civic                     string
	}{
		{"nothing known", "", "", "sbc-a", "+12175559000", "Example Inc., room Lobby, floor 1, 100 Main St, Springfield, IL 62701, US"},
		{"nothing known, the other trunk", "", "", "sbc-b", "+12175559100", "Example Inc., room Lobby, floor 1, 100 Main St, Springfield, IL 62701, US"},
		{"no such trunk", "", "", "sbc-z", "", "Example Inc., room Lobby, floor 1, 100 Main St, Springfield, IL 62701, US"},
		{"a user's own", "", "room-204", "sbc-a", "+12175559204", "Example Inc., room 204, floor 2, 100 Main St, Springfield, IL 62701, US"},
		{"a user's own is on one trunk only", "", "room-204", "sbc-b", "+12175559100", "Example Inc., room 204, floor 2, 100 Main St, Springfield, IL 62701, US"},
		{"by the device's user", "00:04:f2:aa:bb:cc", "", "sbc-a", "+12175559204", "Example Inc., room 204, floor 2, 100 Main St, Springfield, IL 62701, US"},
		{"the user's zone; its ELINs in order", "", "bob", "sbc-a", "+12175559002 +12175559003", "Example Inc., floor 2, 100 Main St, Springfield, IL 62701, US"},
		{"a zone's ELIN in another town", "", "alice", "sbc-a", "+12175559200", "Oak, Shelbyville, US"},
		{"the device's zone goes before the user's", "00:04:f2:aa:bb:cc", "alice", "sbc-a", "+12175559002 +12175559003", "Example Inc., floor 2, 100 Main St, Springfield, IL 62701, US"},
		{"the device before all", "elevator-gateway", "reception", "sbc-a", "+12175559050", "Example Inc., room Lobby, floor 1, Elevator, 100 Main St, Springfield, IL 62701, US"},
		{"the device's user's zone on a trunk where neither has any", "elevator-gateway", "", "sbc-b", "+12175559100", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, _ := s.DeviceByInstance(tt.device)
			u, _ := s.UserByID(tt.user)
			p := s.Place(d, u)
			var numbers []string
			first := ELIN{}
			for i, e := range p.ELINs(tt.trunk) {
				numbers = append(numbers, e.Number)
				if i == 0 {
					first = e
				}
			}
			if got := strings.Join(numbers, " "); got != tt.elins {
				t.Errorf("ELINs: %q; want %q", got, tt.elins)
			}
			if c, ok := p.Civic(first.Number); tt.civic != "" && (c.String() != tt.civic || !ok) {
				t.Errorf("civic: %q %v; want %q", c, ok, tt.civic)
			}
			if first.Address == "" && tt.civic != "" && p.Address(first) != tt.civic {
				t.Errorf("address: %q", p.Address(first))
			} else if first.Address != "" && p.Address(first) != first.Address {
				t.Errorf("address: %q; want %q", p.Address(first), first.Address)
			}
		})
	}
}

func TestPlaceOfNothing(t *testing.T) {
	var p Place
	if _, ok := p.Civic(""); ok || p.ELINs("a") != nil || p.Address(ELIN{}) != "" {
		t.Error("the zero place is somewhere")
	}
	s := example(t) // has no addresses in fields
	upper, _ := s.Zone("upper")
	bob, _ := s.UserByID("bob")
	if p := s.Place(nil, bob); p.Address(ELIN{}) != upper.Name {
		t.Errorf("address: %q", p.Address(ELIN{}))
	}
	if p := s.Place(nil, nil); p.Address(ELIN{}) != "Springfield branch" {
		t.Errorf("address: %q", p.Address(ELIN{}))
	}
}

func TestCivicWarnings(t *testing.T) {
	for _, tt := range []struct {
		pointer string
		value   any
		where   string
	}{
		{"/trunks/0/location", true, "/trunks/0/location"},
		{"/emergency/civic", object{"country": "US", "city": "Springfield"}, "/emergency/civic"},
		{"/emergency/refuse_unknown_devices", true, "/emergency/refuse_unknown_devices"},
		{"/devices/0/zone", "ground", "/devices/0/zone"},
	} {
		s, err := Load(edit(t, func(m map[string]any) { set(m, tt.pointer, tt.value) }))
		if err != nil {
			t.Fatal(err)
		}
		if w := s.Warnings(); len(w) != 1 || w[0].Path != tt.where || w[0].Line < 2 {
			t.Errorf("%s: %v", tt.pointer, w)
		}
	}
}

func TestOneNumberHasOneAddress(t *testing.T) {
	expect(t, edit(t, func(m map[string]any) {
		set(m, "/zones/0/elins", array{object{"trunk": "sbc-a", "number": "+12175559200", "civic": object{"country": "US", "city": "Shelbyville"}}})
		set(m, "/users/1/elins", array{object{"trunk": "sbc-a", "number": "+12175559200", "civic": object{"country": "US", "city": "Springfield"}}})
	}), "/users/1/elins/0/civic", "another address")
}

func TestCheckConfirmed(t *testing.T) {
	s := example(t) // all were confirmed on 2026-09-01, in Chicago
	day := func(y int, m time.Month, d, h int) time.Time { return time.Date(y, m, d, h, 0, 0, 0, s.Location()) }
	for _, tt := range []struct {
		name  string
		now   time.Time
		limit time.Duration
		want  int
	}{
		{"the same day", day(2026, 9, 1, 0), 0, 0},
		{"within the site's year", day(2027, 8, 31, 0), 0, 0},
		{"a year and a day", day(2027, 9, 2, 0), 0, 6},
		{"within a limit of one's own", day(2026, 9, 11, 0), 240 * time.Hour, 0},
		{"past it", day(2026, 9, 11, 1), 240 * time.Hour, 6},
		{"a day to come", day(2026, 8, 31, 23), 0, 6},
		{"it is that day here, though not yet in London", time.Date(2026, 9, 1, 5, 0, 0, 0, time.UTC), 0, 0},
	} {
		if got := s.CheckConfirmed(tt.now, tt.limit); len(got) != tt.want {
			t.Errorf("%s: %d warnings: %v", tt.name, len(got), got)
		}
	}
	before := len(s.Warnings())
	if got := s.WarningsAt(day(2027, 9, 2, 0)); len(got) != before+6 || len(s.Warnings()) != before || len(s.WarningsAt(day(2026, 9, 2, 0))) != before {
		t.Errorf("%d warnings, of which %d were there before", len(got), before)
	}
	s, err := Load(edit(t, func(m map[string]any) {
		set(m, "/emergency/elins/1/confirmed", nil)
		set(m, "/emergency/confirm_within_days", 30)
		set(m, "/zones/1/elins/0/confirmed", "2026-08-01")
	}))
	if err != nil {
		t.Fatal(err)
	}
	got := s.CheckConfirmed(day(2026, 9, 2, 0), 0)
	if len(got) != 2 || got[0].Path != "/emergency/elins/1" || !strings.Contains(got[0].Problem, "never") ||
		got[1].Path != "/zones/1/elins/0" || !strings.Contains(got[1].Error(), "/zones/1/elins/0: the address of ELIN +12175559002 was last confirmed 32 days ago; check") {
		t.Errorf("%v", got)
	}
	if strings.Contains(got[0].Error(), "line") {
		t.Errorf("a line that is not known: %v", got[0])
	}
}
