"""Throw-away certificates, made with openssl."""

import ipaddress
import os
import secrets
import subprocess


def openssl(*args):
    p = subprocess.run(["openssl", *args], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if p.returncode:
        raise RuntimeError("openssl %s: %s" % (args[0], p.stderr.strip()))


class Leaf:
    """A certificate with its key: .crt, .key, and both in .pem."""

    def __init__(self, base):
        self.crt, self.key, self.pem = base + ".crt", base + ".key", base + ".pem"


class Authority:
    """A certificate authority in a folder of its own; .crt is its root."""

    def __init__(self, folder, name="ca"):
        self.dir, self.name = folder, name
        os.makedirs(folder, exist_ok=True)
        self.crt, self.key = (os.path.join(folder, name + e) for e in (".crt", ".key"))
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                "-sha256", "-keyout", self.key, "-out", self.crt, "-subj", "/O=holdfast interop/CN=" + name,
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def leaf(self, name, *sans, expired=False):
        """A leaf for client and server use. An IP address goes in as a DNS name too: mbedTLS 2, which linphone
        uses, matches an IP only against those."""
        base = os.path.join(self.dir, name)
        leaf = Leaf(base)
        alt = []
        for s in sans:
            try:
                ipaddress.ip_address(s)
                alt += ["IP:" + s]
            except ValueError:
                pass
            alt += ["DNS:" + s]
        with open(base + ".ext", "w") as f:
            f.write("basicConstraints=CA:FALSE\nkeyUsage=digitalSignature,keyEncipherment\n"
                    "extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=%s\n" % ",".join(alt))
        # RSA: SIPp's wolfSSL and linphone's mbedTLS take it with every suite
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", leaf.key, "-out", base + ".csr",
                "-subj", "/O=holdfast interop/CN=" + sans[0])
        # openssl 3.0 cannot set notBefore here; minus one day ends it yesterday
        openssl("x509", "-req", "-in", base + ".csr", "-CA", self.crt, "-CAkey", self.key, "-sha256",
                "-set_serial", "0x" + secrets.token_hex(8), "-days", "-1" if expired else "30",
                "-out", leaf.crt, "-extfile", base + ".ext")
        with open(leaf.pem, "w") as f:
            f.write(open(leaf.key).read() + open(leaf.crt).read())
        for p in (base + ".csr", base + ".ext"):
            os.remove(p)
        for p in (leaf.key, leaf.pem):
            os.chmod(p, 0o600)
        return leaf
