"""Real phones on the box during an outage: they register and call each other, in every codec, and press keys."""

import time

import box
import calls
import pki
from baresip import Baresip
from harness import PATIENCE, Suite, case, expect, until
from linphone import Linphone
from phone import Account


class Phones(Suite):
    name = "phones"
    hosts = (10, 21, 22)

    def setup(self):
        self.ca = pki.Authority(self.folder("ca"))
        server = self.ca.leaf("box", self.lan[10].ip, box.DOMAIN)
        self.phone_cert = self.ca.leaf("phone", "phone.test")
        doc = box.document([box.person("1001"), box.person("1002")], [])
        self.box = box.Box(self.run, self.lan[10], self.folder("box"), doc, self.ca.crt, server)
        self.on_close(self.box.stop)
        self.box.start()
        self.box.serving()

    def logs(self):
        return [self.box.log] if hasattr(self, "box") else []

    def account(self, user, **kw):
        return Account(self.box.phones, box.DOMAIN, user, self.ca.crt, self.phone_cert, **kw)

    def pair(self, a, b, codec):
        """1001 on engine a, 1002 on engine b, each with its own tone."""
        return (a(self.lan[21], self.account("1001"), self.case_dir, codec, 440), b(self.lan[22], self.account("1002"), self.case_dir, codec, 1000))

    @case("linphone calls baresip in Opus by extension")
    def opus(self):
        return calls.talk(*self.pair(Linphone, Baresip, "opus"), "1002")

    @case("baresip calls linphone in PCMU by the long extension")
    def pcmu(self):
        return calls.talk(*self.pair(Baresip, Linphone, "pcmu"), "7011002")

    @case("linphone calls baresip in PCMA by the cloud number")
    def pcma(self):
        return calls.talk(*self.pair(Linphone, Baresip, "pcma"), box.cloud_number("1002"))

    @case("linphone calls linphone in G.729 by the carrier's number, as people dial it")
    def g729(self):
        return calls.talk(*self.pair(Linphone, Linphone, "g729"), "9" + box.byoc_number("1002")[1:])

    @case("keys pressed in an Opus call arrive both ways although the clock rates of telephone-event differ")
    def dtmf(self):
        a, b = self.pair(Linphone, Baresip, "opus")
        with a, b:
            calls.registered(a, b)
            at, bt = calls.connect(a, b, "1002")
            time.sleep(1)
            a.dtmf("12#")
            b.dtmf("45*")
            until("both have got three keys", PATIENCE, lambda: len(b.digits(bt)) >= 3 and len(a.digits(at)) >= 3)
            time.sleep(1)  # a key that comes twice would come by then
            calls.release(a, b, at, bt)
        expect("48000" in a.signalling()["events"], "linphone offered no telephone-event/48000: the case does not test what it should")
        expect(b.digits(bt) == "12#", "linphone sent 12#, baresip got %r" % b.digits(bt))
        expect(a.digits(at) == "45*", "baresip sent 45*, linphone got %r" % a.digits(at))

    @case("hold and resume: the holder hears nothing meanwhile, and the tone again after")
    def hold(self):
        # Of linphone: baresip 1.0 hears nothing any more after a hold, without a box in between too.
        a, b = self.pair(Linphone, Linphone, "pcmu")
        with a, b:
            calls.registered(a, b)
            at, bt = calls.connect(a, b, "1002")
            began = time.monotonic()
            time.sleep(3)
            a.hold()
            expect(a.wait("paused", PATIENCE, at), "the hold does not come about")
            time.sleep(3)
            a.resume()
            time.sleep(3)
            lasted = time.monotonic() - began
            calls.release(a, b, at, bt)
        mine, other = a.heard(b.hz), b.heard(a.hz)
        expect(5 <= mine.seconds <= lasted - 1.5, "the holder should have heard %d Hz for all but 3 of %.1f s: %s" % (b.hz, lasted, mine))
        expect(other.seconds >= 5, "the held one should have heard %d Hz before and after: %s" % (a.hz, other))
        return "the holder heard %.1f of %.1f s" % (mine.seconds, lasted)

    @case("phones without a common codec get no silent call: 488")
    def no_codec(self):
        a, b = Baresip(self.lan[21], self.account("1001"), self.case_dir, "pcmu"), Linphone(self.lan[22], self.account("1002"), self.case_dir, "pcma")
        with a, b:
            calls.registered(a, b)
            since = a.mark()
            a.dial("1002")
            e = a.wait(("up", "down"), PATIENCE, since)
            expect(e and e.kind == "down", "the call should have failed: %s" % (e.kind if e else "no answer"))
            expect("488" in e.text, "baresip should have been told 488: %r" % e.text)

    @case("a phone with a wrong password stays outside")
    def wrong_password(self):
        with Baresip(self.lan[21], self.account("1001", password="wrong"), self.case_dir) as a:
            expect(a.wait("refused", PATIENCE), "nothing was refused")
            expect(not a.seen("registered"), "it registered")
