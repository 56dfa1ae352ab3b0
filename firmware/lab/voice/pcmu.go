package voice

// G.711 µ-law, from the tables of ITU-T G.711: 8 kHz, 160 samples a 20 ms frame.
const (
	pcmuRate  = 8000
	pcmuFrame = 160
	ulawBias  = 0x84
	ulawClip  = 32635
)

func encodePCMU(sample int16) byte {
	s, sign := int(sample), byte(0)
	if s < 0 {
		s, sign = -s, 0x80
	}
	s = min(s, ulawClip) + ulawBias
	exp := 7
	for mask := 0x4000; exp > 0 && s&mask == 0; mask >>= 1 {
		exp--
	}
	return ^(sign | byte(exp)<<4 | byte(s>>(exp+3))&0x0f)
}

func decodePCMU(u byte) int16 {
	u = ^u
	s := ((int(u&0x0f) << 3) + ulawBias) << (u >> 4 & 7)
	s -= ulawBias
	if u&0x80 != 0 {
		s = -s
	}
	return int16(s)
}
