package sdp

import (
	"errors"
	"fmt"
)

// What a caller branches on.
var (
	ErrIPv6    = errors.New("IPv6 address, only IPv4 is served")
	ErrNoAudio = errors.New("no RTP audio stream")
	ErrNoCodec = errors.New("no codec in common")
)

// SyntaxError says where a description is wrong.
type SyntaxError struct {
	Line int // from 1; 0: the whole
	Err  error
}

func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return "SDP: " + e.Err.Error()
	}
	return fmt.Sprintf("SDP line %d: %v", e.Line, e.Err)
}

// Unwrap gives the cause, so that errors.Is finds ErrIPv6 and ErrNoAudio.
func (e *SyntaxError) Unwrap() error { return e.Err }

func wrong(line int, format string, args ...any) error {
	return &SyntaxError{line, fmt.Errorf(format, args...)}
}
