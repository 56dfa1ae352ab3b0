package relay

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"
)

// Errors a caller branches on.
var (
	ErrNoPorts   = errors.New("no media ports left")
	ErrClosed    = errors.New("media session is closed")
	ErrKeyReused = errors.New("a key that was replaced must not come back")
)

// Config of a relay.
type Config struct {
	AccessAddr, TrunkAddr netip.Addr
	PortMin, PortMax      uint16        // even RTP ports, each with the odd RTCP port above, inside this range
	Drain                 time.Duration // pause before a port pair is used again
	Silence               time.Duration // neither RTP nor RTCP for so long is an event; 0: never
	Reserved              int           // port pairs kept for emergency calls
	DSCP                  int           // of every packet sent; 46 is EF (RFC 3246)
	Workers               int           // threads; 0: GOMAXPROCS
	Log                   *slog.Logger
}

// Options of one session.
type Options struct {
	Emergency bool // may use the reserved ports
}

// Event is what the relay notices by itself.
type Event struct {
	Leg    *Leg
	Silent bool          // false: heard again
	For    time.Duration // how long nothing came that authenticated
}

// Relay owns the worker threads, the ports and the sessions.
type Relay struct{}

// New checks cfg and prepares the workers; nothing runs before Run.
func New(cfg Config) (*Relay, error) { return nil, errors.New("not built yet") }

// Run relays until ctx ends, then closes every session. It is called once.
func (r *Relay) Run(ctx context.Context) error { return errors.New("not built yet") }

// Open starts the media session of one call; id names it in logs. It takes no port yet.
func (r *Relay) Open(id string, o Options) *Session { return nil }

// Counts sums up the relay, for metrics.
func (r *Relay) Counts() Counts { return Counts{} }
