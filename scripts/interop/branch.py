"""What suites share that have a box, an SBC with the PSTN behind it, and phones of some users."""

import re
import time

import box
import calls
import pki
import sipp
import tone
import wire
from harness import PATIENCE, Suite, expect, until
from phone import Account

CLEAR = 1.5   # seconds of a tone that must have arrived for a talk of TALK seconds
TALK = 3.0


class Branch(Suite):
    """Subclasses give users: extension → the tone of its phone, in Hz. Phones are on hosts 21, 22 …, 1001's on the first."""

    users = {}
    settings = ""  # more of the boot file

    def setup(self):
        self.ca = pki.Authority(self.folder("ca"))
        server = self.ca.leaf("box", self.lan[10].ip, box.DOMAIN)
        self.phone_cert = self.ca.leaf("phone", "phone.test")
        self.sbc_cert = self.ca.leaf("sbc", "sbc.test", self.lan[60].ip)
        self.sbc = sipp.Sbc(self.lan[60], self.folder("sbc"), self.ca.crt, self.sbc_cert)
        self.on_close(self.sbc.stop)
        self.sbc.start()
        self.box = box.Box(self.run, self.lan[10], self.folder("box"), self.document(), self.ca.crt, server, settings=self.settings)
        self.on_close(self.box.stop)
        self.box.start()
        self.box.serving()
        until("the trunk is up", PATIENCE, lambda: self.box.trunks().get("sbc"), 0.2)

    def document(self):
        return box.document([box.person(u) for u in self.users], [box.trunk("sbc", self.sbc, "sbc.test")])

    def logs(self):
        return [self.sbc.file("messages"), self.sbc.file("errors"), self.box.log] if hasattr(self, "box") else []

    def phone(self, engine, user, answer=True, folder=None):
        account = Account(self.box.phones, box.DOMAIN, user, self.ca.crt, self.phone_cert)
        return engine(self.lan[20 + int(user) - 1000], account, folder or self.case_dir, "pcmu", self.users[user], answer)

    def heard(self, p, hz, seconds=CLEAR):
        h = p.heard(hz)
        expect(h.seconds >= seconds, "%s should have heard %d Hz for at least %.1f s: %s" % (p, hz, seconds, h))
        return h.seconds

    def sbc_hears(self, sniffer, seen, hz):
        """What the SBC heard from the box under the key of the box's offer (the newest, should it have offered twice)."""
        offers = [m for m in seen if m.received and m.line("a=crypto")]
        keys = [re.search(r"AES_CM_128_HMAC_SHA1_80 inline:(\S+)", "\n".join(m.line("a=crypto"))).group(1) for m in offers]
        expect(keys, "the box gave the SBC no key")
        packets = [p for p in sniffer.packets() if p.source[0] == self.box.host.ip and p.target[0] == self.lan[60].ip]
        samples, bad = wire.sound(packets, keys)
        heard = tone.Heard(samples, hz)
        expect(heard.ok(calls.ENOUGH), "the PSTN should have heard %d Hz: %s (%d packets, %d of them not authentic)" % (hz, heard, len(packets), bad))
        return heard

    def invite(self, number, since):
        invites = [m for m in self.sbc.received("INVITE", since) if number in m.first]
        expect(invites, "no INVITE for %s came to the SBC" % number)
        return invites[0]

    def gone(self, p, since, why):
        expect(p.wait("down", PATIENCE, since), "%s should be out of the call: %s" % (p, why))

    def alive(self, *phones_and_marks):
        for p, since in phones_and_marks:
            expect(not p.seen(("down", "dead"), since), "%s lost the call" % p)

    def hand_on(self, a, b, c):
        """a calls b, b hands it on to c (blind transfer), a hangs up; they talk before and after."""
        with a, b, c:
            calls.registered(a, b, c)
            at, bt = calls.connect(a, b, b.account.user)
            ct = c.mark()
            time.sleep(TALK)
            b.transfer(c.account.user)
            expect(c.wait("up", PATIENCE, ct), "the target's phone has no call")
            self.gone(b, bt, "it has transferred")
            time.sleep(TALK)
            calls.release(a, c, at, ct)
            self.quiet()

    def quiet(self):
        until("no call is left in the box", PATIENCE, lambda: not self.box.status().get("calls"), 0.2)

    def nothing_inside(self, *further):
        """The SBC was told nothing of what is inside in all that it got; returns how much that was."""
        messages = [m for m in self.sbc.messages() if m.received]
        expect(any(m.first.startswith("INVITE") for m in messages), "no call went out before: nothing to look at")
        secrets = [h.ip for o, h in self.lan.hosts.items() if 20 < o < 60] + [u + "@" for u in self.users] + ["baresip", "linphone", "phone.test", box.DOMAIN]
        for m in messages:
            text = m.text.lower()
            for u in self.users:
                text = text.replace(box.byoc_number(u) + "@", "")
            for inside in secrets:
                expect(inside.lower() not in text, "%r is in a message to the SBC:\n%s" % (inside, m.text))
        return "%d messages" % len(messages)
