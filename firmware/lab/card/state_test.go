package card

import (
	"bytes"
	"testing"
)

func TestState(t *testing.T) {
	want := State{Seq: 0x1f, Slot: "b", Good: "a", Tries: 2, Failed: "0"}
	data := want.encode()
	if got, err := parseState(data); err != nil || got != want {
		t.Fatalf("%+v %v", got, err)
	}
	if !bytes.Contains(data, []byte("seq=1f\x00")) || len(data) != 512 {
		t.Fatalf("%q", data[:60])
	}
	for name, bad := range map[string][]byte{"short": data[:511], "empty": nil, "torn": append(append([]byte(nil), data[:300]...), bytes.Repeat([]byte{1}, 212)...)} {
		if _, err := parseState(bad); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
