"""Session timers (RFC 4028) with SIPp as the PSTN's caller: the box refreshes, the caller refreshes, nobody does."""

import time

import box
import calls
import sipp
from baresip import Baresip
from branch import Branch
from harness import PATIENCE, case, expect, until
from linphone import Linphone

EVERY = 90  # seconds, the shortest interval that RFC 4028 §5 lets one ask for


class Timers(Branch):
    name = "timers"
    hosts = (10, 21, 22, 23, 60)
    users = {"1001": 440, "1002": 1000, "1003": 600}

    def setup(self):
        super().setup()
        # All three calls run at the same time, and longer than baresip's tone lasts, with which its call ends.
        self.phones, self.callers = {}, {}
        for i, (name, engine) in enumerate((("box", Linphone), ("caller", Linphone), ("nobody", Baresip))):
            user = "100%d" % (i + 1)
            p = self.phone(engine, user, folder=self.dir)
            self.on_close(p.stop)
            p.start()
            calls.registered(p)
            since = p.mark()
            c = sipp.Caller(self.lan[60], self.folder(name), self.ca.crt, self.sbc_cert)
            self.on_close(c.stop)
            c.timed(self.box.trunk, box.byoc_number(user), EVERY, name, port=5065 + i)
            expect(p.wait("up", PATIENCE, since), "%s has no call; SIPp says: %s" % (p, c.errors()))
            self.phones[name], self.callers[name] = (p, since), c
        self.began = time.monotonic()

    def logs(self):
        phones, callers = getattr(self, "phones", {}).values(), getattr(self, "callers", {}).values()
        return super().logs() + [p.diary for p, _ in phones] + [c.file(name) for c in callers for name in ("messages", "errors")]

    def agreed(self, name, refresher):
        ok = [m for m in self.callers[name].received("SIP/2.0 200") if "INVITE" in m.header("CSeq")]
        expect(ok and ok[0].header("Session-Expires") == "%d;refresher=%s" % (EVERY, refresher),
               "the box should have agreed to %d;refresher=%s: %s" % (EVERY, refresher, ok and ok[0].text))

    def finished(self, name):
        """The caller's scenario goes to its end, which is 70 s after its begin: it expects by then what its case is about."""
        c = self.callers[name]
        left = self.began + EVERY - time.monotonic()
        expect(c.finish(max(left, 1)) == 0, "SIPp: " + (c.errors() or "not over in time"))

    @case("session timer: the box refreshes after half of the interval")
    def box_refreshes(self):
        self.agreed("box", "uas")
        self.finished("box")
        refresh = [m for m in self.callers["box"].received("UPDATE") + self.callers["box"].received("INVITE") if "Session-Expires" in m.text]
        expect(refresh, "the box sent no refresh")
        expect(refresh[0].header("Session-Expires") == "%d;refresher=uac" % EVERY, "its Session-Expires is %r" % refresh[0].header("Session-Expires"))
        p, since = self.phones["box"]
        expect(p.wait("down", PATIENCE, since), "the call did not end with the caller's BYE")

    @case("session timer: the caller refreshes, and the call outlives the interval's end")
    def caller_refreshes(self):
        self.agreed("caller", "uac")
        self.finished("caller")  # its own BYE at the end is answered by 200: the call was there still

    @case("session timer: nobody refreshes, and both sides get BYE before the interval is over")
    def nobody_refreshes(self):
        self.agreed("nobody", "uac")
        self.finished("nobody")
        p, since = self.phones["nobody"]
        expect(p.wait("down", PATIENCE, since), "the phone got no BYE")
        until("no call is left in the box", PATIENCE, lambda: not self.box.status().get("calls"), 0.3)
