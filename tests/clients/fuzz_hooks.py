"""For schemathesis: a key that is well formed is a new one for each request, as the document says; the others are sent as they are."""

import re
import uuid

import schemathesis


@schemathesis.hook
def before_call(context, case, _kwargs):
    given = (case.headers or {}).get("Idempotency-Key")
    if given is not None and re.fullmatch(r"[!-~]{1,255}", str(given)):
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
