"""What the drivers of real phones share: events in the order they came, tones to play, what was heard.

A phone runs on a host of its own. It needs no sound card: it plays a tone and records what it hears."""

import datetime
import os
import re
import subprocess
import threading
import time

import tone
from harness import PATIENCE

SECRET = "secret"  # every user's password


class Account:
    """Where a phone registers, and as whom; ca is the root it trusts, cert its own certificate (a Leaf)."""

    def __init__(self, server, domain, user, ca, cert, password=SECRET, expires=120):
        self.server, self.domain, self.user, self.password = server, domain, user, password
        self.ca, self.cert, self.expires = ca, cert, expires

    @property
    def aor(self):
        return "sip:%s@%s" % (self.user, self.domain)


class Event:
    def __init__(self, kind, text):
        self.at, self.kind, self.text = time.monotonic(), kind, text


class Phone:
    """Events: registered, refused, incoming, ringing, up, down, dtmf, dead."""

    engine = ""

    def __init__(self, host, account, folder, codec="opus", hz=440, answer=True):
        self.host, self.account, self.codec, self.hz, self.answer = host, account, codec, hz, answer
        self.dir = os.path.join(folder, "%s-%s" % (self.engine, account.user))
        os.makedirs(self.dir, exist_ok=True)
        self.log = os.path.join(self.dir, "log")
        self.tone = tone.write(os.path.join(self.dir, "tone.wav"), hz, 60)
        self.events, self.news = [], threading.Condition()
        self.diary = os.path.join(self.dir, "events")
        self.proc = self.reader = None

    def __str__(self):
        return "%s %s" % (self.engine, self.account.user)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.stop()

    def emit(self, kind, text=""):
        with self.news:
            self.events.append(Event(kind, text))
            self.news.notify_all()
        if kind not in ("prompt", "codec"):
            self.note("< %s %s" % (kind, text))

    def note(self, line):
        """Keeps a line of what the phone said or was told, with the time of day: what is shown when its case fails."""
        with open(self.diary, "a") as f:
            f.write("%s %s\n" % (datetime.datetime.now().strftime("%H:%M:%S.%f"), line))

    def mark(self):
        """A place in the events, to wait for what comes after it."""
        with self.news:
            return len(self.events)

    def seen(self, kinds, since=0):
        kinds = (kinds,) if isinstance(kinds, str) else kinds
        with self.news:
            return [e for e in self.events[since:] if e.kind in kinds]

    def wait(self, kinds, seconds, since=0):
        """The first event of these kinds after the mark since, or None."""
        end = time.monotonic() + seconds
        with self.news:
            while True:
                e = next(iter(self.seen(kinds, since)), None)
                left = end - time.monotonic()
                if e or left <= 0:
                    return e
                self.news.wait(left)

    def digits(self, since=0):
        return "".join(e.text for e in self.seen("dtmf", since))

    def signalling(self):
        """Facts about media in the phone's own log of its signalling."""
        text = re.sub(r"\x1b\[[0-9;]*m", "", open(self.log, errors="replace").read())
        return {"profiles": set(re.findall(r"m=audio [1-9]\d* (RTP/\S+)", text)),
                "suites": set(re.findall(r"a=crypto:\d+ (\S+) inline", text)),
                "events": set(re.findall(r"telephone-event/(\d+)", text))}

    def stop(self):
        if self.proc and self.proc.poll() is None:
            try:
                self.quit()
                self.proc.wait(PATIENCE)  # its recording and its log are whole when it has ended by itself
            except (OSError, subprocess.TimeoutExpired):
                self.proc.kill()
                self.proc.wait()
        if self.reader:
            self.reader.join(2)

    def heard(self, hz):
        return tone.heard(self.recording(), hz)

    # what a driver adds: start() returns when the program takes commands
    def start(self): raise NotImplementedError
    def quit(self): raise NotImplementedError
    def dial(self, number): raise NotImplementedError
    def hangup(self): raise NotImplementedError
    def hold(self): raise NotImplementedError
    def resume(self): raise NotImplementedError
    def transfer(self, number): raise NotImplementedError
    def dtmf(self, digits): raise NotImplementedError
    def recording(self): raise NotImplementedError
