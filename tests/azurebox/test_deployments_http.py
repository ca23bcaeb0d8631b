"""Microsoft.Resources on the wire: shapes of the real service, refusals, groups, what-if."""

import asyncio
import json

import pytest
from azurebox.errors import ArmError
from resources_app import (
    DEPLOYMENTS,
    GROUP,
    deployment,
    make_template,
    make_thing,
    running_resources,
)


@pytest.fixture
async def box(tmp_path):
    async with running_resources(tmp_path) as client:
        yield client


ONE = f"{DEPLOYMENTS}/d1"
SIMPLE = make_template(
    {"a": make_thing("a", location="West US", properties={"color": "[parameters('Color')]"})},
    parameters={"Color": {"type": "string"}, "key": {"type": "securestring", "defaultValue": "k"}},
)


async def error_of(answer, status, code):
    body = await answer.json()
    assert (answer.status, body["error"]["code"]) == (status, code)
    return body["error"]


async def test_put_answers_as_recorded_from_the_service(box):
    answer = await box.start(SIMPLE, {"Color": "red"})
    assert answer.status == 201
    link = answer.headers["Azure-AsyncOperation"]
    assert f"{DEPLOYMENTS}/d1/operationStatuses/0858" in link and "api-version=" in link
    body = await answer.json()
    assert (body["id"], body["name"]) == (ONE, "d1")
    assert body["type"] == "Microsoft.Resources/deployments"
    properties = body["properties"]
    assert properties["provisioningState"] == "Accepted"
    assert properties["parameters"] == {
        "color": {"type": "String", "value": "red"},
        "key": {"type": "SecureString"},
    }
    assert properties["providers"] == [
        {
            "namespace": "Tiny.Test",
            "resourceTypes": [{"resourceType": "things", "locations": ["westus"]}],
        }
    ]
    assert {"templateHash", "mode", "timestamp", "duration", "correlationId"} <= properties.keys()
    assert (await box.wait(answer)) == {"status": "Succeeded"}
    again = await box.start(SIMPLE, {"Color": "red"})
    assert again.status == 200
    await box.wait(again)


async def test_operations_are_read_at_both_paths_and_one_by_one(box):
    await box.deploy(SIMPLE, {"Color": "red"})
    by_sdk = await box.operations()
    by_net = await (await box.call("GET", f"{ONE}/operations")).json()
    assert by_net["value"] == by_sdk
    create, outputs = (o["properties"] for o in by_sdk)
    assert create["provisioningOperation"] == "Create" and create["statusCode"] == "Created"
    assert create["targetResource"] == {
        "id": f"{GROUP}/providers/Tiny.Test/things/a",
        "resourceType": "Tiny.Test/things",
        "resourceName": "a",
    }
    assert outputs["provisioningOperation"] == "EvaluateDeploymentOutput"
    one = await box.call("GET", f"{ONE}/operations/{by_sdk[0]['operationId'].lower()}")
    assert await one.json() == by_sdk[0]
    gone = await box.call("GET", f"{ONE}/operations/00")
    await error_of(gone, 404, "DeploymentOperationNotFound")


async def test_validate_writes_nothing_and_lists_what_would_be_written(box):
    body = deployment(SIMPLE, {"Color": "red"})
    answer = await box.call("POST", f"{ONE}/validate", body)
    properties = (await answer.json())["properties"]
    assert properties["provisioningState"] == "Succeeded"
    assert properties["timestamp"] == "0001-01-01T00:00:00Z" and properties["duration"] == "PT0S"
    assert properties["validatedResources"] == [{"id": f"{GROUP}/providers/Tiny.Test/things/a"}]
    assert box.providers.log == []
    assert (await box.call("GET", ONE)).status == 404


async def test_refusal_carries_the_place_of_the_violation(box):
    text = json.dumps(deployment(SIMPLE), indent=1)
    path = f"{ONE}/validate?api-version=2025-04-01"
    answer = await box.http.post(path, data=text)
    error = await error_of(answer, 400, "InvalidTemplate")
    (info,) = error["additionalInfo"]
    assert info["type"] == "TemplateViolation"
    assert info["info"]["path"] == "properties.template.parameters.Color"
    line, column = info["info"]["lineNumber"], info["info"]["linePosition"]
    assert '"Color":' in text.splitlines()[line - 1]
    assert f"at line '{line}' and column '{column}' is not provided" in error["message"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("{", "InvalidRequestContent"),
        ("[]", "InvalidRequestContent"),
        ("{}", "InvalidRequestContent"),
        ('{"properties": {"template": 5}}', "InvalidTemplate"),
        ('{"properties": {"templateLink": {"uri": "https://x"}}}', "InvalidTemplateLink"),
    ],
)
async def test_body_that_is_no_deployment_is_refused(box, body, code):
    answer = await box.http.put(f"{ONE}?api-version=2025-04-01", data=body)
    await error_of(answer, 400, code)


