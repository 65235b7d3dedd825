#!/usr/bin/env python3
"""What sums-per-country must give for an input file, computed without Weir.

usage: sums_per_country.py PAYMENTS.jsonl FOLDER [PARTITIONS]
writes sums.jsonl, lateSink.jsonl and deadLetterSink.jsonl (lines sorted) into FOLDER
"""
import datetime
import json
import sys

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
SIZE_MS, DISORDER_MS, LATENESS_MS, MS = 60_000, 10_000, 20_000, datetime.timedelta(milliseconds=1)


def payment(line):
    """Record and event time, or None for a dead letter of the source."""
    try:
        record = json.loads(line.decode("utf-8"))
        return record, (datetime.datetime.fromisoformat(record["paid_at"].replace("Z", "+00:00")) - EPOCH) // MS
    except (UnicodeDecodeError, ValueError, TypeError, KeyError, AttributeError):
        return None


def row(country, start, amounts):
    values = [amount for amount in amounts if amount is not None]
    iso = lambda ms: (EPOCH + ms * MS).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = {"country": country, "window_start": iso(start), "window_end": iso(start + SIZE_MS), "payments": len(amounts)}
    found["total"] = sum(values) if values else None
    found["average"] = sum(values) / len(values) if values else None
    found["smallest"], found["largest"] = (min(values), max(values)) if values else (None, None)
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()


def main(path, folder, partitions=1):
    newest, groups, late, dead = {}, {}, [], []
    with open(path, "rb") as lines:
        for number, line in enumerate(raw.rstrip(b"\n") for raw in lines if raw.strip()):
            partition, parsed = number % int(partitions), payment(line)
            if parsed is None:
                dead.append(line)
                continue
            record, ts = parsed
            watermark = newest.get(partition, -(2**62)) - DISORDER_MS
            newest[partition] = max(newest.get(partition, ts), ts)
            if "status" not in record or record["status"] == "settled" and "type" not in record:
                dead.append(line)
                continue
            if record["status"] != "settled" or record["type"] == "refund":
                continue
            country, amount, start = record.get("country"), record.get("amount"), ts // SIZE_MS * SIZE_MS
            if country is None or not (amount is None or type(amount) in (int, float)):
                dead.append(line)
            elif start + SIZE_MS + LATENESS_MS <= watermark:
                late.append(line)
            else:
                groups.setdefault((start, country), []).append(amount)
    sums = [row(country, start, amounts) for (start, country), amounts in groups.items()]
    for name, rows in (("sums", sums), ("lateSink", late), ("deadLetterSink", dead)):
        with open(f"{folder}/{name}.jsonl", "wb") as out:
            out.writelines(line + b"\n" for line in sorted(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
