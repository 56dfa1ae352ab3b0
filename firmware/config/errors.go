package config

import (
	"fmt"
	"strings"
)

// Error is one fault of the boot file, with its place and what would be right.
type Error struct {
	File    string
	Line    int    // 1-based; 0: nowhere in particular
	Column  int    // 1-based, in bytes; 0: unknown
	Key     string // dotted, such as "phones.listen"; "" when the file is not TOML
	Problem string
	Fix     string
}

// Error reads as `holdfast.toml:12: phones.listen: "::1:5061" is IPv6; write an IPv4 address and port, …`.
func (e Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	b.WriteString(": ")
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	b.WriteString(e.Problem)
	if e.Fix != "" {
		b.WriteString("; " + e.Fix)
	}
	return b.String()
}

// Errors is everything that is wrong with a boot file, in the order of its lines.
type Errors []Error

// Error puts one fault on a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}
