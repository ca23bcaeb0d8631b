"""Deployments carried out: order, concurrency, failure, outputs, nested templates, cancel."""

import asyncio
import time

import pytest
from azurebox.errors import ArmError
from resources_app import DEPLOYMENTS, make_template, make_thing, running_resources


@pytest.fixture
async def box(tmp_path):
    async with running_resources(tmp_path) as client:
        yield client


def thing_of(box, name="b"):
    return next(r for r in box.providers.store.list() if r.id.name == name)


async def test_a_resource_waits_for_what_it_depends_on(box):
    resources = {
        "last": make_thing("c", dependsOn=["middle"]),
        "middle": make_thing("b", dependsOn=["first"]),
        "first": make_thing("a"),
    }
    done = await box.deploy(make_template(resources))
    assert done["properties"]["provisioningState"] == "Succeeded"
    assert box.providers.log == ["put a", "done a", "put b", "done b", "put c", "done c"]


async def test_reading_another_resource_orders_the_two_without_dependson(box):
    thing = box.providers.of("Tiny.Test/things")
    thing.answers["listkeys"] = {"keys": [{"value": "the-key"}]}
    resources = {
        "b": make_thing(
            "b",
            properties={
                "color": "[reference('a').color]",
                "key": "[listKeys('a', '2024-01-01').keys[0].value]",
                "id": "[reference(resourceId('Tiny.Test/things', 'a'), '2024-01-01', 'full').id]",
            },
        ),
        "a": make_thing("a", properties={"color": "red"}),
    }
    await box.deploy(make_template(resources))
    assert box.providers.log == ["put a", "done a", "listKeys a", "put b", "done b"]
    assert thing_of(box).body["properties"] == {
        "color": "red",
        "key": "the-key",
        "id": "/subscriptions/s1/resourceGroups/g1/providers/Tiny.Test/things/a",
    }


async def test_array_template_takes_names_and_ids_in_dependson(box):
    resources = [
        make_thing("c", dependsOn=["b"]),
        make_thing("b", dependsOn=["[resourceId('Tiny.Test/things', 'a')]"]),
        make_thing("a"),
    ]
    await box.deploy(make_template(resources))
    assert [line for line in box.providers.log if "put" in line] == ["put a", "put b", "put c"]


async def test_independent_resources_are_written_at_the_same_time(tmp_path):
    async with running_resources(tmp_path, seconds=0.2) as box:
        began = time.monotonic()
        await box.deploy(make_template({f"r{i}": make_thing(f"r{i}") for i in range(5)}))
        assert time.monotonic() - began < 0.9
        assert [line.split()[0] for line in box.providers.log] == ["put"] * 5 + ["done"] * 5


async def test_serial_loop_writes_one_batch_after_the_other(box):
    loop = {"name": "loop", "count": 4, "mode": "Serial", "batchSize": 2}
    await box.deploy(make_template({"r": make_thing("[format('r{0}', copyIndex())]", copy=loop)}))
    assert sorted(box.providers.log[:4]) == ["done r0", "done r1", "put r0", "put r1"]


async def test_false_condition_leaves_a_resource_out_and_what_follows_goes_on(box):
    resources = {
        "a": make_thing("a", condition="[equals(1, 2)]"),
        "b": make_thing("b", dependsOn=["a"]),
    }
    done = await box.deploy(make_template(resources))
    assert box.providers.log == ["put b", "done b"]
    assert [r["id"].rpartition("/")[2] for r in done["properties"]["outputResources"]] == ["b"]


