"""Provisioning on the local target: planned, applied twice, edited, taken down."""

from __future__ import annotations

import json
import shutil

import pytest
from local_target import edit_json, make_project
from tunesmith.core.errors import InfraError, ProjectError, TargetError, ToolMissing
from tunesmith.ops import infra
from tunesmith.ops.infra import Apply, Destroy, Kind
from tunesmith.ops.registry import ProjectParams
from tunesmith.workspace.infra_files import find_bicep


def config(project, kind="finetuning"):
    return json.loads((project / f"infra/{kind}.config.json").read_text())


async def test_a_plan_changes_nothing(ctx, fresh_project):
    planned = await infra.plan(ctx, Kind(project=str(fresh_project)))
    assert not planned.applied
    assert {row.action for row in planned.plan.rows} == {"create"}
    assert len(planned.plan.rows) > 5
    assert config(fresh_project)["ACA_JOB_NAME"] is None
    status = await infra.status(ctx, ProjectParams(project=str(fresh_project)))
    assert not status.exists


async def test_first_plan_names_every_resource_that_is_then_made(ctx, tmp_path):
    project = make_project(tmp_path / "first")
    # Text that looks like an expression must arrive as text.
    parameters = project / "infra/provision/finetuning.parameters.json"
    edit_json(parameters, lambda p: p["parameters"]["defaultCommands"].update(value=["[ -d . ]"]))
    planned = await infra.plan(ctx, Kind(project=str(project)))
    first, *rows = planned.plan.rows
    await infra.apply(ctx, Apply(project=str(project)))
    again = (await infra.plan(ctx, Kind(project=str(project)))).plan.rows
    assert [(r.subject, r.detail) for r in rows] == [(r.subject, r.detail) for r in again]
    assert config(project)["COMMANDS"] == ["[ -d . ]"]
    status = await infra.status(ctx, ProjectParams(project=str(project)))
    assert (first.action, first.subject) == ("create", status.resource_group)
    assert {r.name for r in status.resources} <= {r.subject for r in rows}
    await infra.destroy(ctx, Destroy(project=str(project)))


async def test_apply_twice_and_take_down(ctx, fresh_project):
    params = Apply(project=str(fresh_project))
    first = await infra.apply(ctx, params)
    assert first.applied
    assert first.portal_url.startswith("http://127.0.0.1")
    written = config(fresh_project)
    assert written == first.outputs
    assert written["ACA_JOB_NAME"]
    assert written["COMMANDS"]
    again = await infra.plan(ctx, Kind(project=str(fresh_project)))
    assert {row.action for row in again.plan.rows} == {"keep"}
    assert (await infra.apply(ctx, params)).outputs == first.outputs
    status = await infra.status(ctx, ProjectParams(project=str(fresh_project)))
    assert "Microsoft.App/jobs" in {r.type for r in status.resources}
    assert {r.state for r in status.resources} == {"Succeeded"}
    destroyed = await infra.destroy(ctx, Destroy(project=str(fresh_project)))
    assert destroyed.applied
    assert config(fresh_project)["ACA_JOB_NAME"] is None
    assert config(fresh_project)["COMMANDS"] == written["COMMANDS"]
    assert not (await infra.status(ctx, ProjectParams(project=str(fresh_project)))).exists
    assert (await infra.destroy(ctx, Destroy(project=str(fresh_project)))).plan.rows == ()


async def test_commands_edited_by_hand_survive_applying(ctx, project):
    edit_json(project / "infra/finetuning.config.json", lambda c: c.update(COMMANDS=["mine"]))
    await infra.apply(ctx, Apply(project=str(project)))
    assert config(project)["COMMANDS"] == ["mine"]


async def test_two_projects_of_one_name_get_two_groups(ctx, tmp_path):
    one, two = make_project(tmp_path / "a/same"), make_project(tmp_path / "b/same")
    first = await infra.apply(ctx, Apply(project=str(one)))
    second = await infra.apply(ctx, Apply(project=str(two)))
    groups = [r.outputs["RESOURCE_GROUP_NAME"] for r in (first, second)]
    assert len(set(groups)) == 2
    await infra.destroy(ctx, Destroy(project=str(one)))
    assert (await infra.status(ctx, ProjectParams(project=str(two)))).exists
    again = await infra.plan(ctx, Kind(project=str(two)))
    assert {row.action for row in again.plan.rows} == {"keep"}
    await infra.destroy(ctx, Destroy(project=str(two)))


