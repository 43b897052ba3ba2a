"""Buckets of an S3 server of our own (moto's), which runs in a thread of the test process as long as that does."""

import logging
import socket
import threading
import uuid
from functools import cache
from typing import Any

KEY, SECRET = "tester", "not so secret"


@cache
def _started() -> tuple[str, Any]:
    import boto3
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    server = make_server("127.0.0.1", port, DomainDispatcherApplication(create_backend_app), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{port}"
    client = boto3.client(
        "s3", endpoint_url=url, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1"
    )
    return url, client


def url() -> str:
    return _started()[0]


def client() -> Any:
    return _started()[1]


def new() -> str:
    """A new empty bucket."""
    name = f"tilth-{uuid.uuid4().hex[:12]}"
    client().create_bucket(Bucket=name)
    return name


def put(bucket: str, key: str, body: bytes, **more: Any) -> None:
    client().put_object(Bucket=bucket, Key=key, Body=body, **more)


def delete(bucket: str, key: str) -> None:
    client().delete_object(Bucket=bucket, Key=key)


def options(bucket: str) -> dict[str, Any]:
    """What a source says to reach it."""
    return {"bucket": bucket, "endpoint": url(), "region": "us-east-1", "key": KEY, "secret": SECRET}
