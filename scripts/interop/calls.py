"""A call between two real phones, and what must hold of it."""

import time

from harness import PATIENCE, expect

PLAY = 4.0   # seconds of talk
ENOUGH = 2.4  # seconds of clean tone that must have arrived of it


def registered(*phones, seconds=PATIENCE):
    for p in phones:
        expect(p.wait("registered", seconds), "%s does not register: %s" % (p, [e.text for e in p.seen("refused")][-1:] or "no answer"))


def connect(a, b, number, seconds=PATIENCE):
    """a dials number and b answers; returns the marks of both from before the call."""
    at, bt = a.mark(), b.mark()
    a.dial(number)
    up = a.wait(("up", "down", "dead"), seconds, at)
    expect(up and up.kind == "up", "%s dialled %s, and: %s" % (a, number, up.text or up.kind if up else "no answer"))
    expect(b.wait("up", PATIENCE, bt), "%s has no call although %s has" % (b, a))
    return at, bt


def release(a, b, at, bt):
    """a hangs up, and b must see it."""
    for p, since in ((a, at), (b, bt)):
        expect(not p.seen(("down", "dead"), since), "%s lost the call before it was hung up" % p)
    bt = b.mark()
    a.hangup()
    expect(b.wait("down", PATIENCE, bt), "%s did not see %s hang up" % (b, a))


def tones(a, b, enough=ENOUGH):
    """After both have stopped: each must have heard the other's tone. Returns the measure in words."""
    words = []
    for me, other in ((a, b), (b, a)):
        h = me.heard(other.hz)
        expect(h.ok(enough), "%s should have heard %s for at least %.1f s: %s" % (me, other, enough, h))
        words.append("%s heard %d Hz for %.1f s" % (me.engine, other.hz, h.seconds))
    return ", ".join(words)


def srtp(*phones):
    """Only SRTP was spoken of in the signalling of these phones."""
    for p in phones:
        s = p.signalling()
        expect(s["profiles"] and all(x.startswith("RTP/SAVP") for x in s["profiles"]), "%s: profiles %s" % (p, s["profiles"] or "none"))
        expect(s["suites"], "%s: no crypto line" % p)


def talk(a, b, number, seconds=PLAY):
    """A whole call: both register, talk, hang up; tones at both ends, SRTP only."""
    with a, b:
        registered(a, b)
        at, bt = connect(a, b, number)
        time.sleep(seconds)
        release(a, b, at, bt)
        time.sleep(0.3)
    note = tones(a, b)
    srtp(a, b)
    return note
