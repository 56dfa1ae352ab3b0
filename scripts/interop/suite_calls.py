"""What happens in a call, with real phones: transfers, pickup, park, hold in both styles, reliable provisional responses."""

import re
import time

import box
import calls
import pki
import sipp
import tone
import wire
from baresip import Baresip
from harness import Suite, case, expect, until
from linphone import Linphone
from phone import Account

# Tones by which the parties tell who speaks; the PSTN's is sipp.TONE.
HZ = {"1001": 440, "1002": 1000, "1003": 600}
TALK = 3.0    # seconds of talk with each party
CLEAR = 1.5   # seconds of its tone that must have arrived


class Reliable(Linphone):
    """A linphone that makes and wants its provisional responses reliable (RFC 3262)."""
    sip = "100rel_support_level=2"


class Calls(Suite):
    name = "calls"
    hosts = (10, 21, 22, 23, 60)

    def setup(self):
        self.ca = pki.Authority(self.folder("ca"))
        server = self.ca.leaf("box", self.lan[10].ip, box.DOMAIN)
        self.phone_cert = self.ca.leaf("phone", "phone.test")
        self.sbc_cert = self.ca.leaf("sbc", "sbc.test", self.lan[60].ip)
        self.sbc = sipp.Sbc(self.lan[60], self.folder("sbc"), self.ca.crt, self.sbc_cert)
        self.on_close(self.sbc.stop)
        self.sbc.start()
        doc = box.document([box.person(u) for u in HZ], [box.trunk("sbc", self.sbc, "sbc.test")])
        self.box = box.Box(self.run, self.lan[10], self.folder("box"), doc, self.ca.crt, server)
        self.on_close(self.box.stop)
        self.box.start()
        self.box.serving()
        until("the trunk is up", 15, lambda: self.box.trunks().get("sbc"), 0.2)

    def logs(self):
        return [self.box.log] if hasattr(self, "box") else []

    def phone(self, engine, user, answer=True):
        host = self.lan[20 + int(user) - 1000]
        account = Account(self.box.phones, box.DOMAIN, user, self.ca.crt, self.phone_cert)
        return engine(host, account, self.case_dir, "pcmu", HZ[user], answer)

    def heard(self, p, hz, seconds=CLEAR):
        h = p.heard(hz)
        expect(h.seconds >= seconds, "%s should have heard %d Hz for at least %.1f s: %s" % (p, hz, seconds, h))
        return h.seconds

    def gone(self, p, since, why):
        expect(p.wait("down", 8, since), "%s should be out of the call: %s" % (p, why))

    def alive(self, *phones_and_marks):
        for p, since in phones_and_marks:
            expect(not p.seen(("down", "dead"), since), "%s lost the call" % p)

    def quiet(self):
        until("no call is left in the box", 8, lambda: not self.box.status().get("calls"), 0.2)

    @case("blind transfer: linphone hands its caller, a baresip, to another linphone")
    def blind(self):
        a, b, c = self.phone(Baresip, "1001"), self.phone(Linphone, "1002"), self.phone(Linphone, "1003")
        with a, b, c:
            calls.registered(a, b, c)
            at, bt = calls.connect(a, b, "1002")
            ct = c.mark()
            time.sleep(TALK)
            b.transfer("1003")
            expect(c.wait("up", 8, ct), "the target's phone has no call")
            self.gone(b, bt, "it has transferred")
            time.sleep(TALK)
            calls.release(a, c, at, ct)
            self.quiet()
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
            expect(a.wait("up", 10, at), "no call to the PSTN")
            time.sleep(TALK)
            a.transfer("1002")
            expect(b.wait("up", 8, bt), "the target's phone has no call")
            self.gone(a, at, "it has transferred")
            time.sleep(TALK)
            self.alive((b, bt))
            b.hangup()
            until("the SBC got BYE", 5, lambda: self.sbc.received("BYE", since))
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
            until("the SBC was asked and refused", 8, lambda: [m for m in self.sbc.received("ACK", since)])
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
            expect(b.wait("down", 5, bt), "%s did not see %s hang up" % (b, c))
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
        a.hold()
        time.sleep(1)
        at, ct = a.mark(), c.mark()
        a.dial(number)
        expect(c.wait("up", 8, ct), "%s has no call" % c)
        expect(a.wait("up", 8, at), "%s has no second call" % a)
        time.sleep(1)

    @case("attended transfer across the trunk: the PSTN and a baresip are joined, topology hidden")
    def attended_outside(self):
        since = len(self.sbc.messages())
        a, c = self.phone(Linphone, "1001"), self.phone(Baresip, "1003")
        with a, c:
            calls.registered(a, c)
            at = a.mark()
            a.dial(sipp.number(sipp.ANSWERS))
            expect(a.wait("up", 10, at), "no call to the PSTN")
            time.sleep(1)
            self.consult(a, c, "1003")
            ct = c.mark()
            a.attended()
            self.gone(a, at, "it has transferred")
            time.sleep(TALK)
            self.alive((c, ct))
            c.hangup()
            until("the SBC got BYE", 5, lambda: self.sbc.received("BYE", since))
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
            expect(b.wait("incoming", 8, bt), "the phone does not ring")
            c.dial("*81002")
            expect(c.wait("up", 8, ct), "nothing was picked up")
            expect(a.wait("up", 5, at), "the caller has no call")
            expect(b.wait("down", 5, bt), "the phone rings on")
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
            expect(c.wait("up", 8, ct), "nothing was fetched")
            time.sleep(TALK)
            calls.release(c, a, ct, at)
            self.quiet()
        return "they heard each other for %.1f and %.1f s" % (self.heard(a, c.hz), self.heard(c, a.hz))

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
            expect(p.wait("up", 10, at), "no call")
            answers = lambda: [m for m in self.sbc.received("SIP/2.0 200", since) if "INVITE" in m.header("CSeq")]
            until("the box answered the hold", 8, answers)
            held = time.monotonic()
            time.sleep(2.5)
            released = time.monotonic()
            until("the box answered the resume", 8, lambda: len(answers()) == 2)
            time.sleep(TALK)
            self.alive((p, at))
            p.hangup()
            until("the SBC got BYE", 5, lambda: self.sbc.received("BYE", since))
        first, second = answers()
        expect(re.search(r"a=(recvonly|inactive)", first.body), "the hold was answered with:\n" + first.body)
        expect("a=sendrecv" in second.body, "the resume was answered with:\n" + second.body)
        meanwhile = [q for q in sniffer.packets() if q.source[0] == self.box.host.ip and q.source[1] >= 1024 and held + 0.5 < q.at < released
                     and len(q.data) > 100]
        expect(not meanwhile, "%d packets of sound went to the SBC while it held" % len(meanwhile))
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
            expect(p.wait("early", 8, at), "no early media")
            expect(p.wait("up", 8, at), "no call")
            time.sleep(TALK)
            p.hangup()
            until("the SBC got BYE", 5, lambda: self.sbc.received("BYE", since))
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
                expect(p.wait("up", 10, since), "linphone has no call; SIPp says: " + c.errors())
                expect(c.finish(10) == 0, "SIPp: " + c.errors())
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
            expect(b.wait("incoming", 8, bt), "the phone does not ring")
            expect(a.wait(("ringing", "early"), 8, at), "the caller does not know that it rings")
            time.sleep(1)
            b.accept()
            expect(a.wait("up", 8, at), "the caller has no call: %s" % [e.text for e in a.seen("down", at)])
            time.sleep(TALK)
            calls.release(a, b, at, bt)
        text = open(b.log, errors="replace").read()
        for sent in ("RSeq:", "PRACK sip:"):
            expect(sent in text, "no %s in the log of %s" % (sent, b))
        return "they heard each other for %.1f and %.1f s" % (self.heard(a, b.hz), self.heard(b, a.hz))

    @case("nothing from inside was seen by the SBC in any of this")
    def hidden(self):
        messages = [m for m in self.sbc.messages() if m.received]
        expect(any(m.first.startswith("INVITE") for m in messages), "no call went out before: nothing to look at")
        for m in messages:
            for inside in [self.lan[o].ip for o in (21, 22, 23)] + [u + "@" for u in HZ] + ["baresip", "linphone", "phone.test", box.DOMAIN]:
                text = m.text.lower()
                for u in HZ:
                    text = text.replace(box.byoc_number(u) + "@", "")
                expect(inside.lower() not in text, "%r is in a message to the SBC:\n%s" % (inside, m.text))
        return "%d messages" % len(messages)
