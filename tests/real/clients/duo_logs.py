#!/usr/bin/env python3
"""Reads the logs of a Duo account to their ends with Duo's own client, and prints the records as JSON, by stream.

    duo_logs.py PORT CA IKEY SKEY MINTIME MAXTIME   times in ms; the API is at localhost

A refusal is printed as {"status": …, "code": …}.
"""

import json
import sys
import warnings

import duo_client

LIMIT = 100
PAGES = 50


def pages(ask, records, joined):
    """Every page of a v2 log, oldest first. `joined`: the offset goes back as it came."""
    seen, more = [], {}
    for _ in range(PAGES):
        page = ask(limit=LIMIT, sort="ts:asc", **more)
        seen += page[records]
        offset = page["metadata"].get("next_offset")
        if offset is None:
            return seen
        more = {"next_offset": offset if joined else list(offset)}
    raise SystemExit(f"no end after {PAGES} pages")


def read(api, mintime, maxtime):
    span = {"mintime": mintime, "maxtime": maxtime}

    def authentication(limit, **more):
        # The client passes a number on as it is, and then cannot sign it.
        return api.get_authentication_log(api_version=2, limit=str(limit), **span, **more)

    def activity(**more):
        return api.get_activity_logs(**span, **more)

    def telephony(sort, **more):
        return api.get_telephony_log(api_version=2, sort=sort.removeprefix("ts:"), **span, **more)

    return {
        "authentication": pages(authentication, "authlogs", joined=False),
        "activity": pages(activity, "items", joined=True),
        "telephony": pages(telephony, "items", joined=True),
        "trust_monitor": list(api.get_trust_monitor_events_iterator(mintime, maxtime)),
        "administrator": api.get_administrator_log(mintime=mintime // 1000),
        "offline_enrollment": api.get_offline_log(mintime=mintime // 1000),
    }


def main():
    port, authority, ikey, skey, mintime, maxtime = sys.argv[1:]
    warnings.simplefilter("ignore", DeprecationWarning)
    api = duo_client.Admin(ikey=ikey, skey=skey, host="localhost", port=int(port), ca_certs=authority)
    try:
        printed = read(api, int(mintime), int(maxtime))
    except RuntimeError as refusal:
        printed = {"status": refusal.status, "code": refusal.data["code"]}
    json.dump(printed, sys.stdout)


main()
