package number

import (
	"errors"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
)

func plan(t testing.TB, c Config) *Plan {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var (
	us = Config{Country: "US", AreaCode: "217", ExternalPrefix: "9", NationalPrefix: "1", InternationalPrefix: "011"}
	ca = Config{Country: "CA", AreaCode: "416", ExternalPrefix: "8"}
	gb = Config{Country: "GB", AreaCode: "20", ExternalPrefix: "9"}
	de = Config{Country: "DE", AreaCode: "30"}
	d0 = Config{Country: "DE", AreaCode: "30", ExternalPrefix: "0"}
	fr = Config{Country: "FR", ExternalPrefix: "0"}
	at = Config{Country: "AT", AreaCode: "1"}
	au = Config{Country: "AU", AreaCode: "2"}
	a0 = Config{Country: "AU", AreaCode: "2", ExternalPrefix: "0"}
	it = Config{Country: "IT"}
	dk = Config{Country: "DK", ExternalPrefix: "0"}
	ru = Config{Country: "RU", AreaCode: "812"}
)

func TestNormalize(t *testing.T) {
	for _, tt := range []struct {
		name    string
		plan    Config
		dialled string
		want    Number
		err     error
	}{
		{"US: E.164", us, "+12175551001", "+12175551001", nil},
		{"US: E.164 with separators", us, "+1 (217) 555-1001", "+12175551001", nil},
		{"US: abroad in E.164", us, "+442079460000", "+442079460000", nil},
		{"US: ten digits", us, "2175551001", "+12175551001", nil},
		{"US: ten digits, separators", us, "(217) 555.1001", "+12175551001", nil},
		{"US: ten digits, prefix", us, "92175551001", "+12175551001", nil},
		{"US: eleven digits", us, "12175551001", "+12175551001", nil},
		{"US: eleven digits, prefix", us, "9-1-217-555-1001", "+12175551001", nil},
		{"US: local", us, "5551001", "+12175551001", nil},
		{"US: local, prefix", us, "95551001", "+12175551001", nil},
		{"US: area code that begins with the prefix", us, "9175551001", "+19175551001", nil},
		{"US: the same with the prefix", us, "99175551001", "+19175551001", nil},
		{"US: local number that begins with the prefix", us, "9551001", "+12179551001", nil},
		{"US: international", us, "011442079460000", "+442079460000", nil},
		{"US: international, prefix", us, "9011442079460000", "+442079460000", nil},
		{"US: an area code of tomorrow", us, "12995551001", "+12995551001", nil},
		{"US: nothing", us, "", "", ErrIncomplete},
		{"US: separators only", us, " - ", "", ErrIncomplete},
		{"US: prefix only", us, "9", "", ErrIncomplete},
		{"US: plus only", us, "+", "", ErrIncomplete},
		{"US: country only", us, "+1", "", ErrIncomplete},
		{"US: too short", us, "1217555100", "", ErrIncomplete},
		{"US: too short, E.164", us, "+1217555100", "", ErrIncomplete},
		{"US: local number, E.164", us, "+15551001", "", ErrIncomplete},
		{"US: too short, prefix", us, "9555100", "+12179555100", nil}, // seven digits: a local number after all
		{"US: between local and national", us, "21755510", "", ErrIncomplete},
		{"US: too long", us, "121755510011", "", ErrNotDialable},
		{"US: too long, E.164", us, "+121755510011", "", ErrNotDialable},
		{"US: sixteen digits", us, "+1234567890123456", "", ErrNotDialable},
		{"US: no country", us, "+9991234567", "", ErrNotDialable},
		{"US: no country, international", us, "0119991234567", "", ErrNotDialable},
		{"US: plus inside", us, "9+12175551001", "", ErrNotDialable},
		{"US: plus twice", us, "++12175551001", "", ErrNotDialable},
		{"US: letters", us, "1-800-FLOWERS", "", ErrNotDialable},
		{"US: a name", us, "alice", "", ErrNotDialable},
		{"US: star code", us, "*98", "", ErrNotDialable},
		{"US: full-width digits", us, "２１７５５５１００１", "", ErrNotDialable},
		{"US: very long", us, strings.Repeat("1", 1000), "", ErrNotDialable},
		{"US: nul", us, "2175551001\x00", "", ErrNotDialable},
		{"US: no area code configured", Config{Country: "US"}, "5551001", "", ErrIncomplete},

		{"CA: local, prefix", ca, "85550123", "+14165550123", nil},
		{"CA: national", ca, "16045550123", "+16045550123", nil},
		{"CA: to the US", ca, "8 1 217 555 1001", "+12175551001", nil},
		{"CA: abroad by the country's own prefix", ca, "0114930123456", "+4930123456", nil},

		{"GB: national", gb, "02079460000", "+442079460000", nil},
		{"GB: national, prefix", gb, "9 020 7946 0000", "+442079460000", nil},
		{"GB: local", gb, "79460000", "+442079460000", nil},
		{"GB: local, prefix", gb, "979460000", "+442079460000", nil},
		{"GB: mobile", gb, "07400123456", "+447400123456", nil},
		{"GB: the zero in brackets", gb, "+44 (0)20 7946 0000", "+442079460000", nil},
		{"GB: abroad", gb, "00498912345678", "+498912345678", nil},
		{"GB: too short", gb, "020794600", "", ErrIncomplete},
		{"GB: too long", gb, "0207946000012", "", ErrNotDialable},

		{"DE: national", de, "08912345678", "+498912345678", nil},
		{"DE: national, prefix 0", d0, "0 089 12345678", "+498912345678", nil},
		{"DE: local, prefix 0", d0, "0 12345678", "+493012345678", nil},
		{"DE: both readings fit: the house's prefix wins", d0, "089 1234567", "+4930891234567", nil},
		{"DE: local", de, "12345678", "+493012345678", nil},
		{"DE: local of another length", de, "123456", "+4930123456", nil},
		{"DE: mobile", de, "015112345678", "+4915112345678", nil},
		{"DE: abroad", de, "0012175551001", "+12175551001", nil},
		{"DE: abroad, prefix 0", d0, "000 1 217 555 1001", "+12175551001", nil},
		{"DE: too short", de, "030", "", ErrIncomplete},
		{"DE: no country", de, "00999123456789", "", ErrNotDialable},

		{"FR: national", fr, "0142685300", "+33142685300", nil},
		{"FR: national, prefix 0", fr, "0 01 42 68 53 00", "+33142685300", nil},
		{"FR: mobile", fr, "06.12.34.56.78", "+33612345678", nil},
		{"FR: abroad", fr, "00493012345678", "+493012345678", nil},
		{"FR: too short", fr, "01426853", "", ErrIncomplete},
		{"FR: too long", fr, "01426853001234", "", ErrNotDialable},

		{"AT: local of six digits", at, "234567", "+431234567", nil},
		{"AT: local of seven digits", at, "5880000", "+4315880000", nil},
		{"AT: national", at, "0316123456", "+43316123456", nil},
		{"AT: with a direct-dial tail", at, "015880015011", "+4315880015011", nil},
		{"AT: mobile", at, "06641234567", "+436641234567", nil},
		{"AT: too short", at, "066", "", ErrIncomplete},

		{"AU: national", au, "0398765432", "+61398765432", nil},
		{"AU: national, prefix 0", a0, "0 03 9876 5432", "+61398765432", nil},
		{"AU: local", au, "98765432", "+61298765432", nil},
		{"AU: abroad by the country's own prefix", au, "001112175551001", "+12175551001", nil},
		{"AU: abroad, prefix 0", a0, "0 0011 1 217 555 1001", "+12175551001", nil},
		{"AU: too short", au, "03987", "", ErrIncomplete},

		{"IT: the zero stays", it, "0612345678", "+390612345678", nil},
		{"DK: no trunk prefix", dk, "32123456", "+4532123456", nil},
		{"DK: with external prefix", dk, "0 32 12 34 56", "+4532123456", nil},
		{"RU: trunk prefix 8", ru, "84951234567", "+74951234567", nil},
		{"RU: local number that begins with 8", ru, "8123456", "+78128123456", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := plan(t, tt.plan).Normalize(tt.dialled)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("Normalize(%q) = %q, %v; want %q, %v", tt.dialled, got, err, tt.want, tt.err)
			}
		})
	}
}

