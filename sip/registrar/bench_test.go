package registrar

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

const phones = 12000

// typical is a phone's REGISTER, its strings cut out of a message as the parser does it.
func typical(i int) Request {
	msg := fmt.Sprintf("sip:u%05d@10.1.%d.%d:40000;transport=tls|<urn:uuid:f81d4fae-7dec-11d0-a765-%012d>|%032d@10.1.0.1|user-%05d|Acme Phone T54W 96.86.0.100|%s",
		i, i/250, i%250, i, i, i, string(make([]byte, 900)))
	cut := func(from, n int) string { return msg[from : from+n] }
	var at [6]int
	for f, j := 1, 0; j < len(msg) && f < 6; j++ {
		if msg[j] == '|' {
			at[f], f = j+1, f+1
		}
	}
	field := func(f int) string { return cut(at[f], at[f+1]-at[f]-1) }
	return Request{AOR: field(3), CallID: field(2), CSeq: 1, Expires: 300, Flow: Flow(i + 1), Source: source, UserAgent: field(4),
		Contacts: []Contact{{URI: field(0), Instance: field(1), RegID: 1, Expires: -1, Q: 1}}}
}

func fillUp(tb testing.TB) *Registrar {
	r := New(Options{})
	for i := range phones {
		if _, err := r.Register(t0, typical(i)); err != nil {
			tb.Fatal(err)
		}
	}
	return r
}

func TestMemory(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	r := fillUp(t)
	each := (heap() - before) / phones
	t.Logf("%d bytes a binding at %d phones", each, phones)
	if each > 1024 {
		t.Errorf("%d bytes a binding", each)
	}
	if c := r.Counts(t0); c != (Counts{phones, phones, 0}) {
		t.Errorf("%+v", c)
	}
}

func BenchmarkRefresh(b *testing.B) {
	r := fillUp(b)
	list := make([]Request, phones)
	for i := range list {
		list[i] = typical(i)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		q := list[n%phones]
		q.CSeq = uint32(n/phones + 2)
		if _, err := r.Register(t0.Add(time.Duration(n)*time.Millisecond), q); err != nil {
			b.Fatal(err)
		}
		n++
	}
}

func BenchmarkBindings(b *testing.B) {
	r := fillUp(b)
	aor := typical(77).AOR
	b.ReportAllocs()
	for b.Loop() {
		if len(r.Bindings(t0, aor)) != 1 {
			b.Fatal("lost")
		}
	}
}

func BenchmarkAll(b *testing.B) {
	r := fillUp(b)
	for b.Loop() {
		r.All(t0)
	}
}

func BenchmarkExpireNothing(b *testing.B) {
	r := fillUp(b)
	for b.Loop() {
		r.Expire(t0)
	}
}
