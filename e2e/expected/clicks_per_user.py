#!/usr/bin/env python3
"""What clicks-per-user must give for an input file, computed without Weir.

usage: clicks_per_user.py CLICKS.jsonl FOLDER [PARTITIONS]
writes counts.jsonl, lateSink.jsonl and deadLetterSink.jsonl (lines sorted) into FOLDER
"""
import datetime
import json
import sys
import time

SIZE_MS, DISORDER_MS, FUTURE_MS = 300_000, 30_000, 3_600_000


def click(line, now_ms):
    """The record as (user, ts), or None for a dead letter."""
    try:
        record = json.loads(line.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError):
        return None
    if not isinstance(record, dict):
        return None
    user, ts, page = record.get("user_id"), record.get("ts"), record.get("page", "")
    if not (isinstance(user, str) and user and type(ts) is int and isinstance(page, str)):
        return None
    return None if ts > now_ms + FUTURE_MS else (user, ts)


def iso(ms):
    when = datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def main(path, folder, partitions=1):
    newest, counts, late, dead, now_ms = {}, {}, [], [], time.time() * 1000
    with open(path, "rb") as lines:
        for number, line in enumerate(raw.rstrip(b"\n") for raw in lines if raw.strip()):
            partition, record = number % int(partitions), click(line, now_ms)
            if record is None:
                dead.append(line)
                continue
            user, ts = record
            start = ts // SIZE_MS * SIZE_MS
            if start + SIZE_MS <= newest.get(partition, -(2**62)) - DISORDER_MS:
                late.append(line)
            else:
                counts[(start, user)] = counts.get((start, user), 0) + 1
            newest[partition] = max(newest.get(partition, ts), ts)
    rows = [
        json.dumps({"user_id": user, "window_start": iso(start), "window_end": iso(start + SIZE_MS), "clicks": n},
                   ensure_ascii=False, separators=(",", ":")).encode()
        for (start, user), n in counts.items()
    ]
    for name, found in (("counts", rows), ("lateSink", late), ("deadLetterSink", dead)):
        with open(f"{folder}/{name}.jsonl", "wb") as out:
            out.writelines(line + b"\n" for line in sorted(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