async def test_a_project_of_the_same_name_sees_and_destroys_nothing_of_the_other(ctx, tmp_path):
    one, two = make_project(tmp_path / "a/twin"), make_project(tmp_path / "b/twin")
    await infra.apply(ctx, Apply(project=str(one)))
    assert not (await infra.status(ctx, ProjectParams(project=str(two)))).exists
    assert (await infra.destroy(ctx, Destroy(project=str(two)))).plan.rows == ()
    assert (await infra.status(ctx, ProjectParams(project=str(one)))).resources
    await infra.destroy(ctx, Destroy(project=str(one)))


async def test_what_others_made_in_the_group_is_left_alone(ctx, fresh_project):
    applied = await infra.apply(ctx, Apply(project=str(fresh_project)))
    from tunesmith.core.ports import Deployment
    from tunesmith.ops.session import open_session

    template = {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "resources": [
            {
                "type": "Microsoft.Storage/storageAccounts",
                "apiVersion": "2023-01-01",
                "name": "somebodyelses1",
                "location": "[resourceGroup().location]",
                "kind": "StorageV2",
                "sku": {"name": "Standard_LRS"},
            }
        ],
    }
    params = ProjectParams(project=str(fresh_project))
    group = applied.outputs["RESOURCE_GROUP_NAME"]
    async with open_session(ctx, params) as session:
        await session.cloud.provisioner.deploy(group, Deployment("theirs", template, {}))
    planned = await infra.destroy(ctx, Destroy(project=str(fresh_project), dry_run=True))
    kept = [row.subject for row in planned.plan.rows if row.action == "keep"]
    assert kept == ["somebodyelses1"]
    await infra.destroy(ctx, Destroy(project=str(fresh_project)))
    async with open_session(ctx, params) as session:
        left = await session.cloud.provisioner.resources(group)
        assert [r["name"] for r in left] == ["somebodyelses1"]
        await session.cloud.provisioner.delete_group(group)


