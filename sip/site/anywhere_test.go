package site

import "testing"

func TestEmergencyAnywhere(t *testing.T) {
	for dialled, want := range map[string]bool{
		"911": true, "9911": true, "9-911": true, "0112": true, "112": true, "999": true, "17": true, "00112": true, "10111": true, " 9 1 1 ": true,
		"933": false, "9933": false, "": false, "1001": false, "8378": false, "12345911": false,
	} {
		if got := EmergencyAnywhere(dialled); got != want {
			t.Errorf("%q: %v", dialled, got)
		}
	}
	for _, country := range []string{"US", "CA", "GB", "DE", "FR"} {
		for _, n := range testNumbers(country) {
			if EmergencyAnywhere(n) {
				t.Errorf("%s's own test number %s is somebody's emergency number", country, n)
			}
		}
	}
}
