package board

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"

	"holdfast/firmware/lab/branch"
)

// The branch's network, in a namespace of its own: everything but the box is on the host's end of a tap device.
const (
	tap    = "hf0"
	boxMAC = "52:54:00:48:46:01"
	prefix = "/24"
	host   = "10.77.0.1"
)

// Box is the address that the boot file gives to the box.
var Box = netip.MustParseAddr("10.77.0.10")

var ground = branch.Ground{BoxPhones: Box, BoxTrunk: Box,
	Zones: [2]netip.Addr{netip.MustParseAddr("10.77.0.20"), netip.MustParseAddr("10.77.0.21")},
	SBC:   netip.MustParseAddr("10.77.0.60"), FirstDesk: netip.MustParseAddr("10.77.0.31"),
}

// lan makes the network. The process must be in a network namespace of its own, which goes away with it.
func lan() error {
	commands := []string{"link set lo up", "tuntap add " + tap + " mode tap", "link set " + tap + " up"}
	for _, last := range []string{host, "10.77.0.20", "10.77.0.21", "10.77.0.31", "10.77.0.32", "10.77.0.33", "10.77.0.34", "10.77.0.35", "10.77.0.36", "10.77.0.60"} {
		commands = append(commands, "addr add "+last+prefix+" dev "+tap)
	}
	commands = append(commands, "addr add 169.254.1.1/16 dev "+tap) // an installer's PC on the wire
	for _, c := range commands {
		if err := ip(c); err != nil {
			return err
		}
	}
	return nil
}

func ip(command string) error {
	if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", command, err, strings.TrimSpace(string(out)))
	}
	return nil
}
