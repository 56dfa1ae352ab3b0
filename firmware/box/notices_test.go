package box

import "testing"

// TestHelpNumber: the number that a notice call shows is the one that was dialled; a test never shows a real one, and a urn is no
// number.
func TestHelpNumber(t *testing.T) {
	st := oneUser(t, "")
	for number, want := range map[string]string{"911": "911", "933": "933", "112": "112", "urn:service:sos.fire": st.EmergencyNumbers()[0], "": st.EmergencyNumbers()[0]} {
		if got := helpNumber(number, st); got != want {
			t.Errorf("%q: %q, want %q", number, got, want)
		}
	}
}
