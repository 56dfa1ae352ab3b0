"""Analogue gateways: devices without TLS and SRTP, played by baresip and by SIPp."""

import subprocess

import box
import sipp
from baresip import Baresip
from phone import SECRET
from sipp import message, reply

PORT = 5060


class OverUDP(Baresip):
    transport, media = "udp", ""


class OverTCP(Baresip):
    transport, media = "tcp", ""


SDP = """v=0
o=ata 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [rtpstream_audio_port] RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a=sendrecv"""


class Adapter(sipp.Sipp):
    """An adapter for one analogue phone, on UDP from port 5060. lost: so many of a hundred SIP messages, sent and received, get lost."""

    def __init__(self, host, folder, user, server, lost):
        super().__init__(host, folder, None, None)
        self.user, self.server, self.lost = user, server, lost

    def tls(self):
        return []

    def begin(self, scenario, *args, asks=""):
        """asks: the user part of the Request-URI, which SIPp's Digest needs."""
        self.launch("\n".join(['<?xml version="1.0" encoding="ISO-8859-1" ?>', '<scenario name="adapter">', *scenario, '</scenario>']), PORT, *args,
                    "-t", "u1", "-lost", str(self.lost), "-auth_uri", asks + box.DOMAIN, "-min_rtp_port", "30000", "-max_rtp_port", "30999")
        return self

    def request(self, method, cseq, to, *lines, uri=None, there=None, body=None):
        # The ACK of the 401 is not lost: SIPp gives up where that comes once more behind the next answers.
        attributes = {"retrans": 500} if method != "ACK" else {"lost": 0} if cseq == 1 else {}
        return message(["%s %s SIP/2.0" % (method, uri or "sip:" + (to + "@" if method != "REGISTER" else "") + box.DOMAIN),
                        "Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch];rport",
                        "From: <sip:%s@%s>;tag=[pid]a[call_number]" % (self.user, box.DOMAIN), there or "To: <sip:%s@%s>" % (to, box.DOMAIN),
                        "Call-ID: [call_id]", "CSeq: %d %s" % (cseq, method), "Contact: <sip:%s@[local_ip]:[local_port]>" % self.user,
                        "Max-Forwards: 70", *lines], body, **attributes)

    @property
    def proof(self):
        return "[authentication username=%s password=%s]" % (self.user, SECRET)

    def register(self):
        return self.begin([self.request("REGISTER", 1, self.user, "Expires: 600"), '<recv response="401" auth="true"/>',
                           self.request("REGISTER", 2, self.user, "Expires: 600", self.proof), '<recv response="200"/>'],
                          self.server, "-m", "1", "-timeout", "20s", "-timeout_error")

    def play(self):
        return '<nop><action><exec rtp_stream="%s,-1,0,PCMU/8000"/></action></nop>' % self.mulaw(sipp.TONE)

    def call(self, to, seconds):
        ringing = ['<recv response="%d" optional="true"/>' % s for s in (100, 180, 183)]
        within = {"uri": "[next_url]", "there": "[last_To:]"}  # the tag of the 401 is another
        return self.begin([self.request("INVITE", 1, to, body=SDP), ringing[0], '<recv response="401" auth="true"/>',
                           self.request("ACK", 1, to, there="[last_To:]"),
                           self.request("INVITE", 2, to, self.proof, body=SDP), *ringing, '<recv response="200" rrs="true"/>',
                           self.request("ACK", 2, to, **within), self.play(), '<pause milliseconds="%d"/>' % (1000 * seconds),
                           self.request("BYE", 3, to, **within), '<recv response="200"/>'],
                          self.server, "-m", "1", "-s", to, "-timeout", "40s", "-timeout_error", asks=to + "@")

    def answer(self):
        tag = ";tag=[pid]u[call_number]"
        contact = "Contact: <sip:%s@[local_ip]:[local_port]>" % self.user
        here = lambda status, *lines, body=None, **kw: reply(status, totag=tag, body=body, **kw).replace(
            "<sip:sbc@[local_ip]:[local_port];transport=tls>", "<sip:%s@[local_ip]:[local_port]>" % self.user)
        return self.begin(['<recv request="OPTIONS" optional="true" next="options"/>', '<recv request="INVITE" rrs="true"/>',
                           here("180 Ringing"), '<pause milliseconds="300"/>', here("200 OK", contact, body=SDP, retrans=500), '<recv request="ACK"/>', self.play(),
                           '<recv request="BYE"/>', reply("200 OK", next="end"),
                           '<label id="options"/>', here("200 OK"), '<label id="end"/>', '<timewait milliseconds="4000"/>'], "-timeout", "60s")

    def errors(self):
        return subprocess.run(["tail", "-c", "1000", self.file("errors")], capture_output=True, text=True).stdout
