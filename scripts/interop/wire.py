"""What goes over a host's wire: a sniffer of UDP, and an SRTP receiver of our own (RFC 3711, AES_CM_128_HMAC_SHA1_80) that
turns what the SBC gets from the box into sound, since SIPp measures nothing."""

import base64
import hashlib
import hmac
import os
import signal
import struct
import subprocess

from harness import PATIENCE, until

# The time of a packet is the kernel's (SO_TIMESTAMPNS), however late this program gets it, and the buffer may be larger than the machine's
# limit (SO_RCVBUFFORCE): a busy machine neither shifts packets nor loses them here.
SNIFF = r'''
import socket, struct, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
for option, value in ((33, 8 << 20), (35, 1)):
    s.setsockopt(socket.SOL_SOCKET, option, value)
s.bind(("eth0", 0))
with open(sys.argv[1], "wb", 0) as out:
    while True:
        f, more, _, _ = s.recvmsg(65535, 256)
        if f[12:14] != b"\x08\x00" or f[23] != 17:
            continue
        at = next(sec + ns / 1e9 for level, kind, data in more if kind == 35 for sec, ns in [struct.unpack("qq", data[:16])])
        u = f[14 + 4 * (f[14] & 15):]
        sport, dport, n = struct.unpack(">HHH", u[:6])
        out.write(struct.pack(">d4sH4sHH", at, f[26:30], sport, f[30:34], dport, n - 8) + u[8:n])
'''


class Packet:
    """at: seconds since 1970."""

    def __init__(self, at, source, target, data):
        self.at, self.source, self.target, self.data = at, source, target, data


class Sniffer:
    """Keeps the UDP packets at a host's interface while it is entered."""

    def __init__(self, host, folder):
        self.host, self.path = host, os.path.join(folder, "udp-at-%s.bin" % host.ip)

    def __enter__(self):
        self.proc = self.host.popen("python3", "-c", SNIFF, self.path, log=self.path + ".log")
        until("the sniffer runs", PATIENCE, lambda: os.path.exists(self.path))
        return self

    def __exit__(self, *exc):
        self.proc.send_signal(signal.SIGKILL)
        self.proc.wait()

    def packets(self):
        data, i, head = open(self.path, "rb").read(), 0, struct.calcsize(">d4sH4sHH")
        dotted = lambda b: ".".join(map(str, b))
        while i + head <= len(data):
            at, src, sport, dst, dport, n = struct.unpack(">d4sH4sHH", data[i:i + head])
            yield Packet(at, (dotted(src), sport), (dotted(dst), dport), data[i + head:i + head + n])
            i += head + n


def aes(key, blocks):
    """AES-128 of each 16-byte block, in one go."""
    p = subprocess.run(["openssl", "enc", "-aes-128-ecb", "-nopad", "-K", key.hex()], input=b"".join(blocks), capture_output=True, check=True)
    return p.stdout


def counter(value, blocks):
    return [(value + i).to_bytes(16, "big") for i in range(blocks)]


class Key:
    """A master key and salt, from a crypto line's "inline:" value."""

    def __init__(self, inline):
        raw = base64.b64decode(inline.split("|")[0])
        self.master, self.salt = raw[:16], int.from_bytes(raw[16:30], "big")

    def derive(self, label, n):
        # key_id = label at bits 48…55 of the 112-bit salt's scale, then times 2^16 (RFC 3711 §4.3)
        return aes(self.master, counter((self.salt ^ label << 48) << 16, (n + 15) // 16))[:n]

    def open(self, packets):
        """The RTP payloads by sequence, and how many packets did not authenticate. Packets are SRTP of one sender."""
        session, auth, salt = self.derive(0, 16), self.derive(1, 20), int.from_bytes(self.derive(2, 14), "big")
        good, bad, blocks, last, roc = [], 0, [], None, 0
        for p in packets:
            d = p.data
            if len(d) < 22 or d[0] >> 6 != 2 or 192 <= d[1] <= 223:
                continue
            seq, ssrc = struct.unpack(">H", d[2:4])[0], struct.unpack(">I", d[8:12])[0]
            if last is not None and seq < 0x1000 and last > 0xf000:
                roc += 1
            last = seq
            body, tag = d[:-10], d[-10:]
            if not hmac.compare_digest(hmac.new(auth, body + struct.pack(">I", roc), hashlib.sha1).digest()[:10], tag):
                bad += 1
                continue
            head = 12 + 4 * (d[0] & 15)
            sealed = body[head:]
            index = roc << 16 | seq
            blocks += counter((salt << 16) ^ (ssrc << 64) ^ (index << 16), (len(sealed) + 15) // 16)
            good.append((index, d[1] & 127, sealed))
        stream, at, out = aes(session, blocks) if blocks else b"", 0, {}
        for index, kind, sealed in good:
            out[index] = (kind, bytes(a ^ b for a, b in zip(sealed, stream[at:at + len(sealed)])))
            at += (len(sealed) + 15) // 16 * 16
        return [out[i] for i in sorted(out)], bad


def sound(packets, inlines):
    """The 16-bit samples in SRTP packets of µ-law under whichever of these keys opens most of them, and how many packets did not open."""
    packets = list(packets)
    opened, bad = max((Key(k).open(packets) for k in inlines), key=lambda r: len(r[0]))
    return [v for kind, data in opened if kind == 0 for v in mulaw(data)], bad


def mulaw(payload):
    """G.711 µ-law as 16-bit samples (ITU-T G.711 table 2a)."""
    out = []
    for b in payload:
        b = ~b & 0xff
        v = (((b & 15) << 3) + 132 << (b >> 4 & 7)) - 132
        out.append(-v if b & 0x80 else v)
    return out