async def test_refused_resource_fails_the_deployment_with_its_details(box):
    def refuse(id, body):
        if id.name == "bad":
            raise ArmError(409, "QuotaExceeded", "no more of these")

    box.providers.of("Tiny.Test/things").refuses = refuse
    resources = {
        "bad": make_thing("bad"),
        "after": make_thing("after", dependsOn=["bad"]),
        "good": make_thing("good"),
    }
    answer = await box.start(make_template(resources))
    status = await box.wait(answer)
    assert status["status"] == "Failed"
    error = status["error"]
    assert error["code"] == "DeploymentFailed"
    assert error["message"].startswith("At least one resource deployment operation failed.")
    (detail,) = error["details"]
    assert (detail["code"], detail["message"]) == ("QuotaExceeded", "no more of these")
    assert detail["target"].endswith("/things/bad")
    assert "put good" in box.providers.log and "put after" not in box.providers.log
    operations = {
        o["properties"]["targetResource"]["resourceName"]: o["properties"]
        for o in await box.operations()
    }
    assert set(operations) == {"bad", "good"}
    assert operations["bad"]["statusCode"] == "Conflict"
    assert operations["bad"]["statusMessage"]["error"]["code"] == "QuotaExceeded"
    shown = await (await box.call("GET", f"{DEPLOYMENTS}/d1")).json()
    assert shown["properties"]["error"] == error


async def test_work_that_fails_after_it_was_accepted_is_a_resource_deployment_failure(box):
    def fail(id, body):
        raise ArmError(500, "Broken", "it broke")

    box.providers.of("Tiny.Test/things").fails = fail
    status = await box.wait(await box.start(make_template({"a": make_thing("a")})))
    (detail,) = status["error"]["details"]
    assert detail["code"] == "ResourceDeploymentFailure"
    assert detail["details"] == [{"code": "Broken", "message": "it broke"}]


async def test_outputs_are_evaluated_after_the_resources_and_named_with_a_small_letter(box):
    box.providers.of("Tiny.Test/things").answers["listkeys"] = {"key": "k"}
    outputs = {
        "ENDPOINT": {"type": "string", "value": "[reference('a').host]"},
        "left": {"type": "string", "condition": False, "value": "[reference('nobody').host]"},
        "nothing": {"type": "string", "nullable": True, "value": "[null()]"},
        "secret": {"type": "securestring", "value": "[listKeys('a', '2024-01-01').key]"},
        "many": {"type": "array", "copy": {"count": 2, "input": "[mul(copyIndex(), 2)]"}},
    }
    resources = {"a": make_thing("a", properties={"host": "h:1"})}
    done = await box.deploy(make_template(resources, outputs=outputs))
    assert done["properties"]["outputs"] == {
        "eNDPOINT": {"type": "String", "value": "h:1"},
        "nothing": {"type": "String", "value": None},
        "secret": {"type": "SecureString"},
        "many": {"type": "Array", "value": [0, 2]},
    }


async def test_output_that_cannot_be_evaluated_fails_the_deployment_and_names_it(box):
    outputs = {"bad": {"type": "string", "value": "[reference('a').nowhere]"}}
    template = make_template({"a": make_thing("a")}, outputs=outputs)
    status = await box.wait(await box.start(template))
    (detail,) = status["error"]["details"]
    assert detail["code"] == "DeploymentOutputEvaluationFailed"
    assert "'bad'" in detail["message"] and "nowhere" in detail["message"]


def nested(template, scope="inner", **properties):
    return {
        "type": "Microsoft.Resources/deployments",
        "apiVersion": "2022-09-01",
        "name": "inner",
        "properties": {
            "mode": "Incremental",
            "expressionEvaluationOptions": {"scope": scope},
            "template": template,
            **properties,
        },
    }


async def test_nested_deployment_takes_live_values_and_gives_its_outputs(box):
    inner = make_template(
        {"b": make_thing("b", properties={"color": "[parameters('color')]"})},
        parameters={"color": {"type": "string"}},
        outputs={"made": {"type": "string", "value": "[reference('b').color]"}},
    )
    resources = {
        "a": make_thing("a", properties={"color": "blue"}),
        "m": nested(inner, parameters={"color": {"value": "[reference('a').color]"}}),
        "c": make_thing("c", properties={"color": "[reference('m').outputs.made.value]"}),
    }
    done = await box.deploy(make_template(resources))
    assert thing_of(box, "c").body["properties"]["color"] == "blue"
    names = [r["id"].rpartition("/")[2] for r in done["properties"]["outputResources"]]
    assert names == ["a", "b", "c"]
    shown = await (await box.call("GET", f"{DEPLOYMENTS}/inner")).json()
    assert shown["properties"]["parameters"] == {"color": {"type": "String", "value": "blue"}}


