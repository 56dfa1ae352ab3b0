"""A branch of 300 phones comes at once: they register over TLS with Digest at 45/s, each on a connection of its own."""

import time

import box
import pki
import sipp
from harness import PATIENCE, Suite, case, expect, until

PHONES, RATE = 300, 45
HOSTS = (31, 32, 33, 34, 35)  # the phones sit on several machines, as no address of a branch sends 45/s
HOLD = 20                     # s that each stays connected: all are there together, on a busy machine too


class Load(Suite):
    name = "load"
    hosts = (10,) + HOSTS

    def setup(self):
        self.ca = pki.Authority(self.folder("ca"))
        self.phone_cert = self.ca.leaf("phone", "phone.test")
        self.users = ["%d" % (2000 + i) for i in range(PHONES)]
        doc = box.document([box.person(u, box.BOTH) for u in self.users], [])
        self.box = box.Box(self.run, self.lan[10], self.folder("box"), doc, self.ca.crt, self.ca.leaf("box", self.lan[10].ip, box.DOMAIN))
        self.on_close(self.box.stop)
        self.box.start()
        self.box.serving()

    def logs(self):
        return [self.box.log] if hasattr(self, "box") else []

    @case("%d phones register over TLS at %d/s without a failure" % (PHONES, RATE))
    def registrations(self):
        before, files = self.box.memory()
        share, cpu, start = PHONES // len(HOSTS), self.box.cpu(), time.monotonic()
        storms = []
        try:
            for i, o in enumerate(HOSTS):
                s = sipp.Registrations(self.lan[o], self.case_dir + "/from-%d" % o, self.ca.crt, self.phone_cert)
                storms.append(s)
                s.start(self.box.phones, box.DOMAIN, [(u, box.SECRET) for u in self.users[i * share:(i + 1) * share]],
                        rate_per_10s=10 * RATE // len(HOSTS), hold=HOLD)
            until("the box counts %d phones" % PHONES, HOLD + PATIENCE, lambda: self.box.registered() == PHONES, 0.3)
            took, cpu = time.monotonic() - start, self.box.cpu() - cpu
            rss, open_files = self.box.memory()
            codes = [s.finish(HOLD + PATIENCE) for s in storms]
        finally:
            for s in storms:
                s.stop()
        counts = [s.counts()[:2] for s in storms]
        expect(codes == [0] * len(HOSTS) and counts == [(share, 0)] * len(HOSTS),
               "SIPp (exit %s) counts (successful, failed) %s: %s" % (codes, counts, next((s.errors()[:500] for s in storms if s.errors()), "")))
        # By its own share of the processor, as the clock on the wall tells of the machine's other work too.
        expect(cpu <= PHONES / RATE / 2, "the box took %.1f s of processor, of the %.1f s in which so many come" % (cpu, PHONES / RATE))
        expect(rss < 128 << 10, "the box takes %d KiB" % rss)
        expect(open_files <= files + PHONES + 20, "the box has %d files open, before it were %d" % (open_files, files))
        until("the connections of phones that left are closed", PATIENCE, lambda: self.box.memory()[1] <= files + 20, 0.3)
        return "%.1f s, %d KiB resident (%d before), %.1f s of processor" % (took, rss, before, cpu)
