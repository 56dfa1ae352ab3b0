"""SIPp as the on-site SBC with a PSTN behind it, as a caller from the PSTN, and as a storm of registrations.

SIPp speaks TLS and SRTP and plays a tone; what it received and sent is read from its own trace of messages."""

import datetime
import functools
import os
import re
import subprocess

from harness import PATIENCE, until

HERE = os.path.dirname(os.path.realpath(__file__))
TONE = 800  # Hz, what the PSTN plays


def program():
    p = subprocess.run([os.path.join(HERE, "get-sipp.sh"), "--path"], capture_output=True, text=True, check=True)
    return p.stdout.strip()


class Message:
    """One message of a trace. at: seconds since 1970; headers: lower-case name → values."""

    def __init__(self, at, received, text):
        self.at, self.received, self.text = at, received, text
        head, _, self.body = text.partition("\n\n")
        self.first, *lines = head.split("\n")
        self.headers = {}
        for line in lines:
            k, _, v = line.partition(":")
            self.headers.setdefault(k.strip().lower(), []).append(v.strip())

    def header(self, name):
        return (self.headers.get(name.lower()) or [""])[0]

    @property
    def uri(self):
        return self.first.split()[1]

    def line(self, start):
        """The SDP lines that begin so."""
        return [line for line in self.body.split("\n") if line.startswith(start)]


def user(value):
    """The user part of the SIP URI in a header's value."""
    m = re.search(r"sips?:([^@;>]+)@", value)
    return m.group(1) if m else ""


class Sipp:
    """One SIPp process with a scenario of its own."""

    def __init__(self, host, folder, ca, cert):
        self.host, self.dir, self.ca, self.cert, self.proc = host, folder, ca, cert, None
        os.makedirs(folder, exist_ok=True)
        self.log = self.file("stdout")

    def file(self, name):
        return os.path.join(self.dir, name)

    def tls(self):
        return ["-tls_cert", self.cert.crt, "-tls_key", self.cert.key, "-tls_ca", self.ca]

    def launch(self, scenario, port, *args):
        with open(self.file("scenario.xml"), "w") as f:
            f.write(scenario)
        self.proc = self.host.popen(program(), *args, "-sf", self.file("scenario.xml"), "-i", self.host.ip, "-p", str(port), "-mi", self.host.ip,
                                    *self.tls(), "-nostdin", "-trace_msg", "-message_file", self.file("messages"),
                                    "-trace_err", "-error_file", self.file("errors"), log=self.log, env=dict(os.environ, TERM="dumb", TZ="UTC"))

    def stop(self):
        if self.proc and self.proc.poll() is None:
            self.proc.kill()
        if self.proc:
            self.proc.wait()

    def finish(self, seconds):
        """Waits for its end and returns its exit status: 0 when every call went as in the scenario."""
        try:
            return self.proc.wait(seconds)
        except subprocess.TimeoutExpired:
            self.stop()
            return None

    def errors(self):
        try:
            return open(self.file("errors"), errors="replace").read().strip()[-1500:]
        except OSError:
            return ""

    def messages(self):
        """What it sent and received, but for what it threw away because of -lost, and for what it is writing just now."""
        try:
            text = open(self.file("messages"), encoding="latin1", newline="").read()  # a byte is a character, as SIPp counts
        except OSError:
            return []
        out = []
        for m in re.finditer(r"-{20,} ([\d-]+T[\d:.]+Z)\n\S+ message (sent|received)[^\n[]*\[(\d+)\][^\n]*\n\n?(.*?)(?=-{20,} [\d-]+T|\Z)", text, re.S):
            size, body = int(m.group(3)), m.group(4)
            if len(body) < size:
                break
            # SIPp notes behind a message, without an end of line, that it lost it.
            if "message lost (recv)" not in body[size:] and "message (retrans) lost (recv)" not in body[size:]:
                at = datetime.datetime.fromisoformat(m.group(1)).timestamp()
                out.append(Message(at, m.group(2) == "received", body[:size].replace("\r", "").strip("\n")))
        return out

    def received(self, start, since=0):
        return [m for m in self.messages()[since:] if m.received and m.first.startswith(start)]

    def mulaw(self, hz, seconds=60):
        path = self.file("tone.ul")
        subprocess.run(["sox", "-V1", "-n", "-r", "8000", "-c", "1", "-t", "ul", path, "synth", str(seconds), "sine", str(hz), "gain", "-6"], check=True)
        return path


# The PSTN: what happens to a call is in the last digits of the number, behind +1 415 555.
ANSWERS, EARLY, BUSY, HANGS_UP, REINVITES = "2001", "2183", "2486", "2002", "2003"
HOLDS, HOLDS_OLD, RELIABLE = "2004", "2005", "2100"


