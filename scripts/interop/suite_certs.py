"""Who does not get in: a false box at the phones, a false SBC at the box, and a false SBC that the box itself calls."""

import re

import box
import pki
import sipp
from harness import PATIENCE, Suite, case, expect, until
from linphone import Linphone
from phone import Account
from probe import probe


class Certificates(Suite):
    name = "certs"
    hosts = (10, 11, 12, 13, 21, 60, 61, 62, 63)

    def setup(self):
        self.ca, self.foreign = pki.Authority(self.folder("ca")), pki.Authority(self.folder("ca"), "foreign")
        ip = lambda o: self.lan[o].ip
        self.phone_cert = self.ca.leaf("phone", "phone.test")
        good = self.ca.leaf("box", ip(10), box.DOMAIN)
        self.sbc_certs = {60: self.ca.leaf("sbc", "sbc.test"), 61: self.ca.leaf("sbc-other", "other.test"),
                          62: self.foreign.leaf("sbc-foreign", "sbc.test"), 63: self.ca.leaf("sbc-expired", "sbc.test", expired=True)}
        self.sbcs = {}
        for o, cert in self.sbc_certs.items():
            self.sbcs[o] = sipp.Sbc(self.lan[o], self.folder("sbc-%d" % o), self.ca.crt, cert)
            self.on_close(self.sbcs[o].stop)
            self.sbcs[o].start()
        doc = box.document([box.person("1001", box.BOTH)], [box.trunk("t%d" % o, s, "sbc.test") for o, s in self.sbcs.items()])
        certs = {10: good, 11: self.foreign.leaf("box-rogue", ip(11), box.DOMAIN), 12: self.ca.leaf("box-expired", ip(12), box.DOMAIN, expired=True),
                 13: self.ca.leaf("box-other", "elsewhere.test")}
        self.boxes = {}
        for o, cert in certs.items():
            d = doc if o == 10 else box.document([box.person("1001", box.BOTH)], [])
            self.boxes[o] = box.Box(self.run, self.lan[o], self.folder("box-%d" % o), d, self.ca.crt, cert, trunk_cert=good)
            self.boxes[o].start(fault="phones certificate ended on" if o == 12 else None)
            self.on_close(self.boxes[o].stop)
        for b in self.boxes.values():
            b.serving()

    def logs(self):
        return [b.log for b in getattr(self, "boxes", {}).values()][:1]

    def linphone(self, octet):
        b = self.boxes[octet]
        return Linphone(self.lan[21], Account(b.phones, box.DOMAIN, "1001", self.ca.crt, self.phone_cert), self.case_dir)

    @case("linphone trusts the real box, and takes SHA-256 for its Digest")
    def real(self):
        with self.linphone(10) as p:
            expect(p.wait("registered", PATIENCE), "it does not register, see " + p.log)
        answers = re.findall(r"Authorization: +Digest[^\n]*", open(p.log, errors="replace").read())
        expect(answers and "SHA-256" in answers[-1], "it answered with %s" % (answers[-1:] or "nothing"))

    def refused(self, octet, flag):
        """linphone must give up in the TLS handshake because of this flag of the certificate check, and not register."""
        with self.linphone(octet) as p:
            def flagged():
                return re.search(r"Found certificate depth=\[0\], flags=\[[^]]*%s" % flag, open(p.log, errors="replace").read())
            until("linphone finds the certificate %s, see %s" % (flag, p.log), PATIENCE, flagged)
            expect(p.wait("refused", PATIENCE), "linphone does not give up, see " + p.log)
            expect(not p.seen("registered"), "it registered all the same")
        expect(not self.boxes[octet].registered(), "the box believes that a phone is there")
        return "linphone: " + flag

    @case("linphone refuses a box whose certificate is of another authority")
    def rogue(self):
        return self.refused(11, "not-trusted")

    @case("linphone refuses a box whose certificate has expired")
    def expired(self):
        return self.refused(12, "expired")

    @case("linphone refuses a box whose certificate has another name")
    def other_name(self):
        return self.refused(13, "CN-mismatch")

    def knock(self, *cert):
        """An SBC's OPTIONS to the trunk side of the box."""
        return probe(self.lan[61], "options", self.boxes[10].trunk, self.ca.crt, *cert)

    def shut(self, v):
        expect("error" in v, "the box answered: %s" % v.get("headers"))
        for other in ("CERTIFICATE_VERIFY_FAILED", "refused", "timed out", "route"):  # would be our own doing, or nobody there
            expect(other not in v["error"], "not the box's refusal: " + v["error"])
        return v["error"][:90]

    @case("the box answers its SBC")
    def sbc(self):
        c = self.sbc_certs[60]
        v = self.knock(c.crt, c.key)
        expect(v.get("status") == 200, "OPTIONS: %s" % v)

    @case("the box refuses an SBC without a client certificate")
    def sbc_without(self):
        return self.shut(self.knock())

    @case("the box refuses an SBC with a certificate of another authority")
    def sbc_foreign(self):
        return self.shut(self.knock(self.sbc_certs[62].crt, self.sbc_certs[62].key))

    @case("the box refuses an SBC with an expired certificate")
    def sbc_expired(self):
        return self.shut(self.knock(self.sbc_certs[63].crt, self.sbc_certs[63].key))

    @case("the box refuses an SBC of the right authority with another name, also as a caller to a user")
    def sbc_other_name(self):
        c = self.sbc_certs[61]
        v = self.knock(c.crt, c.key)
        word = "403" if v.get("status") == 403 else self.shut(v)
        caller = sipp.Caller(self.lan[61], self.case_dir + "/caller", self.ca.crt, c)
        try:
            caller.start(self.boxes[10].trunk, box.byoc_number("1001"))
            expect(caller.finish(PATIENCE) != 0, "its call went through")
        finally:
            caller.stop()
        got = [m.first for m in caller.messages() if m.received]
        expect(all("403" in line for line in got), "the box answered its call: %s" % got)
        return word

    @case("the box uses only the SBC with the right certificate; to the others it says nothing")
    def outbound(self):
        until("the trunk to the real SBC is up", PATIENCE, lambda: self.boxes[10].trunks().get("t60"), 0.2)
        told = lambda: all(t["up"] or t.get("error") for t in self.boxes[10].status().get("trunks") or [{"up": False}])
        until("the box says of the others why they are down", PATIENCE, told, 0.2)
        trunks = {t["id"]: t for t in self.boxes[10].status()["trunks"]}
        states = {i: t["up"] for i, t in trunks.items()}
        expect(states == {"t60": True, "t61": False, "t62": False, "t63": False}, "trunks: %s" % states)
        for i, word in (("t61", "other.test|sbc.test"), ("t62", "unknown authority"), ("t63", "expired")):
            expect(re.search(word, trunks[i].get("error", "")), "why %s is down should say %r: %r" % (i, word, trunks[i].get("error")))
        expect(self.sbcs[60].received("OPTIONS"), "the real SBC got no OPTIONS")
        for o in (61, 62, 63):
            said = [m.first for m in self.sbcs[o].messages() if m.received]
            expect(not said, "the box spoke to the SBC at %s: %s" % (self.lan[o].ip, said))
