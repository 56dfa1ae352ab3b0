package site

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// edit changes the example document.
func edit(t testing.TB, change func(m map[string]any)) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(Example(), &m); err != nil {
		t.Fatal(err)
	}
	change(m)
	out, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// set puts a value at a JSON pointer; nil removes what is there.
func set(m any, pointer string, value any) {
	parts := strings.Split(pointer, "/")[1:]
	for i, part := range parts {
		switch node := m.(type) {
		case map[string]any:
			if i == len(parts)-1 {
				if node[part] = value; value == nil {
					delete(node, part)
				}
				return
			}
			m = node[part]
		case []any:
			n := int(part[0] - '0')
			if i == len(parts)-1 {
				node[n] = value
				return
			}
			m = node[n]
		default:
			panic("no such place: " + pointer)
		}
	}
}

type object = map[string]any
type array = []any

// nullValue is a JSON null, which set does not take for "remove".
type nullValue struct{}

func (nullValue) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

func TestEveryMistakeIsFound(t *testing.T) {
	elin := func(trunk, n string) array { return array{object{"trunk": trunk, "number": n}} }
	tests := []struct {
		pointer string
		value   any
		where   string // path of the error, if not pointer
		problem string
	}{
		{"/version", 2, "", "version 2 is not known"},
		{"/serial", 0, "", "serial is missing"},
		{"/serial", nil, "", "serial is missing"},
		{"/serial", -1, "", "is -1"},
		{"/serial", 1.5, "", "is 1.5"},
		{"/key_rotation", "abc", "", "not an ed25519 public key"},
		{"/site/id", "", "", "missing"},
		{"/site/name", " ", "", "missing"},
		{"/site/domain", "", "", "no domain name"},
		{"/site/domain", "fe80::1", "", "IPv6"},
		{"/site/domain", "pbx.example.com:5061", "", "has a port"},
		{"/site/domain", "10.0.0.300", "", "no domain name"},
		{"/site/domain", "-a.example", "", "no domain name"},
		{"/site/timezone", "America/Springfield", "", "no time zone"},
		{"/site/timezone", "", "", "no time zone"},
		{"/site/timezone", "Local", "", "no time zone"},
		{"/site/timezone", "../etc/passwd", "", "no time zone"},
		{"/site/main_number", "2175551000", "", "not E.164"},
		{"/site/main_number", "", "", "not E.164"},
		{"/registration", "sometimes", "", "not known"},
		{"/dial_plan/country", "us", "", "no country"},
		{"/dial_plan/country", "UK", "", "no country"},
		{"/dial_plan/country", "AQ", "", "no country"},
		{"/dial_plan/area_code", "21x", "", "not 1 to 6 digits"},
		{"/dial_plan/external_prefix", "#", "", "not 1 to 4 digits"},
		{"/dial_plan/national_prefix", "+", "", "not 1 to 4 digits"},
		{"/dial_plan/international_prefix", "00 ", "", "not 1 to 6 digits"},
		{"/dial_plan/site_code", "80-1", "", "not 1 to 8 digits"},
		{"/emergency/numbers/0", "9-11", "", "not 2 to 8 digits"},
		{"/emergency/test_numbers", array{"911"}, "/emergency/test_numbers/0", "real emergency number"},
		{"/emergency/test_numbers", array{"x"}, "/emergency/test_numbers/0", "not 2 to 8 digits"},
		{"/emergency/security_desk/1", "1001", "", "ends inside"},
		{"/emergency/security_desk/1", "+12175551002", "", "ends inside"},
		{"/emergency/security_desk/1", "desk", "", "neither an extension"},
		{"/emergency/security_desk/1", "911", "", "emergency number"},
		{"/emergency/notify", array{"+12175550199"}, "/emergency/notify/0", "nobody here"},
		{"/emergency/notify", array{"1000", "911"}, "/emergency/notify/1", "emergency number"},
		{"/emergency/notify", array{"1000", "desk"}, "/emergency/notify/1", "neither an extension"},
		{"/emergency/notify", array{"1000", "1001", "+12175551000"}, "/emergency/notify/2", "rings with this notice already"},
		{"/emergency/notify", array{""}, "/emergency/notify/0", "empty"},
		{"/emergency/elins/0/number", "+12175551001", "", "a user's number"},
		{"/site/main_number", "+12175559000", "/emergency/elins/0/number", "site's main number"},
		{"/trunks/1/main_number", "+12175559002", "/zones/1/elins/0/number", "main number of /trunks/1"},
		{"/emergency/elins/0/number", "911", "", "not E.164"},
		{"/emergency/elins/0/trunk", "sbc-z", "", `no trunk "sbc-z"`},
		{"/emergency/elins/0/confirmed", "1 Sep 2026", "", "no date"},
		{"/emergency/confirm_within_days", 9999, "", "out of range"},
		{"/emergency/confirm_within_days", -1, "", "out of range"},
		{"/emergency/refuse_unknown_devices", "yes", "", "is a string"},
		{"/emergency/civic", "100 Main St", "", "is a string"},
		{"/emergency/civic", array{}, "", "is an array"},
		{"/emergency/civic", nullValue{}, "", "is null"},
		{"/emergency/civic", object{}, "", "is empty"},
		{"/emergency/civic", object{"country": "USA", "city": "Springfield"}, "/emergency/civic/country", "no country"},
		{"/emergency/civic", object{"country": "us", "city": "Springfield"}, "/emergency/civic/country", "no country"},
		{"/emergency/civic", object{"country": "US"}, "/emergency/civic/city", "missing"},
		{"/emergency/civic", object{"floor": "1"}, "/emergency/civic", "adds to an address that is not there"},
		{"/emergency/civic", object{"country": "US", "city": "Spring\nfield"}, "/emergency/civic/city", "control characters"},
		{"/emergency/civic", object{"country": "US", "city": " x"}, "/emergency/civic/city", "blanks around"},
		{"/emergency/civic", object{"country": "US", "town": "x"}, "/emergency/civic/town", "unknown field"},
		{"/zones/0/civic", object{"floor": "1"}, "", "adds to an address that is not there"},
		{"/zones/0/civic", object{"city": "x"}, "/zones/0/civic/city", "without a country"},
		{"/users/1/civic", object{"street": "x"}, "/users/1/civic/street", "without a country"},
		{"/devices/0/civic", object{"room": "1"}, "", "adds to an address that is not there"},
		{"/zones/1/elins/0/civic", object{"room": "1"}, "", "adds to an address that is not there"},
		{"/trunks/0/location", 1, "", "is 1"},
		{"/zones/1/elins/1/number", "+12175559002", "", "in this list already"},
		{"/zones/1/elins/0/number", "+12175559000", "/zones/1/elins/0/address", "registered for"},
		{"/users/0/elins", elin("sbc-a", "+13125551002"), "/users/0/elins/0/number", "a user's number"},
		{"/users/0/elins", elin("", "+12175559777"), "/users/0/elins/0/trunk", "no trunk"},
		{"/devices/2/elins/0/number", "+12175551091", "", "a user's number"},
		{"/users/1/id", "bob", "/users/2/id", `"bob" is there already`},
		{"/users/1/id", "", "", "missing"},
		{"/users/1/name", "", "", "missing"},
		{"/users/1/extension", "1002", "/users/2/extension", "there already, at /users/1/extension"},
		{"/users/1/extension", "", "", "not 1 to 15 digits"},
		{"/users/1/extension", "10a1", "", "not 1 to 15 digits"},
		{"/users/1/extension", "+1001", "", "not 1 to 15 digits"},
		{"/users/1/extension", "911", "", "emergency number 911"},
		{"/users/1/extension", "9911", "", "emergency number 911"},
		{"/users/1/extension", "112", "", "emergency number 112"},
		{"/users/1/extension", "933", "", "test number 933"},
		{"/users/1/extension", "9", "", "external prefix"},
		{"/users/1/long_extension", "8011002", "/users/2/long_extension", "there already"},
		{"/users/1/long_extension", "9112", "", "emergency number 112"},
		{"/users/1/long_extension", "1002", "/users/2/extension", "there already"},
		{"/users/1/cloud_numbers/0", "13125551001", "", "not E.164"},
		{"/users/1/cloud_numbers/0", "+1 312 555 1001", "", "not E.164"},
		{"/users/1/cloud_numbers/0", "+13125551002", "/users/2/cloud_numbers/0", "there already"},
		{"/users/1/byoc_numbers/0", "+13125551001", "", "there already, at /users/1/cloud_numbers/0"},
		{"/users/1/byoc_numbers/1", "+0123456789", "", "not E.164"},
		{"/users/1/zone", "attic", "", `no zone "attic"`},
		{"/users/1/no_answer_after_s", 9999, "", "out of range"},
		{"/users/1/no_answer_after_s", -1, "", "out of range"},
		{"/users/1/auth/username", "", "", "missing"},
		{"/users/1/auth/username", "1002", "/users/2/auth/username", "another user's"},
		{"/users/1/auth/username", "a b", "", "cannot stand"},
		{"/users/1/auth/username", "a:b", "", "cannot stand"},
		{"/users/1/auth/username", "ä", "", "cannot stand"},
		{"/users/1/auth/ha1", object{}, "", "missing"},
		{"/users/1/auth/ha1", nil, "", "missing"},
		{"/users/1/auth/ha1/MD5", "c2052c", "", "no MD5 value"},
		{"/users/1/auth/ha1/MD5", "C2052C1128B286AFDB125E3AA34763B6", "", "no MD5 value"},
		{"/users/1/auth/ha1/SHA-256", strings.Repeat("g", 64), "", "no SHA-256 value"},
		{"/users/1/auth/ha1/SHA-1", "00", "", "not known"},
		{"/users/1/auth/ha1/a~1b", "00", "/users/1/auth/ha1/a~01b", "not known"},
		{"/users/1/forward/always", "1001", "", "own number"},
		{"/users/1/forward/busy", "9 217 555 1001", "", "own number"},
		{"/users/1/forward/no_answer", "1999", "", "neither an extension"},
		{"/users/1/forward/unreachable", "+1217", "", "neither an extension"},
		{"/users/1/forward/busy", "9911", "", "emergency number"},
		{"/zones/1/id", "ground", "", "there already"},
		{"/zones/0/id", "", "", "missing"},
		{"/zones/0/name", "", "", "missing"},
		{"/devices/0/id", "", "", "missing"},
		{"/devices/1/id", "0004F2-AABBCC", "", "there already"},
		{"/devices/0/user", "mallory", "", `no user "mallory"`},
		{"/devices/0/zone", "attic", "", "no zone"},
		{"/devices/0/transport", "udp", "/devices/0/address", "is missing"},
		{"/devices/0/transport", "sctp", "", "not known"},
		{"/devices/0/plain_rtp", true, "/devices/0/address", "is missing"},
		{"/devices/2/address", "fe80::1", "", "IPv6"},
		{"/devices/2/address", "::ffff:10.0.0.1", "", "IPv6"},
		{"/devices/2/address", "0.0.0.0", "", "not one device's"},
		{"/devices/2/address", "224.0.0.1", "", "not one device's"},
		{"/devices/2/address", "10.0.0.71:5060", "", "not one device's"},
		{"/devices/0/address", "10.0.0.71", "/devices/2/address", "the address of device"},
		{"/trunks/0/id", "", "", "missing"},
		{"/trunks/1/id", "sbc-a", "", "there already"},
		{"/trunks/0/address", "10.0.0.60", "", "with its port"},
		{"/trunks/0/address", "", "", "with its port"},
		{"/trunks/0/address", "10.0.0.60:0", "", "with its port"},
		{"/trunks/0/address", "10.0.0.60:65536", "", "with its port"},
		{"/trunks/0/address", "[fe80::1]:5061", "", "IPv6"},
		{"/trunks/0/tls_name", nil, "/trunks/0", "which certificate"},
		{"/trunks/0/tls_name", "a b", "", "no domain name"},
		{"/trunks/1/fingerprint_sha256", "12:34", "", "no SHA-256 fingerprint"},
		{"/trunks/1/main_number", "0", "", "not E.164"},
		{"/trunks/1/domain", "a b", "", "no domain name"},
		{"/trunks/0/max_calls", -1, "", "out of range"},
		{"/trunks/0/options_interval_s", 99999, "", "out of range"},
		{"/trunks/0/emergency_form", "e112", "", "not known"},
		{"/options/max_contacts", 1000, "", "out of range"},
		{"/options/min_expires_s", 601, "", "more than max_expires_s"},
		{"/options/max_expires_s", -5, "", "out of range"},
		{"/options/no_answer_after_s", 601, "", "out of range"},
		{"/options/allowed_domains/0", "*", "", "no domain name"},
		// shape
		{"/colour", "red", "", `unknown field "colour"`},
		{"/users/1/Extension", "1001", "", `unknown field "Extension"`},
		{"/users/1/auth/password", "secret", "", `unknown field "password"`},
		{"/users", object{}, "", "is an object"},
		{"/users/1", "alice", "", "is a string"},
		{"/users/1/name", 7, "", "is 7"},
		{"/users/1/dnd", "no", "", "is a string"},
		{"/users/1/dnd", 1, "", "is 1"},
		{"/users/1/cloud_numbers", "+13125551001", "", "is a string"},
		{"/users/1/cloud_numbers/0", array{array{object{"a": "b"}}}, "", "is an array"},
		{"/site", array{}, "", "is an array"},
		{"/site/name", true, "", "is true"},
		{"/trunks/0/max_calls", 1e300, "", "is 1e+300"},
		{"/trunks/0/max_calls", "23", "", "is a string"},
		{"/users/1/forward", nullValue{}, "", "is null"},
		{"/users/1/dnd", nullValue{}, "", "is null"},
	}
	for _, tt := range tests {
		t.Run(tt.pointer+" "+tt.problem, func(t *testing.T) {
			data := edit(t, func(m map[string]any) { set(m, tt.pointer, tt.value) })
			where := tt.where
			if where == "" {
				where = tt.pointer
			}
			expect(t, data, where, tt.problem)
		})
	}
}

