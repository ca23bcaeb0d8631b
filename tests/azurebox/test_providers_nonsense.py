"""Whatever a body holds, the answer is a refusal or a success, never a crash of ours."""

import copy
import random

import pytest

# Of about a thousand for each kind, which all passed once.
SAMPLE = 60
JUNK = (None, "x", -1, 1.5, True, [], {}, [1], [None], {"a": None}, "a" * 5000)


def paths(value, here=()):
    yield here
    children = value.items() if isinstance(value, dict) else ()
    children = enumerate(value) if isinstance(value, list) else children
    for key, child in children:
        yield from paths(child, (*here, key))


def changed(body, path, value):
    if not path:
        return value
    body = copy.deepcopy(body)
    holder = body
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return body


@pytest.mark.parametrize("kind", ["jobs", "containerApps", "managedEnvironments", "storages"])
def test_body_with_junk_anywhere_is_answered_below_500(box, lab, kind):
    # An image that nobody has, so that nothing starts.
    nothing = "docker.io/library/nothing:1"
    environment = {"properties": {"azureFile": {"accountName": "a", "accountKey": "k"}}}
    secrets = [{"name": "s", "value": "v"}]
    env = [{"name": "A", "secretRef": "s"}]
    body = {
        "jobs": lambda: lab.job("x", secrets=secrets, env=env, image=nothing),
        "containerApps": lambda: lab.app("x", secrets=secrets, env=env, image=nothing),
        "managedEnvironments": lambda: {
            "location": "eastus",
            "tags": {"a": "b"},
            "properties": {
                "appLogsConfiguration": {
                    "destination": "log-analytics",
                    "logAnalyticsConfiguration": {"customerId": "c", "sharedKey": "k"},
                },
                "workloadProfiles": [{"name": "C", "workloadProfileType": "Consumption"}],
            },
        },
        "storages": lambda: environment,
    }[kind]()
    name = "managedEnvironments/env/storages/junk" if kind == "storages" else f"{kind}/junk"
    sub = box.info["subscription_id"]
    path = (
        f"/subscriptions/{sub}/resourceGroups/lab/providers/Microsoft.App/{name}"
        "?api-version=2024-03-01"
    )
    token = box.token()
    failures = []
    every = [(m, w, j) for w in paths(body) for j in JUNK for m in ("PUT", "PATCH")]
    for method, where, junk in random.Random(kind).sample(every, SAMPLE):
        status, _, answer = box.ask(method, path, changed(body, where, junk), token=token)
        # 501 is a refusal with a reason: a trigger or a shape that is not there yet.
        if status == 500 or status > 501:
            failures.append((method, where, junk, answer))
        status, _, answer = box.ask("GET", path, token=token)
        if status >= 500:
            failures.append((method, where, junk, answer))
    assert not failures, failures[:5]
    assert "Traceback" not in box.log
