"""Calls between real phones and the PSTN through SIPp as the on-site SBC, over TLS and SRTP."""

import time

import box
import calls
import sipp
import wire
from baresip import Baresip
from branch import Branch
from harness import PATIENCE, case, expect, until
from linphone import Linphone


class Trunk(Branch):
    name = "trunk"
    hosts = (10, 21, 22, 60)
    users = {"1001": 440, "1002": 440}

    @case("PSTN out: E.164, the user's carrier number as caller, early offer with SRTP, tones at both ends")
    def out(self):
        since, number = len(self.sbc.messages()), sipp.number(sipp.ANSWERS)
        with wire.Sniffer(self.lan[60], self.case_dir) as sniffer:
            with self.phone(Baresip, "1002") as p:
                calls.registered(p)
                at = p.mark()
                p.dial("9" + number[1:])
                up = p.wait(("up", "down"), PATIENCE, at)
                expect(up and up.kind == "up", "no call: %s" % (up.text if up else "no answer"))
                time.sleep(calls.PLAY)
                p.hangup()
                until("the SBC got BYE", PATIENCE, lambda: self.sbc.received("BYE", since))
        m = self.invite(number, since)
        caller = box.byoc_number("1002")
        expect(sipp.user(m.uri) == number, "Request-URI %s, want %s" % (m.uri, number))
        expect(sipp.user(m.header("From")) == caller, "From %s, want %s" % (m.header("From"), caller))
        expect(sipp.user(m.header("P-Asserted-Identity")) == caller, "P-Asserted-Identity %s, want %s" % (m.header("P-Asserted-Identity"), caller))
        expect(m.line("m=audio") and "RTP/SAVP " in m.line("m=audio")[0] and m.line("a=crypto"), "no early offer with SRTP:\n" + m.body)
        heard = p.heard(sipp.TONE)
        expect(heard.ok(calls.ENOUGH), "%s should have heard the PSTN: %s" % (p, heard))
        there = self.sbc_hears(sniffer, self.sbc.messages()[since:], p.hz)
        return "phone heard %d Hz for %.1f s, PSTN heard %d Hz for %.1f s" % (sipp.TONE, heard.seconds, p.hz, there.seconds)

    def dial_out(self, p, what, dialled=None):
        """Registers p and dials a PSTN number; returns the marks of phone and SBC before it."""
        calls.registered(p)
        at, since = p.mark(), len(self.sbc.messages())
        p.dial(dialled or sipp.number(what))
        return at, since

    @case("early media of the PSTN is heard before the answer, and the call after it")
    def early_media(self):
        with self.phone(Linphone, "1001") as p:
            at, since = self.dial_out(p, sipp.EARLY)
            early = p.wait(("early", "up", "down"), PATIENCE, at)
            expect(early and early.kind == "early", "linphone should be in early media: %s" % (early.text if early else "nothing came"))
            up = p.wait(("up", "down"), PATIENCE, at)
            expect(up and up.kind == "up", "no call: %s" % (up.text if up else "no answer"))
            expect(p.said(up) - p.said(early) > 2, "the answer came %.1f s after the early media, the SBC waits 3 s" % (p.said(up) - p.said(early)))
            time.sleep(calls.PLAY)
            p.hangup()
            until("the SBC got BYE", PATIENCE, lambda: self.sbc.received("BYE", since))
        heard = p.heard(sipp.TONE)
        expect(heard.ok(calls.ENOUGH + 2), "linphone should have heard about 3 s before and %g s after the answer: %s" % (calls.PLAY, heard))
        return "%d Hz for %.1f s" % (sipp.TONE, heard.seconds)

    @case("486 of the PSTN reaches the phone as 486")
    def busy(self):
        with self.phone(Baresip, "1002") as p:
            at, since = self.dial_out(p, sipp.BUSY)
            e = p.wait(("up", "down"), PATIENCE, at)
            expect(e and e.kind == "down", "the call should have ended: %s" % (e.kind if e else "no answer"))
            expect("486" in e.text, "baresip should have been told 486: %r" % e.text)
            until("the SBC got its ACK", PATIENCE, lambda: self.sbc.received("ACK", since))

    @case("BYE from the SBC ends the phone's call")
    def bye(self):
        with self.phone(Linphone, "1001") as p:
            at, since = self.dial_out(p, sipp.HANGS_UP)
            expect(p.wait("up", PATIENCE, at), "no call")
            expect(p.wait("down", PATIENCE, at), "the SBC hung up after 3 s, linphone did not notice")
            until("the box answered BYE", PATIENCE, lambda: [m for m in self.sbc.received("SIP/2.0 200", since) if "BYE" in m.header("CSeq")])

    @case("re-INVITE from the SBC with a new key: answered, and the sound goes on")
    def reinvite(self):
        with self.phone(Baresip, "1002") as p:
            at, since = self.dial_out(p, sipp.REINVITES)
            expect(p.wait("up", PATIENCE, at), "no call")
            answer = until("the box answered the re-INVITE with SDP", PATIENCE,
                           lambda: [m for m in self.sbc.received("SIP/2.0 200", since) if "INVITE" in m.header("CSeq")])[0]
            expect(answer.line("a=crypto"), "no key in the answer:\n" + answer.body)
            time.sleep(calls.PLAY)
            expect(not p.seen("down", at), "the call ended with the re-INVITE")
            p.hangup()
            until("the SBC got BYE", PATIENCE, lambda: self.sbc.received("BYE", since))
        heard = p.heard(sipp.TONE)
        expect(heard.ok(calls.ENOUGH + 1.5), "baresip should have heard 2 s before and %g s after the re-INVITE: %s" % (calls.PLAY, heard))
        return "%d Hz for %.1f s" % (sipp.TONE, heard.seconds)

    @case("a caller from the PSTN reaches linphone by the carrier's number; tones at both ends")
    def did(self):
        with self.phone(Linphone, "1001") as p, wire.Sniffer(self.lan[60], self.case_dir) as sniffer:
            calls.registered(p)
            since = p.mark()
            c = sipp.Caller(self.lan[60], self.case_dir + "/caller", self.ca.crt, self.sbc_cert)
            try:
                c.start(self.box.trunk, box.byoc_number("1001"), hold=calls.PLAY)
                expect(p.wait("up", PATIENCE, since), "linphone has no call; SIPp says: " + c.errors())
                expect(p.wait("down", PATIENCE, since), "the caller hung up, linphone did not notice")
                expect(c.finish(PATIENCE) == 0, "SIPp: " + c.errors())
            finally:
                c.stop()
        heard = p.heard(sipp.TONE)
        expect(heard.ok(calls.ENOUGH), "linphone should have heard the PSTN: %s" % heard)
        there = self.sbc_hears(sniffer, c.messages(), p.hz)
        return "phone heard %d Hz for %.1f s, PSTN heard %d Hz for %.1f s" % (sipp.TONE, heard.seconds, p.hz, there.seconds)

    @case("a number that is nobody's gets 404 from the box, so that the SBC tries its next route")
    def nobody(self):
        c = sipp.Caller(self.lan[60], self.case_dir + "/caller", self.ca.crt, self.sbc_cert)
        try:
            c.start(self.box.trunk, "+14155557777")
            c.finish(PATIENCE)
        finally:
            c.stop()
        final = [m.first for m in c.messages() if m.received and not m.first.startswith("SIP/2.0 1")]
        expect(final[:1] and "404" in final[0], "want 404, got %s" % (final or "nothing"))

    @case("nothing from inside was seen by the SBC in any of this")
    def hidden(self):
        return self.nothing_inside()
