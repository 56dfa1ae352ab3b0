// Package privilege is how the box's programs come to run with no more than they need: a process of root's replaces itself
// by a program that runs as another user, with the few capabilities that are named and no way to get others back. It is
// for commands, before they begin to work; nothing else calls it.
package privilege

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"runtime"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Capabilities that the box's programs need (capabilities(7)).
const (
	NetBind  = unix.CAP_NET_BIND_SERVICE // ports below 1024: the admin page
	Nice     = unix.CAP_SYS_NICE         // the media threads' priority
	NetAdmin = unix.CAP_NET_ADMIN        // addresses and routes
	NetRaw   = unix.CAP_NET_RAW          // ARP
	SetTime  = unix.CAP_SYS_TIME         // the clock
)

// Become is what a process is to be.
type Become struct {
	User string // name or number; "" stays the user that it is
	Keep []int  // capabilities
}

// Exec replaces the process by the program; it returns only when that cannot be done, and the process should then end: it
// may have lost half of its rights. What the new program starts in turn has no more rights than it, set-user-ID files
// included. Core dumps are off in it: they would hold keys.
func (b Become) Exec(program string, args, env []string) error {
	if os.Geteuid() != 0 {
		return errors.New("only root can give rights up: start this as root, or leave the user out")
	}
	// Rights belong to threads; the new program gets those of the thread that calls for it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("switch core dumps off: %w", err)
	}
	for c := range unix.CAP_LAST_CAP + 1 {
		if slices.Contains(b.Keep, c) {
			continue
		}
		// The kernel may be older than the list.
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("give up capability %d: %w", c, err)
		}
	}
	if b.User != "" {
		if err := b.change(); err != nil {
			return err
		}
	}
	if err := keep(b.Keep); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("refuse new rights: %w", err)
	}
	return fmt.Errorf("start %s: %w", program, unix.Exec(program, args, env))
}

func (b Become) change() error {
	uid, gid, err := find(b.User)
	if err != nil {
		return err
	}
	if uid == 0 {
		return errors.New("user 0 is root: name another one")
	}
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("keep capabilities: %w", err)
	}
	return errors.Join(unix.Setgroups(nil), unix.Setresgid(gid, gid, gid), unix.Setresuid(uid, uid, uid))
}

// keep leaves these capabilities and no others, and hands them on to a program that knows nothing of them.
func keep(list []int) error {
	var data [2]unix.CapUserData
	for _, c := range list {
		bit := uint32(1) << (c % 32)
		d := &data[c/32]
		d.Effective, d.Permitted, d.Inheritable = d.Effective|bit, d.Permitted|bit, d.Inheritable|bit
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capset(&head, &data[0]); err != nil {
		return fmt.Errorf("keep capabilities %v: %w", list, err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("hand capabilities on: %w", err)
	}
	for _, c := range list {
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(c), 0, 0); err != nil {
			return fmt.Errorf("hand capability %d on: %w", c, err)
		}
	}
	return nil
}

// find reads a user's numbers; a plain number is its own group, too.
func find(name string) (uid, gid int, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		if n, numeric := strconv.Atoi(name); numeric == nil && n >= 0 {
			return n, n, nil
		}
		return 0, 0, fmt.Errorf("user %s: %w", name, err)
	}
	uid, errU := strconv.Atoi(u.Uid)
	gid, errG := strconv.Atoi(u.Gid)
	return uid, gid, errors.Join(errU, errG)
}
