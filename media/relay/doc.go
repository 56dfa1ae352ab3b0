// Package relay anchors the media of calls: it receives each leg's RTP and RTCP, checks and opens it, and sends it on, sealed anew,
// to the leg that it is connected to.
//
// A packet's way, on one worker thread, without a queue, a lock or an allocation:
//
//	media/udp   the socket is ready: receive into the worker's buffer, which has tail room for tags
//	demux       RTP, RTCP or garbage by the first two bytes (RFC 5761 §4)
//	Route       the leg's compiled description, loaded once a packet
//	source      may this address speak at all (cheap; before any cryptography)
//	media/srtp  open in place; replay, roll-over and SSRC state commit after authentication only
//	latch       learn the address, if it is new and allowed
//	outgoing    the other side's own SSRC, sequence and time line; payload types and events mapped
//	media/srtp  seal in place; send; count
//
// Where both phones have each other's keys the packet goes on as it is once it is verified; see shared.go.
//
// Prompts and music are sent by the same threads, on a tick of theirs that stands still while nothing is played (feed.go): a frame is
// numbered on the same outgoing stream, sealed and sent like a packet that is passed on. Keys that a peer presses are noticed on the way
// (digits.go), whatever becomes of the packet.
//
// Signalling (the methods of Session and Leg) never touches packet state: it compiles new Routes, swaps them atomically and waits
// until the worker has left the old ones. A failure on a packet's way is a counter, never a log line.
//
// Not its job: negotiation (it is told codecs, keys and addresses), transcoding, and what to do about silence (it only reports it).
// Whoever owns calls uses it through an adapter in firmware/box.
package relay
