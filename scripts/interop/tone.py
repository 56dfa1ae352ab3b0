"""What was heard: tones and silence in a recording. Python's standard library, sox to read files."""

import math
import os
import struct
import subprocess

RATE = 8000
FRAME = 800  # samples, 100 ms
LOUD = 100   # root mean square below which a frame counts as silence


def write(path, hz, seconds):
    """A WAV with a sine at half amplitude."""
    n = int(seconds * RATE)
    data = struct.pack("<%dh" % n, *(int(16384 * math.sin(2 * math.pi * hz * i / RATE)) for i in range(n)))
    with open(path, "wb") as f:
        f.write(b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16) +
                b"data" + struct.pack("<I", len(data)) + data)
    return path


def read(path):
    """Mono 16-bit samples at RATE; a WAV whose header was never finished is read all the same."""
    if not os.path.exists(path) or os.path.getsize(path) <= 44:
        return []
    raw = subprocess.run(["sox", "-V1", "--ignore-length", path, "-t", "raw", "-r", str(RATE), "-c", "1", "-e", "signed", "-b", "16", "-"],
                         capture_output=True).stdout
    return list(struct.unpack("<%dh" % (len(raw) // 2), raw[:len(raw) // 2 * 2]))


def goertzel(x, hz):
    c = 2 * math.cos(2 * math.pi * hz / RATE)
    a = b = 0.0
    for v in x:
        a, b = v + c * a - b, a
    return a * a + b * b - c * a * b


class Heard:
    """How much of the samples is the tone hz. seconds: with the tone in them; purity: the tone's mean share of their energy;
    other: seconds of sound that is something else; peak: the strongest frequency over the whole, in steps of 20 Hz."""

    def __init__(self, samples, hz):
        self.hz = hz
        self.recorded = len(samples) / RATE
        shares, loud = [], []
        for i in range(0, len(samples) - FRAME + 1, FRAME):
            f = samples[i:i + FRAME]
            energy = sum(v * v for v in f)
            if energy < FRAME * LOUD * LOUD:
                continue
            loud.append(f)
            # a sine of amplitude A over N samples has energy A²N/2, and Goertzel gives (AN/2)²
            shares.append(min(1.0, goertzel(f, hz) * 2 / (FRAME * energy)))
        good = [s for s in shares if s > 0.5]
        self.seconds = len(good) * FRAME / RATE
        self.other = (len(shares) - len(good)) * FRAME / RATE
        self.purity = sum(good) / len(good) if good else 0.0
        self.peak = 0
        if loud:
            f = loud[len(loud) // 2]
            self.peak = max(range(100, 3900, 20), key=lambda h: goertzel(f, h))

    def __str__(self):
        return "%d Hz for %.1f s (purity %.2f), %.1f s of other sound, mid-way strongest %d Hz, %.1f s recorded" % (
            self.hz, self.seconds, self.purity, self.other, self.peak, self.recorded)

    def ok(self, seconds, purity=0.8):
        return self.seconds >= seconds and self.purity >= purity


def heard(path, hz):
    return Heard(read(path), hz)
