// Package update changes the box's software and never leaves it without one. There are two slots: the one that runs stays
// as it is, the other one is written from a signed bundle, and the switch to it is the last thing that is written. The boot script tries a
// new slot twice; whoever calls Confirm says that it has proven itself. board/README.md describes the card.
//
// When to restart, and what proves a new version, is firmware/box's business. Writing needs root: `holdfast updater` (Serve) is
// the small program that may, and it takes nothing that is not signed, whoever asks it.
package update
