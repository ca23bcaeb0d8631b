"""The life of the process: one a state folder, ports and state kept, work adopted, idle end."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request

import psutil
import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azurebox.__main__ import main
from box_process import BoxProcess, Workspace, is_alive, until


@pytest.fixture
def own(tmp_path, cache):
    own = BoxProcess(tmp_path / "state", cache).start()
    yield own
    if own.wait_or_none() is None:
        own.stop_everything()


def test_unknown_route_answers_501_and_names_itself(box):
    sub = box.info["subscription_id"]
    path = f"/subscriptions/{sub}/providers/Microsoft.Compute/virtualMachines"
    status, _, body = box.ask("GET", f"{path}?api-version=2024-07-01")
    assert status == 501
    assert f"GET {path}" in body["error"]["message"]


def test_info_file_has_what_was_printed_and_is_private(box):
    file = box.state / "azurebox.json"
    assert json.loads(file.read_text()) == box.info
    for path in (file, *(box.state / "keys").glob("*"), box.state / "identity.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_state_folder_is_closed_to_others_whoever_made_it(tmp_path, cache):
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    box = BoxProcess(state, cache).start()
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    box.ask("POST", "/_box/shutdown")
    assert box.wait(20) == 0


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/resourcegroups",
        "/resourcegroups/lab",
        "/resourcegroups/lab/providers/Microsoft.App/jobs",
        "/resourcegroups/lab/providers/Microsoft.Resources/deployments",
        "/providers/Microsoft.App/locations/eastus/usages",
    ],
)
def test_other_subscriptions_do_not_exist(box, path):
    other = "/subscriptions/11111111-2222-3333-4444-555555555555"
    status, _, body = box.ask("GET", f"{other}{path}?api-version=2024-03-01")
    assert (status, body["error"]["code"]) == (404, "SubscriptionNotFound")


def test_second_serve_on_the_same_folder_says_where_the_first_is(box):
    done = subprocess.run(box.command(), capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert box.info["arm_url"] in done.stderr and str(box.info["pid"]) in done.stderr


def test_port_in_use_is_one_sentence_with_a_next_step(tmp_path, cache):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = BoxProcess(tmp_path / "state", cache).command("--port", str(port))
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"Port {port}" in done.stderr and "--port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["--port", "--http-port"])
@pytest.mark.parametrize("port", ["99999", "-1", "many", "80.5", ""])
def test_no_port_at_all_is_one_sentence(tmp_path, cache, capsys, option, port):
    state = tmp_path / "state"
    arguments = ["serve", "--state", str(state), "--cache", str(cache), option, port]
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"{option} {port} is no port: ")
    assert said.err.count("\n") == 1
    assert not state.exists()


def test_listeners_are_on_loopback_alone(box):
    listening = [
        c.laddr.ip
        for c in psutil.Process(box.info["pid"]).net_connections("tcp")
        if c.status == psutil.CONN_LISTEN
    ]
    assert listening and set(listening) == {"127.0.0.1"}


def test_fault_strikes_once_and_the_sdk_retries_past_it(box, lab):
    box.ask("POST", "/_box/faults", {"match": "GET .*/jobs$", "status": 503, "code": "Busy"})
    with box.apps() as apps:
        assert [j.name for j in apps.jobs.list_by_resource_group("lab")] == []
    box.ask("POST", "/_box/faults", {"match": "GET .*/jobs$", "status": 403, "code": "Denied"})
    with box.apps() as apps:
        with pytest.raises(HttpResponseError) as caught:
            list(apps.jobs.list_by_resource_group("lab"))
        assert caught.value.error.code == "Denied"
        assert box.ask("GET", "/_box/faults")[2] == {"waiting": 0}
        list(apps.jobs.list_by_resource_group("lab"))


def test_control_api_needs_a_token_and_sane_values(box):
    assert box.ask("GET", "/_box/health", token="")[0] == 401
    assert box.ask("POST", "/_box/faults", {"match": "("})[2]["error"]["code"] == "InvalidFault"
    assert box.ask("POST", "/_box/tokens", {"lifetime_s": -1})[0] == 400


def test_pages_list_resources_without_secrets_and_refuse_foreign_hosts(box, lab):
    with box.apps() as apps:
        body = lab.job("true", secrets=[{"name": "pw", "value": "do-not-show"}])
        apps.jobs.begin_create_or_update("lab", "paged", body).result()
    url = box.info["pages_url"]
    index = urllib.request.urlopen(url).read().decode()
    assert "paged" in index and lab.account in index
    for name in ("Microsoft.App/jobs/paged", f"Microsoft.Storage/storageAccounts/{lab.account}"):
        sub = box.info["subscription_id"]
        page = f"{url}pages/subscriptions/{sub}/resourceGroups/lab/providers/{name}"
        text = urllib.request.urlopen(page).read().decode()
        assert "provisioningState" in text
        assert "do-not-show" not in text and lab.key not in text
    request = urllib.request.Request(url, headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    caught.value.close()
    assert caught.value.code == 403


def test_kill_9_and_restart_keep_ports_tokens_resources_and_running_work(own):
    lab = Workspace(own)
    script = (
        'cd "${AZUREBOX_MOUNT:-/mount}"; echo $$ > pid; '
        "while [ ! -e go ]; do sleep 0.1; done; echo done > done.txt"
    )
    server = (
        'exec python3 -m http.server --bind $HOST $PORT --directory "${AZUREBOX_MOUNT:-/mount}"'
    )
    with own.apps() as apps:
        apps.jobs.begin_create_or_update("lab", "long", lab.job(script)).result()
        name = apps.jobs.begin_start("lab", "long").result().name
        app = apps.container_apps.begin_create_or_update("lab", "web", lab.app(server)).result()
    fqdn = app.configuration.ingress.fqdn
    until(lambda: (lab.folder / "pid").exists() and _status(fqdn) == 200)
    pid = int((lab.folder / "pid").read_text())
    before, token = dict(own.info), own.token()

    own.end(signal.SIGKILL)
    assert is_alive(pid)
    own.start()

    same = set(before) - {"pid", "started_at"}
    assert {k: own.info[k] for k in same} == {k: before[k] for k in same}
    assert own.ask("GET", "/_box/health", token=token)[2]["active_executions"] == 1
    until(lambda: _status(fqdn) == 200)
    with own.apps() as apps:
        assert apps.job_execution("lab", "long", name).properties.status == "Running"
        (lab.folder / "go").touch()
        until(lambda: apps.job_execution("lab", "long", name).properties.status == "Succeeded")
    assert (lab.folder / "done.txt").read_text() == "done\n"


def test_execution_that_ended_while_azurebox_was_away_is_told_truly(own):
    lab = Workspace(own)
    script = (
        'cd "${AZUREBOX_MOUNT:-/mount}"; touch up; while [ ! -e go ]; do sleep 0.05; done; exit 4'
    )
    with own.apps() as apps:
        apps.jobs.begin_create_or_update("lab", "away", lab.job(script)).result()
        name = apps.jobs.begin_start("lab", "away").result().name
    until(lambda: (lab.folder / "up").exists())
    assert own.end(signal.SIGTERM) == 0
    (lab.folder / "go").touch()
    time.sleep(0.5)
    own.start()
    with own.apps() as apps:
        execution = until(
            lambda: (
                (e := apps.job_execution("lab", "away", name)).properties.status == "Failed" and e
            )
        )
    assert execution.properties.detailed_status.replicas[0].containers[0].code == 4


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_what_waited_for_its_image_says_so_and_starts_after_a_restart(tmp_path, how):
    box = BoxProcess(tmp_path / "state", tmp_path / "empty cache").start()
    lab = Workspace(box)
    with box.apps() as apps:
        apps.jobs.begin_create_or_update("lab", "pull", lab.job("echo hi")).result()
        name = apps.jobs.begin_start("lab", "pull").result().name
        # Accepted at once; the operation goes on for as long as the pull.
        apps.container_apps.begin_create_or_update("lab", "web", lab.app("sleep 60"), polling=False)

        def container():
            status = apps.job_execution("lab", "pull", name).properties.detailed_status
            return [c.additional_information for r in status.replicas for c in r.containers]

        until(lambda: container() == ["PullingImage"])
        app = until(lambda: (a := apps.container_apps.get("lab", "web")).latest_revision_name and a)
        assert app.provisioning_state == "InProgress"
        revision = apps.container_apps_revisions.get_revision(
            "lab", "web", app.latest_revision_name
        ).properties
        assert (revision.provisioning_state, revision.running_state) == (
            "Provisioning",
            "Processing",
        )
        replicas = apps.container_apps_revision_replicas.list_replicas(
            "lab", "web", app.latest_revision_name
        ).value
        assert replicas[0].properties.containers[0].running_state_details == (
            "Container is waiting with reason: PullingImage."
        )
        token = apps.container_apps.get_auth_token("lab", "web").properties.token
        events = box.ask("GET", app.event_stream_endpoint, token=token)[2]
        assert "Pulling image" in events and '"Reason":"PullingImage"' in events
    box.end(how)
    box.start()
    with box.apps() as apps:
        until(lambda: apps.job_execution("lab", "pull", name).properties.status == "Succeeded", 60)
        until(lambda: apps.container_apps.get("lab", "web").provisioning_state == "Succeeded")
    box.stop_everything()


def test_app_that_crashes_again_and_again_keeps_the_server_while_it_tries(own):
    lab = Workspace(own)
    script = (
        'cd "${AZUREBOX_MOUNT:-/mount}"; echo x >> tries; '
        "[ $(wc -l < tries) -lt 6 ] && exit 1; exec sleep 600"
    )
    with own.apps() as apps:
        apps.container_apps.begin_create_or_update("lab", "bad", lab.app(script)).result()
        until(lambda: (lab.folder / "tries").exists() and _lines(lab.folder / "tries") == 6)
        revision = next(iter(apps.container_apps_revisions.list_revisions("lab", "bad")))
        assert revision.properties.running_state == "Failed"
        assert own.ask("GET", "/_box/health")[2]["busy"]
        apps.container_apps.begin_stop("lab", "bad").result()
    assert not own.ask("GET", "/_box/health")[2]["busy"]


def test_idle_server_ends_itself_but_not_while_a_container_runs(tmp_path, cache):
    box = BoxProcess(tmp_path / "state", cache).start("--idle-exit-s", "1.5")
    lab = Workspace(box)
    script = 'while [ ! -e "${AZUREBOX_MOUNT:-/mount}/go" ]; do sleep 0.1; done'
    with box.apps() as apps:
        apps.jobs.begin_create_or_update("lab", "busy", lab.job(script)).result()
        apps.jobs.begin_start("lab", "busy").result()
    time.sleep(3)
    assert box.wait_or_none() is None
    (lab.folder / "go").touch()
    assert box.wait(20) == 0


def test_shutdown_that_stops_ends_the_containers_too(own):
    lab = Workspace(own)
    script = 'echo $$ > "${AZUREBOX_MOUNT:-/mount}/pid"; exec sleep 600'
    with own.apps() as apps:
        apps.jobs.begin_create_or_update("lab", "long", lab.job(script)).result()
        apps.jobs.begin_start("lab", "long").result()
    until(lambda: (lab.folder / "pid").exists())
    pid = int((lab.folder / "pid").read_text())
    own.ask("POST", "/_box/shutdown", {"stop": True})
    assert own.wait(20) == 0
    assert not is_alive(pid)


def test_deleting_the_group_takes_everything_in_it(own):
    lab = Workspace(own)
    with own.apps() as apps, own.groups() as groups:
        apps.jobs.begin_create_or_update("lab", "j", lab.job("exec sleep 600")).result()
        apps.jobs.begin_start("lab", "j").result()
        groups.resource_groups.begin_delete("lab").result()
        with pytest.raises(ResourceNotFoundError):
            groups.resource_groups.get("lab")
    assert not lab.folder.exists()
    assert own.ask("GET", "/_box/health")[2]["active_executions"] == 0


def test_deletion_of_a_group_goes_on_after_kill_9(own):
    lab = Workspace(own)
    script = "trap '' TERM; touch \"${AZUREBOX_MOUNT:-/mount}/up\"; while :; do sleep 0.1; done"
    with own.apps() as apps, own.groups() as groups:
        apps.jobs.begin_create_or_update("lab", "stubborn", lab.job(script)).result()
        apps.jobs.begin_start("lab", "stubborn").result()
        until(lambda: (lab.folder / "up").exists())
        groups.resource_groups.begin_delete("lab", polling=False)
        # The container does not mind being asked to stop, so the deletion is under way for 30 s.
        path = f"/subscriptions/{own.info['subscription_id']}/operationresults/lost"
        own.end(signal.SIGKILL)
        own.start()
        assert groups.resource_groups.get("lab").properties.provisioning_state == "Deleting"
        # Whoever follows the deletion by an address from before must not take it for done.
        assert own.ask("GET", f"{path}?api-version=2025-04-01")[0] == 202
        for process in _processes_in(own.state / "containers"):
            process.kill()
        until(lambda: not groups.resource_groups.check_existence("lab"))
        assert own.ask("GET", f"{path}?api-version=2025-04-01")[0] == 204
    assert not lab.folder.exists()


def test_help_explains_itself():
    done = subprocess.run(
        [sys.executable, "-m", "azurebox", "--help"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env=os.environ | {"COLUMNS": "100"},
    )
    for word in ("serve", "pull", "images", "An", "Azure that lives on this machine"):
        assert word.lower() in done.stdout.lower()


def _lines(file) -> int:
    return file.read_text().count("\n")


def _processes_in(containers):
    """The processes of all containers below that folder."""
    for folder in containers.iterdir():
        process = json.loads((folder / "process.json").read_text())
        yield psutil.Process(process["pid"])


def _status(fqdn: str) -> int:
    try:
        with urllib.request.urlopen(f"http://{fqdn}/", timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0
