"""Those who watch the box: Wireshark reads its captures, sngrep its HEP, rsyslog takes its log over TLS."""

import json
import os
import re
import signal
import subprocess
import time

import box
import calls
import pki
import wire
from baresip import Baresip
from harness import PATIENCE, Suite, case, expect, until
from linphone import Linphone
from phone import Account
from probe import probe

HEP, SYSLOG = 9060, 6514

SETTINGS = """
[homer]
address = "%s:%d"
capture_id = 2077
[syslog]
address = "%s:%d"
tls_name = "log.test"
roots = "%s"
facility = "local3"
"""

RSYSLOG = """global(workDirectory="%(dir)s" defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="%(ca)s"
  defaultNetstreamDriverCertFile="%(crt)s" defaultNetstreamDriverKeyFile="%(key)s")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
template(name="fields" type="string" string="%%syslogfacility-text%% %%syslogseverity-text%% %%protocol-version%% %%hostname%% %%app-name%%|%%msg%%\\n")
input(type="imtcp" port="%(port)d" ruleset="take")
ruleset(name="take") { action(type="omfile" file="%(dir)s/out" template="fields") }
"""


def tshark(*args):
    """Lines of fields, tab between them."""
    p = subprocess.run(["tshark", "-n", *args], capture_output=True, text=True, timeout=60)
    expect(p.returncode == 0, "tshark %s: %s" % (" ".join(args), p.stderr.strip()))
    return [line.split("\t") for line in p.stdout.splitlines()]


