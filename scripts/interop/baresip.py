"""baresip, steered over its ctrl_tcp module: netstrings of JSON.

It does not check the server's certificate, knows no G.729, and offers telephone-event/8000 only."""

import glob
import json
import os
import re
import subprocess
import threading
import time

from harness import PATIENCE
from phone import Phone

MODULES = "/usr/lib/baresip/modules"
CODECS = {"opus": "opus/48000/2", "pcmu": "pcmu", "pcma": "pcma"}
KINDS = {"REGISTER_OK": "registered", "FALLBACK_OK": "registered", "REGISTER_FAIL": "refused", "FALLBACK_FAIL": "refused",
         "CALL_RINGING": "ringing", "CALL_INCOMING": "incoming", "CALL_ESTABLISHED": "up", "CALL_CLOSED": "down",
         "CALL_DTMF_START": "dtmf"}


class Baresip(Phone):
    engine = "baresip"
    control = 4444
    transport, media = "tls", ";mediaenc=srtp-mand"

    def start(self):
        a = self.account
        self.write("accounts", '"%s" <%s;transport=%s>;auth_user=%s;auth_pass=%s;outbound="sip:%s;transport=%s";regint=%d;'
                   'answermode=%s;audio_codecs=%s%s\n' %
                   (a.user, a.aor, self.transport, a.user, a.password, a.server, self.transport, a.expires, "auto" if self.answer else "manual",
                    CODECS[self.codec], self.media))
        self.write("contacts", "")
        # Its instance: a phone is the same one after it was started anew.
        self.write("uuid", "00000000-0000-4000-8000-%012d" % int(re.sub(r"\D", "", a.user) or 1))
        lines = ["poll_method epoll", "sip_listen %s:5060" % self.host.ip, "sip_certificate " + a.cert.pem, "sip_cafile " + a.ca,
                 "call_local_timeout 60", "call_max_calls 8", "audio_buffer 20-160", "audio_player aubridge,sink",
                 "audio_source aufile," + self.tone, "audio_alert aubridge,alert", "ausrc_srate 8000", "ausrc_channels 1",
                 "rtp_ports 21000-21999", "rtcp_mux no", "jitter_buffer_delay 5-10", "rtp_stats yes", "net_interface " + self.host.ip,
                 "opus_bitrate 28000", "ringback_disabled yes", "snd_path " + self.dir, "module_path " + MODULES,
                 "ctrl_tcp_listen %s:%d" % (self.host.ip, self.control)]
        for m in ("g711", "opus", "srtp", "aufile", "ausine", "aubridge", "sndfile"):
            if os.path.exists("%s/%s.so" % (MODULES, m)):
                lines.append("module %s.so" % m)
        lines += ["module_tmp uuid.so", "module_tmp account.so", "module_app contact.so", "module_app menu.so", "module_app ctrl_tcp.so"]
        self.write("config", "\n".join(lines) + "\n")
        self.proc = self.host.popen("baresip", "-s", "-f", self.dir, log=self.log)
        # The control port is inside the phone's namespace: a relay on its standard input and output reaches it.
        self.link = subprocess.Popen(self.host.command("python3", "-c", RELAY, self.host.ip, str(self.control)),
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        if not self.wait(("ready", "dead"), PATIENCE) or self.seen("dead"):
            raise RuntimeError("%s does not start, see %s" % (self, self.log))
        # it may have registered before the relay was there to hear of it
        self.command("reginfo")

    def write(self, name, text):
        with open(os.path.join(self.dir, name), "w") as f:
            f.write(text)

    def read(self):
        buf = b""
        while True:
            data = os.read(self.link.stdout.fileno(), 65536)
            if not data:
                self.emit("dead")
                return
            buf += data
            while (m := re.match(rb"(\d+):", buf)) and len(buf) > m.end() + int(m.group(1)):
                end = m.end() + int(m.group(1))
                self.message(json.loads(buf[m.end():end].decode("utf8", "replace")))
                buf = buf[end + 1:]

    def message(self, j):
        if j.get("ready"):
            self.emit("ready")
        elif j.get("event"):
            kind = KINDS.get(j.get("type"))
            if kind == "incoming":
                self.emit(kind, j.get("peeruri", ""))
            elif kind:
                self.emit(kind, j.get("param", ""))
        elif m := re.search(r"\x1b\[3[12]m(OK|ERR)", str(j.get("data", ""))):
            self.emit("registered" if m.group(1) == "OK" else "refused")

    def command(self, name, params=""):
        self.note("> %s %s" % (name, params))
        body = json.dumps({"command": name, "params": params}).encode()
        self.link.stdin.write(b"%d:%s," % (len(body), body))
        self.link.stdin.flush()

    def dial(self, number): self.command("dial", "sip:%s@%s;transport=%s" % (number, self.account.domain, self.transport))
    def accept(self): self.command("accept")
    def hangup(self): self.command("hangup")
    def hold(self): self.command("hold")
    def resume(self): self.command("resume")
    def transfer(self, number): self.command("transfer", "sip:%s@%s" % (number, self.account.domain))

    def dtmf(self, digits):
        for d in digits:
            self.command("sndcode", d)
            time.sleep(0.25)
            self.command("sndcode", "\x04")  # key released
            time.sleep(0.2)

    def quit(self):
        self.command("quit")

    def stop(self):
        super().stop()
        if getattr(self, "link", None):
            self.link.kill()
            self.link.wait()

    def recording(self):
        parts = [f for f in sorted(glob.glob(self.dir + "/dump-*-dec.wav")) if os.path.getsize(f) > 44]
        if len(parts) == 1:
            return parts[0]
        heard = os.path.join(self.dir, "heard.wav")  # a re-INVITE starts a new file: put them end to end
        if parts:
            subprocess.run(["sox", "-V1", *parts, "-r", "8000", "-c", "1", "-b", "16", heard], check=True)
        return heard


RELAY = r'''
import os, select, socket, sys, time
for _ in range(400):
    try:
        s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 1)
        break
    except OSError:
        time.sleep(0.05)
else:
    sys.exit(1)
s.settimeout(None)
os.write(1, b'14:{"ready":true},')
while True:
    for f in select.select([s, 0], [], [])[0]:
        data = s.recv(65536) if f is s else os.read(0, 65536)
        if not data:
            sys.exit(0)
        if f is s:
            os.write(1, data)
        else:
            s.sendall(data)
'''
