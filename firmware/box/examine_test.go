package box

import (
	"strings"
	"testing"

	"holdfast/firmware/doctor"
)

// TestExamine: the doctor at the running box sees what it sees from a shell.
func TestExamine(t *testing.T) {
	b := wholeBox(t)
	found := b.Examine(t.Context())
	if got := strings.Join(doctor.Areas(found), " "); got != "box certificates clock dns network trunk document card" {
		t.Errorf("areas %q", got)
	}
	said := make(map[string]doctor.Verdict)
	for _, f := range found {
		said[f.Area+": "+f.Text] = f.Verdict
	}
	for text, want := range map[string]doctor.Verdict{
		"trunk: sbc does not answer at 127.0.0.1:9":    doctor.Fail, // there is none in this test
		"document: Whole, serial 7: 1 users, 1 trunks": doctor.OK, "certificates: phones: the running box shows it, over TLS 1.3": doctor.OK, "certificates: trunk roots: 1, all valid": doctor.OK,
	} {
		ok := false
		for line, verdict := range said {
			ok = ok || strings.HasPrefix(line, text) && verdict == want
		}
		if !ok {
			t.Errorf("no %s %q in %v", want, text, said)
		}
	}
}
