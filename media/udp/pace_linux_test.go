package udp

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// timerSlack is the calling thread's; below 0: unknown.
func timerSlack() time.Duration {
	n, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		return -1
	}
	return time.Duration(n)
}

// mayHurry says whether other threads can be changed. Root in a container often has no CAP_SYS_NICE.
func mayHurry(t *testing.T) bool {
	var have [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &have[0]); err != nil {
		t.Fatal(err)
	}
	return have[0].Effective>>unix.CAP_SYS_NICE&1 != 0
}

// TestUnhurry: the process's threads come late without harm, a loop's own does not.
func TestUnhurry(t *testing.T) {
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	Unhurry()
	if got := timerSlack(); got != slack {
		t.Errorf("the calling thread's slack is %v", got)
	}
	if mayHurry(t) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread() // another thread than the test's
			if got := timerSlack(); got != slack {
				t.Errorf("another thread's slack is %v", got)
			}
		}()
		<-done
	}
	settle()
	if got := timerSlack(); got <= 0 || got >= slack/10 {
		t.Errorf("a loop's slack is %v", got)
	}
}
