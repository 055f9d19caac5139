#!/usr/bin/env python3
"""Reads logs of a Google Workspace customer to their ends with Google's own client, and prints the records as JSON, by stream.

    google_logs.py URL KEYFILE SUBJECT START STREAM…   `alerts` is the Alert Center, all others are Reports applications

The client's descriptions of the APIs are those that it ships. It trusts the authority in HTTPLIB2_CA_CERTS. A refusal is
printed as {"status": …, "reason": …}, one of the token endpoint as {"token": …}.
"""

import json
import sys

from google.auth.exceptions import RefreshError
from google.oauth2 import service_account
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

LIMIT = 40
RETRIES = 3
REPORTS = "https://www.googleapis.com/auth/admin.reports.audit.readonly"
ALERTS = "https://www.googleapis.com/auth/apps.alerts"


def collect(collection, request, records):
    seen = []
    while request is not None:
        page = request.execute(num_retries=RETRIES)
        seen += page.get(records, [])
        request = collection.list_next(request, page)
    return seen


def read(url, key, subject, start, stream):
    alerts = stream == "alerts"
    credentials = service_account.Credentials.from_service_account_file(
        key, scopes=[ALERTS if alerts else REPORTS], subject=subject
    )
    name, version = ("alertcenter", "v1beta1") if alerts else ("admin", "reports_v1")
    with build(
        name,
        version,
        credentials=credentials,
        static_discovery=True,
        cache_discovery=False,
        client_options={"api_endpoint": url},
    ) as service:
        if alerts:
            collection = service.alerts()
            wanted = f'createTime >= "{start}"'
            return collect(collection, collection.list(filter=wanted, pageSize=LIMIT), "alerts")
        collection = service.activities()
        request = collection.list(
            userKey="all", applicationName=stream, startTime=start, maxResults=LIMIT
        )
        return collect(collection, request, "items")


def main():
    url, key, subject, start, *streams = sys.argv[1:]
    try:
        printed = {stream: read(url, key, subject, start, stream) for stream in streams}
    except HttpError as refusal:
        printed = {"status": refusal.resp.status, "reason": refusal.reason}
    except RefreshError as refusal:
        printed = {"token": refusal.args[1]["error"]}
    json.dump(printed, sys.stdout)


main()
