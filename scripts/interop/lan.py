"""A branch's network out of network namespaces: every host has an address of its own, so that the source of a
packet and the address in its SDP agree, as on a real LAN. Nothing leaves these namespaces."""

import os
import re
import signal
import subprocess
import threading
import time


over = threading.Event()  # once set, nothing more is started: the networks are about to be removed


def ip(*args, check=True):
    p = subprocess.run(["ip", *args], capture_output=True, text=True)
    if check and p.returncode:
        raise RuntimeError("ip %s: %s" % (" ".join(args), p.stderr.strip()))
    return p.stdout


class Host:
    """One namespace with one address."""

    def __init__(self, lan, octet):
        self.lan, self.octet = lan, octet
        self.netns = "%s-%d" % (lan.name, octet)
        self.ip = "10.77.0.%d" % octet

    def command(self, *args):
        """args as a command line that runs in this host."""
        if over.is_set():
            raise RuntimeError("the run is over")
        return ["ip", "netns", "exec", self.netns, *args]

    def run(self, *args, timeout=60, **kw):
        return subprocess.run(self.command(*args), capture_output=True, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL, **kw)

    def popen(self, *args, log=None, **kw):
        out = open(log, "ab") if log else subprocess.DEVNULL
        try:
            return subprocess.Popen(self.command(*args), stdin=subprocess.DEVNULL, stdout=out,
                                    stderr=subprocess.STDOUT, start_new_session=True, **kw)
        finally:
            if log:
                out.close()

    def listens(self, port):
        return bool(self.run("ss", "-HltnO", "sport = :%d" % port).stdout.strip())


class Lan:
    """A switch and its hosts. Use it as a context manager: leaving it ends what still runs in the hosts."""

    def __init__(self, name, octets):
        self.name = name
        self.hosts = {o: Host(self, o) for o in octets}

    def __getitem__(self, octet):
        return self.hosts[octet]

    def __enter__(self):
        try:
            sw = self.name + "-sw"
            ip("netns", "add", sw)
            ip("-n", sw, "link", "add", "br0", "type", "bridge")
            ip("-n", sw, "link", "set", "br0", "up")
            for o, h in self.hosts.items():
                if over.is_set():
                    raise RuntimeError("the run is over")
                ip("netns", "add", h.netns)
                ip("-n", h.netns, "link", "set", "lo", "up")
                ip("-n", sw, "link", "add", "p%d" % o, "type", "veth", "peer", "name", "eth0", "netns", h.netns)
                ip("-n", sw, "link", "set", "p%d" % o, "master", "br0", "up")
                ip("-n", h.netns, "addr", "add", h.ip + "/24", "dev", "eth0")
                ip("-n", h.netns, "link", "set", "eth0", "up")
                # linphone asks the routing table for its own address
                ip("-n", h.netns, "route", "add", "default", "dev", "eth0")
        except BaseException:
            remove(self.name + "-")
            raise
        return self

    def __exit__(self, *exc):
        remove(self.name + "-")


def names():
    return [line.split()[0] for line in ip("netns", "list").splitlines() if line.strip()]


def remove(prefix):
    """Ends the processes in the namespaces whose names begin so and deletes these."""
    mine = [n for n in names() if n.startswith(prefix)]
    for attempt in range(10):
        pids = [int(p) for n in mine for p in ip("netns", "pids", n, check=False).split()]
        if not pids:
            break
        for p in pids:
            try:
                os.kill(p, signal.SIGKILL if attempt else signal.SIGTERM)
            except ProcessLookupError:
                pass
        time.sleep(0.3)
    for n in mine:
        ip("netns", "del", n, check=False)


def sweep():
    """Removes what an earlier run left behind that was killed before it could."""
    for n in names():
        m = re.match(r"(hf(\d+)x\w*)-", n)
        if m and not os.path.exists("/proc/" + m.group(2)):
            remove(m.group(1) + "-")
