package relay

import (
	"testing"
	"time"

	"holdfast/media/rtp"
	"holdfast/media/srtp"
)

// BenchmarkManyLegs is the step with a thousand legs in turn, as they come from the loop: what a packet needs is in no near cache.
func BenchmarkManyLegs(b *testing.B) {
	const calls, ahead, rounds = 500, 8, 40
	cfg := config()
	cfg.PortMin, cfg.PortMax = 30000, 39999
	r := newRelay(b, cfg)
	sink := newPhone(b, "AES_CM_128_HMAC_SHA1_80")
	type side struct {
		port   rtpPort
		sealer *srtp.Sealer
	}
	var sides []side
	for range calls {
		s := r.Open("bench", Options{})
		defer s.Close()
		var legs []*Leg
		for range 2 {
			p := sink.stream
			p.Recv, _ = newKey(b, "AES_CM_128_HMAC_SHA1_80")
			p.Send, _ = newKey(b, "AES_CM_128_HMAC_SHA1_80")
			l := addLeg(b, s, Access)
			set(b, l, p)
			sealer, err := srtp.NewSealer(p.Recv.Suite, p.Recv.Key, nil)
			if err != nil {
				b.Fatal(err)
			}
			legs = append(legs, l)
			sides = append(sides, side{rtpPort{l}, sealer})
		}
		s.Connect(legs[0], legs[1])
	}
	order := make([]int, len(sides)) // neighbours in time are no neighbours in memory
	for i := range order {
		order[i] = i * 7919 % len(sides)
	}
	var sequence uint16
	packets := make([][]byte, rounds*len(sides))
	seal := func() {
		for i := range packets {
			if i%len(order) == 0 {
				sequence++
			}
			n := order[i%len(order)]
			pkt := make([]byte, rtp.FixedSize+160, 256)
			(&rtp.Header{SSRC: uint32(n) + 1, Sequence: sequence, Timestamp: uint32(sequence) * 160}).Put(pkt)
			var err error
			if packets[i], err = sides[n].sealer.RTP(pkt); err != nil {
				b.Fatal(err)
			}
		}
	}
	buffer := make([]byte, 2048)
	from := sink.stream.Remote
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += ahead {
		at := i % len(packets)
		if at == 0 {
			b.StopTimer()
			seal()
			b.StartTimer()
		}
		batch := order[at%len(order):][:ahead]
		for step := range 3 {
			for _, n := range batch {
				sides[n].port.Expect(step)
			}
		}
		for k, n := range batch {
			sides[n].port.Receive(buffer[:copy(buffer, packets[at+k])], from, time.Duration(sequence)*20*time.Millisecond)
		}
	}
	b.StopTimer()
	if drops := r.Counts().Drops; drops["forged"]+drops["replayed"] > 0 {
		b.Fatal(drops)
	}
}
