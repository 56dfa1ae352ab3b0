package srtp

import (
	"encoding/binary"
	"testing"
)

func TestNothingIsAllocated(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		s, o, _ := newPair(t, suite, []byte("abcd"))
		if _, sha1 := s.t.(*cm); sha1 && racing {
			t.Skip("without -race only")
		}
		buf, seq := media(1, 0, 160), uint16(0)
		n := testing.AllocsPerRun(500, func() {
			binary.BigEndian.PutUint16(buf[2:], seq)
			seq++
			sealed, err := s.RTP(buf)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = o.RTP(sealed); err != nil {
				t.Fatal(err)
			}
			if _, err = o.RTP(sealed[:90]); err == nil {
				t.Fatal("opened a cut packet")
			}
		})
		if n != 0 {
			t.Errorf("RTP: %v allocations", n)
		}
		c := control(1)
		n = testing.AllocsPerRun(500, func() {
			sealed, err := s.RTCP(c)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = o.RTCP(sealed); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("RTCP: %v allocations", n)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	for _, suite := range suites {
		b.Run(suite.Name, func(b *testing.B) {
			s, _, _ := newPair(b, suite.Name, nil)
			buf := media(1, 0, 160)
			b.ReportAllocs()
			seq := uint16(0)
			for b.Loop() {
				binary.BigEndian.PutUint16(buf[2:], seq)
				seq++
				if _, err := s.RTP(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, suite := range suites {
		b.Run(suite.Name, func(b *testing.B) {
			s, o, _ := newPair(b, suite.Name, nil)
			sealed := mustSeal(b, s, media(1, 1, 160))
			buf := make([]byte, len(sealed))
			b.ReportAllocs()
			for b.Loop() {
				copy(buf, sealed)
				o.known[0].rtp = window{} // the same packet again and again
				if _, err := o.RTP(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
