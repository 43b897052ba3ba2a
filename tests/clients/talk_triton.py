"""Asks a server with tritonclient as its documentation does, by JSON and by bytes; prints what came back as JSON.

talk_triton.py HOST:PORT TOKEN ENDPOINT
"""

import json
import sys

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

ROWS = {
    "n": ("INT64", np.array([3, 7], np.int64)),
    "x": ("FP64", np.array([0.5, float("nan")], np.float64)),
    "t": ("BYTES", np.array([b"a", "ü".encode()], np.object_)),
    "b": ("BOOL", np.array([True, False])),
    "d": ("BYTES", np.array([b"2023-07-01", b"2023-07-02"], np.object_)),
    "s": ("BYTES", np.array([b"2023-07-01T10:00:00", b"2023-07-02T11:00:00Z"], np.object_)),
}


def inputs(*, binary):
    out = []
    for name, (kind, values) in ROWS.items():
        one = triton.InferInput(name, list(values.shape), kind)
        if binary or not (kind == "FP64" and np.isnan(values).any()):
            one.set_data_from_numpy(values, binary_data=binary)
        else:  # JSON has no NaN
            one.set_data_from_numpy(np.nan_to_num(values), binary_data=False)
        out.append(one)
    return out


def plain(result):
    names = [o["name"] for o in result.get_response()["outputs"]]
    return {
        n: [v.decode() if isinstance(v, bytes) else v for v in result.as_numpy(n).tolist()] for n in names
    }


def main(place, token, endpoint):
    client, headers = triton.InferenceServerClient(place), {"Authorization": f"Bearer {token}"}
    told = {
        "live": client.is_server_live(headers),
        "ready": client.is_server_ready(headers),
        "model_ready": client.is_model_ready(endpoint, headers=headers),
        "version_ready": client.is_model_ready(endpoint, "1", headers=headers),
        "no_model_ready": client.is_model_ready("nothing", headers=headers),
        "server": client.get_server_metadata(headers),
        "model": client.get_model_metadata(endpoint, headers=headers),
    }
    wanted = ["y", "y_probability", "y_probabilities"]
    for name, binary in (("json", False), ("bytes", True)):
        outputs = [triton.InferRequestedOutput(o, binary_data=binary) for o in wanted]
        asked = client.infer(
            endpoint, inputs(binary=binary), outputs=outputs, headers=headers, request_id="mine"
        )
        told[name] = {"id": asked.get_response()["id"], **plain(asked)}
    told["usual"] = plain(client.infer(endpoint, inputs(binary=True), headers=headers))  # bytes both ways
    told["pinned"] = plain(client.infer(endpoint, inputs(binary=True), model_version="1", headers=headers))
    told["refused"] = {}
    for name, given in {"short": inputs(binary=True)[:2], "twice": inputs(binary=True)[:1] * 2}.items():
        try:
            client.infer(endpoint, given, headers=headers)
        except InferenceServerException as error:
            told["refused"][name] = [error.status(), error.message()]
    try:
        triton.InferenceServerClient(place).get_server_metadata()
    except InferenceServerException as error:
        told["refused"]["no token"] = [error.status(), error.message()]
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
