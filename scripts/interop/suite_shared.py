"""Shared keys between real phones: each has the other's while nothing but talk happens, and keys of the box's own after."""

import re
import time

import calls
from baresip import Baresip
from branch import TALK, Branch
from harness import case, expect
from linphone import Linphone


class Shared(Branch):
    name = "shared"
    hosts = (10, 21, 22, 23, 60)
    users = {"1001": 440, "1002": 1000, "1003": 600}
    settings = "[media]\nshared_keys = true\n"

    def shares(self, since, want):
        """What the box says of the calls that were answered since then."""
        text = open(self.box.log, errors="replace").read()[since:]
        got = re.findall(r"msg=answered .*shared=(\w+)", text)
        expect(got and all(g == want for g in got), "the box should have answered with shared=%s, it said %s" % (want, got or "nothing"))

    def mark(self):
        return len(open(self.box.log, errors="replace").read())

    @case("linphone and linphone have each other's keys and hear each other; after a hold they have the box's, and still do")
    def hold(self):
        since = self.mark()
        a, b = self.phone(Linphone, "1001"), self.phone(Linphone, "1002")
        with a, b:
            calls.registered(a, b)
            at, bt = calls.connect(a, b, "1002")
            time.sleep(TALK)
            self.shares(since, "true")
            a.hold()
            time.sleep(TALK)
            a.resume()
            time.sleep(TALK)
            calls.release(a, b, at, bt)
            self.quiet()
        # Its own three seconds before the hold and its three after it: one part alone is not enough.
        return "they heard each other for %.1f and %.1f s" % (self.heard(a, b.hz, 2 * TALK - 2), self.heard(b, a.hz, 2 * TALK - 2))

    @case("baresip calls linphone: they have each other's keys and hear each other")
    def mixed(self):
        since = self.mark()
        words = calls.talk(self.phone(Baresip, "1001"), self.phone(Linphone, "1002"), "1002")
        self.shares(since, "true")
        return words

    @case("linphone hands its caller on to a third: both have keys of the box's own and hear each other")
    def transfer(self):
        a, b, c = self.phone(Linphone, "1001"), self.phone(Linphone, "1002"), self.phone(Linphone, "1003")
        self.hand_on(a, b, c)
        return "the caller heard %.1f s of the first and %.1f s of the second, the second %.1f s" % (
            self.heard(a, b.hz), self.heard(a, c.hz), self.heard(c, a.hz))
