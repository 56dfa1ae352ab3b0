"""Calls for help by real phones through SIPp as the SBC, and the PSAP that calls back."""

import json
import re
import time

import baresip
import box
import calls
import sipp
import wire
from baresip import Baresip
from branch import TALK, Branch
from harness import PATIENCE, case, expect, until
from linphone import Linphone

ELINS = ("+14155550990", "+14155550991")  # of the whole site: who calls for help first gets the first
PSAP = "+14155559110"
DESK = "1003"


class AnyCodec(Linphone):
    """A linphone with its own choice: Opus first, G.711 behind it, and more."""

    def choose_codec(self):
        pass


class OpusFirst(Baresip):
    """A baresip that prefers Opus and has G.711 too."""

    def start(self):
        self.codec = "both"
        super().start()


baresip.CODECS["both"] = "opus/48000/2,pcmu,pcma"


class Emergency(Branch):
    name = "emergency"
    hosts = (10, 21, 22, 23, 60)
    users = {"1001": 440, "1002": 1000, DESK: 600}

    def document(self):
        doc = super().document()
        doc["emergency"] = {"elins": [{"trunk": "sbc", "number": n, "address": "1 Interop Way, San Francisco CA 94105"} for n in ELINS],
                            "security_desk": [DESK, "+14155552001"]}
        return doc

    def holdfast(self, *args):
        """A command of the box, with its flags before what else it takes."""
        p = self.box.holdfast(*args)
        expect(p.returncode == 0, "holdfast %s: %s" % (" ".join(args), p.stdout + p.stderr))
        return p.stdout

    @property
    def socket(self):
        return self.box.run_dir + "/holdfast.sock"

    def record(self):
        """What the box has on record of the last call for help."""
        return json.loads(self.holdfast("emergency", "log", "--socket", self.socket, "-n", "1", "--json"))[0]

    def help(self, p, dialled):
        """p dials and has its call; returns its mark from before, and the number that the PSAP sees."""
        at, since = p.mark(), len(self.sbc.messages())
        p.dial(dialled)
        up = p.wait(("up", "down", "dead"), PATIENCE, at)
        expect(up and up.kind == "up", "%s dialled %s, and: %s" % (p, dialled, up.text or up.kind if up else "no answer"))
        m = self.invite("911", since)
        elin = sipp.user(m.header("From"))
        expect(sipp.user(m.uri) == "911", "%s dialled %s, Request-URI %s" % (p, dialled, m.uri))
        expect(elin in ELINS, "From %s, want one of %s" % (m.header("From"), ", ".join(ELINS)))
        expect(sipp.user(m.header("P-Asserted-Identity")) == elin, "P-Asserted-Identity %s, want %s" % (m.header("P-Asserted-Identity"), elin))
        offer = (m.line("m=audio") or [""])[0]
        expect(re.search(r" RTP/SAVP [\d ]*\b0\b", offer) and re.search(r" RTP/SAVP [\d ]*\b8\b", offer), "no G.711 in the offer:\n" + m.body)
        return at, elin

    def ends(self, p, since):
        p.hangup()
        until("the SBC got BYE", PATIENCE, lambda: self.sbc.received("BYE", since))
        self.quiet()

    def dials(self, engine, user):
        """A phone dials both forms: the same number is shown, and both sides hear each other. Returns that in words."""
        shown, there = [], []
        with self.phone(engine, user) as p:
            calls.registered(p)
            for dialled in ("911", "9911"):
                since = len(self.sbc.messages())
                with wire.Sniffer(self.lan[60], self.folder("%s/%s" % (self.case_dir, dialled))) as sniffer:
                    shown.append(self.help(p, dialled)[1])
                    time.sleep(calls.PLAY)
                    self.ends(p, since)
                there.append(self.sbc_hears(sniffer, self.sbc.messages()[since:], p.hz).seconds)
                e = self.record()
                expect((e["dialled"], e["number"], e["elin"], e["caller"].get("number")) == (dialled, "911", shown[-1], user) and e.get("answered"),
                       "the box has on record: %s" % e)
        expect(len(set(shown)) == 1, "one phone has two numbers: %s" % shown)
        here = p.heard(sipp.TONE)
        expect(here.ok(2 * calls.ENOUGH), "%s should have heard the PSAP twice: %s" % (p, here))
        return "from %s; heard for %.1f s, the PSAP for %.1f and %.1f s" % (shown[0], here.seconds, *there)

    @case("linphone dials 911 and 9911: the number of its place as caller, G.711 offered, tones at both ends")
    def linphone(self):
        return self.dials(AnyCodec, "1001")

    @case("baresip dials 911 and 9911: the same")
    def baresip(self):
        return self.dials(OpusFirst, "1002")

    def held(self, engine, user, insists):
        """A phone puts 911 on hold and hands it on: the PSAP is told of neither, and hears it. A phone that insists on its hold is heard again
        when its user takes the call back."""
        with self.phone(engine, user) as p:
            calls.registered(p)
            since = len(self.sbc.messages())
            at, _ = self.help(p, "911")
            time.sleep(1)
            p.hold()
            time.sleep(1.5)
            if insists:
                until("the hold is on record", PATIENCE, lambda: any("put the call aside" in s.get("text", "") for s in self.record()["steps"]))
                p.resume()
                time.sleep(1)
            else:
                p.transfer(DESK)
                time.sleep(1)
            with wire.Sniffer(self.lan[60], self.folder(p.dir + "/to-psap")) as there, wire.Sniffer(p.host, self.folder(p.dir + "/to-phone")) as here:
                time.sleep(calls.PLAY)
            self.alive((p, at))
            told = [m for m in self.sbc.messages()[since:] if m.received and (m.first.startswith(("BYE", "REFER")) or
                                                                              re.search(r"a=(sendonly|recvonly|inactive)", m.body))]
            expect(not told, "the PSAP was told:\n" + (told[0].text if told else ""))
            packets = [q for q in here.packets() if q.source[0] == self.box.host.ip and q.target[0] == p.host.ip]
            expect(len(packets) > 50 * calls.ENOUGH, "%s got %d packets in %.0f s" % (p, len(packets), calls.PLAY))
            self.ends(p, since)
        return "the PSAP heard %.1f s of %.0f" % (self.sbc_hears(there, self.sbc.messages()[since:], p.hz).seconds, calls.PLAY)

    @case("linphone puts 911 on hold and hands it on: refused, and both hear each other on, without a word to the PSAP")
    def held_linphone(self):
        return self.held(AnyCodec, "1001", insists=False)

    @case("baresip puts 911 on hold and takes it back: the PSAP hears it again, and was told nothing")
    def held_baresip(self):
        return self.held(OpusFirst, "1002", insists=True)

    def calls_back(self, number, rings, silent):
        marks = rings.mark(), silent.mark()
        c = sipp.Caller(self.lan[60], "%s/psap-%s" % (self.case_dir, number), self.ca.crt, self.sbc_cert)
        try:
            c.start(self.box.trunk, number, PSAP, hold=TALK, headers=("Priority: psap-callback",))
            expect(rings.wait("up", PATIENCE, marks[0]), "%s does not ring when the PSAP calls %s; SIPp says: %s" % (rings, number, c.errors()))
            expect(rings.wait("down", PATIENCE, marks[0]), "the PSAP hung up, %s did not notice" % rings)
            expect(c.finish(PATIENCE) == 0, "SIPp: " + c.errors())
        finally:
            c.stop()
        expect(not silent.seen(("incoming", "up"), marks[1]), "%s rang too, though %s had called from %s" % (silent, rings, number))
        self.quiet()

    @case("the PSAP calls both numbers back while both are pinned: each rings the phone that called, and only that")
    def callback(self):
        a, b = self.phone(AnyCodec, "1001"), self.phone(OpusFirst, "1002")
        numbers = []
        with a, b:
            calls.registered(a, b)
            for p, dialled in ((a, "911"), (b, "9911")):
                since = len(self.sbc.messages())
                numbers.append(self.help(p, dialled)[1])
                self.ends(p, since)
            expect(len(set(numbers)) == 2, "two callers share %s though two numbers are free" % numbers[0])
            self.calls_back(numbers[0], a, b)
            self.calls_back(numbers[1], b, a)
        return "linphone %s heard %.1f s, baresip %s heard %.1f s" % (
            numbers[0], self.heard(a, sipp.TONE), numbers[1], self.heard(b, sipp.TONE))

    @case("the desk's linphone rings with the notice until somebody presses a key, and the call has its name")
    def notice(self):
        self.holdfast("ack", "--socket", self.socket, "interop")
        a, desk = self.phone(OpusFirst, "1002"), self.phone(AnyCodec, DESK)
        with a, desk:
            calls.registered(a, desk)
            since, ring = len(self.sbc.messages()), desk.mark()
            self.help(a, "911")
            expect(desk.wait("up", PATIENCE, ring), "the desk does not ring")
            time.sleep(2)
            desk.dtmf("1")
            until("the call is acknowledged", PATIENCE, lambda: self.record().get("acknowledged"))
            self.ends(a, since)
        e = self.record()["acknowledged"]
        expect((e["by"], e["how"]) == ("User %s (%s)" % (DESK, DESK), "key"), "acknowledged by %s" % e)

    @case("nothing from inside was seen by the SBC in any of this")
    def hidden(self):
        return self.nothing_inside()