def number(what):
    return "+1415555" + what


SDP = """v=0
o=sbc 53655765 %(version)d IN IP[local_ip_type] [local_ip]
s=-
c=IN IP4 %(address)s
t=0 0
m=audio [rtpstream_audio_port] RTP/SAVP 0 101
a=crypto:[cryptotag1audio] [cryptosuiteaescm128sha1801audio] inline:[cryptokeyparams1audio]
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a=%(direction)s"""


def sdp(version=1, direction="sendrecv", address="[media_ip]"):
    return SDP % {"version": version, "direction": direction, "address": address}


def message(lines, body=None, **attributes):
    attrs = "".join(' %s="%s"' % a for a in attributes.items())
    tail = ["Content-Type: application/sdp", "Content-Length: [len]", "", body] if body else ["Content-Length: 0", ""]
    return "<send%s><![CDATA[\n%s\n]]></send>" % (attrs, "\n".join(lines + tail))


def reply(status, *lines, totag="", body=None, **attributes):
    """A response to the request that came last."""
    return message(["SIP/2.0 " + status, "[last_Via:]", "[last_Record-Route:]", "[last_From:]", "[last_To:]" + totag, "[last_Call-ID:]",
                    "[last_CSeq:]", "Contact: <sip:sbc@[local_ip]:[local_port];transport=tls>", "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE", *lines],
                   body, **attributes)


class Sbc(Sipp):
    """Takes calls from the box on ADDRESS and does with them what the number says."""

    def __init__(self, host, folder, ca, cert, port=5061):
        super().__init__(host, folder, ca, cert)
        self.port = port

    @property
    def address(self):
        return "%s:%d" % (self.host.ip, self.port)

    def start(self):
        self.launch(self.scenario(), self.port, "-t", "l1", "-min_rtp_port", "30000", "-max_rtp_port", "30999")
        until("the SBC listens on %s (see %s)" % (self.address, self.log), PATIENCE, lambda: self.host.listens(self.port))
        return self

    def scenario(self):
        tag = ";tag=[pid]sbc[call_number]"

        def request(method, cseq, body=None):
            return message([method + " [next_url] SIP/2.0", "Via: SIP/2.0/TLS [local_ip]:[local_port];branch=[branch]", "[routes]",
                            "From:[$to]" + tag, "To:[$from]", "Call-ID: [call_id]", "CSeq: %d %s" % (cseq, method),
                            "Contact: <sip:sbc@[local_ip]:[local_port];transport=tls>", "Max-Forwards: 70"], body)

        def later(status, *lines, body=None):
            """A response to the INVITE when other requests have come since: what [last_…] means is theirs then."""
            return message(["SIP/2.0 " + status, "Via:[$via]", "From:[$from]", "To:[$to]" + tag, "Call-ID: [call_id]", "CSeq:[$cseq]",
                            "Contact: <sip:sbc@[local_ip]:[local_port];transport=tls>", *lines], body)

        def reliably(status, n, body=None):
            return later(status, "Require: 100rel", "RSeq: %d" % n, body=body) + '<recv request="PRACK"/>' + reply("200 OK")

        def reinvite(cseq, body):
            return (request("INVITE", cseq, body), '<recv response="100" optional="true"/>', '<recv response="200" rrs="true"/>', request("ACK", cseq))

        play = '<nop><action><exec rtp_stream="%s,-1,0,PCMU/8000"/></action></nop>' % self.mulaw(TONE)
        stop, again = ('<nop><action><exec rtp_stream="%s"/></action></nop>' % w for w in ("pause", "resume"))
        media = sdp()
        pause = '<pause milliseconds="%d"/>'
        dialled = "".join('<ereg regexp="^INVITE sip:[^@]*%s@" search_in="msg" assign_to="n%s"/>' % (n, n)
                          for n in (EARLY, BUSY, HANGS_UP, REINVITES, HOLDS, HOLDS_OLD, RELIABLE))
        jumps = lambda *numbers: "".join('<nop test="n%s" next="%s"/>' % (n, n) for n in numbers)
        x = ['<?xml version="1.0" encoding="ISO-8859-1" ?>', '<scenario name="SBC">',
             '<recv request="OPTIONS" optional="true" next="options"/>',
             '<recv request="INVITE" rrs="true"><action>%s' % dialled,
             "".join('<ereg regexp=".*" search_in="hdr" header="%s:" assign_to="%s"/>' % h for h in (("Via", "via"), ("CSeq", "cseq"))),
             '<ereg regexp=".*" search_in="hdr" header="From:" assign_to="from"/><ereg regexp=".*" search_in="hdr" header="To:" assign_to="to"/></action></recv>',
             reply("100 Trying"), jumps(BUSY, EARLY, RELIABLE),
             reply("180 Ringing", totag=tag), pause % 500, '<nop next="answer"/>',

             '<label id="%s"/>' % BUSY, pause % 300, reply("486 Busy Here", totag=tag), '<recv request="ACK" next="end"/>',

             '<label id="%s"/>' % EARLY, reply("183 Session Progress", totag=tag, body=media), play, pause % 3000,
             # This SDP has another key, but the first description that came is the answer (RFC 3261 §13.2.1): the tone keeps its key.
             reply("200 OK", totag=tag, body=media), '<recv request="ACK" next="talk"/>',

             '<label id="answer"/>', reply("200 OK", totag=tag, body=media), '<recv request="ACK"/>', play, jumps(HANGS_UP, REINVITES, HOLDS, HOLDS_OLD),

             '<label id="talk"/>',
             '<recv request="INVITE" optional="true" next="reinvited"/>', '<recv request="UPDATE" optional="true" next="updated"/>',
             '<recv request="OPTIONS" optional="true" next="updated"/>', '<recv request="BYE"/>', reply("200 OK"), '<nop next="end"/>',
             '<label id="reinvited"/>', reply("200 OK", body=media), '<recv request="ACK"/>', play, '<nop next="talk"/>',  # it has a new key
             '<label id="updated"/>', reply("200 OK", next="talk"),

             '<label id="%s"/>' % HANGS_UP, pause % 3000, request("BYE", 1), '<recv response="200" next="end"/>',

             '<label id="%s"/>' % REINVITES, pause % 2000, request("INVITE", 1, sdp(2)),
             '<recv response="100" optional="true"/>', '<recv response="200" rrs="true"/>', request("ACK", 1), play, '<nop next="talk"/>',

             '<label id="%s"/>' % HOLDS, pause % 2000, *reinvite(1, sdp(2, "sendonly")), stop, pause % 3000, *reinvite(2, sdp(3)), again, play, '<nop next="talk"/>',
             '<label id="%s"/>' % HOLDS_OLD, pause % 2000, *reinvite(1, sdp(2, address="0.0.0.0")), stop, pause % 3000, *reinvite(2, sdp(3)), again, play,
             '<nop next="talk"/>',

             '<label id="%s"/>' % RELIABLE, reliably("180 Ringing", 1), pause % 300, reliably("183 Session Progress", 2, media), play, pause % 2000,
             later("200 OK"), '<recv request="ACK" next="talk"/>',

             '<label id="options"/>', reply("200 OK", totag=tag),
             '<label id="end"/>', '<nop/>', '</scenario>']
        return "\n".join(x)


