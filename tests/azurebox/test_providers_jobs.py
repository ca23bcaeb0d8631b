"""Jobs under the unmodified SDK: real processes, real statuses, real logs."""

import json
import re
import ssl
import time
import urllib.request

import psutil
import pytest
from azure.core.exceptions import HttpResponseError
from box_process import PYTHON_IMAGE, until

ENDED = ("Succeeded", "Failed", "Stopped")


@pytest.fixture(scope="module")
def apps(box):
    with box.apps() as apps:
        yield apps


def make(apps, name, body):
    return apps.jobs.begin_create_or_update("lab", name, body).result()


def start(apps, job, template=None):
    return apps.jobs.begin_start("lab", job, template).result()


def end(apps, job, execution, timeout_s=40):
    def ended():
        found = apps.job_execution("lab", job, execution)
        return found if found.properties.status in ENDED else None

    return until(ended, timeout_s)


def replicas(box, job, execution):
    base = f"/subscriptions/{box.info['subscription_id']}/resourceGroups/lab/providers"
    path = f"{base}/Microsoft.App/jobs/{job}/executions/{execution}/replicas"
    return box.ask("GET", f"{path}?api-version=2023-11-02-preview")[2]["value"]


def stream_of(box, job, execution):
    base = f"/subscriptions/{box.info['subscription_id']}/resourceGroups/lab/providers"
    path = f"{base}/Microsoft.App/jobs/{job}/getAuthToken?api-version=2023-11-02-preview"
    token = box.ask("POST", path)[2]["properties"]["token"]
    container = replicas(box, job, execution)[0]["properties"]["containers"][0]
    return token, container["logStreamEndpoint"]


def read_log(box, job, execution, query="output=json&follow=true"):
    token, link = stream_of(box, job, execution)
    status, _, text = box.ask("GET", f"{link}?{query}", token=token)
    assert status == 200, text
    return text if isinstance(text, str) else json.dumps(text)


def test_execution_runs_with_share_secret_and_injected_environment(box, lab, apps):
    script = (
        'cd "${AZUREBOX_MOUNT:-/mount}"'
        ' && echo "$CONTAINER_APP_JOB_NAME $PASSWORD $PLAIN" > out.txt'
        ' && echo "$CONTAINER_APP_JOB_EXECUTION_NAME" >> out.txt && python3 -c "print(6*7)"'
    )
    body = lab.job(
        script,
        secrets=[{"name": "pw", "value": "s3cret-value"}],
        env=[{"name": "PASSWORD", "secretRef": "pw"}, {"name": "PLAIN", "value": "yes"}],
    )
    job = make(apps, "envs", body)
    assert job.properties.provisioning_state == "Succeeded"
    assert job.properties.configuration.trigger_type == "Manual"
    started = start(apps, "envs")
    assert re.fullmatch(r"envs-[a-z0-9]{7}", started.name)
    ended = end(apps, "envs", started.name, 60)
    assert ended.properties.status == "Succeeded", ended.as_dict()
    assert (lab.folder / "out.txt").read_text().splitlines() == [
        "envs s3cret-value yes",
        started.name,
    ]
    assert '"Log":"42"' in read_log(box, "envs", started.name)
    # The secret is in the answer to listSecrets and nowhere else.
    assert apps.jobs.list_secrets("lab", "envs").value[0].value == "s3cret-value"
    assert "s3cret-value" not in str(apps.jobs.get("lab", "envs").as_dict())
    assert "s3cret-value" not in str(ended.as_dict())
    assert "s3cret-value" not in box.log


def test_put_answers_201_with_an_async_operation_even_for_an_update(box, lab):
    base = f"/subscriptions/{box.info['subscription_id']}/resourceGroups/lab/providers"
    path = f"{base}/Microsoft.App/jobs/shapes?api-version=2024-03-01"
    for _ in range(2):
        status, headers, body = box.ask("PUT", path, lab.job("true"))
        assert status == 201
        assert body["properties"]["provisioningState"] == "InProgress"
        assert "containerappsjobOperationStatuses" in headers["Azure-AsyncOperation"]
        assert "Retry-After" not in headers
        _, _, poll = box.ask("GET", headers["Azure-AsyncOperation"])
        assert set(poll) == {"id", "name", "status", "startTime"}
    status, headers, body = box.ask("PATCH", path, {"tags": {"a": "b"}})
    assert (status, body) == (202, "")
    assert box.ask("GET", headers["Location"])[2]["tags"] == {"a": "b"}
    status, headers, body = box.ask("DELETE", path)
    assert (status, body) == (202, "")
    until(lambda: box.ask("GET", headers["Location"])[0] == 204)
    assert box.ask("GET", path)[2]["error"]["code"] == "ResourceNotFound"


