#!/usr/bin/env python3
"""A bare SIP client over TLS, for what a real phone or SBC does not tell: exactly when, and with which words, something was
refused. Runs inside a host's namespace; see Probe for how it is used from the outside.

usage: probe.py register HOST:PORT DOMAIN USER PASSWORD CA EXPIRES
       probe.py options  HOST:PORT CA [CERT KEY]
Prints one JSON object: {"status": 200, "ms": 12, "headers": "…"} or {"error": "…", "ms": 12}."""

import hashlib
import json
import os
import re
import socket
import ssl
import sys
import time


class Client:
    def __init__(self, address, ca, cert=None, key=None):
        host, port = address.rsplit(":", 1)
        tls = ssl.create_default_context(cafile=ca)
        tls.check_hostname = False
        if cert:
            tls.load_cert_chain(cert, key)
        raw = socket.create_connection((host, int(port)), 15)
        self.sock = tls.wrap_socket(raw)
        self.ip, self.port = self.sock.getsockname()
        self.call_id, self.cseq = os.urandom(8).hex(), 0

    def ask(self, method, uri, user, domain, *extra):
        """Sends a request and returns (status, text) of the final answer."""
        self.cseq += 1
        lines = ["%s %s SIP/2.0" % (method, uri), "Via: SIP/2.0/TLS %s:%d;branch=z9hG4bK%s;rport" % (self.ip, self.port, os.urandom(8).hex()),
                 "Max-Forwards: 70", "From: <sip:%s@%s>;tag=%s" % (user, domain, self.call_id[:8]), "To: <sip:%s@%s>" % (user, domain),
                 "Call-ID: " + self.call_id, "CSeq: %d %s" % (self.cseq, method), *extra, "Content-Length: 0", "", ""]
        self.sock.sendall("\r\n".join(lines).encode())
        buf = b""
        while True:
            while b"\r\n\r\n" not in buf:
                data = self.sock.recv(65536)
                if not data:
                    raise OSError("the connection was closed without an answer")
                buf += data
            head, _, buf = buf.partition(b"\r\n\r\n")
            text = head.decode("utf8", "replace").strip()
            m = re.match(r"SIP/2.0 (\d+)", text)
            if m and int(m.group(1)) >= 200:
                return int(m.group(1)), text


def digest(challenge, method, uri, user, password):
    get = lambda k: (re.search(k + r'="?([^",]+)', challenge) or ["", ""])[1]
    name = get("algorithm") or "MD5"
    h = lambda s: {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[name](s.encode()).hexdigest()
    cnonce = os.urandom(8).hex()
    response = h(":".join((h("%s:%s:%s" % (user, get("realm"), password)), get("nonce"), "00000001", cnonce, "auth", h(method + ":" + uri))))
    return ('Authorization: Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s", algorithm=%s, cnonce="%s", qop=auth, nc=00000001'
            % (user, get("realm"), get("nonce"), uri, response, name, cnonce))


def register(address, domain, user, password, ca, expires):
    c = Client(address, ca)
    uri = "sip:" + domain
    contact = "Contact: <sip:%s@%s:%d;transport=tls>;expires=%s" % (user, c.ip, c.port, expires)
    status, text = c.ask("REGISTER", uri, user, domain, contact)
    if status == 401:
        challenge = re.search(r"(?im)^WWW-Authenticate:\s*Digest (.*)$", text).group(1)  # the first is the one to prefer (RFC 8760 §2.4)
        status, text = c.ask("REGISTER", uri, user, domain, contact, digest(challenge.strip(), "REGISTER", uri, user, password))
    return {"status": status, "headers": text}


def options(address, ca, cert=None, key=None):
    c = Client(address, ca, cert, key)
    status, text = c.ask("OPTIONS", "sip:" + address, "probe", address.split(":")[0])
    return {"status": status, "headers": text}


def probe(host, *args):
    """Runs this file inside host and returns what it printed."""
    p = host.run(sys.executable, os.path.realpath(__file__), *map(str, args))
    try:
        return json.loads(p.stdout)
    except ValueError:
        raise RuntimeError("probe %s: %s" % (args[0], p.stderr.strip()[-500:])) from None


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[1] not in ("register", "options"):
        sys.exit(__doc__)
    start = time.monotonic()
    try:
        v = {"register": register, "options": options}[sys.argv[1]](*sys.argv[2:])
    except (OSError, ssl.SSLError) as e:
        v = {"error": "%s: %s" % (type(e).__name__, e)}
    v["ms"] = round(1000 * (time.monotonic() - start))
    print(json.dumps(v))