async def test_a_config_of_another_target_is_refused(ctx, project, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(project, copy)
    edit_json(
        copy / "infra/finetuning.config.json",
        lambda c: c.update(SUBSCRIPTION_ID="11111111-0000-0000-0000-000000000000"),
    )
    from tunesmith.ops import run

    with pytest.raises(InfraError) as caught:
        await run.list_runs(ctx, ProjectParams(project=str(copy)))
    assert caught.value.code == "infra.otherTarget"


@pytest.mark.parametrize("kind", ["finetuning", "inference"])
async def test_what_a_config_of_another_subscription_names_is_never_changed(ctx, project, kind):
    file = project / f"infra/{kind}.config.json"
    before = file.read_text()
    edit_json(file, lambda c: c.update(SUBSCRIPTION_ID="11111111-0000-0000-0000-000000000000"))
    where = str(project)
    try:
        for work in (
            infra.destroy(ctx, Destroy(project=where, dry_run=True)),
            infra.plan(ctx, Kind(project=where)),
            infra.status(ctx, ProjectParams(project=where)),
        ):
            with pytest.raises(InfraError) as caught:
                await work
            assert caught.value.code == "infra.otherTarget"
    finally:
        file.write_text(before)


async def test_a_copied_config_does_not_take_the_other_projects_resources(
    ctx, project, fresh_project
):
    shutil.copy(project / "infra/finetuning.config.json", fresh_project / "infra")
    where = str(fresh_project)
    for work in (
        infra.destroy(ctx, Destroy(project=where, dry_run=True)),
        infra.plan(ctx, Kind(project=where)),
    ):
        with pytest.raises(InfraError) as caught:
            await work
        assert caught.value.code == "infra.otherProject"


async def test_in_a_group_of_the_users_a_copied_config_owns_nothing(ctx, fresh_project, tmp_path):
    from tunesmith.ops.session import open_session

    params = ProjectParams(project=str(fresh_project))
    async with open_session(ctx, params) as session:
        name, _ = await session.group()
        await session.cloud.provisioner.ensure_group(name, "westus3", {})
    await infra.apply(ctx, Apply(project=str(fresh_project)))
    other = make_project(tmp_path / "other")
    shutil.copy(fresh_project / "infra/finetuning.config.json", other / "infra")
    planned = await infra.destroy(ctx, Destroy(project=str(other), dry_run=True))
    assert {row.action for row in planned.plan.rows} == {"keep"}
    planned = await infra.destroy(ctx, Destroy(project=str(fresh_project), dry_run=True))
    assert {row.action for row in planned.plan.rows} == {"delete"}
    await infra.destroy(ctx, Destroy(project=str(fresh_project)))
    # Other tests' projects are named alike; a group that is nobody's would be taken for theirs.
    async with open_session(ctx, params) as session:
        assert await session.cloud.provisioner.group(name)
        await session.cloud.provisioner.delete_group(name)


async def test_a_broken_config_is_not_taken_for_nothing(ctx, fresh_project):
    from tunesmith.ops import run
    from tunesmith.ops.run import Start

    (fresh_project / "infra/finetuning.config.json").write_text('{"x":')
    where = str(fresh_project)
    for work in (
        infra.status(ctx, ProjectParams(project=where)),
        infra.destroy(ctx, Destroy(project=where)),
        run.list_runs(ctx, ProjectParams(project=where)),
        run.start(ctx, Start(project=where, dry_run=True)),
    ):
        with pytest.raises(ProjectError) as caught:
            await work
        assert caught.value.code == "project.configInvalid"
        assert caught.value.context["line"] == 1


@pytest.mark.parametrize(
    ("target", "code"), [("moon", "target.unknown"), ("azure", "target.incomplete")]
)
async def test_targets_that_cannot_be_reached(ctx, fresh_project, target, code):
    with pytest.raises(TargetError) as caught:
        await infra.status(ctx, ProjectParams(project=str(fresh_project), target=target))
    assert caught.value.code == code


async def test_an_unknown_kind(ctx, fresh_project):
    with pytest.raises(InfraError) as caught:
        await infra.plan(ctx, Kind(project=str(fresh_project), kind="cake"))
    assert caught.value.code == "infra.unknownKind"


async def test_an_unknown_parameter_is_named(ctx, fresh_project):
    edit_json(
        fresh_project / "infra/provision/finetuning.parameters.json",
        lambda c: c["parameters"].update(acaJobNam={"value": "x"}),
    )
    with pytest.raises(InfraError) as caught:
        await infra.plan(ctx, Kind(project=str(fresh_project)))
    assert caught.value.code == "infra.parametersInvalid"
    assert "acaJobNam" in caught.value.message
    assert "acaJobName" in caught.value.hint


async def test_a_parameter_that_the_template_refuses(ctx, fresh_project):
    edit_json(
        fresh_project / "infra/provision/finetuning.parameters.json",
        lambda c: c["parameters"]["storageAccountName"].update(value="ab"),
    )
    with pytest.raises(InfraError) as caught:
        await infra.apply(ctx, Apply(project=str(fresh_project)))
    assert caught.value.code == "infra.parametersInvalid"
    assert "storageAccountName" in caught.value.message
    assert config(fresh_project)["ACA_JOB_NAME"] is None


def edit_bicep(project):
    file = project / "infra/provision/finetuning.bicep"
    file.write_text(file.read_text() + "\noutput EXTRA string = 'from an edit'\n")


async def test_an_edited_bicep_without_a_compiler_is_refused(ctx, fresh_project, monkeypatch):
    monkeypatch.setattr("tunesmith.workspace.infra_files.find_bicep", lambda: None)
    edit_bicep(fresh_project)
    with pytest.raises(ToolMissing) as caught:
        await infra.plan(ctx, Kind(project=str(fresh_project)))
    assert caught.value.code == "tool.bicepMissing"
    assert "finetuning.bicep" in caught.value.message
    assert "az bicep install" in caught.value.hint


@pytest.mark.skipif(find_bicep() is None, reason="no Bicep compiler on this machine")
async def test_an_edited_bicep_is_compiled(ctx, fresh_project):
    edit_bicep(fresh_project)
    before = (fresh_project / "infra/provision/finetuning.json").read_bytes()
    applied = await infra.apply(ctx, Apply(project=str(fresh_project)))
    assert applied.outputs["EXTRA"] == "from an edit"
    assert applied.plan.warnings
    assert (fresh_project / "infra/provision/finetuning.json").read_bytes() == before
    await infra.destroy(ctx, Destroy(project=str(fresh_project)))


@pytest.mark.skipif(find_bicep() is None, reason="no Bicep compiler on this machine")
async def test_a_bicep_that_does_not_compile(ctx, fresh_project):
    file = fresh_project / "infra/provision/finetuning.bicep"
    file.write_text(file.read_text() + "\noutput X string = \n")
    with pytest.raises(InfraError) as caught:
        await infra.plan(ctx, Kind(project=str(fresh_project)))
    assert caught.value.code == "infra.bicepInvalid"


async def test_a_compiled_template_that_is_gone(ctx, fresh_project):
    (fresh_project / "infra/provision/finetuning.json").unlink()
    with pytest.raises(InfraError) as caught:
        await infra.plan(ctx, Kind(project=str(fresh_project)))
    assert caught.value.code == "infra.templateMissing"
