"""Analogue gateways on UDP and TCP with plain RTP: served like phones, from their configured addresses alone."""

import json
import os
import signal
import time

import box
import calls
import sipp
import tone
import wire
from branch import Branch
from gateway import PORT, Adapter, OverTCP, OverUDP
from harness import PATIENCE, case, expect, until
from linphone import Linphone
from phone import Account

ELEVATOR = "+14155550995"

# Asks over UDP and over TCP; prints what came of it.
KNOCK = r'''
import socket, sys
text = ("OPTIONS sip:%s SIP/2.0\r\nVia: SIP/2.0/UDP 0.0.0.0:5060;branch=z9hG4bK1;rport\r\nFrom: <sip:x@x>;tag=1\r\nTo: <sip:x@x>\r\n"
        "Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n" % sys.argv[1]).encode()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(float(sys.argv[2]))
u.connect((sys.argv[1], 5060))
out = []
try:
    u.send(text)
    out.append("udp " + u.recv(65536)[:11].decode())
except OSError as e:
    out.append("udp " + type(e).__name__)
try:
    t = socket.create_connection((sys.argv[1], 5060), 20)
    t.send(text)
    out.append("tcp " + (t.recv(65536)[:11].decode() or "closed"))
except OSError as e:
    out.append("tcp " + type(e).__name__)
print(", ".join(out))
'''


