// Package trace remembers the SIP messages of the last minutes or hours, for the person who has to find out why a call
// failed: as a ladder, as a capture file for Wireshark, and live for an exporter. Memory is bounded and taken once; what
// is secret in a message is overwritten before it is kept, so that nobody has to trust the reader.
//
// It hears messages from sip/stack by way of the composition root, and learns from sip/b2bua which Call-IDs are one call.
// It opens no file and no socket; who may look is its caller's job.
package trace
