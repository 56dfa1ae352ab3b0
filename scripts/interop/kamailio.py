"""Kamailio as one zone of the cloud phone system: registrar and proxy over TLS with Digest."""

import os
import re
import signal
import subprocess

from harness import PATIENCE, until
from phone import SECRET

HERE = os.path.dirname(os.path.realpath(__file__))

TLS = """[server:default]
method = TLSv1.2+
verify_certificate = no
require_certificate = no
private_key = %(key)s
certificate = %(crt)s
ca_list = %(ca)s
[client:default]
method = TLSv1.2+
verify_certificate = yes
require_certificate = yes
private_key = %(key)s
certificate = %(crt)s
ca_list = %(ca)s
"""


class Kamailio:
    port = 5061

    def __init__(self, host, folder, ca, cert, domain):
        self.host, self.dir, self.proc = host, folder, None
        self.log = os.path.join(folder, "log")
        with open(os.path.join(folder, "tls.cfg"), "w") as f:
            f.write(TLS % {"key": cert.key, "crt": cert.crt, "ca": ca})
        text = open(os.path.join(HERE, "kamailio.cfg")).read()
        for word, value in (("ADDRESS", host.ip), ("DOMAIN", domain), ("SECRET", SECRET), ("RUN", folder)):
            text = re.sub(r"\b%s\b" % word, value, text)
        self.cfg = os.path.join(folder, "kamailio.cfg")
        with open(self.cfg, "w") as f:
            f.write(text)
        # Debian 12's Kamailio corrupts libcrypto's thread-local state under concurrent TLS handshakes, see the C file
        self.preload = os.path.join(folder, "tls-atfork.so")
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", self.preload, os.path.join(HERE, "tls-atfork.c")], check=True)

    @property
    def address(self):
        return "%s:%d" % (self.host.ip, self.port)

    def start(self):
        self.proc = self.host.popen("env", "LD_PRELOAD=" + self.preload, "kamailio", "-f", self.cfg, "-P", self.dir + "/pid", "-w", self.dir,
                                    "-Y", self.dir, "-m", "64", "-M", "8", "-DD", log=self.log)
        until("Kamailio listens on %s (see %s)" % (self.address, self.log), PATIENCE, lambda: self.host.listens(self.port))
        return self

    def kill(self):
        """Dies with all its processes, as when the power goes: no goodbye on any connection but the kernel's."""
        if self.proc and self.proc.poll() is None:
            os.killpg(self.proc.pid, signal.SIGKILL)
            self.proc.wait()
