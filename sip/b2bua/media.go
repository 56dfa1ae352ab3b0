package b2bua

import (
	"errors"
	"net/netip"
	"time"
)

// Media anchors the calls' RTP. box adapts media/relay to it; sip never imports media.
type Media interface {
	// Open starts the media session of one call. It allocates no port yet.
	Open(callID string, o MediaOptions) MediaSession
}

// MediaOptions of one session.
type MediaOptions struct {
	Emergency bool // may use the reserved ports
}

// Side says towards whom a media leg faces; it selects the local address.
type Side uint8

// The two sides of the box.
const (
	Access Side = iota // phones
	Trunk              // SBC
)

// MediaSession is the media of one call. Its methods are called by the call's goroutine only.
type MediaSession interface {
	// AddLeg allocates an even RTP port and the odd RTCP port above it; ErrNoPorts when the range is used up.
	AddLeg(s Side) (MediaLeg, error)
	// Connect bridges two legs in both directions and replaces what either was connected to before.
	// A leg without a Stream, or on hold, receives nothing.
	Connect(a, b MediaLeg)
	// Events reports silence and its end, digits, the ends of prompts, and what cannot be decrypted; closed by Close.
	Events() <-chan MediaEvent
	// Close frees the ports (into the drain) and zeroes the keys. It is idempotent.
	Close()
}

// MediaEvent is what the relay notices by itself: a digit if Digit is not 0, the end of a prompt if PlayDone is not 0, packets that cannot be
// decrypted if Unopened is not 0, else silence or its end.
type MediaEvent struct {
	Leg      MediaLeg
	Silent   bool          // neither RTP nor RTCP authenticated for For
	Digit    rune          // the peer pressed a key (RFC 4733): 0 to 9, *, #, A to D; once for each press, at its end
	PlayDone uint64        // number of a Play that ended by itself: to its end, or it yielded
	Unopened uint64        // RTP packets from the peer that could not be decrypted, while none could; once a leg
	For      time.Duration // how long the leg was silent, or the key was held, or nothing could be decrypted
}

// MediaLeg is one side's sockets.
type MediaLeg interface {
	Local() netip.AddrPort // RTP; RTCP is one port above
	// Continue tells the leg, before its first Set, that its peer was on old before, a closed leg of another session: a key that the peer
	// keeps goes on from there.
	Continue(old MediaLeg)
	// Set puts a negotiated stream into effect, atomically: nothing of the old one is used after it returns.
	Set(s Stream) error
	// Play sends a prompt to the peer, in the place of what the connected leg sends and instead of an earlier prompt; the far end hears
	// one stream throughout. Digits are still reported. While the peer is to receive nothing (ToPeer) the prompt stands still: who is to
	// hear hold music needs ToPeer. Before the first Set it waits. The number comes back in an event when the prompt ends by itself.
	// ErrNoPrompt where the box has no such prompt in the leg's codec.
	Play(p Prompt, o PlayOptions) (uint64, error)
	// StopPlay ends the prompt; the connected leg is heard again.
	StopPlay()
	Stats() LegStats
	// Close frees this leg only (a fork branch that lost).
	Close()
}

// Stream is one leg's negotiated audio, seen from the box.
type Stream struct {
	Remote      netip.AddrPort // where the peer wants RTP
	RemoteRTCP  netip.AddrPort // zero: Remote's port + 1
	Mux         bool           // RTCP on the RTP port (RFC 5761)
	Recv, Send  Crypto         // what the peer seals with; what the box seals with. Zero Suite: plain RTP
	Audio       Payload        // the one codec, as the peer wants to receive it
	Codec       string         // its name in a=rtpmap, which prompts need
	Event       Payload        // telephone-event; Clock 0: none
	RecvAudio   Payload        // as the peer sends it, where that differs (RFC 3264 §5.1); Clock 0: as Audio
	RecvEvent   Payload
	CN          bool // comfort noise (RFC 3389, payload type 13) passes
	ToPeer      bool // the box may send to the peer (false: peer holds or inactive)
	FromPeer    bool // the peer sends; false suspends silence detection
	FixedSource bool // a device whose address is configured: no latching
	Shared      bool // Send is the key that the connected peer seals with: the box never does
}

// Prompt names an announcement or a piece of music of the box's set.
type Prompt string

// The prompts that every box has.
const (
	HoldMusic       Prompt = "hold-music"
	RingBack        Prompt = "ring-back"
	SilentPrompt    Prompt = "silence" // an empty stream, for peers that want one
	EmergencyNotice Prompt = "emergency-notice"
	AllTrunksDead   Prompt = "all-trunks-dead"
	NotInService    Prompt = "not-in-service"
	NobodyThere     Prompt = "nobody-there"
)

// ErrNoPrompt is a prompt that the box does not have, or not in the codec of the leg.
var ErrNoPrompt = errors.New("no such prompt")

// PlayOptions say how a prompt is played.
type PlayOptions struct {
	Loop  bool // until it is stopped
	Yield bool // ends when audio comes from the connected leg: hold music makes way for the holder's own
}

// Crypto is one direction's SDES key (RFC 4568).
type Crypto struct {
	Suite string // "AES_CM_128_HMAC_SHA1_80" …
	Key   []byte // master key then master salt, as after base64
	MKI   []byte // nil: none
}

// Payload is an RTP payload type with its clock rate.
type Payload struct {
	Type  uint8
	Clock uint32 // Hz
}

// LegStats is one leg's quality, for the call record. Counters are of authenticated packets from the peer and packets to it.
type LegStats struct {
	RxPackets, RxBytes, TxPackets, TxBytes uint64
	RxLost                                 uint64        // by sequence numbers (RFC 3550 A.3)
	RxJitter                               time.Duration // RFC 3550 §6.4.1
	RTT                                    time.Duration // from RTCP; 0: unknown
	PeerLost                               float64       // fraction lost that the peer reports about us, 0…1
	AuthFailed, Replayed, Dropped          uint64
	SendErrors                             uint64
}
