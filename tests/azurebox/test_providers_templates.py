"""Our own templates, deployed by the unmodified SDK, then used."""

import json
from pathlib import Path

import pytest
from box_process import PYTHON_IMAGE, until

PROVISION = Path(__file__).parents[2] / "infra" / "provision"


@pytest.fixture(scope="module")
def group(box):
    with box.groups() as groups:
        groups.resource_groups.create_or_update("product", {"location": "eastus"})
    return "product"


def deploy(box, group, name, **parameters):
    template = json.loads((PROVISION / f"{name}.json").read_text())
    with box.deployments() as deployments:
        made = deployments.deployments.begin_create_or_update(
            group,
            name,
            {
                "properties": {
                    "mode": "Incremental",
                    "template": template,
                    "parameters": {k: {"value": v} for k, v in parameters.items()},
                }
            },
        ).result()
    assert made.properties.provisioning_state == "Succeeded"
    return {k.upper(): v["value"] for k, v in made.properties.outputs.items()}


def test_finetuning_template_makes_a_job_that_runs_its_launcher(box, group):
    outputs = deploy(box, group, "finetuning", image=PYTHON_IMAGE)
    again = deploy(box, group, "finetuning", image=PYTHON_IMAGE)
    assert again == outputs
    share = box.state / "files" / outputs["STORAGE_ACCOUNT_NAME"] / outputs["FILE_SHARE_NAME"]
    (share / "finetuning").mkdir()
    (share / "finetuning" / "launcher.py").write_text("print('launched', flush=True)")
    with box.apps() as apps:
        name = outputs["ACA_JOB_NAME"]
        execution = apps.jobs.begin_start(group, name).result().name

        def ended():
            found = apps.job_execution(group, name, execution).properties
            return found if found.status != "Running" else None

        assert until(ended, 60).status == "Succeeded"


def test_inference_template_makes_an_app_with_an_address(box, group):
    deploy(box, group, "finetuning", image=PYTHON_IMAGE)
    outputs = deploy(box, group, "inference", image=PYTHON_IMAGE, apiKey="k" * 32, runId="r1")
    assert outputs["ACA_APP_ENDPOINT"].startswith("127.0.0.1:")
    with box.apps() as apps:
        app = apps.container_apps.get(group, outputs["ACA_APP_NAME"])
        secrets = apps.container_apps.list_secrets(group, outputs["ACA_APP_NAME"]).value
        assert [s.value for s in secrets] == ["k" * 32]
        assert "k" * 32 not in str(app.as_dict())
        apps.container_apps.begin_delete(group, outputs["ACA_APP_NAME"]).result()
