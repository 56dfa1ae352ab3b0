package box

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

func TestListening(t *testing.T) {
	if err := listening("phones.listen", nil); err != nil {
		t.Errorf("no error became %v", err)
	}
	for cause, want := range map[error]string{
		syscall.EADDRINUSE: "another holdfast",
		syscall.EACCES:     "permission denied",
	} {
		err := listening("phones.listen", fmt.Errorf("bind: %w", cause))
		if !strings.HasPrefix(err.Error(), "phones.listen: bind: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%v became %q, want %q in it", cause, err, want)
		}
	}
}
