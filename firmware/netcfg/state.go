package netcfg

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// Dir is the helper's own folder, in RAM: the daemon may read it, and nobody but root may write.
const Dir = "/run/holdfast-net"

// StateName is the state's file in the helper's own run folder.
const StateName = "network.json"

// stale is how old a state may be before the helper is taken for dead.
const stale = 4 * tickEvery

// State is what the helper knows, for the daemon, the admin page and the doctor.
type State struct {
	At     time.Time   `json:"at"`
	Ports  []PortState `json:"ports"`
	DNS    []string    `json:"dns,omitempty"`
	Faults []string    `json:"faults,omitempty"` // steps that failed, in plain words
}

// PortState is one interface.
type PortState struct {
	Link     string     `json:"link"`
	VLAN     int        `json:"vlan,omitempty"`
	Present  bool       `json:"present"`
	Carrier  bool       `json:"carrier"` // the cable has a signal
	Wanted   string     `json:"wanted,omitempty"`
	Address  string     `json:"address,omitempty"`  // "" while it could not be taken
	Leaving  []string   `json:"leaving,omitempty"`  // old addresses that calls still use
	Fallback string     `json:"fallback,omitempty"` // answers always
	Gateway  string     `json:"gateway,omitempty"`
	Silent   bool       `json:"gateway_silent,omitempty"` // the gateway does not answer to ARP
	Conflict *Contender `json:"conflict,omitempty"`
}

// Contender is another machine with our address.
type Contender struct {
	Address string    `json:"address"`
	MAC     string    `json:"mac"`
	Since   time.Time `json:"since"`
}

// Alarms are what a person should look at, in words.
func (s State) Alarms(now time.Time) (out []string) {
	if now.Sub(s.At) > stale {
		return []string{fmt.Sprintf("the network helper has said nothing for %s: is `holdfast netcfg` running?", now.Sub(s.At).Round(time.Second))}
	}
	for _, p := range s.Ports {
		where := "interface " + p.Link
		switch {
		case p.Link == "":
			out = append(out, "no wired interface is there")
		case !p.Present:
			out = append(out, where+" is not there: is the adapter plugged in, and is the name right?")
		case !p.Carrier:
			out = append(out, where+" has no signal: is the cable plugged in?")
		case p.Conflict != nil && p.Address == "":
			out = append(out, fmt.Sprintf("%s belongs to another machine (MAC %s): the box does not take it; give one of them another address", p.Conflict.Address, p.Conflict.MAC))
		case p.Conflict != nil:
			out = append(out, fmt.Sprintf("another machine (MAC %s) uses the box's address %s: give it another one", p.Conflict.MAC, p.Conflict.Address))
		case p.Silent:
			out = append(out, fmt.Sprintf("the gateway %s does not answer on %s: is it the right address?", p.Gateway, where))
		}
	}
	return append(out, s.Faults...)
}

// ReadState reads what the helper wrote into dir; an error that is os.ErrNotExist means that no helper ran here.
func ReadState(dir string) (s State, err error) {
	data, err := os.ReadFile(filepath.Join(dir, StateName))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("network state: %w", err)
	}
	return s, nil
}

// writeFile replaces a file in one step; a file with the same content stays. It lies in RAM: nothing is synced.
func writeFile(path string, data []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, data) {
		return nil
	}
	tmp := path + ".new"
	if err := errors.Join(os.WriteFile(tmp, data, 0o644), os.Rename(tmp, path)); err != nil {
		return err
	}
	return nil
}

// resolvConf is the resolver's file (resolv.conf(5)), for servers that may be dead: one second each, taking turns.
func resolvConf(servers []netip.Addr) []byte {
	var b bytes.Buffer
	b.WriteString("# written by holdfast netcfg from holdfast.toml\noptions timeout:1 attempts:2\n")
	for _, s := range servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	return b.Bytes()
}
