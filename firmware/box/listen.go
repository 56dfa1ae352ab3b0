package box

import (
	"errors"
	"fmt"
	"syscall"
)

// listening adds to an error of a listener which setting it comes from, and what to do. It passes nil on.
func listening(key string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: %w: another program has it, perhaps another holdfast; end that one, or take another port", key, err)
	}
	return fmt.Errorf("%s: %w", key, err)
}
