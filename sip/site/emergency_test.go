package site

import (
	"slices"
	"testing"

	"github.com/nyaruka/phonenumbers"
)

// The metadata knows many emergency numbers too, from another source: each country of ours must agree with it on the
// main one, which stands first, and every member of the European Union must have 112.
func TestEmergencyNumbersAgreeWithMetadata(t *testing.T) {
	main := map[string]string{
		"AS": "911", "AU": "000", "BR": "190", "CA": "911", "CH": "112", "GB": "999", "GU": "911", "HK": "999", "IL": "100",
		"IN": "112", "IS": "112", "JP": "110", "KR": "112", "LI": "112", "MP": "911", "MX": "911", "MY": "999", "NO": "110", "NZ": "111",
		"PH": "911", "PR": "911", "SG": "995", "TR": "112", "TW": "110", "UA": "112", "US": "911", "VI": "911", "ZA": "112",
	}
	for country, n := range main {
		got := emergencyNumbers(country)
		if len(got) == 0 || got[0] != n || !phonenumbers.IsEmergencyNumber(n, country) {
			t.Errorf("%s: %v; want %s first", country, got, n)
		}
	}
	for _, country := range []string{"AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE", "IT", "LV", "LT", "LU",
		"MT", "NL", "PL", "PT", "RO", "SK", "SI", "ES", "SE"} {
		if !slices.Contains(emergencyNumbers(country), "112") || !phonenumbers.IsEmergencyNumber("112", country) {
			t.Errorf("%s: %v lacks 112", country, emergencyNumbers(country))
		}
	}
	for country, numbers := range map[string][]string{"FR": {"15", "17", "18"}, "DE": {"110"}, "GB": {"112"}, "IE": {"999"}, "AT": {"122", "133", "144"}, "IT": {"113", "115", "118"}} {
		for _, n := range numbers {
			if !slices.Contains(emergencyNumbers(country), n) {
				t.Errorf("%s lacks %s", country, n)
			}
		}
	}
	if emergencyNumbers("XX") != nil || !slices.Equal(testNumbers("CA"), []string{"933"}) || testNumbers("DE") != nil {
		t.Error("unknown country or test numbers")
	}
}
