"""Asks a server with KServe's client; prints what came back as JSON.

    talk_kserve.py URL TOKEN ENDPOINT

The package's front door imports Kubernetes, so its client is imported past it: no other part of it is needed, nor installed.
"""

import asyncio
import importlib.util
import json
import math
import sys
import types

bare = types.ModuleType("kserve")
bare.__path__ = list(importlib.util.find_spec("kserve").submodule_search_locations)
sys.modules["kserve"] = bare

from kserve.inference_client import InferenceRESTClient, RESTConfig  # noqa: E402
from kserve.protocol.infer_type import InferInput, InferRequest, RequestedOutput  # noqa: E402
from talk_triton import ROWS  # noqa: E402


def request(endpoint, *, binary):
    out = []
    for name, (kind, values) in ROWS.items():
        one = InferInput(name, list(values.shape), kind)
        if binary:
            one.set_data_from_numpy(values, binary_data=True)
        else:
            listed = [v.decode() if isinstance(v, bytes) else v for v in values.tolist()]
            one.data = [None if isinstance(v, float) and math.isnan(v) else v for v in listed]
        out.append(one)
    wanted = [RequestedOutput(o, {"binary_data": binary}) for o in ("y", "y_probability", "y_probabilities")]
    return InferRequest(endpoint, out, request_id="mine", request_outputs=wanted)


def plain(answer):
    values = {o.name: o.as_numpy().tolist() for o in answer.outputs}
    return {n: [v.decode() if isinstance(v, bytes) else v for v in vs] for n, vs in values.items()}


async def main(url, token, endpoint):
    headers = {"Authorization": f"Bearer {token}"}
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    told = {
        "live": await client.is_server_live(url, headers=headers),
        "ready": await client.is_server_ready(url, headers=headers),
        "model_ready": await client.is_model_ready(url, endpoint, headers=headers),
    }
    for name, binary in (("json", False), ("bytes", True)):
        answer = await client.infer(
            url, request(endpoint, binary=binary), headers=headers, model_name=endpoint
        )
        told[name] = {"id": answer.id, **plain(answer)}
    await client.close()
    print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
