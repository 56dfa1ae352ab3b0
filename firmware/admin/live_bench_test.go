package admin

import (
	"crypto/tls"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"holdfast/firmware/admin/account"
	"holdfast/firmware/control"
)

// BenchmarkRefresh is one look at the box for viewers of all its pages, with 200 calls and 400 phones: what a second costs,
// however many look.
func BenchmarkRefresh(b *testing.B) {
	box := newFakeBox()
	box.status.Calls, box.people, box.stream = nil, nil, nil
	codecs := map[string]string{}
	for i := range 200 {
		id := fmt.Sprint("call-", i)
		codecs[id] = "PCMU"
		box.status.Calls = append(box.status.Calls, control.Call{ID: id, State: "up", From: fmt.Sprint("u", i), To: fmt.Sprint("u", 200+i), Codec: "PCMU", Began: epoch})
	}
	for i := range 400 {
		box.people = append(box.people, Person{ID: fmt.Sprint("u", i), Name: fmt.Sprint("User ", i), Extension: fmt.Sprint(1000 + i), Phones: []Phone{{Agent: "Phone/1", Reachable: true}}})
	}
	s, err := New(Options{Box: box, Tracer: box, Reports: box, Certificate: func() *tls.Certificate { return nil }, Accounts: account.Open(filepath.Join(b.TempDir(), "a"), nil)})
	if err != nil {
		b.Fatal(err)
	}
	for n := range uint64(samplesKept) {
		box.stream = nil
		for i := range 200 {
			for range 2 {
				box.stream = append(box.stream, Stream{Call: fmt.Sprint("call-", i), Packets: 250 * n, Lost: n / 2, Jitter: time.Duration(n) * time.Millisecond})
			}
		}
		s.history.add(epoch, box.stream, codecs)
	}
	for _, p := range allPages {
		if len(p.parts) > 0 {
			s.live.join(topicKey{p.name, "", account.All}, p)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		s.live.refresh()
	}
}
