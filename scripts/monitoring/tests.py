#!/usr/bin/env -S python3 -B
"""Writes promtool's tests of alerts.yml: each alert with a series that must raise it and one that must not.

usage: tests.py METRICS > FILE
METRICS is what a real box answers to Prometheus. Every metric that an alert or the dashboard names must be in it, and
every alert must be in the table below; else this says what is missing and fails."""

import json
import os
import re
import sys

HERE = os.path.dirname(os.path.realpath(__file__))

# alert: (what raises it, what does not, when it is looked at). Series are in promtool's notation, one sample a minute.
MODE = {m: 'holdfast_mode{mode="%s"}' % m for m in ("normal", "resilience", "drill", "recovering")}
DAY = 1440
CASES = {
    "HoldfastEmergencyUnacknowledged": ({"holdfast_emergency_unacknowledged": "0 0 1x10"}, {"holdfast_emergency_unacknowledged": "0 1 0x10"}, 5),
    "HoldfastEmergencyCall": ({"holdfast_emergency_calls_total": "3 3 4x10"}, {"holdfast_emergency_calls_total": "3x10"}, 4),
    "HoldfastElinsExhausted": ({'holdfast_elins{trunk="a"}': "2x10", 'holdfast_elins_held{trunk="a"}': "2x10"},
                               {'holdfast_elins{trunk="a"}': "2x10", 'holdfast_elins_held{trunk="a"}': "1x10"}, 2),
    "HoldfastElinsMissing": ({'holdfast_elins{trunk="a"}': "0x30"}, {'holdfast_elins{trunk="a"}': "1x30"}, 15),
    "HoldfastEmergencyNotOnCard": ({"holdfast_emergency_steps_waiting": "1x10"}, {"holdfast_emergency_steps_waiting": "1 0x10"}, 5),
    "HoldfastWebhookFailing": ({"holdfast_webhook_failing": "1x10"}, {"holdfast_webhook_failing": "1 0x10"}, 5),
    "HoldfastDown": ({'up{job="holdfast"}': "0x10"}, {'up{job="other"}': "0x10", 'up{job="holdfast"}': "1x10"}, 5),
    "HoldfastOutage": ({MODE["resilience"]: "1x10"}, {MODE["resilience"]: "0x10", MODE["drill"]: "1x10"}, 5),
    "HoldfastPhonesMissing": ({"holdfast_users_registered": "7x20", "holdfast_users_expected": "10x20", MODE["resilience"]: "1x20"},
                              {"holdfast_users_registered": "0x20", "holdfast_users_expected": "10x20", MODE["normal"]: "1x20", MODE["resilience"]: "0x20"}, 10),
    "HoldfastTrunkDown": ({'holdfast_trunk_up{trunk="a"}': "0x10", 'holdfast_trunk_up{trunk="b"}': "1x10"}, {'holdfast_trunk_up{trunk="a"}': "0 1x10"}, 5),
    "HoldfastZoneDown": ({'holdfast_zone_up{zone="e",kind="sip"}': "0x10", MODE["resilience"]: "0x10"},
                         {'holdfast_zone_up{zone="e",kind="sip"}': "0x10", 'holdfast_zone_up{zone="h",kind="https"}': "0x10", MODE["resilience"]: "1x10"}, 8),
    "HoldfastDrillForgotten": ({MODE["drill"]: "1x200"}, {MODE["drill"]: "1x100 0x100"}, 150),
    "HoldfastPhonesStay": ({MODE["recovering"]: "1x30"}, {MODE["recovering"]: "1x10 0x20"}, 20),
    "HoldfastReportDue": ({"holdfast_reports_due": "1x30"}, {"holdfast_reports_due": "1x5 0x30"}, 20),
    "HoldfastMediaLoss": ({"holdfast_call_packets_lost_total": "0+50x60", "holdfast_call_packets_received_total": "0+1000x60"},
                          {"holdfast_call_packets_lost_total": "0+5x60", "holdfast_call_packets_received_total": "0+1000x60"}, 40),
    "HoldfastOverloaded": ({"holdfast_media_packets_missed_total": "0+10x30"}, {"holdfast_media_packets_missed_total": "7x30"}, 20),
    "HoldfastPortsLow": ({"holdfast_media_ports_free": "10x10", "holdfast_media_ports_used": "990x10"},
                         {"holdfast_media_ports_free": "500x10", "holdfast_media_ports_used": "500x10"}, 5),
    "HoldfastCallFault": ({"holdfast_call_faults_total": "0x5 1x20"}, {"holdfast_call_faults_total": "1x20"}, 15),
    "HoldfastGuessing": ({"holdfast_authentication_failures_total": "0+300x40"}, {"holdfast_authentication_failures_total": "0+1x40"}, 30),
    "HoldfastNoDocument": ({"holdfast_site_document_present": "0x10"}, {"holdfast_site_document_present": "1x10"}, 8),
    "HoldfastDocumentOld": ({"holdfast_site_document_confirmed_timestamp_seconds": "60x6000"}, {"holdfast_site_document_confirmed_timestamp_seconds": "0x6000"}, 4 * DAY),
    "HoldfastDocumentFailing": ({"holdfast_site_document_failing": "1x3000", MODE["resilience"]: "0x3000"}, {"holdfast_site_document_failing": "1x3000", MODE["resilience"]: "1x3000"}, 26 * 60),
    "HoldfastCertificateExpires": ({'holdfast_certificate_expiry_timestamp_seconds{certificate="phones"}': "%dx200" % (20 * 86400)},
                                   {'holdfast_certificate_expiry_timestamp_seconds{certificate="phones"}': "%dx200" % (60 * 86400)}, 100),
    "HoldfastCertificateEnding": ({'holdfast_certificate_expiry_timestamp_seconds{certificate="trunk"}': "%dx20" % (5 * 86400)},
                                  {'holdfast_certificate_expiry_timestamp_seconds{certificate="trunk"}': "%dx20" % (20 * 86400)}, 10),
    "HoldfastCardFails": ({"holdfast_card_healthy": "1 0x10", "holdfast_outbox_failing": "0x10"}, {"holdfast_card_healthy": "1x10", "holdfast_outbox_failing": "0x10"}, 8),
    "HoldfastSlotDamaged": ({"holdfast_slots_damaged": "0 1x10"}, {"holdfast_slots_damaged": "0x10"}, 5),
    "HoldfastCardSlow": ({'holdfast_card_fsync_seconds_bucket{le="1"}': "0x90", 'holdfast_card_fsync_seconds_bucket{le="2.5"}': "0+2x90", 'holdfast_card_fsync_seconds_bucket{le="+Inf"}': "0+2x90"},
                         {'holdfast_card_fsync_seconds_bucket{le="1"}': "0+2x90", 'holdfast_card_fsync_seconds_bucket{le="2.5"}': "0+2x90", 'holdfast_card_fsync_seconds_bucket{le="+Inf"}': "0+2x90"}, 80),
    "HoldfastCardFull": ({"holdfast_card_free_bytes": "5x20", "holdfast_card_bytes": "100x20"}, {"holdfast_card_free_bytes": "50x20", "holdfast_card_bytes": "100x20"}, 15),
    "HoldfastOutboxStuck": ({"holdfast_outbox_pending": "3x90", MODE["normal"]: "1x90"}, {"holdfast_outbox_pending": "3x90", MODE["normal"]: "0x90"}, 80),
    "HoldfastFeedDown": ({'holdfast_feed_up{feed="syslog"}': "0x50"}, {'holdfast_feed_up{feed="syslog"}': "0 1x50"}, 40),
    "HoldfastRecordsLost": ({"holdfast_records_lost_total": "0x5 3x20"}, {"holdfast_records_lost_total": "3x20"}, 15),
}


