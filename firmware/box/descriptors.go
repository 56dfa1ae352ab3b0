package box

import (
	"fmt"
	"syscall"

	"holdfast/firmware/admin"
	"holdfast/firmware/config"
	"holdfast/sip/stack"
)

// Descriptors are what the kernel counts of all that the box holds open: connections, media sockets, files. Should they
// run out, an emergency call could get neither a connection nor a port. So the box never lets the rest take them all: where
// the limit is low, it takes fewer phones and fewer ordinary calls than its settings allow.

// budget is how the process's descriptors are shared out.
type budget struct {
	connections int    // of phones
	reserved    int    // port pairs for emergency calls
	short       string // what had to be cut, in words; "": nothing
}

const (
	ownFiles       = 160 // files, sockets of control and metrics, epoll; connections to trunks, and webhooks
	trunkSockets   = stack.TrunkConnections + stack.Spare
	gatewaySockets = stack.PlainConnections + stack.Spare
	fixed          = ownFiles + trunkSockets + gatewaySockets + admin.Connections + stack.Spare
	leastPhones    = 16
)

// share shares out limit descriptors; of pairs of media ports each takes two. Where the limit is very low, phones and calls have half of
// it all the same: what others may take is seldom taken.
func share(limit uint64, phones, pairs, reserved int) budget {
	b := budget{connections: phones, reserved: reserved}
	limit = min(limit, 1<<30)
	rest := max(int64(limit)-fixed, int64(limit/2)) - 2*int64(reserved)
	ordinary := int64(pairs - reserved)
	if int64(phones)+2*ordinary <= rest {
		return b
	}
	// Ordinary calls get half of it, or what they can use; phones the rest.
	fit := max(0, min(2*ordinary, rest/2)/2)
	b.reserved = pairs - int(fit)
	b.connections = int(max(leastPhones, min(int64(phones), rest-2*fit)))
	b.short = fmt.Sprintf("the limit of %d open files is too low for the settings: at most %d phones and %d ordinary calls at once; "+
		"raise it (ulimit -n) to %d", limit, b.connections, fit/2, fixed+2*int64(reserved)+int64(phones)+2*ordinary)
	return b
}

// shareDescriptors looks at the limit, which the Go runtime has raised as far as it may.
func shareDescriptors(cfg *config.Config) (budget, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return budget{}, fmt.Errorf("limit of open files: %w", err)
	}
	pairs := (int(cfg.Media.PortMax) - int(cfg.Media.PortMin) + 1) / 2
	return share(limit.Cur, cfg.Phones.MaxConnections, pairs, cfg.Media.EmergencyPorts), nil
}