def test_failing_execution_is_tried_again_up_to_its_limit(box, lab, apps):
    script = 'echo try >> "${AZUREBOX_MOUNT:-/mount}/tries"; exit 3'
    make(apps, "fails", lab.job(script, retries=2))
    execution = end(apps, "fails", start(apps, "fails").name)
    assert execution.properties.status == "Failed"
    assert (lab.folder / "tries").read_text() == "try\n" * 3
    rows = execution.properties.detailed_status.replicas
    assert [r.containers[0].code for r in rows] == [3, 3, 3]
    assert "exit code 3" in execution.properties.message


def test_replica_timeout_ends_the_execution_as_failed(lab, apps):
    make(apps, "late", lab.job("exec sleep 600", timeout_s=1, retries=3))
    began = time.monotonic()
    execution = end(apps, "late", start(apps, "late").name)
    assert execution.properties.status == "Failed"
    assert execution.properties.reason == "DeadlineExceeded"
    assert len(execution.properties.detailed_status.replicas) == 1
    assert time.monotonic() - began < 20


def test_stop_sends_sigterm_and_ends_as_stopped(box, lab, apps):
    script = (
        'trap "echo bye; exit 75" TERM; echo ready > "${AZUREBOX_MOUNT:-/mount}/ready";'
        " while true; do sleep 0.1; done"
    )
    make(apps, "stops", lab.job(script))
    name = start(apps, "stops").name
    until(lambda: (lab.folder / "ready").exists())
    apps.jobs.begin_stop_execution("lab", "stops", name).result()
    execution = end(apps, "stops", name)
    assert execution.properties.status == "Stopped"
    assert '"Log":"bye"' in read_log(box, "stops", name)
    # Stopping what has ended changes nothing.
    apps.jobs.begin_stop_execution("lab", "stops", name).result()
    assert end(apps, "stops", name).properties.status == "Stopped"


def test_legacy_stop_and_stop_of_all_executions_end_them(box, lab, apps):
    make(apps, "stopall", lab.job("exec sleep 600"))
    names = [start(apps, "stopall").name for _ in range(3)]
    base = f"/subscriptions/{box.info['subscription_id']}/resourceGroups/lab/providers"
    path = f"{base}/Microsoft.App/jobs/stopall/stop/{names[0]}?api-version=2024-03-01"
    assert box.ask("POST", path)[0] == 200
    assert end(apps, "stopall", names[0]).properties.status == "Stopped"
    stopped = apps.jobs.begin_stop_multiple_executions("lab", "stopall").result().value
    assert {e.name for e in stopped} == set(names[1:])
    for name in names[1:]:
        assert end(apps, "stopall", name).properties.status == "Stopped"


def test_start_with_a_template_replaces_it_and_inherits_the_mount(lab, apps):
    make(apps, "override", lab.job("exit 9", env=[{"name": "OLD", "value": "1"}]))
    template = {
        "containers": [
            {
                "name": "main",
                "image": PYTHON_IMAGE,
                "command": ["/bin/bash", "-c"],
                "args": ['echo "new=$NEW old=$OLD" > "${AZUREBOX_MOUNT:-/mount}/override.txt"'],
                "env": [{"name": "NEW", "value": "2"}],
            }
        ]
    }
    execution = end(apps, "override", start(apps, "override", template).name)
    assert execution.properties.status == "Succeeded"
    assert (lab.folder / "override.txt").read_text() == "new=2 old=\n"


def test_image_nobody_has_fails_and_says_so(box, lab, apps):
    make(apps, "noimage", lab.job("true", image="docker.io/library/nothing:1"))
    execution = end(apps, "noimage", start(apps, "noimage").name)
    assert execution.properties.status == "Failed"
    assert execution.properties.reason == "ImagePullBackOff"