func TestEmergency(t *testing.T) {
	numbers := []string{"911", "112"}
	for dialled, want := range map[string]string{
		"911": "911", "9911": "911", "9-1-1": "911", "9 911": "911", "(9) 911": "911", "112": "112", "9112": "112",
		"99911": "", "9111": "", "91": "", "": "", "9": "", "+911": "", "1911": "", "911x": "", "91 12": "112",
		"911#": "911", "9911#": "911", "911##": "", "#911": "", "9#11": "", "#": "", "911*": "",
	} {
		got, ok := plan(t, us).Emergency(dialled, numbers)
		if got != want || ok != (want != "") {
			t.Errorf("Emergency(%q) = %q, %v; want %q", dialled, got, ok, want)
		}
	}
	if n, ok := plan(t, at).Emergency("0112", numbers); ok {
		t.Errorf("without an external prefix 0112 is %s", n)
	}
}

func TestNewRefuses(t *testing.T) {
	_, err := New(Config{Country: "XX", AreaCode: "2 17", ExternalPrefix: "99999", NationalPrefix: "a", InternationalPrefix: "٠٠"})
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("error: %v", err)
	}
	want := []string{"country", "area_code", "external_prefix", "national_prefix", "international_prefix"}
	for i, err := range joined.Unwrap() {
		e, ok := errors.AsType[*ConfigError](err)
		if !ok || e.Field != want[i] || e.Problem == "" || e.Fix == "" {
			t.Errorf("error %d: %#v; want field %s", i, err, want[i])
		}
	}
	if len(joined.Unwrap()) != len(want) {
		t.Errorf("%d errors", len(joined.Unwrap()))
	}
	for _, country := range []string{"", "us", "USA", "001", "ZZ", "AQ"} {
		if _, err := New(Config{Country: country}); err == nil {
			t.Errorf("country %q is taken", country)
		}
	}
}

