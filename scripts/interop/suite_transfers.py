"""Who talks to whom changes: transfers, pickup and park, with real phones and the PSTN."""

import re
import time

import calls
import sipp
import tone
import wire
from baresip import Baresip
from branch import CLEAR, TALK, Branch
from harness import PATIENCE, case, expect, until
from linphone import Linphone


class Transfers(Branch):
    name = "transfer"
    hosts = (10, 21, 22, 23, 60)
    users = {"1001": 440, "1002": 1000, "1003": 600}

    @case("blind transfer: linphone hands its caller, a baresip, to another linphone")
    def blind(self):
        a, b, c = self.phone(Baresip, "1001"), self.phone(Linphone, "1002"), self.phone(Linphone, "1003")
        self.hand_on(a, b, c)
        words = "the caller heard %.1f s of the first and %.1f s of the second" % (self.heard(a, b.hz), self.heard(a, c.hz))
        self.heard(c, a.hz)
        return words

    @case("blind transfer: baresip hands the PSTN to linphone; the SBC sees a re-INVITE and no REFER")
    def blind_outside(self):
        since = len(self.sbc.messages())
        a, b = self.phone(Baresip, "1001"), self.phone(Linphone, "1002")
        with a, b:
            calls.registered(a, b)
            at, bt = a.mark(), b.mark()
            a.dial(sipp.number(sipp.ANSWERS))
            expect(a.wait("up", PATIENCE, at), "no call to the PSTN")
            time.sleep(TALK)
            a.transfer("1002")
            expect(b.wait("up", PATIENCE, bt), "the target's phone has no call")
            self.gone(a, at, "it has transferred")
            time.sleep(TALK)
            self.alive((b, bt))
            b.hangup()
            until("the SBC got BYE", PATIENCE, lambda: self.sbc.received("BYE", since))
            self.quiet()
        expect(not self.sbc.received("REFER", since), "the SBC got a REFER")
        expect(len({m.header("Call-ID") for m in self.sbc.received("INVITE", since)}) == 1, "the SBC should have one dialog throughout")
        return "the target heard the PSTN for %.1f s" % self.heard(b, sipp.TONE)

    @case("a blind transfer that fails leaves the transferor its call")
    def blind_fails(self):
        a, b = self.phone(Linphone, "1001"), self.phone(Baresip, "1002")
        with a, b:
            calls.registered(a, b)
            at, bt = calls.connect(a, b, "1002")
            since = len(self.sbc.messages())
            a.transfer(sipp.number(sipp.BUSY))
            until("the SBC was asked and refused", PATIENCE, lambda: [m for m in self.sbc.received("ACK", since)])
            time.sleep(1)
            self.alive((a, at), (b, bt))
            calls.release(a, b, at, bt)
            self.quiet()

    @case("attended transfer between phones: linphone asks the third first, then joins them")
    def attended(self):
        a, b, c = self.phone(Linphone, "1001"), self.phone(Baresip, "1002"), self.phone(Linphone, "1003")
        with a, b, c, wire.Sniffer(self.lan[22], self.case_dir) as sniffer:
            calls.registered(a, b, c)
            at, bt = calls.connect(a, b, "1002")
            time.sleep(1)
            self.consult(a, c, "1003")
            a.attended()
            ct = c.mark()
            self.gone(a, at, "it has transferred")
            time.sleep(TALK)
            self.alive((b, bt), (c, ct))
            c.hangup()
            expect(b.wait("down", PATIENCE, bt), "%s did not see %s hang up" % (b, c))
            self.quiet()
        there = self.reached(b, sniffer, c.hz)
        return "they heard each other for %.1f and %.1f s" % (there, self.heard(c, b.hz))

    def reached(self, p, sniffer, hz):
        """What came to a baresip that was held: its recording ends with the hold, as its player does."""
        keys = re.findall(r"AES_CM_128_HMAC_SHA1_80 inline:(\S+)", open(p.log, errors="replace").read())
        samples, bad = wire.sound((q for q in sniffer.packets() if q.source[0] == self.box.host.ip), keys)
        h = tone.Heard(samples, hz)
        expect(not bad and h.seconds >= CLEAR, "%s should have heard %d Hz: %s, %d packets not authentic" % (p, hz, h, bad))
        return h.seconds

    def consult(self, a, c, number):
        """a puts its call aside and has another one with c."""
        at = a.mark()
        a.hold()
        expect(a.wait("paused", PATIENCE, at), "%s cannot put its call aside" % a)
        at, ct = a.mark(), c.mark()
        a.dial(number)
        expect(c.wait("up", PATIENCE, ct), "%s has no call" % c)
        expect(a.wait("up", PATIENCE, at), "%s has no second call" % a)
        time.sleep(1)

    @case("attended transfer across the trunk: the PSTN and a baresip are joined, topology hidden")
    def attended_outside(self):
        since = len(self.sbc.messages())
        a, c = self.phone(Linphone, "1001"), self.phone(Baresip, "1003")
        with a, c:
            calls.registered(a, c)
            at = a.mark()
            a.dial(sipp.number(sipp.ANSWERS))
            expect(a.wait("up", PATIENCE, at), "no call to the PSTN")
            time.sleep(1)
            self.consult(a, c, "1003")
            ct = c.mark()
            a.attended()
            self.gone(a, at, "it has transferred")
            time.sleep(TALK)
            self.alive((c, ct))
            c.hangup()
            until("the SBC got BYE", PATIENCE, lambda: self.sbc.received("BYE", since))
            self.quiet()
        for m in self.sbc.messages()[since:]:
            expect(not m.received or "replaces" not in m.text.lower(), "Replaces went to the SBC:\n" + m.text)
        return "the third heard the PSTN for %.1f s" % self.heard(c, sipp.TONE)

    @case("pickup by feature code: a phone takes the call that rings at another")
    def pickup(self):
        a, b, c = self.phone(Linphone, "1001"), self.phone(Linphone, "1002", answer=False), self.phone(Baresip, "1003")
        with a, b, c:
            calls.registered(a, b, c)
            at, bt, ct = a.mark(), b.mark(), c.mark()
            a.dial("1002")
            expect(b.wait("incoming", PATIENCE, bt), "the phone does not ring")
            c.dial("*81002")
            expect(c.wait("up", PATIENCE, ct), "nothing was picked up")
            expect(a.wait("up", PATIENCE, at), "the caller has no call")
            expect(b.wait("down", PATIENCE, bt), "the phone rings on")
            time.sleep(TALK)
            calls.release(a, c, at, ct)
            self.quiet()
        return "they heard each other for %.1f and %.1f s" % (self.heard(a, c.hz), self.heard(c, a.hz))

    @case("park and fetch: transferred to *51, fetched by dialling it")
    def park(self):
        a, b, c = self.phone(Baresip, "1001"), self.phone(Linphone, "1002"), self.phone(Linphone, "1003")
        with a, b, c:
            calls.registered(a, b, c)
            at, bt = calls.connect(a, b, "1002")
            b.transfer("*51")
            self.gone(b, bt, "it has parked the call")
            time.sleep(2)
            ct = c.mark()
            c.dial("*51")
            expect(c.wait("up", PATIENCE, ct), "nothing was fetched")
            time.sleep(TALK)
            calls.release(c, a, ct, at)
            self.quiet()
        return "they heard each other for %.1f and %.1f s" % (self.heard(a, c.hz), self.heard(c, a.hz))

    @case("nothing from inside was seen by the SBC in any of this")
    def hidden(self):
        return self.nothing_inside()