def fail(why):
    sys.exit("monitoring: " + why)


def names(text):
    """The metrics that an expression names."""
    return set(re.findall(r"\bholdfast_[a-z_]+", text))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    served = set(re.findall(r"^(holdfast_[a-z_]+)", open(sys.argv[1]).read(), re.M))
    rules = open(os.path.join(HERE, "alerts.yml")).read()
    alerts = re.findall(r"^ +- alert: (\w+)$", rules, re.M)
    if sorted(alerts) != sorted(CASES):
        fail("alerts.yml and the cases differ: %s" % sorted(set(alerts) ^ set(CASES)))
    expressions = "".join(line for line in rules.splitlines() if "summary:" not in line and "action:" not in line)
    board = json.load(open(os.path.join(HERE, "dashboard.json")))
    shown = [t["expr"] for p in board["panels"] for t in p.get("targets", [])]
    if len(shown) < 10:
        fail("the dashboard shows next to nothing")
    for what, asked in (("alerts.yml", names(expressions)), ("dashboard.json", names(" ".join(shown)))):
        if asked - served:
            fail("%s names metrics that no box has: %s" % (what, ", ".join(sorted(asked - served))))
    ids = [p["id"] for p in board["panels"]]
    if len(set(ids)) != len(ids):
        fail("two panels of the dashboard have one id")
    print("rule_files: [%s]\nevaluation_interval: 1m\ntests:" % os.path.join(HERE, "alerts.yml"))
    for alert, (bad, good, minute) in sorted(CASES.items()):
        for series, raised in ((bad, True), (good, False)):
            print("  - interval: 1m\n    input_series:")
            for name, values in series.items():
                name = name[:-1] + ',instance="box"}' if name.endswith("}") else name + '{instance="box"}'
                print("      - {series: '%s', values: '%s'}" % (name, values))
            # Which labels and texts an alert has is not this test's matter: its state is.
            print("    promql_expr_test:\n      - expr: 'count(ALERTS{alertname=\"%s\",alertstate=\"firing\"}) or vector(0)'\n        eval_time: %dm\n        exp_samples: [{labels: '{}', value: %d}]"
                  % (alert, minute, raised))
    for q in shown:  # each expression of the dashboard is one that Prometheus can read
        print("  - interval: 1m\n    promql_expr_test:\n      - expr: %s\n        eval_time: 1m\n        exp_samples: []" % json.dumps(q.replace("$__rate_interval", "5m").replace("$instance", ".*")))


if __name__ == "__main__":
    main()