func TestDefaultPrefixes(t *testing.T) {
	for country, want := range map[string][2]string{
		"US": {"1", "011"}, "CA": {"1", "011"}, "GB": {"0", "00"}, "DE": {"0", "00"}, "AU": {"0", "0011"}, "JP": {"0", "010"},
		"IT": {"", "00"}, "DK": {"", "00"}, "NZ": {"0", "00"},
	} {
		p := plan(t, Config{Country: country})
		if p.national != want[0] || p.international != want[1] {
			t.Errorf("%s: national %q, international %q; want %q", country, p.national, p.international, want)
		}
	}
}

func TestIsE164(t *testing.T) {
	for s, want := range map[string]bool{
		"+1234567": true, "+123456789012345": true, "+123456": false, "+1234567890123456": false, "+0123456789": false,
		"12175551001": false, "": false, "+": false, "+1217555100a": false, "+1 217555100": false, "++1217555100": false,
	} {
		if IsE164(s) != want {
			t.Errorf("IsE164(%q) = %v", s, !want)
		}
	}
}

func FuzzNormalize(f *testing.F) {
	for _, s := range []string{"911", "9911", "92175551001", "+12175551001", "011442079460000", "00493012345678", "+44 (0)20 7946 0000",
		"alice", "*98", "+", "+999", "0000000000", "+54 11 15 2345 6789", "+39 06 1234 5678", "+800 1234 5678"} {
		for i := range byte(7) {
			f.Add(s, i)
		}
	}
	var plans []*Plan
	for _, c := range []Config{us, ca, gb, d0, fr, at, a0} {
		plans = append(plans, plan(f, c))
	}
	f.Fuzz(func(t *testing.T, dialled string, country byte) {
		p := plans[int(country)%len(plans)]
		n, err := p.Normalize(dialled)
		switch {
		case err == nil && !IsE164(string(n)):
			t.Fatalf("Normalize(%q) = %q", dialled, n)
		case err != nil && (n != "" || !errors.Is(err, ErrIncomplete) && !errors.Is(err, ErrNotDialable)):
			t.Fatalf("Normalize(%q) = %q, %v", dialled, n, err)
		}
		if err != nil {
			return
		}
		// A number once made stays what it is, with and without separators.
		if again, err := p.Normalize(string(n)); err != nil || again != n {
			t.Fatalf("%q becomes %q and then %q, %v", dialled, n, again, err)
		}
		// The short cut past the library's parser agrees with it about every number that the metadata knows.
		if parsed, err := phonenumbers.Parse(string(n), "ZZ"); err == nil && phonenumbers.IsValidNumber(parsed) {
			if e164 := phonenumbers.Format(parsed, phonenumbers.E164); e164 != string(n) {
				t.Fatalf("%q becomes %q, which the library reads as %q", dialled, n, e164)
			}
		}
	})
}

func BenchmarkNormalize(b *testing.B) {
	p := plan(b, us)
	for b.Loop() {
		if _, err := p.Normalize("92175551001"); err != nil {
			b.Fatal(err)
		}
	}
}