async def test_unknown_resource_type_is_refused_before_anything_is_written(box):
    resources = {"a": make_thing("a"), "b": make_thing("b", type="Tiny.Test/unknown")}
    await error_of(await box.start(make_template(resources)), 400, "InvalidResourceType")
    assert box.providers.log == []


async def test_broken_expression_of_a_resource_is_refused_before_anything_is_written(box):
    resources = {
        "a": make_thing("a"),
        "b": make_thing("b", properties={"x": "[createObject('c', 1).d]"}),
    }
    error = await error_of(await box.start(make_template(resources)), 400, "InvalidTemplate")
    assert "property 'd' doesn't exist" in error["message"]
    assert box.providers.log == []


async def test_deployment_into_a_group_that_is_not_there_is_refused(box):
    elsewhere = DEPLOYMENTS.replace("g1", "nowhere") + "/d1"
    answer = await box.call("PUT", elsewhere, deployment(make_template([])))
    error = await error_of(answer, 404, "ResourceGroupNotFound")
    assert error["message"] == "Resource group 'nowhere' could not be found."
    assert answer.headers["x-ms-failure-cause"] == "gateway"
    await error_of(await box.call("GET", elsewhere), 404, "ResourceGroupNotFound")
    await error_of(await box.call("GET", f"{DEPLOYMENTS}/none"), 404, "DeploymentNotFound")


async def test_deployments_are_listed_newest_first_filtered_and_deleted(box):
    await box.deploy(make_template([]), name="one")
    await box.deploy(make_template([]), name="two")
    listed = await (await box.call("GET", DEPLOYMENTS + "/")).json()
    assert [d["name"] for d in listed["value"]] == ["two", "one"]
    failed = f"{DEPLOYMENTS}?$filter=provisioningState eq 'Failed'"
    assert (await (await box.call("GET", failed)).json())["value"] == []
    assert (await box.call("HEAD", f"{DEPLOYMENTS}/one")).status == 204
    answer = await box.call("DELETE", f"{DEPLOYMENTS}/one")
    assert answer.status == 202
    await asyncio.sleep(0)
    assert (await box.call("GET", answer.headers["Location"])).status == 204
    assert (await box.call("HEAD", f"{DEPLOYMENTS}/one")).status == 404
    assert (await box.call("DELETE", f"{DEPLOYMENTS}/one")).status == 204


async def test_exported_template_is_the_one_that_was_sent(box):
    await box.deploy(SIMPLE, {"Color": "red"})
    answer = await box.call("POST", f"{ONE}/exportTemplate")
    assert await answer.json() == {"template": SIMPLE}


async def test_what_if_tells_create_modify_nochange_and_ignore_apart(box):
    await box.deploy(SIMPLE, {"Color": "red"})
    await box.deploy(make_template({"other": make_thing("other")}), name="d2")
    before = len(box.providers.log)
    template = make_template(
        {
            "a": make_thing("a", location="westus", properties={"color": "[parameters('color')]"}),
            "new": make_thing("new", properties={"read": "[reference('a').color]"}),
        },
        parameters={"color": {"type": "string"}},
    )

    async def changes(color):
        answer = await box.call("POST", f"{ONE}/whatIf", deployment(template, {"color": color}))
        assert answer.status == 202
        result = await (await box.call("GET", answer.headers["Location"])).json()
        assert result["status"] == "Succeeded"
        found = result["properties"]["changes"]
        return {c["resourceId"].rpartition("/")[2]: c for c in found}

    same = await changes("red")
    kinds = {name: change["changeType"] for name, change in same.items()}
    assert kinds == {"a": "NoChange", "new": "Create", "other": "Ignore"}
    assert same["new"]["after"]["properties"] == {"read": "[reference('a').color]"}
    blue = (await changes("blue"))["a"]
    assert blue["changeType"] == "Modify"
    assert blue["delta"] == [
        {
            "path": "properties.color",
            "propertyChangeType": "Modify",
            "before": "red",
            "after": "blue",
        }
    ]
    assert len(box.providers.log) == before


