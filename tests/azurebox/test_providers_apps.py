"""Container apps under the unmodified SDK: revisions, ingress, crashes, secrets."""

import json
import os
import signal
import urllib.error
import urllib.request

import pytest
from azure.core.exceptions import HttpResponseError
from box_process import until

# Serves its environment and its request's path; says on stdout what it was asked.
SERVER = """
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"path": self.path, "word": os.environ.get("WORD"),
                           "revision": os.environ["CONTAINER_APP_REVISION"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        print("asked", self.path, flush=True)
    def log_message(self, *args): pass
address = (os.environ["HOST"], int(os.environ["PORT"]))
http.server.ThreadingHTTPServer(address, Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def apps(box, lab):
    (lab.folder / "server.py").write_text(SERVER)
    with box.apps() as apps:
        yield apps


SERVE = 'exec python3 "${AZUREBOX_MOUNT:-/mount}/server.py"'


def deploy(apps, name, body):
    return apps.container_apps.begin_create_or_update("lab", name, body).result()


def get(fqdn, path="/"):
    try:
        with urllib.request.urlopen(f"http://{fqdn}{path}", timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, None


def serving(fqdn, **want):
    def check():
        status, body = get(fqdn)
        matches = status == 200 and all(body[k] == v for k, v in want.items())
        return body if matches else None

    return until(check, 40)


def latest(apps, name):
    return next(iter(apps.container_apps_revisions.list_revisions("lab", name)))


def test_app_serves_through_its_ingress_with_its_secret(box, lab, apps):
    body = lab.app(
        SERVE,
        secrets=[{"name": "word", "value": "hush"}],
        env=[{"name": "WORD", "secretRef": "word"}],
    )
    app = deploy(apps, "web", body)
    assert app.provisioning_state == "Succeeded"
    fqdn = app.configuration.ingress.fqdn
    assert fqdn.startswith("127.0.0.1:")
    assert serving(fqdn)["word"] == "hush"
    assert get(fqdn, "/some/path?x=1")[1]["path"] == "/some/path?x=1"
    assert "hush" not in str(apps.container_apps.get("lab", "web").as_dict())
    assert apps.container_apps.list_secrets("lab", "web").value[0].value == "hush"
    assert "hush" not in box.log
    revision = until(lambda: (r := latest(apps, "web")).properties.health_state == "Healthy" and r)
    assert revision.name == apps.container_apps.get("lab", "web").latest_ready_revision_name
    assert revision.properties.running_state == "Running"
    assert revision.properties.replicas == 1


def test_replica_is_listed_and_its_log_streams(box, lab, apps):
    fqdn = deploy(apps, "logweb", lab.app(SERVE)).configuration.ingress.fqdn
    serving(fqdn)
    revision = latest(apps, "logweb").name
    replica = apps.container_apps_revision_replicas.list_replicas("lab", "logweb", revision).value[
        0
    ]
    container = replica.properties.containers[0]
    assert (container.ready, container.running_state, container.restart_count) == (
        True,
        "Running",
        0,
    )
    token = apps.container_apps.get_auth_token("lab", "logweb").properties.token
    get(fqdn, "/mark")
    link = f"{container.log_stream_endpoint}?output=json&tailLines=50"
    text = until(lambda: (t := str(box.ask("GET", link, token=token)[2])) and "/mark" in t and t)
    assert "asked /mark" in text and "Revision: \\u0027" in text
    events = box.ask(
        "GET", f"{apps.container_apps.get('lab', 'logweb').event_stream_endpoint}", token=token
    )[2]
    assert "ContainerStarted" in events
    assert revision in events


def test_new_template_makes_a_new_revision_that_takes_over_once_ready(lab, apps):
    fqdn = deploy(apps, "two", lab.app(SERVE, env=[{"name": "WORD", "value": "one"}]))
    fqdn = fqdn.configuration.ingress.fqdn
    serving(fqdn, word="one")
    first = latest(apps, "two").name
    again = deploy(apps, "two", lab.app(SERVE, env=[{"name": "WORD", "value": "one"}]))
    assert again.latest_revision_name == first
    second = deploy(apps, "two", lab.app(SERVE, env=[{"name": "WORD", "value": "two"}]))
    assert second.configuration.ingress.fqdn == fqdn
    assert second.latest_revision_name != first
    serving(fqdn, word="two")
    until(
        lambda: (
            not apps.container_apps_revisions.get_revision("lab", "two", first).properties.active
        )
    )
    # A revision that never becomes ready does not take the traffic.
    deploy(apps, "two", lab.app("exit 1"))
    assert serving(fqdn)["word"] == "two"


def test_app_that_keeps_crashing_is_failed_and_unhealthy(lab, apps):
    deploy(apps, "crash", lab.app("echo no; exit 2"))
    revision = until(
        lambda: (r := latest(apps, "crash")).properties.running_state == "Failed" and r, 60
    )
    assert revision.properties.health_state == "Unhealthy"
    assert revision.properties.provisioning_state == "Failed"
    assert revision.properties.provisioning_error == "Container crashing: main"
    assert get(apps.container_apps.get("lab", "crash").configuration.ingress.fqdn)[0] == 503


def test_killed_replica_comes_back(lab, apps):
    script = 'echo $$ > "${AZUREBOX_MOUNT:-/mount}/pid"; ' + SERVE
    fqdn = deploy(apps, "back", lab.app(script)).configuration.ingress.fqdn
    serving(fqdn)
    revision = latest(apps, "back").name
    replicas = apps.container_apps_revision_replicas
    before = replicas.list_replicas("lab", "back", revision).value[0].name
    os.kill(int((lab.folder / "pid").read_text()), signal.SIGKILL)

    def restarted():
        replica = replicas.list_replicas("lab", "back", revision).value[0]
        return replica if replica.properties.containers[0].restart_count == 1 else None

    replica = until(restarted)
    serving(fqdn)
    assert replica.name == before


def test_stopped_app_answers_503_and_starts_again_at_its_address(lab, apps):
    fqdn = deploy(apps, "pause", lab.app(SERVE)).configuration.ingress.fqdn
    serving(fqdn)
    apps.container_apps.begin_stop("lab", "pause").result()
    assert apps.container_apps.get("lab", "pause").running_status == "Stopped"
    assert get(fqdn)[0] == 503
    apps.container_apps.begin_start("lab", "pause").result()
    serving(fqdn)


def test_restarted_revision_gets_the_new_secret(lab, apps):
    env = [{"name": "WORD", "secretRef": "word"}]
    body = lab.app(SERVE, secrets=[{"name": "word", "value": "old"}], env=env)
    fqdn = deploy(apps, "secret", body).configuration.ingress.fqdn
    serving(fqdn, word="old")
    body["properties"]["configuration"]["secrets"] = [{"name": "word", "value": "new"}]
    deploy(apps, "secret", body)
    serving(fqdn, word="new")


def test_app_with_an_image_nobody_has_fails_its_operation(lab, apps):
    with pytest.raises(HttpResponseError) as caught:
        deploy(apps, "noimage", lab.app("true", image="docker.io/library/nothing:1"))
    assert "the image cannot be pulled" in str(caught.value)
    assert apps.container_apps.get("lab", "noimage").provisioning_state == "Failed"


def test_deleted_app_is_gone_with_its_port(lab, apps):
    fqdn = deploy(apps, "bye", lab.app(SERVE)).configuration.ingress.fqdn
    serving(fqdn)
    apps.container_apps.begin_delete("lab", "bye").result()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://{fqdn}/", timeout=5)
    assert "bye" not in [a.name for a in apps.container_apps.list_by_resource_group("lab")]
