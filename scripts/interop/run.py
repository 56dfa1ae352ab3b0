#!/usr/bin/env -S python3 -B
"""Real SIP peers against the real box: baresip and linphone as phones, SIPp as the SBC and the PSTN, Kamailio as the cloud.

usage: run.py --box PROGRAM [--only WORD]... [--jobs N] [--out FOLDER] [--list]

--only runs one suite, or the cases with that word in their title or name. Needs root: every suite has a network of its
own, out of network namespaces. The last line is "interop: N passed, M failed"; the exit status is 1 when M is
not 0. Logs, message traces and recordings stay in the folder that is named at the end.
"""

import argparse
import os
import queue
import shutil
import signal
import sys
import threading
import time
import traceback

import harness
import lan
from suite_calls import Calls
from suite_certs import Certificates
from suite_cloud import Cloud
from suite_emergency import Emergency
from suite_gateway import Gateways
from suite_load import Load
from suite_phones import Phones
from suite_shared import Shared
from suite_timers import Timers
from suite_transfers import Transfers
from suite_trunk import Trunk
from suite_watch import Watch

HERE = os.path.dirname(os.path.realpath(__file__))
# The longest first. The storm of registrations wants the processor: it comes last, when the others are nearly done.
SUITES = (Timers, Transfers, Calls, Cloud, Phones, Gateways, Emergency, Trunk, Shared, Certificates, Watch, Load)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--box", help="the holdfast program")
    ap.add_argument("--only", action="append", default=[])
    ap.add_argument("--jobs", type=int, default=5, help="suites at the same time (5)")
    ap.add_argument("--out", default=os.path.join(HERE, "../../.cache/interop"), help="where logs go (.cache/interop)")
    ap.add_argument("--list", action="store_true", help="print the cases")
    o = ap.parse_args()
    if o.list:
        for s in SUITES:
            for c in s.cases():
                print("%-9s %-17s %s" % (s.name, c.__name__, c.title))
        return 0
    if not o.box:
        ap.error("--box is missing: the holdfast program to test, as make interop builds it")
    if os.geteuid() != 0:
        sys.exit("run.py: making network namespaces needs root: run it as root, such as with sudo")
    box = os.path.realpath(o.box)
    if not os.access(box, os.X_OK):
        sys.exit("run.py: %s is no program: build it with make interop" % o.box)
    out = os.path.realpath(o.out)
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out)

    # An end from outside takes the way of an exception, so that processes and networks are cleaned up.
    def ended(number, frame):
        raise SystemExit("run.py: ended by signal %d" % number)
    for s in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(s, ended)

    lan.sweep()
    run = harness.Run(box, out, [s.name for s in SUITES], o.only)
    todo = queue.Queue()
    for s in SUITES:
        todo.put(s)

    def work():
        while True:
            try:
                suite = todo.get_nowait()
            except queue.Empty:
                return
            try:
                suite(run).execute()
            except Exception as e:
                traceback.print_exc()
                run.broken(suite, e)

    workers = [threading.Thread(target=work, daemon=True) for _ in range(o.jobs)]
    try:
        for w in workers:
            w.start()
        while any(w.is_alive() for w in workers):
            time.sleep(0.1)
    finally:
        lan.over.set()
        lan.remove(run.prefix)
        for w in workers:  # they notice at their next command, or because their peers are dead
            w.join(10)
        lan.remove(run.prefix)
        shutil.rmtree(run.tmp, ignore_errors=True)
    print("logs, traces and recordings: %s; %.0f s" % (out, time.monotonic() - run.start))
    if run.passed + run.failed == 0:
        print("no case has such a word in it", file=sys.stderr)
        run.failed = 1
    print("interop: %d passed, %d failed" % (run.passed, run.failed))
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
