"""The cloud dies and comes back: Kamailio in two zones, probed by the box with its default timing."""

import time

import box
import calls
import pki
from baresip import Baresip
from harness import PATIENCE, Failed, Suite, case, expect, until
from kamailio import Kamailio
from linphone import Linphone
from phone import SECRET, Account
from probe import probe

DEFAULT = 'hold_off = "4s"'  # everything else as a site would have it
EXPIRES = 20                 # s that a registration lives
ACCEPTED_WITHIN = 10.0       # s from the cut to the first REGISTER that is accepted


class Cloud(Suite):
    name = "cloud"
    hosts = (10, 20, 21, 31, 32, 33)
    zones = ()

    def setup(self):
        self.ca = pki.Authority(self.folder("ca"))
        self.phone_cert = self.ca.leaf("phone", "phone.test")
        self.zones = []
        for n, o in enumerate((20, 21), 1):
            cert = self.ca.leaf("zone%d" % n, "zone%d.cloud.test" % n, self.lan[o].ip)
            self.zones.append(Kamailio(self.lan[o], self.folder("zone%d" % n), self.ca.crt, cert, box.DOMAIN))
            self.on_close(self.zones[-1].kill)
            self.zones[-1].start()
        doc = box.document([box.person("1001"), box.person("1002"), box.person("1003")], [], min_expires_s=5, max_expires_s=EXPIRES)
        self.box = box.Box(self.run, self.lan[10], self.folder("box"), doc, self.ca.crt, self.ca.leaf("box", self.lan[10].ip, box.DOMAIN),
                           zones=[("zone%d" % n, z.address, "zone%d.cloud.test" % n) for n, z in enumerate(self.zones, 1)], probing=DEFAULT)
        self.on_close(self.box.stop)
        self.box.start()
        until("the box has seen the cloud", PATIENCE, lambda: self.box.mode() == "normal" and self.box.zones() == {"zone1": "up", "zone2": "up"}, 0.2)

    def logs(self):
        return [x.log for x in [*self.zones, getattr(self, "box", None)] if x]

    def phone(self, engine, host, server, user, hz):
        return engine(self.lan[host], Account(server, box.DOMAIN, user, self.ca.crt, self.phone_cert, expires=60), self.case_dir, "pcmu", hz)

    def register(self, expires=60):
        """A REGISTER of 1003 at the box, from a host without any other business."""
        return probe(self.lan[33], "register", self.box.phones, box.DOMAIN, "1003", SECRET, self.ca.crt, expires)

    @case("the cloud is there: phones call each other over it, the box keeps out of the way (503, Retry-After)")
    def normal(self):
        server = self.zones[0].address
        note = calls.talk(self.phone(Linphone, 31, server, "1001", 440), self.phone(Baresip, 32, server, "1002", 1000), "1002")
        v = self.register()
        expect(v.get("status") == 503 and "retry-after:" in v["headers"].lower(), "REGISTER at the box: %s" % v)
        return note

    @case("one zone dies and nothing changes")
    def one_zone(self):
        self.zones[0].kill()
        until("the box holds zone 1 for down", PATIENCE, lambda: self.box.zones() == {"zone1": "down", "zone2": "up"}, 0.2)
        time.sleep(1)
        expect(self.box.mode() == "normal", "mode %s" % self.box.mode())
        expect(self.register().get("status") == 503, "the box takes phones although a zone is there")

    @case("the other zone dies too: a REGISTER is accepted within %g s" % ACCEPTED_WITHIN)
    def outage(self):
        self.zones[1].kill()
        cut = time.monotonic()
        while True:
            v = self.register()
            took = time.monotonic() - cut
            if v.get("status") == 200:
                break
            if took > ACCEPTED_WITHIN:
                raise Failed("%.1f s after the cut the box still says %s" % (took, v))
            time.sleep(0.1)
        expect(took <= ACCEPTED_WITHIN, "accepted after %.1f s" % took)
        expect(self.box.mode() == "resilience", "mode %s" % self.box.mode())
        return "accepted %.1f s after the cut" % took

    @case("the phones, now on the box, call each other")
    def served(self):
        return calls.talk(self.phone(Linphone, 31, self.box.phones, "1001", 440), self.phone(Baresip, 32, self.box.phones, "1002", 1000), "1002")

    @case("the cloud returns: a call goes on to its end, over a refresh of its phones' registration; then they are sent home")
    def back(self):
        a, b = self.phone(Linphone, 31, self.box.phones, "1001", 440), self.phone(Baresip, 32, self.box.phones, "1002", 1000)
        with a, b:
            calls.registered(a, b)
            at, bt = calls.connect(a, b, "1002")
            for z in self.zones:
                z.start()
            until("the box is recovering", PATIENCE, lambda: self.box.mode() == "recovering", 0.2)
            v = self.register()
            expect(v.get("status") == 503, "REGISTER of a phone without a call, in recovering: %s" % v)
            time.sleep(EXPIRES)
            expect(self.box.mode() == "recovering", "mode %s although a call runs" % self.box.mode())
            calls.release(a, b, at, bt)
            until("the box is back to normal", PATIENCE, lambda: self.box.mode() == "normal", 0.2)
            until("both phones are refused by the box", EXPIRES + PATIENCE, lambda: a.seen("refused", at) and b.seen("refused", bt), 0.2)
            until("the box has no phone any more", PATIENCE, lambda: self.box.registered() == 0, 0.2)
        return calls.tones(a, b, EXPIRES)
