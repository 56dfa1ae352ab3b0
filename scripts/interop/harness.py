"""Cases, suites, and how their outcome is told.

A suite is one network with one box (or a few) and the cases that run on it, in the order in which they are written.
Suites run beside each other, each in a thread and a network of its own."""

import os
import tempfile
import threading
import time
import traceback

import evidence
import lan

# Seconds for what only has to happen. When all is well nobody waits so long, and a busy machine may need them. It stays below the half minute
# after which the box and linphone end a call in which nothing is heard any more: a BYE that is missing must not pass for that.
PATIENCE = 20.0


class Failed(Exception):
    """A case did not hold; the message says what was expected and what came."""


def case(title):
    def mark(f):
        f.title = title
        return f
    return mark


def expect(ok, message):
    if not ok:
        raise Failed(message)


def until(what, seconds, poll, every=0.1):
    """Calls poll until it returns something true, which it returns; Failed after seconds."""
    end = time.monotonic() + seconds
    while True:
        v = poll()
        if v:
            return v
        if time.monotonic() >= end or lan.over.is_set():
            raise Failed("not within %g s: %s" % (seconds, what))
        time.sleep(every)


class Suite:
    """Subclasses give name and hosts (the last octets of the addresses on their LAN), setup() and cases."""

    name = ""
    hosts = ()

    def __init__(self, run):
        self.run = run
        self.dir = os.path.join(run.out, self.name)
        os.makedirs(self.dir, exist_ok=True)
        self.closing = []
        self.broken = None  # why its setup failed

    @classmethod
    def cases(cls):
        return [f for f in vars(cls).values() if callable(f) and hasattr(f, "title")]

    def setup(self):
        pass

    def on_close(self, f):
        """f is called when the suite is over, last given first; returns what it belongs to."""
        self.closing.append(f)

    def folder(self, name):
        d = os.path.join(self.dir, name)
        os.makedirs(d, exist_ok=True)
        return d

    def logs(self):
        """Log files of the whole suite whose ends belong under a failure; those of the case itself are known."""
        return []

    def execute(self):
        wanted = [c for c in self.cases() if self.run.wants(self, c)]
        if not wanted:
            return
        with lan.Lan(self.run.prefix + self.name[:4], self.hosts) as self.lan:
            try:
                try:
                    self.setup()
                except Exception as e:
                    self.broken = e
                    with open(os.path.join(self.dir, "failed.txt"), "w") as f:
                        traceback.print_exc(limit=-4, file=f)
                self.first = wanted[0]
                for c in wanted:
                    self.one(c)
            finally:
                for f in reversed(self.closing):
                    try:
                        f()
                    except Exception:
                        traceback.print_exc(file=open(os.path.join(self.dir, "close-failed.txt"), "a"))

    def one(self, c):
        self.case_dir = self.folder(c.__name__)
        start, marks = time.monotonic(), {p: evidence.size(p) for p in self.logs()}
        why, note = None, ""
        if self.broken:
            why = "the suite did not get ready: %s" % self.broken if c is self.first else "as above"
        else:
            try:
                note = c(self) or ""
            except Exception as e:
                why = str(e) or type(e).__name__
                if not isinstance(e, Failed):
                    why = "%s: %s" % (type(e).__name__, why)
                with open(os.path.join(self.case_dir, "failed.txt"), "w") as f:  # which step it was
                    traceback.print_exc(limit=-4, file=f)
        self.run.report(self, c, why, note, time.monotonic() - start, marks)


class Run:
    """One run of the suites."""

    def __init__(self, box, out, suites, only):
        self.box, self.out, self.suites, self.only = box, out, suites, only
        self.prefix = "hf%dx" % os.getpid()
        self.tmp = tempfile.mkdtemp(prefix=self.prefix)  # short, as the path of a Unix socket may have 107 bytes only
        self.lock = threading.Lock()
        self.passed, self.failed = 0, 0
        self.start = time.monotonic()

    def wants(self, suite, c):
        return not self.only or any(o == suite.name if o in self.suites else o in "%s (%s)" % (c.title, c.__name__) for o in self.only)

    def broken(self, suite, e):
        """A suite that could not even have its network counts as one failure."""
        with self.lock:
            self.failed += 1
            print("FAIL  %-8s the suite could not run: %s" % (suite.name, e), flush=True)

    def report(self, suite, c, why, note, seconds, marks):
        with self.lock:
            if why is None:
                self.passed += 1
                print("PASS  %-8s %s%s (%.1f s)" % (suite.name, c.title, " [%s]" % note if note else "", seconds), flush=True)
                return
            self.failed += 1
            print("FAIL  %-8s %s (%.1f s)\n      %s\n      evidence: %s" %
                  (suite.name, c.title, seconds, why.replace("\n", "\n      "), suite.case_dir))
            for line in evidence.lines(suite.dir if suite.broken else suite.case_dir, suite.logs(), marks):
                print("      | " + line)
            print(end="", flush=True)
