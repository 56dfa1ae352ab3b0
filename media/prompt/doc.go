// Package prompt holds announcements and music that were encoded beforehand, so that playing them costs no encoding: files of frames,
// one for each codec, and a Player that hands out one frame after the other. media/relay sends them; package encode beside this one
// makes the files.
//
// A frame file, in this order, numbers in network byte order:
//
//	8 bytes   "HFFRAMES"
//	1 byte    version, 1
//	1 byte    length of the codec's name, 1 to 16
//	n bytes   the codec's name as in a=rtpmap (RFC 8866 §6.6): "PCMU", "PCMA", "G729", "opus"
//	4 bytes   RTP clock, Hz
//	4 bytes   length of every frame in clock units; a whole number of milliseconds from 10 to 60
//	2 bytes   number of distinct frames, 1 to 65535
//	4 bytes   number of frames to play, 1 to 65535
//	          the distinct frames in the order in which they are first played: 2 bytes length, 1 to 1275, then the RTP payload
//	          the frames to play: 2 bytes each, the number of a distinct frame, from 0
//	4 bytes   CRC-32C of all before
//
// Nothing else may follow. A tone or a pause is one distinct frame played often. There is one way to write down given frames: a frame
// that equals an earlier one must refer to it.
//
// Files are trusted to be what the owner of the box wants to hear, but not to be well formed: reading is bounded, and a frame that does
// not last as long as the file says is refused where the codec allows to tell. Not this package's job: sockets, clocks, and what is
// played when.
package prompt
