#!/usr/bin/env python3
"""What one user did, by the audit log of the API server (AUDIT_LOG, with the files that were rotated away).

audit_log.py used USER                  each right that was used, as `group/resource verb`, sorted
audit_log.py writes USER SINCE UNTIL    each write between two moments (RFC 3339) but those of Leases, with its count
audit_log.py refused USER               each right that was asked for and not granted
"""
import collections
import glob
import json
import os
import sys

WRITES = {"create", "update", "patch", "delete", "deletecollection"}


def events(user):
    path = os.environ["AUDIT_LOG"]
    base = path.removesuffix(".log")
    for name in sorted(glob.glob(base + "-*.log")) + [path]:
        with open(name, encoding="utf-8") as lines:
            for line in lines:
                if user not in line:
                    continue
                try:
                    event = json.loads(line)
                except json.JSONDecodeError:
                    continue  # the line that is being written
                # Who acts for another one is not that one.
                if event["user"]["username"] == user and "objectRef" in event:
                    yield event


def target(event):
    about = event["objectRef"]
    parts = [about.get("resource", ""), about.get("subresource", "")]
    return about.get("apiGroup", "") + "/" + "/".join(part for part in parts if part)


def rights(event):
    """A server-side apply that makes an object needs the right to create it as well."""
    yield f"{target(event)} {event['verb']}"
    if event["verb"] == "patch" and event.get("responseStatus", {}).get("code") == 201:
        yield f"{target(event)} create"


def allowed(event):
    return event.get("annotations", {}).get("authorization.k8s.io/decision") == "allow"


def main():
    act, user, *rest = sys.argv[1:]
    if act == "used":
        print(*sorted({right for event in events(user) if allowed(event) for right in rights(event)}), sep="\n")
    elif act == "refused":
        print(*sorted({right for event in events(user) if not allowed(event) for right in rights(event)}), sep="\n")
    elif act == "writes":
        since, until = rest
        counts = collections.Counter(
            f"{event['verb']} {target(event)}"
            for event in events(user)
            if event["verb"] in WRITES
            and since <= event["requestReceivedTimestamp"] <= until
            and event["objectRef"].get("resource") != "leases"
        )
        print(*(f"{count} {what}" for what, count in sorted(counts.items())), sep="\n", end="\n" if counts else "")
    else:
        sys.exit(__doc__)


main()
