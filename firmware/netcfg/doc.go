// Package netcfg keeps the box on the wire: its static IPv4 addresses and routes, a fallback address that always
// answers, DNS, and the watch for other machines with the same address. It is the only user of netlink.
//
// Plan is pure: from what is there and what is wanted to the steps between. Manager reads the kernel, plans, applies
// and does so again whenever a link, an address, a route or the settings change. It touches only what it made itself:
// addresses carry a label, routes a protocol number, VLAN interfaces an alias.
//
// An address is taken only after nobody answered for it (RFC 5227), with shorter waits than the RFC's: a box that
// replaces a phone system has to be there within seconds, and the watch goes on afterwards. Once taken it is defended
// and never given up by itself: calls are on it. An address that the settings no longer name stays as long as media
// sockets use it.
//
// It needs CAP_NET_ADMIN and CAP_NET_RAW, so it runs in a process of its own (`holdfast netcfg`), beside the daemon
// that has neither. What it knows the daemon reads from a file (State).
package netcfg