async def test_what_if_takes_a_provider_that_misses_the_parent_for_nothing_there(box):
    thing = box.providers.of("Tiny.Test/things")

    def no_parent(id, api_version):
        raise ArmError(404, "ParentResourceNotFound", "no")

    thing.get = no_parent
    body = deployment(make_template({"a": make_thing("a")}))
    answer = await box.call("POST", f"{ONE}/whatIf", body)
    result = await (await box.call("GET", answer.headers["Location"])).json()
    assert [c["changeType"] for c in result["properties"]["changes"]] == ["Create"]


async def what_if(box, path, body):
    answer = await box.call("POST", f"{path}/whatIf", body)
    assert answer.status == 202, await answer.text()
    result = await (await box.call("GET", answer.headers["Location"])).json()
    return result["properties"]["changes"]


def make_nested(template, parameters=None, **parts):
    properties = {
        "mode": "Incremental",
        "expressionEvaluationOptions": {"scope": "inner"},
        "template": template,
        "parameters": parameters or {},
    }
    kind = {"type": "Microsoft.Resources/deployments", "apiVersion": "2025-04-01"}
    return {**kind, "name": "inner", "properties": properties, **parts}


async def test_what_if_shows_the_resources_of_nested_deployments_in_their_place(box):
    innermost = make_template({"a": make_thing("deep")})
    template = make_template(
        {"n": make_nested(make_template({"m": make_nested(innermost), "b": make_thing("b")}))}
    )
    changes = await what_if(box, ONE, deployment(template))
    names = [c["resourceId"].rpartition("/")[2] for c in changes]
    assert (names, {c["changeType"] for c in changes}) == (["deep", "b"], {"Create"})


async def test_what_if_says_which_nested_deployment_it_cannot_look_into(box):
    inner = make_template(
        {"b": make_thing("[parameters('name')]")}, parameters={"name": {"type": "string"}}
    )
    nested = make_nested(inner, {"name": {"value": "[reference('a').color]"}})
    template = make_template({"a": make_thing("a"), "n": nested})
    changes = await what_if(box, ONE, deployment(template))
    assert [c["changeType"] for c in changes] == ["Create", "Unsupported"]
    assert changes[1]["resourceId"].endswith("/deployments/inner")


async def test_what_if_of_a_subscription_makes_the_group_and_looks_into_it(box):
    inner = make_template(
        {
            "a": make_thing(
                "[uniqueString(resourceGroup().id)]", location="[resourceGroup().location]"
            )
        }
    )
    group = {"type": "Microsoft.Resources/resourceGroups", "apiVersion": "2025-04-01"}
    template = make_template(
        [
            {**group, "name": "new", "location": "westus"},
            make_nested(
                inner,
                resourceGroup="new",
                dependsOn=[f"[subscriptionResourceId('{group['type']}', 'new')]"],
            ),
        ]
    )
    body = {**deployment(template), "location": "eastus"}
    path = "/subscriptions/s1/providers/Microsoft.Resources/deployments/d1"
    made, thing = await what_if(box, path, body)
    assert made["resourceId"] == "/subscriptions/s1/resourceGroups/new"
    assert (made["changeType"], thing["changeType"]) == ("Create", "Create")
    assert thing["after"]["location"] == "westus"
    assert (await box.call("HEAD", "/subscriptions/s1/resourcegroups/new")).status == 404
    # Made for real, nothing is left to do.
    await box.call("PUT", "/subscriptions/s1/resourcegroups/new", {"location": "westus"})
    here = "/subscriptions/s1/resourceGroups/new/providers/Microsoft.Resources/deployments/d1"
    await box.wait(await box.call("PUT", here, deployment(inner)))
    changes = await what_if(box, path, body)
    assert [c["changeType"] for c in changes] == ["NoChange", "NoChange"]
    assert changes[1]["resourceId"] == thing["resourceId"]
    elsewhere = make_template([make_nested(inner, resourceGroup="nowhere")])
    refused = await box.call(
        "POST", f"{path}/whatIf", {**deployment(elsewhere), "location": "eastus"}
    )
    await error_of(refused, 404, "ResourceGroupNotFound")
    await error_of(
        await box.call("POST", f"{path}/whatIf", deployment(template)), 400, "LocationRequired"
    )