def test_log_stream_has_preamble_tail_escapes_and_needs_its_own_token(box, lab, apps):
    make(apps, "logs", lab.job('for i in 1 2 3; do echo "it\'s <$i> + \\"q\\" \\\\ é"; done'))
    name = start(apps, "logs").name
    end(apps, "logs", name)
    lines = read_log(box, "logs", name, "output=json&tailLines=2").splitlines()
    assert len(lines) == 4
    assert "Connecting to the container \\u0027main\\u0027..." in lines[0]
    assert f"[Execution: \\u0027{name}\\u0027, Replica:" in lines[1]
    assert json.loads(lines[3])["Log"] == 'it\'s <3> + "q" \\ é'
    assert r"it\u0027s \u003C3\u003E \u002B \u0022q\u0022 \\ \u00E9" in lines[3]
    text = read_log(box, "logs", name, "output=text&tailLines=1").splitlines()
    assert text[-1].endswith('it\'s <3> + "q" \\ é')
    _, link = stream_of(box, "logs", name)
    assert box.ask("GET", link)[0] == 401  # ARM's token is not the stream's


def test_follow_delivers_lines_as_they_are_printed_and_ends_with_the_container(box, lab, apps):
    script = (
        "echo first;"
        ' while [ ! -e "${AZUREBOX_MOUNT:-/mount}/next" ]; do sleep 0.05; done; echo last'
    )
    make(apps, "follow", lab.job(script))
    name = start(apps, "follow").name
    until(lambda: replicas(box, "follow", name))
    token, link = stream_of(box, "follow", name)
    request = urllib.request.Request(f"{link}?follow=true&output=json")
    request.add_header("Authorization", f"Bearer {token}")
    context = ssl.create_default_context(cafile=box.info["ca_file"])
    with urllib.request.urlopen(request, context=context, timeout=20) as answer:
        logged = (json.loads(line)["Log"] for line in answer)
        assert next(logged).startswith("Connecting to the container")
        assert next(logged).startswith("Successfully Connected")
        assert next(logged) == "first"
        assert apps.job_execution("lab", "follow", name).properties.status == "Running"
        (lab.folder / "next").touch()
        assert list(logged) == ["last"]


def test_client_that_leaves_a_quiet_stream_holds_nothing_up(box, lab, apps):
    make(apps, "quiet", lab.job("exec sleep 600"))
    name = start(apps, "quiet").name
    until(lambda: replicas(box, "quiet", name))
    token, link = stream_of(box, "quiet", name)
    request = urllib.request.Request(f"{link}?follow=true")
    request.add_header("Authorization", f"Bearer {token}")
    context = ssl.create_default_context(cafile=box.info["ca_file"])
    with urllib.request.urlopen(request, context=context, timeout=20) as answer:
        answer.readline()
    process = psutil.Process(box.info["pid"])
    port = int(box.info["arm_url"].rpartition(":")[2])

    def has_let_go():
        left = [c for c in process.net_connections("tcp") if c.laddr.port == port]
        return not [c for c in left if c.status == psutil.CONN_CLOSE_WAIT]

    until(has_let_go, 5)
    apps.jobs.begin_stop_execution("lab", "quiet", name).result()
    end(apps, "quiet", name)


def test_executions_are_listed_newest_first(lab, apps):
    make(apps, "many", lab.job("true"))
    names = [start(apps, "many").name for _ in range(3)]
    for name in names:
        end(apps, "many", name)
    assert [e.name for e in apps.jobs_executions.list("lab", "many")] == names[::-1]


def test_deleting_a_job_ends_what_runs(box, lab, apps):
    make(apps, "gone", lab.job("exec sleep 600"))
    start(apps, "gone")
    until(lambda: box.ask("GET", "/_box/health")[2]["active_executions"])
    apps.jobs.begin_delete("lab", "gone").result()
    assert box.ask("GET", "/_box/health")[2]["active_executions"] == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda b: b["properties"].pop("environmentId"), "EnvironmentNotFound"),
        (lambda b: b["properties"]["template"].pop("containers"), "ContainerAppContainersRequired"),
        (
            lambda b: b["properties"]["template"]["containers"][0].update(
                env=[{"name": "A", "secretRef": "none"}]
            ),
            "ContainerAppSecretRefNotFound",
        ),
        (
            lambda b: b["properties"]["template"].pop("volumes"),
            "InvalidParameterValueInContainerTemplate",
        ),
        (lambda b: b["properties"].update(workloadProfileName="T4"), "WorkloadProfileNotFound"),
        (
            lambda b: b["properties"]["configuration"].update(secrets=[{"name": "empty"}]),
            "ContainerAppSecretInvalid",
        ),
        (lambda b: b.pop("location"), "LocationRequired"),
    ],
)
def test_job_that_could_not_run_is_refused(lab, apps, change, code):
    body = lab.job("true")
    change(body)
    with pytest.raises(HttpResponseError) as caught:
        apps.jobs.begin_create_or_update("lab", "bad", body)
    assert caught.value.error.code == code