async def test_nested_deployment_in_outer_scope_sees_its_parents_names(box):
    inner = make_template(
        {"b": make_thing("b", properties={"color": "[variables('color')]"})},
        variables={"color": "inner"},
    )
    template = make_template({"m": nested(inner, "outer")}, variables={"color": "outer"})
    await box.deploy(template)
    assert thing_of(box).body["properties"]["color"] == "outer"


async def test_failure_inside_a_nested_deployment_shows_in_the_parent(box):
    def refuse(id, body):
        raise ArmError(400, "Bad", "no")

    box.providers.of("Tiny.Test/things").refuses = refuse
    template = make_template({"m": nested(make_template({"b": make_thing("b")}))})
    status = await box.wait(await box.start(template))
    (detail,) = status["error"]["details"]
    assert detail["code"] == "DeploymentFailed"
    assert detail["details"][0]["code"] == "Bad"


async def test_existing_resource_is_read_and_not_written(box):
    await box.deploy(make_template({"a": make_thing("a", properties={"color": "red"})}))
    box.providers.log.clear()
    resources = {
        "known": make_thing("a", existing=True),
        "b": make_thing("b", properties={"color": "[reference('known').color]"}),
    }
    await box.deploy(make_template(resources), name="d2")
    assert box.providers.log == ["put b", "done b"]
    assert thing_of(box).body["properties"]["color"] == "red"


async def test_reading_a_resource_that_is_not_there_fails_like_arm(box):
    read = "[reference(resourceId('Tiny.Test/things', 'gone'), '2024-01-01').x]"
    template = make_template({"b": make_thing("b", properties={"x": read})})
    status = await box.wait(await box.start(template))
    assert status["error"]["details"][0]["code"] == "ResourceNotFound"


async def test_cancel_stops_a_deployment_and_lets_begun_work_end(tmp_path):
    async with running_resources(tmp_path, seconds=0.15) as box:
        resources = {"a": make_thing("a"), "b": make_thing("b", dependsOn=["a"])}
        answer = await box.start(make_template(resources))
        await asyncio.sleep(0.05)
        again = await box.start(make_template(resources))
        assert again.status == 409
        assert (await again.json())["error"]["code"] == "DeploymentActive"
        assert (await box.call("POST", f"{DEPLOYMENTS}/d1/cancel")).status == 204
        assert (await box.wait(answer))["status"] == "Canceled"
        await asyncio.sleep(0.2)
        assert box.providers.log == ["put a", "done a"]
        late = await box.call("POST", f"{DEPLOYMENTS}/d1/cancel")
        assert late.status == 409


async def test_deployments_survive_a_restart_and_one_cut_off_is_failed(tmp_path):
    async with running_resources(tmp_path) as box:
        await box.deploy(make_template({"a": make_thing("a")}), name="whole")
        thing = box.providers.of("Tiny.Test/things")
        thing.seconds = 30
        await box.start(make_template({"b": make_thing("b")}), name="cut")
        await asyncio.sleep(0.05)
        # As after kill -9: the record says Running.
        record = next(r for r in box.providers.store.list() if r.id.name == "cut")
        assert record.body["properties"]["provisioningState"] == "Running"
        await box.api.close()
        box.providers.store.put(record)
    async with running_resources(tmp_path, with_group=False) as box:
        answer = await (await box.call("GET", DEPLOYMENTS)).json()
        states = {d["name"]: d["properties"]["provisioningState"] for d in answer["value"]}
        assert states == {"whole": "Succeeded", "cut": "Failed"}
