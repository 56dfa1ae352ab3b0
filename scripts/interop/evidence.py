"""What a failed case leaves in the output: of every side what it did and saw, so that nobody has to repeat the run to know why.

Of a phone its events and commands, of a SIPp its errors and the first line of each message, of other programs the end of their logs."""

import os
import re

LINES = 40  # of each file


def lines(folder, logs, marks):
    """Those of a case: folder is its own, logs are files of its suite, of which what came after their size in marks belongs to the case."""
    out = []
    for path in dict.fromkeys([*sorted(own(folder)), *logs]):
        text = tail(path, marks.get(path, 0))
        name = os.path.relpath(path, os.path.dirname(folder))
        found = messages(text) if os.path.basename(path) == "messages" else text.splitlines()
        out += ["%s: %s" % (name, line[:300]) for line in found[-LINES:]]
    return out


def own(folder):
    """The files of a case that are short and say something: not the recordings, nor the logs in which a phone notes everything."""
    for at, _, names in os.walk(folder):
        for name in names:
            if name in ("events", "errors", "messages", "failed.txt"):
                yield os.path.join(at, name)


def messages(text):
    """One line for each message of a SIPp's trace: when, which way, its first line, and its CSeq."""
    pattern = r"-{20,} \S+T(\S+)\n\S+ message (sent|received)[^\n]*\n\n([^\n]*)(.*?)(?=-{20,} \d|\Z)"
    return ["%s %s %s [%s]" % (at, {"sent": ">", "received": "<"}[way], first.strip(), (re.search(r"\nCSeq: *([^\r\n]*)", rest, re.I) or ["", ""])[1])
            for at, way, first, rest in re.findall(pattern, text, re.S)]


def size(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


def tail(path, start):
    """The end of what came into a file after the byte start."""
    try:
        with open(path, "rb") as f:
            f.seek(max(start, size(path) - 100_000))
            return f.read().decode("utf8", "replace")
    except OSError:
        return ""