class Watch(Suite):
    name = "watch"
    hosts = (10, 21, 22, 33, 40, 50)

    def setup(self):
        self.ca = pki.Authority(self.folder("ca"))
        self.phone_cert = self.ca.leaf("phone", "phone.test")
        self.log_cert = self.ca.leaf("log", "log.test")
        self.wire = os.path.join(self.folder("homer"), "hep.pcap")
        self.homer = self.lan[40].popen("sngrep", "-N", "-q", "-F", "-L", "udp:%s:%d" % (self.lan[40].ip, HEP), "-O", self.wire, log=os.path.join(self.folder("homer"), "log"),
                                        env=dict(os.environ, TERM="xterm"))
        self.on_close(lambda: self.end(self.homer))
        until("sngrep listens (see %s/homer/log)" % self.dir, PATIENCE, lambda: self.lan[40].run("ss", "-HlunO", "sport = :%d" % HEP).stdout.strip(), 0.2)
        self.rsyslog()
        doc = box.document([box.person("1001"), box.person("1002")], [])
        self.box = box.Box(self.run, self.lan[10], self.folder("box"), doc, self.ca.crt, self.ca.leaf("box", self.lan[10].ip, box.DOMAIN),
                           settings=SETTINGS % (self.lan[40].ip, HEP, self.lan[50].ip, SYSLOG, self.ca.crt))
        self.on_close(self.box.stop)
        self.box.start().serving()

    def end(self, proc):
        if proc.poll() is None:
            proc.send_signal(signal.SIGINT)
            try:
                proc.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                proc.kill()
                proc.wait()

    def rsyslog(self):
        d = self.folder("rsyslog")
        self.logged = os.path.join(d, "out")
        with open(os.path.join(d, "conf"), "w") as f:
            f.write(RSYSLOG % {"dir": d, "ca": self.ca.crt, "crt": self.log_cert.crt, "key": self.log_cert.key, "port": SYSLOG})
        self.syslogd = self.lan[50].popen("rsyslogd", "-n", "-f", os.path.join(d, "conf"), "-i", os.path.join(d, "pid"), log=os.path.join(d, "log"))
        self.on_close(lambda p=self.syslogd: self.end(p))
        until("rsyslog listens (see %s/log)" % d, PATIENCE, lambda: self.lan[50].listens(SYSLOG), 0.2)

    def logs(self):
        return [self.box.log] if hasattr(self, "box") else []

    def holdfast(self, *args):
        p = self.box.holdfast(*args, "--socket", self.box.run_dir + "/holdfast.sock")
        expect(p.returncode == 0, "holdfast %s: %s" % (" ".join(args), p.stderr))
        return p.stdout

    @case("Wireshark reads the capture of a call between real phones, both legs, without a key")
    def capture_of_a_call(self):
        account = lambda user: Account(self.box.phones, box.DOMAIN, user, self.ca.crt, self.phone_cert)
        note = calls.talk(Linphone(self.lan[21], account("1001"), self.case_dir, "pcmu", 440), Baresip(self.lan[22], account("1002"), self.case_dir, "pcmu", 1000), "1002")
        call = json.loads(self.holdfast("trace", "--json"))[-1]
        expect(call["status"] == 200, "the last call that is kept: %s" % call)
        file = os.path.join(self.case_dir, "call.pcapng")
        if os.path.exists(file):
            os.remove(file)
        self.holdfast("trace", call["call"], "--pcap", file)
        rows = tshark("-r", file, "-T", "fields", "-e", "sip.Method", "-e", "sip.Status-Code", "-e", "sip.Call-ID", "-e", "ip.src", "-e", "_ws.malformed", "-e", "ip.checksum.status")
        expect(len(rows) == call["messages"], "%d packets of %d messages" % (len(rows), call["messages"]))
        expect(all(r[0] or r[1] for r in rows), "not all is SIP to Wireshark: %s" % rows)
        expect(not any(r[4] for r in rows), "malformed to Wireshark: %s" % rows)
        invites = [r for r in rows if r[0] == "INVITE"]
        expect(len({r[2] for r in invites}) == 2 and {r[3] for r in invites} >= {self.lan[21].ip, self.lan[10].ip}, "INVITEs: %s" % invites)
        expect({r[0] for r in rows} >= {"INVITE", "ACK", "BYE"} and "200" in {r[1] for r in rows}, "not a whole call: %s" % rows)
        text = open(file, "rb").read().decode("latin1")
        keys = re.findall(r"inline:([^|\s]+)", text)
        expect(keys and all(set(k) == {"x"} for k in keys), "keys: %s" % keys)
        expect(not re.search(r'\b(response|cnonce)="[^x"]', text), "a proof of a password is in it")
        return "%d packets, %s" % (len(rows), note)

    @case("sngrep unpacks what goes to Homer; Wireshark reads it, without the proof of a password")
    def hep(self):
        with wire.Sniffer(self.lan[40], self.case_dir) as sniffer:
            v = probe(self.lan[33], "register", self.box.phones, box.DOMAIN, "1001", box.SECRET, self.ca.crt, 60)
            expect(v.get("status") == 200, "REGISTER: %s" % v)
            ok = re.compile(rb"SIP/2.0 200 .*\r\nCSeq: *\d+ REGISTER", re.S)
            until("Homer is sent the answer", PATIENCE, lambda: any(ok.search(p.data) and self.lan[33].ip.encode() in p.data for p in sniffer.packets()))
        until("sngrep has read all", PATIENCE, lambda: self.lan[40].run("ss", "-HlunO", "sport = :%d" % HEP).stdout.split()[1] == "0")
        time.sleep(2)  # and has put it into its file, or is about to
        self.end(self.homer)
        rows = tshark("-r", self.wire, "-T", "fields", "-E", "occurrence=f", "-e", "ip.src", "-e", "ip.dst", "-e", "sip.Method", "-e", "sip.Status-Code", "-e", "sip.auth.digest.response", "-e", "_ws.malformed")
        mine = [r for r in rows if self.lan[33].ip in r[:2] and r[2] != "OPTIONS"][:4]  # meanwhile the box asks the phone for its codecs
        expect([r[2] or r[3] for r in mine] == ["REGISTER", "401", "REGISTER", "200"], "as it came out of HEP: %s" % mine)
        expect(mine[-2][:2] == [self.lan[33].ip, self.lan[10].ip] and mine[-1][:2] == [self.lan[10].ip, self.lan[33].ip], "from whom to whom: %s" % mine)
        expect(set(mine[-2][4].strip('"')) == {"x"}, "the response is sent on: %r" % mine[-2][4])
        expect(not any(r[5] for r in rows), "malformed: %s" % rows)
        return "%d messages" % len(rows)

    def lines(self):
        return open(self.logged, errors="replace").read().splitlines() if os.path.exists(self.logged) else []

    @case("rsyslog takes the log over TLS, and again after it was away")
    def syslog(self):
        until("rsyslog has the box's first words", PATIENCE, lambda: any("holdfast is up" in line for line in self.lines()), 0.2)
        line = [line for line in self.lines() if "holdfast is up" in line][0]
        expect(line.startswith("local3 info 1 interop holdfast|"), "as rsyslog reads it: %r" % line)
        changed = lambda: any(line.startswith("local3 warning 1 interop holdfast|mode ") for line in self.lines())
        until("rsyslog has the change of mode, see " + self.logged, PATIENCE, changed, 0.2)
        self.end(self.syslogd)
        probe(self.lan[33], "register", self.box.phones, box.DOMAIN, "1001", "wrong", self.ca.crt, 60)
        time.sleep(1)
        before = len(self.lines())
        self.rsyslog()
        until("lines come again", 3 * PATIENCE, lambda: len(self.lines()) > before, 0.2)
        status = self.box.status()
        expect(status.get("mode"), "the box is gone")
        return "%d lines" % len(self.lines())