class Caller(Sipp):
    """One call from the PSTN through the SBC to the box's trunk side."""

    def start(self, box, to, caller="+14155559876", hold=4.0, port=5065, reliable=False, headers=()):
        talk = lambda request: ['<pause milliseconds="%d"/>' % (1000 * hold), request("BYE", 3), '<recv response="200"/>']
        return self.call(box, to, caller, port, 60, talk, reliable, headers)

    def call(self, box, to, caller, port, seconds, talk, reliable=False, headers=()):
        self.launch(self.scenario(to, caller, talk, reliable, headers), port, box, "-t", "l1", "-min_rtp_port", "31000", "-max_rtp_port", "31999",
                    "-m", "1", "-s", to, "-timeout", "%ds" % seconds, "-timeout_error")
        return self

    def timed(self, box, to, every, refresher, port):
        """A call with a session timer (RFC 4028): refresher is "box", "caller" or "nobody", who as the caller should but does not.
        It takes 70 s when EVERY is 90, the end without a refresh being at 60 s."""
        who = "uas" if refresher == "box" else "uac"
        headers = ("Allow: INVITE, ACK, CANCEL, BYE, UPDATE", "Supported: timer", "Session-Expires: %d;refresher=%s" % (every, who), "Min-SE: %d" % every)
        wait, ok = '<pause milliseconds="%d"/>', reply("200 OK", "Supported: timer", "Session-Expires: %d;refresher=uac" % every)

        def talk(request):
            if refresher == "box":
                return ['<recv request="UPDATE" timeout="%d"/>' % (1000 * every), ok, wait % 25000, request("BYE", 3), '<recv response="200"/>']
            if refresher == "caller":
                return [wait % 30000, request("UPDATE", 2, *headers), '<recv response="200"/>', wait % 40000, request("BYE", 3), '<recv response="200"/>']
            return ['<recv request="BYE" timeout="%d"/>' % (1000 * every), reply("200 OK")]

        return self.call(box, to, "+14155559876", port, every + 10, talk, headers=headers)

    def scenario(self, to, caller, talk, reliable, headers):
        def request(method, cseq, *extra, totag="", uri=None, body=None, routes=()):
            return message(["%s %s SIP/2.0" % (method, uri or "sip:%s@[remote_ip]:[remote_port];transport=tls" % to),
                            "Via: SIP/2.0/TLS [local_ip]:[local_port];branch=[branch]", *routes,
                            'From: "PSTN" <sip:%s@[local_ip]>;tag=[pid]pstn[call_number]' % caller, "To: <sip:%s@[remote_ip]>%s" % (to, totag),
                            "Call-ID: [call_id]", "CSeq: %d %s" % (cseq, method), "Contact: <sip:%s@[local_ip]:[local_port];transport=tls>" % caller,
                            "Max-Forwards: 70", "P-Asserted-Identity: <sip:%s@[local_ip]>" % caller, *extra], body)

        in_dialog = {"totag": "[peer_tag_param]", "uri": "[next_url]", "routes": ("[routes]",)}
        ringing = ('<recv response="180" optional="true"/>', '<recv response="183" optional="true"/>')
        acknowledged = ('<recv response="180" rrs="true"><action><ereg regexp="[0-9]+" search_in="hdr" header="RSeq:" assign_to="rseq"/></action></recv>',
                        request("PRACK", 2, "RAck: [$rseq] 1 INVITE", **in_dialog), '<recv response="200"/>')
        return "\n".join([
            '<?xml version="1.0" encoding="ISO-8859-1" ?>', '<scenario name="PSTN caller">',
            request("INVITE", 1, *headers, *(["Require: 100rel"] if reliable else []), body=sdp()),
            '<recv response="100" optional="true"/>', *(acknowledged if reliable else ringing),
            '<recv response="200" rrs="true" timeout="40000"/>', request("ACK", 1, **in_dialog),
            '<nop><action><exec rtp_stream="%s,-1,0,PCMU/8000"/></action></nop>' % self.mulaw(TONE),
            *talk(functools.partial(request, **in_dialog)), '</scenario>'])


