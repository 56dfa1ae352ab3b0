package load

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick of the kernel's accounting (USER_HZ, which is 100 on every Linux).
const tick = 10 * time.Millisecond

// group are the processes of a process group: a server with its workers.
func group(pgid int) (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		if f := statFields(name); len(f) > 3 && f[2] == strconv.Itoa(pgid) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// statFields are those after the program's name: state, ppid, pgrp …
func statFields(name string) []string {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return strings.Fields(rest)
}

// cpu is the processor time that the groups have used.
func cpu(pgids []int) (d time.Duration) {
	for _, g := range pgids {
		for _, pid := range group(g) {
			if f := statFields(fmt.Sprintf("/proc/%d/stat", pid)); len(f) > 12 {
				user, _ := strconv.Atoi(f[11])
				system, _ := strconv.Atoi(f[12])
				d += time.Duration(user+system) * tick
			}
		}
	}
	return d
}

// pss is the groups' proportional set size in bytes.
func pss(pgids []int) (n int) {
	for _, g := range pgids {
		for _, pid := range group(g) {
			b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
			for line := range strings.Lines(string(b)) {
				if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
					kb, _ := strconv.Atoi(f[1])
					n += kb << 10
				}
			}
		}
	}
	return n
}