async def test_group_is_created_updated_and_found_in_any_case(box):
    path = "/subscriptions/s1/resourcegroups/Other"
    answer = await box.call("PUT", path, {"location": "West US", "tags": {"a": "b"}})
    assert answer.status == 201
    assert await answer.json() == {
        "id": "/subscriptions/s1/resourceGroups/Other",
        "name": "Other",
        "type": "Microsoft.Resources/resourceGroups",
        "location": "westus",
        "tags": {"a": "b"},
        "properties": {"provisioningState": "Succeeded"},
    }
    assert (await box.call("PUT", path.lower(), {"location": "westus"})).status == 200
    patched = await box.call("PATCH", path, {"tags": {"c": "d"}})
    assert (await patched.json())["tags"] == {"c": "d"}
    assert (
        await box.call("HEAD", path.replace("resourcegroups/Other", "RESOURCEGROUPS/OTHER"))
    ).status == 204
    listed = await (await box.call("GET", "/subscriptions/s1/resourcegroups")).json()
    assert [g["name"] for g in listed["value"]] == ["g1", "Other"]
    tagged = "/subscriptions/s1/resourcegroups?$filter=tagName eq 'c'"
    assert len((await (await box.call("GET", tagged)).json())["value"]) == 1
    moved = await box.call("PUT", path, {"location": "eastus"})
    await error_of(moved, 409, "InvalidResourceGroupLocation")
    await error_of(await box.call("PUT", path, {}), 400, "LocationRequired")
    bad = await box.call("PUT", "/subscriptions/s1/resourcegroups/bad.", {"location": "x"})
    await error_of(bad, 400, "InvalidResourceGroup")


async def test_resources_of_a_group_and_a_subscription_are_listed(box):
    await box.deploy(SIMPLE, {"Color": "red"})
    expected = [
        {
            "id": f"{GROUP}/providers/Tiny.Test/things/a",
            "name": "a",
            "type": "Tiny.Test/things",
            "location": "West US",
        }
    ]
    for path in (f"{GROUP}/resources", "/subscriptions/s1/resources"):
        assert (await (await box.call("GET", path)).json())["value"] == expected
    none = f"{GROUP}/resources?$filter=resourceType eq 'Tiny.Test/other'"
    assert (await (await box.call("GET", none)).json())["value"] == []


async def test_deleted_group_takes_its_resources_along_whatever_their_order(box):
    box.providers.add("Tiny.Test/hosts", needs_gone="Tiny.Test/things")
    resources = {"h": make_thing("h", type="Tiny.Test/hosts"), "a": make_thing("a")}
    # The host is the newer one, so it is tried first and refuses.
    await box.deploy(make_template({"a": resources["a"]}))
    await box.deploy(make_template({"h": resources["h"]}), name="d2")
    answer = await box.call("DELETE", GROUP)
    assert answer.status == 202
    location = answer.headers["Location"]
    for _ in range(100):
        polled = await box.call("GET", location)
        if polled.status != 202:
            break
    assert (polled.status, await polled.text()) == (200, "")
    assert [line for line in box.providers.log if "delete" in line] == ["delete a", "delete h"]
    assert list(box.providers.store.list()) == []
    assert (await box.call("HEAD", GROUP)).status == 404


async def test_group_whose_resource_cannot_be_deleted_stays(box):
    box.providers.add("Tiny.Test/hosts", needs_gone="Tiny.Test/hosts")
    await box.deploy(make_template({"h": make_thing("h", type="Tiny.Test/hosts")}))
    answer = await box.call("DELETE", GROUP)
    await asyncio.sleep(0.05)
    polled = await box.call("GET", answer.headers["Location"])
    error = await error_of(polled, 409, "ResourceGroupDeletionBlocked")
    assert error["details"] == [{"code": "InUse", "message": "h is in use"}]
    assert (await (await box.call("GET", GROUP)).json())["properties"] == {
        "provisioningState": "Succeeded"
    }


async def test_secret_parameter_is_in_no_answer_and_not_in_the_store(box):
    def refuse(id, body):
        raise ArmError(400, "Bad", "no")

    box.providers.of("Tiny.Test/things").refuses = refuse
    template = make_template(
        {"a": make_thing("a", properties={"key": "[parameters('key')]"})},
        parameters={"key": {"type": "securestring"}},
    )
    await box.deploy(template, {"key": "s3cret-value"})
    stored = [(r.body, r.private) for r in box.providers.store.list()]
    assert "s3cret-value" not in json.dumps(stored)