// expect loads data and wants an error at where that names the problem, tells a fix, and has a plausible line.
func expect(t *testing.T, data []byte, where, problem string) {
	t.Helper()
	s, err := Load(data)
	if err == nil || s != nil {
		t.Fatalf("loaded; want: %s: %s", where, problem)
	}
	var all Errors
	if !errors.As(err, &all) {
		t.Fatalf("error of type %T", err)
	}
	for _, e := range all {
		if e.Path == where && strings.Contains(e.Problem, problem) {
			if e.Fix == "" || e.Line < 1 || e.Line > 1+bytes.Count(data, []byte("\n")) {
				t.Errorf("fix or line is missing: %+v", e)
			}
			return
		}
	}
	t.Errorf("got:\n%v\nwant: %s: %s", err, where, problem)
}

// What the decoder fills in must be what encoding/json would, escapes included.
func TestDecodesAsEncodingJSON(t *testing.T) {
	data := []byte(strings.Replace(small, `"name":"A"`, `"name": "A \u00e4\"\\ \ud83d\ude00\t{[,:"`, 1))
	var want, got Document
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	if errs, fatal := decode(data, &got); fatal || len(errs) > 0 {
		t.Fatal(errs)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestForwardCircles(t *testing.T) {
	circle := edit(t, func(m map[string]any) {
		set(m, "/users/0/forward", object{"always": "1001"})
		set(m, "/users/1/forward", object{"always": "8011002"})
		set(m, "/users/2/forward", object{"always": "9-312-555-1001"})
	})
	expect(t, circle, "/users/1/forward/always", "circle")
	cover := edit(t, func(m map[string]any) {
		set(m, "/users/1/forward", object{"busy": "1002", "no_answer": "1002"})
		set(m, "/users/2/forward", object{"busy": "1001", "no_answer": "1001"})
	})
	if _, err := Load(cover); err != nil {
		t.Errorf("two who cover each other are refused: %v", err)
	}
}

func TestCountryWithoutKnownEmergencyNumbers(t *testing.T) {
	mongolia := func(numbers ...any) []byte {
		return edit(t, func(m map[string]any) {
			set(m, "/dial_plan", object{"country": "MN"})
			set(m, "/emergency/numbers", append(array{}, numbers...))
		})
	}
	expect(t, mongolia(), "/emergency/numbers", "not known")
	s, err := Load(mongolia("105"))
	if err != nil || s.EmergencyNumbers()[0] != "105" {
		t.Errorf("with numbers: %v", err)
	}
}

// A byte order mark is an editor's, no mistake of the document; the lines of mistakes are the same.
func TestByteOrderMark(t *testing.T) {
	mark := []byte("\xef\xbb\xbf")
	good := edit(t, func(map[string]any) {})
	if _, err := Load(append(mark, good...)); err != nil {
		t.Error(err)
	}
	bad := edit(t, func(m map[string]any) { set(m, "/site/timezone", "Nowhere/Land") })
	_, want := Load(bad)
	if _, err := Load(append(mark, bad...)); err == nil || err.Error() != want.Error() {
		t.Errorf("%v, without the mark %v", err, want)
	}
}

func TestNoJSON(t *testing.T) {
	for name, tt := range map[string]struct {
		data    string
		line    int
		problem string
	}{
		"empty":         {"", 1, "unexpected end"},
		"cut":           {"{\n\"version\": 1,\n\"users\": [", 3, "unexpected end"},
		"comma":         {"{\n\"version\": 1,\n}", 3, "invalid character"},
		"two documents": {"{}\n{}", 2, "after top-level value"},
		"Latin-1":       {"{\n\"site\":\"\xe9\"}", 2, "not UTF-8"},
		"deep":          {`{"x":` + strings.Repeat("[", 20000), 1, ""},
		"deep, typed":   {`{"users":` + strings.Repeat("[", 20000), 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load([]byte(tt.data))
			var all Errors
			if !errors.As(err, &all) || len(all) != 1 {
				t.Fatalf("error: %v", err)
			}
			if all[0].Line != tt.line || !strings.Contains(all[0].Problem, tt.problem) {
				t.Errorf("got %+v; want line %d, %q", all[0], tt.line, tt.problem)
			}
		})
	}
	for _, data := range []string{"[]", "null", "1", `"x"`, "true", "{}"} {
		if s, err := Load([]byte(data)); err == nil {
			t.Errorf("%s loads: %v", data, s)
		}
	}
}

func TestAllAtOnceEachWithItsLine(t *testing.T) {
	data := []byte(`{
  "version": 1, "serial": 1,
  "site": {"id": "s", "name": "s", "domain": "example.com",
    "timezone": "Nowhere/Land",
    "main_number": "+12175551000"},
  "dial_plan": {"country": "US"},
  "emergency": {},
  "serial": 2,
  "users": [
    {"id": "a", "name": "A", "extension": "911",
      "auth": {"username": "a",
        "ha1": {"MD5": "xyz"}},
      "zone": 7,
      "color": "red"},
    {"id": "a"}
  ],
  "trunks": []
}`)
	_, err := Load(data)
	want := map[string]int{
		"/serial": 8, "/site/timezone": 4, "/users/0/extension": 10, "/users/0/auth/ha1/MD5": 12, "/users/0/zone": 13,
		"/users/0/color": 14, "/users/1/id": 15, "/users/1/name": 15, "/users/1/extension": 15,
		"/users/1/auth/username": 15, "/users/1/auth/ha1": 15,
	}
	all, _ := err.(Errors)
	last := 0
	for _, e := range all {
		if want[e.Path] != e.Line {
			t.Errorf("unexpected: %v", e)
		}
		delete(want, e.Path)
		if e.Line < last {
			t.Errorf("out of order: %v", e)
		}
		last = e.Line
	}
	if len(want) > 0 {
		t.Errorf("not found: %v in\n%v", want, err)
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != len(all) {
		t.Errorf("%d lines of text for %d errors", n, len(all))
	}
}

func TestNonsenseIsBounded(t *testing.T) {
	_, err := Load([]byte(`{"users":[` + strings.Repeat("{},", maxEntries+10) + `{}],"version":2}`))
	all, ok := err.(Errors)
	if !ok || len(all) > 2*maxErrors {
		t.Fatalf("%T with %d", err, len(all))
	}
	found := make(map[string]bool)
	for _, e := range all {
		found[e.Path] = true
	}
	if !found["/users/50000"] || !found["/version"] {
		t.Error("the list's length or what follows it is not told")
	}
}

func TestWarnings(t *testing.T) {
	data := edit(t, func(m map[string]any) {
		set(m, "/emergency/elins", array{object{"trunk": "sbc-a", "number": "+12175559000"}})
		set(m, "/emergency/security_desk", nil)
		set(m, "/users/0/byoc_numbers", array{})
	})
	s, err := Load(data)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]bool)
	for _, w := range s.Warnings() {
		got[w.Path] = true
		if w.Line < 2 || w.Fix == "" {
			t.Errorf("no line or fix: %+v", w)
		}
	}
	for _, path := range []string{"/trunks/1", "/emergency/security_desk", "/site/main_number", "/trunks/1/main_number"} {
		if !got[path] {
			t.Errorf("no warning about %s", path)
		}
	}
	if len(got) != 4 {
		t.Errorf("warnings: %v", s.Warnings())
	}
	s, err = Load(edit(t, func(m map[string]any) { set(m, "/trunks", array{}); set(m, "/users", array{}) }))
	if err == nil {
		t.Errorf("references into nothing load: %v", s)
	}
}

