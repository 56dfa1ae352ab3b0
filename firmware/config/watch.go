package config

// What the box shows of itself to those who watch it.

// Trace is the memory for SIP messages.
type Trace struct {
	MemoryMiB int // default 4; 0: nothing is kept
}

// trace reads what is kept of SIP messages.
func (r *reader) trace() Trace {
	return Trace{MemoryMiB: r.integer("trace.memory_mib", 4, 0, 256)}
}