class Registrations(Sipp):
    """Phones that register over TLS with Digest, each on a connection of its own, and stay connected for HOLD seconds.
    users: (name, password) of each."""

    def start(self, server, domain, users, rate_per_10s, hold, port=20000):
        with open(self.file("users.csv"), "w") as f:
            f.write("SEQUENTIAL\n" + "".join("%s;[authentication username=%s password=%s]\n" % (u, u, p) for u, p in users))
        self.launch(self.scenario(domain, hold), port, server, "-t", "ln", "-auth_uri", domain, "-inf", self.file("users.csv"), "-max_socket", str(len(users) + 50),
                    "-m", str(len(users)), "-r", str(rate_per_10s), "-rp", "10000", "-timeout", "120s")
        return self

    def scenario(self, domain, hold):
        def register(cseq, extra, **attributes):
            return message(["REGISTER sip:%s SIP/2.0" % domain, "Via: SIP/2.0/TLS [local_ip]:[local_port];branch=[branch];rport", "Max-Forwards: 70",
                            "From: <sip:[field0]@%s>;tag=[pid]r[call_number]" % domain, "To: <sip:[field0]@%s>" % domain, "Call-ID: [call_id]",
                            "CSeq: %d REGISTER" % cseq,
                            "Contact: <sip:[field0]@[local_ip]:[local_port];transport=tls>;expires=300;"
                            '+sip.instance="<urn:uuid:00000000-0000-4000-8000-[field0]>"', *extra, "User-Agent: interop"], **attributes)

        return "\n".join([
            '<?xml version="1.0" encoding="ISO-8859-1" ?>', '<scenario name="registration">',
            register(1, [], start_rtd="1"), '<recv response="100" optional="true"/>', '<recv response="401" auth="true" rtd="1"/>',
            register(2, ["[field1]"], start_rtd="2"), '<recv response="100" optional="true"/>', '<recv response="200" rtd="2"/>',
            '<pause milliseconds="%d"/>' % (1000 * hold), '<ResponseTimeRepartition value="5,10,20,50,100,200,500,1000,5000"/>', '</scenario>'])

    def counts(self):
        """(successful, failed) of its closing statistics, and the mean time to the answer of the authenticated REGISTER."""
        out = open(self.log, errors="replace").read()
        last = lambda pattern: (re.findall(pattern, out) or [""])[-1]
        return (int(last(r"Successful call\s*\|\s*\d+\s*\|\s*(\d+)") or 0), int(last(r"Failed call\s*\|\s*\d+\s*\|\s*(\d+)") or 0),
                last(r"Response Time 2\s*\|\s*\S+\s*\|\s*(\S+)"))
