"""What happens within a call, with real phones: hold in both styles, reliable provisional responses."""

import math
import re
import time

import box
import calls
import sipp
import wire
from baresip import Baresip
from branch import CLEAR, TALK, Branch
from harness import PATIENCE, case, expect, until
from linphone import Linphone


class Reliable(Linphone):
    """A linphone that makes its provisional responses reliable (RFC 3262)."""
    sip = "100rel_support_level=2"


class Calls(Branch):
    name = "calls"
    hosts = (10, 21, 22, 60)
    users = {"1001": 440, "1002": 1000}

    @case("hold by baresip: linphone hears music, and the tone again after")
    def hold(self):
        a, b = self.phone(Baresip, "1001"), self.phone(Linphone, "1002")
        with a, b:
            calls.registered(a, b)
            at, bt = calls.connect(a, b, "1002")
            time.sleep(2)
            a.hold()
            time.sleep(3)
            a.resume()
            time.sleep(3)
            calls.release(a, b, at, bt)
        h = b.heard(a.hz)
        return "the held one heard %.1f s of the holder, %.1f s of something else" % (h.seconds, h.other)

    def held_by_sbc(self, what):
        since = len(self.sbc.messages())
        with self.phone(Linphone, "1001") as p, wire.Sniffer(self.lan[60], self.case_dir) as sniffer:
            calls.registered(p)
            at = p.mark()
            p.dial(sipp.number(what))
            expect(p.wait("up", PATIENCE, at), "no call")
            answers = lambda: [m for m in self.sbc.received("SIP/2.0 200", since) if "INVITE" in m.header("CSeq")]
            until("the box answered the resume", PATIENCE, lambda: len(answers()) == 2)
            time.sleep(TALK)
            self.alive((p, at))
            p.hangup()
            until("the SBC got BYE", PATIENCE, lambda: self.sbc.received("BYE", since))
        first, second = answers()
        hold, resume = [m for m in self.sbc.messages()[since:] if not m.received and m.first.startswith("INVITE")]
        expect(re.search(r"a=(recvonly|inactive)", first.body), "the hold was answered with:\n" + first.body)
        expect("a=sendrecv" in second.body, "the resume was answered with:\n" + second.body)
        sound = [q.at for q in sniffer.packets() if q.source[0] == self.box.host.ip and q.source[1] >= 1024 and len(q.data) > 100]
        between = lambda start, end: sum(start < at < end for at in sound)
        expect(between(0, hold.at) and between(resume.at, math.inf), "no sound went to the SBC before it held, or after")
        expect(resume.at > first.at + 2, "the SBC held for %.1f s only" % (resume.at - first.at))
        expect(not between(first.at + 0.5, resume.at), "%d packets of sound went to the SBC while it held" % between(first.at + 0.5, resume.at))
        h = p.heard(sipp.TONE)
        expect(h.seconds >= 2 + CLEAR, "linphone should have heard %d Hz before and after: %s" % (sipp.TONE, h))
        expect(h.other >= 1, "linphone should have heard music meanwhile: %s" % h)
        return "%.1f s of the PSTN, %.1f s of music" % (h.seconds, h.other)

    @case("hold by the SBC with a=sendonly: music for the phone, nothing for the SBC, then the call again")
    def held(self):
        return self.held_by_sbc(sipp.HOLDS)

    @case("hold by the SBC in the old style, c=0.0.0.0: the same")
    def held_old(self):
        return self.held_by_sbc(sipp.HOLDS_OLD)

    @case("100rel: the box acknowledges the SBC's reliable 180 and 183 by PRACK, and linphone the box's 183; early media is heard")
    def reliable_sbc(self):
        since = len(self.sbc.messages())
        with self.phone(Reliable, "1001") as p:
            calls.registered(p)
            at = p.mark()
            p.dial(sipp.number(sipp.RELIABLE))
            expect(p.wait("early", PATIENCE, at), "no early media")
            expect(p.wait("up", PATIENCE, at), "no call")
            time.sleep(TALK)
            p.hangup()
            until("the SBC got BYE", PATIENCE, lambda: self.sbc.received("BYE", since))
        racks = [m.header("RAck") for m in self.sbc.received("PRACK", since)]
        invite = self.sbc.received("INVITE", since)[0].header("CSeq")
        expect(racks == ["%d %s" % (n, invite) for n in (1, 2)], "PRACK acknowledged %s" % racks)
        expect("PRACK sip:" in open(p.log, errors="replace").read(), "linphone got its early media unreliably")
        return "the PSTN was heard for %.1f s" % self.heard(p, sipp.TONE)

    @case("100rel: a PSTN caller that requires it gets a reliable 180, and its PRACK an answer")
    def reliable_caller(self):
        with self.phone(Linphone, "1001") as p:
            calls.registered(p)
            since = p.mark()
            c = sipp.Caller(self.lan[60], self.case_dir + "/caller", self.ca.crt, self.sbc_cert)
            try:
                c.start(self.box.trunk, box.byoc_number("1001"), hold=2, reliable=True)
                expect(p.wait("up", PATIENCE, since), "linphone has no call; SIPp says: " + c.errors())
                expect(c.finish(PATIENCE) == 0, "SIPp: " + c.errors())
            finally:
                c.stop()
        ringing = c.received("SIP/2.0 180")
        expect(ringing and ringing[0].header("Require") == "100rel" and ringing[0].header("RSeq"), "no reliable 180: %s" % (ringing[0].text if ringing else "none"))

    @case("100rel: the box acknowledges the reliable 180 of a linphone that requires it")
    def reliable_phone(self):
        a, b = self.phone(Linphone, "1001"), self.phone(Reliable, "1002", answer=False)
        with a, b:
            calls.registered(a, b)
            at, bt = a.mark(), b.mark()
            a.dial("1002")
            expect(b.wait("incoming", PATIENCE, bt), "the phone does not ring")
            expect(a.wait(("ringing", "early"), PATIENCE, at), "the caller does not know that it rings")
            time.sleep(1)
            b.accept()
            expect(a.wait("up", PATIENCE, at), "the caller has no call: %s" % [e.text for e in a.seen("down", at)])
            time.sleep(TALK)
            calls.release(a, b, at, bt)
        text = open(b.log, errors="replace").read()
        for sent in ("RSeq:", "PRACK sip:"):
            expect(sent in text, "no %s in the log of %s" % (sent, b))
        return "they heard each other for %.1f and %.1f s" % (self.heard(a, b.hz), self.heard(b, a.hz))

    @case("nothing from inside was seen by the SBC in any of this")
    def hidden(self):
        return self.nothing_inside()
