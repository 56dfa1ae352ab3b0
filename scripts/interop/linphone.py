"""linphone (linphonec), steered through a pseudo-terminal.

It checks the server's certificate: chain, dates and name. It knows G.729, and with Opus offers telephone-event/48000."""

import datetime
import os
import pty
import re
import subprocess
import threading
import time

from harness import PATIENCE
from phone import Phone

CODECS = {"opus": "opus", "pcmu": "PCMU", "pcma": "PCMA", "g729": "G729"}

RC = """[sip]
sip_port=0
sip_tcp_port=-1
sip_tls_port=5061
bind_address=%(ip)s
media_encryption=srtp
media_encryption_mandatory=1
verify_server_certs=1
verify_server_cn=1
root_ca=%(ca)s
client_cert_chain=%(crt)s
client_cert_key=%(key)s
default_proxy=0
register_only_when_network_is_up=0
auto_net_state_mon=0
guess_hostname=0
contact="%(user)s" <sip:%(user)s@%(ip)s>
use_ipv6=0
keepalive_period=30000
%(sip)s
srtp_crypto_suites=AES_CM_128_HMAC_SHA1_80,AES_CM_128_HMAC_SHA1_32,AES_256_CM_HMAC_SHA1_80
[rtp]
audio_rtp_port=22000-22999
audio_adaptive_jitt_comp_enabled=1
[net]
firewall_policy=0
[sound]
echocancellation=0
disable_record_on_mute=0
[misc]
uuid=%(uuid)s
log_collection=0
[video]
enabled=0
[auth_info_0]
username=%(user)s
userid=%(user)s
passwd=%(password)s
realm=%(domain)s
[proxy_0]
reg_proxy=<sip:%(server)s;transport=tls>
reg_route=<sip:%(server)s;transport=tls;lr>
reg_identity="%(user)s" <%(aor)s>
reg_expires=%(expires)d
reg_sendregister=1
publish=0
"""

# what a line on the terminal means; the first match counts
PROMPT = "linphonec> "
TERMINAL = (
    (r"Receiving tone (?P<text>.) from", "dtmf"),
    (r"\s*(?P<text>\d+: \S+ \(\d+\) (?:enabled|disabled))", "codec"),
)
# and a line in its log, where the states of the account and of calls stand
LOG = (
    (r"to \[LinphoneRegistrationOk\]", "registered"),
    (r"to \[LinphoneRegistrationFailed\]", "refused"),
    (r"to LinphoneCallOutgoingRinging", "ringing"),
    (r"to LinphoneCallOutgoingEarlyMedia", "early"),
    (r"to LinphoneCallIncomingReceived", "incoming"),
    (r"to LinphoneCallStreamsRunning", "up"),
    (r"to LinphoneCallPaused\b", "paused"),
    (r"to LinphoneCall(End|Error)", "down"),
)


