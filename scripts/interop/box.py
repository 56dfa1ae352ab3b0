"""The box: the real holdfast program with a boot file and a site document written for the suite."""

import hashlib
import json
import os
import signal
import tempfile

from harness import PATIENCE, Failed, until
from phone import SECRET  # re-exported: whoever writes a document needs the password in it

DOMAIN = "branch.test"
REALM = DOMAIN
PHONES, TRUNK = 5061, 5062  # ports
MAIN_NUMBER = "+14155550100"


BOTH, MD5 = ("SHA-256", "MD5"), ("MD5",)


def ha1(username, algorithms, password=SECRET):
    text = ("%s:%s:%s" % (username, REALM, password)).encode()
    return {a: {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}[a](text).hexdigest() for a in algorithms}


def cloud_number(extension): return "+1628555" + extension
def byoc_number(extension): return "+1415555" + extension


def person(extension, digests=MD5):
    """A user with all four forms of number: 1001, 7011001, and in E.164 the cloud's and the carrier's.
    baresip 1.0 does not answer a challenge in which SHA-256 is offered as well: a branch with such phones has MD5 alone."""
    return {"id": "u" + extension, "name": "User " + extension, "extension": extension,
            "cloud_numbers": [cloud_number(extension)], "byoc_numbers": [byoc_number(extension)],
            "auth": {"username": extension, "ha1": ha1(extension, digests)}}


def trunk(id, sbc, name):
    return {"id": id, "address": sbc.address, "tls_name": name, "options_interval_s": 2}


def document(users, trunks, **options):
    return {"version": 1, "serial": 1,
            "site": {"id": "interop", "name": "Interop branch", "domain": DOMAIN, "timezone": "America/Los_Angeles", "main_number": MAIN_NUMBER},
            "dial_plan": {"country": "US", "area_code": "415", "external_prefix": "9", "national_prefix": "1", "international_prefix": "011",
                          "site_code": "701"},
            "emergency": {"elins": [{"trunk": t["id"], "number": "+1415555099%d" % i, "address": "1 Interop Way, San Francisco CA 94105"}
                                    for i, t in enumerate(trunks)]},
            "users": users, "trunks": trunks, "options": options}


BOOT = """name = "interop"
data_dir = "%(dir)s/data"
run_dir = "%(run)s"
[log]
level = "debug"
[phones]
listen = "%(ip)s:%(phones)d"
certificate = "%(crt)s"
key = "%(key)s"
[trunk]
listen = "%(ip)s:%(trunk)d"
certificate = "%(tcrt)s"
key = "%(tkey)s"
roots = "%(roots)s"
[cloud]
roots = "%(ca)s"
%(probing)s
%(zones)s
[site]
file = "%(dir)s/site.json"
allow_unsigned = true
"""

ZONE = """[[cloud.zone]]
name = "%s"
address = "%s"
tls_name = "%s"
"""

QUICK = 'interval = "1s"\ntimeout = "1s"\nmissed = 2\nhold_off = "3s"'


class Box:
    """cert faces the phones, trunk_cert the SBC (default: cert); roots are what the SBC's certificate must chain to.
    zones: (name, address, tls_name) of the cloud's; without any the cloud is a closed port, so that the box soon serves."""

    def __init__(self, run, host, folder, doc, ca, cert, trunk_cert=None, roots=None, zones=(), probing=QUICK, settings=""):
        self.program, self.host, self.dir, self.proc = run.box, host, folder, None
        os.makedirs(os.path.join(folder, "data"), mode=0o700, exist_ok=True)
        self.run_dir = tempfile.mkdtemp(dir=run.tmp)
        self.log = os.path.join(folder, "log")
        self.boot = os.path.join(folder, "holdfast.toml")
        trunk_cert = trunk_cert or cert
        zones = zones or (("gone", "%s:9" % host.ip, DOMAIN),)
        with open(self.boot, "w") as f:
            f.write(BOOT % {"dir": folder, "run": self.run_dir, "ip": host.ip, "phones": PHONES, "trunk": TRUNK, "crt": cert.crt, "key": cert.key,
                            "tcrt": trunk_cert.crt, "tkey": trunk_cert.key, "roots": roots or ca, "ca": ca, "probing": probing,
                            "zones": "\n".join(ZONE % z for z in zones)} + settings)
        with open(os.path.join(folder, "site.json"), "w") as f:
            json.dump(doc, f, indent=1)

    @property
    def phones(self):
        return "%s:%d" % (self.host.ip, PHONES)

    @property
    def trunk(self):
        return "%s:%d" % (self.host.ip, TRUNK)

    def holdfast(self, *args):
        return self.host.run(self.program, *args)

    def start(self, fault=None):
        """fault is what `holdfast check` has to find wrong; the box runs with it all the same."""
        p = self.holdfast("check", self.boot)
        if fault:
            if p.returncode != 1 or fault not in p.stdout:
                raise Failed("holdfast check does not say %r:\n%s" % (fault, p.stdout + p.stderr))
        elif p.returncode:
            raise Failed("holdfast check refuses the boot file of this suite:\n" + p.stdout + p.stderr)
        self.proc = self.host.popen(self.program, "run", "-c", self.boot, log=self.log)
        until("the box listens (see %s)" % self.log, PATIENCE, lambda: self.alive() and self.host.listens(PHONES) and self.host.listens(TRUNK))
        return self

    def alive(self):
        if self.proc.poll() is not None:
            raise Failed("the box ended with status %s, see %s" % (self.proc.returncode, self.log))
        return True

    def stop(self):
        """An orderly end within a few seconds, or it is killed."""
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
            try:
                self.proc.wait(5)
            except Exception:
                self.proc.kill()
                self.proc.wait()

    def status(self):
        self.alive()
        p = self.holdfast("status", "--json", "--socket", self.run_dir + "/holdfast.sock")
        if p.returncode:
            return {}
        return json.loads(p.stdout)

    def mode(self):
        return self.status().get("mode", {}).get("name", "")

    def zones(self):
        """Name → up, down or unknown, of the cloud's SIP zones."""
        return {z["name"]: z["verdict"] for z in self.status().get("zones") or [] if z["kind"] == "sip"}

    def serving(self, seconds=20):
        until("the box is in resilience", seconds, lambda: self.mode() == "resilience", 0.2)
        return self

    def trunks(self):
        """id → whether the box holds it for usable."""
        return {t["id"]: t["up"] for t in self.status().get("trunks") or []}

    def registered(self):
        """How many phones are registered and connected."""
        phones = self.status().get("phones", {})
        return phones.get("bindings", 0) - phones.get("unreachable", 0)

    def memory(self):
        """Resident KiB, and open files."""
        pid = self.pid()
        for line in open("/proc/%d/status" % pid):
            if line.startswith("VmRSS:"):
                return int(line.split()[1]), len(os.listdir("/proc/%d/fd" % pid))

    def cpu(self):
        """Seconds of processor time so far."""
        f = open("/proc/%d/stat" % self.pid()).read().rsplit(")", 1)[1].split()
        return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK")

    def pid(self):
        # "ip netns exec" replaces itself by the program
        return self.proc.pid