// small is a short document with something of everything.
const small = `{"version":1,"serial":1,"site":{"id":"s","name":"s","domain":"a.b","timezone":"UTC","main_number":"+12175551000"},` +
	`"dial_plan":{"country":"US","external_prefix":"9","site_code":"8"},"emergency":{"security_desk":["1","+12175550199"],` +
	`"elins":[{"trunk":"t","number":"+12175559000"}]},"users":[{"id":"a","name":"A","extension":"1","byoc_numbers":["+12175551001"],` +
	`"auth":{"username":"a","ha1":{"MD5":"00000000000000000000000000000000"}},"forward":{"busy":"2"}},{"id":"b","name":"B","extension":"2",` +
	`"auth":{"username":"b","ha1":{"MD5":"00000000000000000000000000000000"}},"zone":"z"}],"zones":[{"id":"z","name":"Z"}],` +
	`"devices":[{"id":"d","user":"a","transport":"udp","address":"10.0.0.1","civic":{"country":"US","city":"c"}}],"trunks":[{"id":"t","address":"h.x:1","tls_name":"h.x"}]}`

func TestSmall(t *testing.T) {
	if _, err := Load([]byte(small)); err != nil {
		t.Error(err)
	}
}

func FuzzLoad(f *testing.F) {
	// Small seeds: the fuzzer shall spend its time on changing them, not on making them smaller.
	f.Add([]byte(small))
	f.Add([]byte(`{"version":1,"users":[{"id":"a","id":"b"}],"x":[[{}]],"site":null}`))
	f.Add([]byte(`{"users":[{"extension":"1","forward":{"always":"1"}}],"trunks":[{"address":"[::]:1"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var decoded, oracle Document
		if errs, _ := decode(data, &decoded); len(errs) == 0 {
			if err := json.Unmarshal(data, &oracle); err != nil || !reflect.DeepEqual(decoded, oracle) {
				t.Fatalf("decoded as %+v; encoding/json: %+v, %v", decoded, oracle, err)
			}
		}
		s, err := Load(data)
		if err != nil {
			all, ok := err.(Errors)
			if !ok || len(all) == 0 || s != nil {
				t.Fatalf("%T %v, %v", err, err, s)
			}
			for _, e := range all {
				if e.Line < 1 || e.Line > 1+bytes.Count(data, []byte("\n")) || e.Problem == "" || e.Fix == "" {
					t.Fatalf("bad error %+v", e)
				}
			}
			return
		}
		// What loads, written out and loaded again, is the same site.
		out, err := json.Marshal(s.Doc())
		if err != nil {
			t.Fatal(err)
		}
		again, err := Load(out)
		if err != nil {
			t.Fatalf("its own output is refused: %v\n%s", err, out)
		}
		if out2, _ := json.Marshal(again.Doc()); !bytes.Equal(out, out2) {
			t.Fatalf("changed:\n%s\n%s", out, out2)
		}
		for i := range s.Doc().Users {
			u := &s.Doc().Users[i]
			if got, ok := s.Lookup(u.Extension); !ok || got != u {
				t.Fatalf("extension %q finds %v", u.Extension, got)
			}
		}
	})
}

// TestGateways: which devices may speak SIP without TLS; there is nothing to warn of.
func TestGateways(t *testing.T) {
	at := []netip.Addr{netip.MustParseAddr("10.0.0.71")}
	for _, c := range []struct {
		change   map[string]any
		udp, tcp []netip.Addr
	}{
		{map[string]any{"transport": "udp", "plain_rtp": false}, at, nil},
		{map[string]any{"transport": "tcp", "plain_rtp": true}, nil, at},
		{map[string]any{"transport": "tls", "plain_rtp": true}, nil, nil},
		{map[string]any{"transport": nil}, nil, nil},
	} {
		change := c.change
		s, err := Load(edit(t, func(m map[string]any) {
			for key, v := range change {
				set(m, "/devices/2/"+key, v)
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		if w := s.Warnings(); len(w) != 0 {
			t.Errorf("%v: %v", change, w)
		}
		if udp, tcp := s.Gateways(); !slices.Equal(udp, c.udp) || !slices.Equal(tcp, c.tcp) {
			t.Errorf("%v: UDP %v, TCP %v", change, udp, tcp)
		}
	}
}