class Linphone(Phone):
    engine = "linphone"
    sip = ""  # further lines of its [sip] section

    def start(self):
        a = self.account
        rc = os.path.join(self.dir, "rc")
        with open(rc, "w") as f:
            f.write(RC % {"ip": self.host.ip, "ca": a.ca, "crt": a.cert.crt, "key": a.cert.key, "user": a.user, "password": a.password,
                          "domain": a.domain, "server": a.server, "aor": a.aor, "expires": a.expires, "sip": self.sip,
                          "uuid": "00000000-0000-4000-8000-%012d" % int(re.sub(r"\D", "", a.user) or 1)})
        os.makedirs(self.dir + "/.local/share/linphone", exist_ok=True)
        self.fd, tty = pty.openpty()
        self.proc = subprocess.Popen(self.host.command("linphonec", "-c", rc, "-d", "6", "-l", self.log, "-S", *(["-a"] if self.answer else [])),
                                     stdin=tty, stdout=tty, stderr=tty, start_new_session=True, cwd=self.dir,
                                     env=dict(os.environ, HOME=self.dir, TERM="dumb"))
        os.close(tty)
        self.typing, self.over = threading.Lock(), threading.Event()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.follower = threading.Thread(target=self.follow, daemon=True)
        self.follower.start()
        if not self.wait(("prompt", "dead"), PATIENCE) or self.seen("dead"):
            raise RuntimeError("%s does not start, see %s" % (self, self.log))
        self.heard_in = os.path.join(self.dir, "heard.wav")
        self.command("soundcard use files")
        self.command("play " + self.tone)
        self.command("record " + self.heard_in)
        self.choose_codec()

    def choose_codec(self):
        for n, name, on in self.codecs():
            if on != (name == CODECS[self.codec]):
                self.command("codec %s %s" % ("disable" if on else "enable", n))
        on = {name for _, name, on in self.codecs() if on}
        if on != {CODECS[self.codec]}:
            raise RuntimeError("%s should have %s alone, it has %s" % (self, CODECS[self.codec], ", ".join(sorted(on)) or "nothing"))

    def codecs(self):
        """Number, name, and whether it is in use, of each codec."""
        since = self.mark()
        self.command("codec list")
        rows = [re.match(r"(\d+): (\S+) \(\d+\) (\w+)", e.text).groups() for e in self.seen("codec", since)]
        return [(n, name, state == "enabled") for n, name, state in rows]

    def read(self):
        text, end = "", ""
        with open(os.path.join(self.dir, "terminal"), "w") as keep:
            while True:
                try:
                    data = os.read(self.fd, 65536).decode("utf8", "replace")
                except OSError:
                    data = ""
                if not data:
                    self.emit("dead")
                    return
                keep.write(data)
                keep.flush()
                text += data
                *lines, text = text.split("\n")
                for line in lines:
                    self.line(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).replace("\r", ""), TERMINAL)
                for _ in range((end + data).count(PROMPT)):
                    self.emit("prompt")
                end = (end + data)[1 - len(PROMPT):]

    def follow(self):
        """Reads the log as it grows."""
        while not os.path.exists(self.log):
            if self.over.wait(0.05):
                return
        text = ""
        with open(self.log, errors="replace") as f:
            while True:
                over = self.over.is_set()
                text += f.read()
                *lines, text = text.split("\n")
                for line in lines:
                    self.line(line, LOG)
                if over:
                    return
                self.over.wait(0.05)

    def line(self, line, meanings):
        for pattern, kind in meanings:
            m = re.search(pattern, line)
            if m:
                self.emit(kind, m.groupdict().get("text") or line)
                return

    def said(self, event):
        """When a line came into its log, by its own clock, in seconds: ours tells when we got to reading it."""
        return datetime.datetime.strptime(event.text[:23], "%Y-%m-%d %H:%M:%S:%f").timestamp()

    def stop(self):
        super().stop()
        if self.proc:
            self.over.set()
            self.follower.join(2)
            os.close(self.fd)

    def command(self, line):
        """Types a line and waits until the phone has done it and asks for the next: it loses what is typed earlier."""
        with self.typing:
            since = self.mark()
            self.type(line)
            if not self.wait(("prompt", "dead"), PATIENCE, since):
                raise RuntimeError("%s did not take the command %r" % (self, line))

    def type(self, line):
        self.note("> " + line)
        os.write(self.fd, (line + "\n").encode())

    def dial(self, number): self.command("call sip:%s@%s" % (number, self.account.domain))
    def accept(self): self.command("answer")
    def hangup(self): self.command("terminate")
    def hold(self): self.command("pause")
    def resume(self): self.command("resume")
    def transfer(self, number): self.command("transfer sip:%s@%s" % (number, self.account.domain))
    def attended(self): self.command("transfer 1 --to-call 2")  # its first call to the far party of its second

    def dtmf(self, digits):
        for d in digits:
            self.command(d)
            time.sleep(0.5)

    def quit(self):
        self.type("quit")

    def recording(self):
        return self.heard_in