class Gateways(Branch):
    name = "gateway"
    hosts = (10, 21, 22, 23, 24, 25, 60)
    users = {"1001": 440, "1002": 1000, "1003": 600, "1004": sipp.TONE}

    def document(self):
        doc = super().document()
        doc["zones"] = [{"id": "lift", "name": "Elevator"}]
        doc["devices"] = [
            {"id": "lift-gateway", "user": "u1002", "zone": "lift", "transport": "udp", "address": self.lan[22].ip, "plain_rtp": True,
             "elins": [{"trunk": "sbc", "number": ELEVATOR, "address": "1 Interop Way, Elevator, San Francisco CA 94105"}]},
            {"id": "door-phone", "user": "u1003", "transport": "tcp", "address": self.lan[23].ip, "plain_rtp": True},
            {"id": "fax", "user": "u1004", "transport": "udp", "address": self.lan[24].ip, "plain_rtp": True}]
        return doc

    def setup(self):
        super().setup()
        until("the box listens for gateways", PATIENCE, lambda: self.open() == (True, True))

    def open(self):
        """Whether the box listens on UDP, and on TCP."""
        ss = lambda kind: bool(self.lan[10].run("ss", "-Hl%snO" % kind, "sport = :%d" % PORT).stdout.strip())
        return ss("u"), ss("t")

    @property
    def server(self):
        return "%s:%d" % (self.lan[10].ip, PORT)

    def gateway(self, engine, user):
        account = Account(self.server, box.DOMAIN, user, self.ca.crt, self.phone_cert)
        return engine(self.lan[20 + int(user) - 1000], account, self.case_dir, "pcmu", self.users[user])

    def both_ways(self, engine, user):
        """The gateway calls a linphone and is called by it: both hear each other both times."""
        gw, p = self.gateway(engine, user), self.phone(Linphone, "1001")
        with gw, p:
            calls.registered(gw, p)
            for a, b, number in ((gw, p, "1001"), (p, gw, user)):
                at, bt = calls.connect(a, b, number)
                time.sleep(calls.PLAY)
                calls.release(a, b, at, bt)
            self.quiet()
            time.sleep(0.3)
        s = gw.signalling()
        expect(s["profiles"] == {"RTP/AVP"} and not s["suites"], "the gateway's side speaks of %s, %s" % (s["profiles"], s["suites"]))
        calls.srtp(p)
        return calls.tones(gw, p, 2 * calls.ENOUGH)

    @case("baresip on UDP with plain RTP calls a linphone on TLS with SRTP, and is called by it: tones at both ends")
    def udp(self):
        return self.both_ways(OverUDP, "1002")

    @case("baresip on TCP with plain RTP: the same")
    def tcp(self):
        return self.both_ways(OverTCP, "1003")

    @case("911 from the gateway shows its device's ELIN, and the PSAP hears it and calls it back")
    def help(self):
        gw = self.gateway(OverUDP, "1002")
        with gw:
            calls.registered(gw)
            since, at = len(self.sbc.messages()), gw.mark()
            with wire.Sniffer(self.lan[60], self.case_dir) as sniffer:
                gw.dial("911")
                up = gw.wait(("up", "down", "dead"), PATIENCE, at)
                expect(up and up.kind == "up", "the gateway dialled 911, and: %s" % (up.text or up.kind if up else "no answer"))
                time.sleep(calls.PLAY)
            m = self.invite("911", since)
            expect(sipp.user(m.header("From")) == ELEVATOR, "From %s, want %s" % (m.header("From"), ELEVATOR))
            heard = self.sbc_hears(sniffer, self.sbc.messages()[since:], gw.hz)
            gw.hangup()
            self.quiet()
            at = gw.mark()
            c = sipp.Caller(self.lan[60], self.case_dir + "/psap", self.ca.crt, self.sbc_cert)
            try:
                c.start(self.box.trunk, ELEVATOR, "+14155559110", hold=1.0, headers=("Priority: psap-callback",))
                expect(gw.wait("up", PATIENCE, at), "the gateway does not ring when the PSAP calls %s; SIPp says: %s" % (ELEVATOR, c.errors()))
                expect(c.finish(PATIENCE) == 0, "SIPp: " + c.errors())
            finally:
                c.stop()
        self.heard(gw, sipp.TONE, calls.ENOUGH)
        return "the PSAP heard %.1f s" % heard.seconds

    def listening(self, sniffer):
        """What the adapter heard."""
        packets = [p for p in sniffer.packets() if p.source[0] == self.box.host.ip and p.target[0] == self.lan[24].ip and p.target[1] >= 30000]
        samples = [v for p in packets if len(p.data) > 12 and p.data[1] & 127 == 0 for v in wire.mulaw(p.data[12:])]
        h = tone.Heard(samples, self.users["1001"])
        expect(h.ok(calls.ENOUGH), "the adapter should have heard %d Hz: %s (%d packets)" % (self.users["1001"], h, len(packets)))
        return h.seconds

    @case("SIPp on UDP, with a tenth of its messages lost: registers, calls a linphone and is called by it, tones at both ends")
    def lossy(self):
        adapter = lambda what: Adapter(self.lan[24], self.folder("lossy/" + what), "1004", self.server, 10)
        r = adapter("registers").register()
        expect(r.finish(PATIENCE) == 0, "SIPp did not register: " + r.errors())
        words = []
        with self.phone(Linphone, "1001") as p:
            calls.registered(p)
            with wire.Sniffer(self.lan[24], self.folder("lossy/out")) as sniffer:
                since, c = p.mark(), adapter("calls").call("1001", calls.PLAY)
                try:
                    expect(p.wait("up", PATIENCE, since), "linphone has no call: " + c.errors())
                    expect(c.finish(PATIENCE) == 0, "SIPp: " + c.errors())
                    expect(p.wait("down", PATIENCE, since), "linphone did not see SIPp hang up")
                finally:
                    c.stop()
            words.append(self.listening(sniffer))
            u = adapter("answers").answer()
            try:
                with wire.Sniffer(self.lan[24], self.folder("lossy/in")) as sniffer:
                    since = p.mark()
                    p.dial("1004")
                    up = p.wait(("up", "down"), PATIENCE, since)
                    expect(up and up.kind == "up", "linphone called SIPp, and: %s; SIPp: %s" % (up.text if up else "nothing", u.errors()))
                    until("SIPp got ACK (see %s)" % u.dir, 15, lambda: u.received("ACK"))  # until then it plays nothing
                    time.sleep(calls.PLAY)
                    p.hangup()
                    until("SIPp got BYE (see %s)" % u.dir, PATIENCE, lambda: u.received("BYE"))
                self.quiet()
            finally:
                u.stop()
            words.append(self.listening(sniffer))
        h = p.heard(sipp.TONE)
        expect(h.ok(2 * calls.ENOUGH), "linphone should have heard the adapter twice: %s" % h)
        return "SIPp heard %.1f and %.1f s, linphone %.1f s" % (*words, h.seconds)

    @case("an address that the document does not name gets no answer; when it names none, nobody listens any more")
    def strangers(self):
        knock = lambda host, patient=PATIENCE: self.lan[host].run("python3", "-c", KNOCK, self.lan[10].ip, str(patient)).stdout.strip()
        got = knock(25, patient=1.5)
        expect(got in ["udp TimeoutError, tcp " + how for how in ("closed", "ConnectionResetError", "BrokenPipeError")], "a stranger got: " + got)
        got = knock(24)
        expect("udp SIP/2.0 200" in got, "the fax got: " + got)
        doc = self.document()
        doc["serial"], doc["devices"] = 2, []
        path = os.path.join(self.box.dir, "site.json")
        with open(path + ".new", "w") as f:
            json.dump(doc, f)
        os.replace(path + ".new", path)
        self.box.proc.send_signal(signal.SIGHUP)
        until("the box has closed its listeners for gateways", PATIENCE, lambda: self.open() == (False, False))
        got = knock(24)
        expect(got == "udp ConnectionRefusedError, tcp ConnectionRefusedError", "the fax got: " + got)
