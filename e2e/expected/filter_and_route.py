#!/usr/bin/env python3
"""What filter-and-route must give for an input file, computed without Weir.

usage: filter_and_route.py PAYMENTS.jsonl FOLDER [PARTITIONS]
writes refunds.jsonl, orders.jsonl and deadLetterSink.jsonl (lines sorted) into FOLDER; partitions change nothing
"""
import json
import sys


def number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def goes_to(line):
    """The output of a record, or None for one that nobody reads."""
    try:
        record = json.loads(line.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError):
        return "deadLetterSink"
    if not isinstance(record, dict) or "status" not in record:
        return "deadLetterSink"
    if record["status"] != "settled":
        return None
    if "type" not in record:
        return "deadLetterSink"
    if record["type"] == "refund":
        if not number(record.get("amount")):
            return "deadLetterSink"
        return "refunds" if record["amount"] > 10_000 else None
    if not isinstance(record["type"], str):
        return "deadLetterSink"
    return "orders" if record["type"].startswith("order.") else None


def main(path, folder, _partitions=1):
    found = {"refunds": [], "orders": [], "deadLetterSink": [], None: []}
    with open(path, "rb") as lines:
        for line in (raw.rstrip(b"\n") for raw in lines if raw.strip()):
            found[goes_to(line)].append(line)
    del found[None]
    for name, rows in found.items():
        with open(f"{folder}/{name}.jsonl", "wb") as out:
            out.writelines(line + b"\n" for line in sorted(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
