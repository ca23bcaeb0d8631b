"""What a template asks for: ids, loops, dependencies, and the refusals before anything runs."""

import pytest
from azurebox.arm.plan import plan_deployment
from azurebox.arm.refusals import TemplateError
from azurebox.arm.scope import DeploymentFacts
from resources_app import make_template, make_thing

GROUP = {"id": "/subscriptions/s/resourceGroups/g", "name": "g", "location": "westus"}
FACTS = DeploymentFacts("d1", "s", "t", GROUP, "westus")
ROOT = "/subscriptions/s/resourceGroups/g/providers/"


def plan(resources, **sections):
    return plan_deployment(make_template(resources, **sections), {}, FACTS)


def refusal(resources, **sections):
    with pytest.raises(TemplateError) as caught:
        plan(resources, **sections)
    return caught.value


def waits(resources, **sections):
    return {r.key: sorted(r.waits_for) for r in plan(resources, **sections).resources}


@pytest.mark.parametrize(
    ("thing", "id"),
    [
        (make_thing("a"), f"{ROOT}Tiny.Test/things/a"),
        (make_thing("a/b", type="Tiny.Test/things/kids"), f"{ROOT}Tiny.Test/things/a/kids/b"),
        (
            make_thing("a", existing=True, resourceGroup="other"),
            "/subscriptions/s/resourceGroups/other/providers/Tiny.Test/things/a",
        ),
        (
            make_thing("a", existing=True, subscriptionId="s2", resourceGroup="other"),
            "/subscriptions/s2/resourceGroups/other/providers/Tiny.Test/things/a",
        ),
        (
            make_thing("lock", type="Microsoft.Authorization/locks", scope="Tiny.Test/things/a"),
            f"{ROOT}Tiny.Test/things/a/providers/Microsoft.Authorization/locks/lock",
        ),
    ],
)
def test_id_follows_from_type_name_and_scope(thing, id):
    assert plan({"x": thing}).resources[0].id == id


def test_children_written_inside_their_parent_get_its_type_name_and_loop():
    kid = {"type": "kids", "apiVersion": "1", "name": "[concat('k', copyIndex())]"}
    parent = make_thing("[concat('p', copyIndex())]", copy={"name": "l", "count": 2})
    ids = [r.id for r in plan([{**parent, "resources": [kid]}]).resources]
    assert ids == [
        f"{ROOT}Tiny.Test/things/p0",
        f"{ROOT}Tiny.Test/things/p1",
        f"{ROOT}Tiny.Test/things/p0/kids/k0",
        f"{ROOT}Tiny.Test/things/p1/kids/k1",
    ]


def test_loop_can_be_waited_for_whole_or_one_turn():
    loop = make_thing("[concat('l', copyIndex())]", copy={"name": "loop", "count": 2})
    resources = {
        "loop": loop,
        "all": make_thing("all", dependsOn=["loop"]),
        "one": make_thing("one", dependsOn=["[format('loop[{0}]', 1)]"]),
        "read": make_thing("read", properties={"x": "[references('loop')]"}),
    }
    found = waits(resources)
    assert found["all"] == ["loop[0]", "loop[1]"]
    assert found["one"] == ["loop[1]"]
    assert found["read"] == ["loop[0]", "loop[1]"]


def test_names_of_loops_and_paths_work_in_array_templates():
    loop = make_thing("[concat('l', copyIndex())]", copy={"name": "loop", "count": 2})
    last = make_thing("z", dependsOn=["loop", "Tiny.Test/things/a"])
    found = plan([loop, make_thing("a"), last]).resources[-1].waits_for
    assert sorted(key.rpartition("/")[2] for key in found) == ["a", "l0", "l1"]


def test_loop_of_no_turns_is_known_and_empty():
    none = make_thing("[concat('l', copyIndex())]", copy={"name": "loop", "count": 0})
    assert waits({"none": none, "a": make_thing("a", dependsOn=["none"])}) == {"a": []}


def test_resource_info_and_ids_of_symbols_need_no_running_deployment():
    thing = make_thing("b", properties={"id": "[resourceInfo('a').id]"})
    found = plan({"a": make_thing("a"), "b": thing}).resources[1]
    assert found.body(found.scope) == {"properties": {"id": f"{ROOT}Tiny.Test/things/a"}}


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"a": make_thing("a", dependsOn=["nobody"])}, "The resource 'nobody' is not defined"),
        ({"a": make_thing("a/b")}, "has incorrect segment lengths"),
        ({"a": make_thing("[5]")}, "invalid name"),
        ({"a": make_thing("")}, "invalid name"),
        ({"a": make_thing("[nosuch()]")}, "The template function 'nosuch'"),
        ({"a": make_thing("[concat('a'")}, "a"),
        (
            {"a": make_thing("[reference('b').x]"), "b": make_thing("b")},
            "'reference' is not expected",
        ),
        ({"a": make_thing("[variables('live')]")}, "'reference' is not expected"),
        ({"a": make_thing("a", condition="yes")}, "invalid condition"),
        ({"a": make_thing("a", copy={"name": "l", "count": -1})}, "invalid count"),
        ({"a": make_thing("a"), "b": make_thing("A")}, "is defined multiple times"),
        ({"a": {"type": "T/x", "name": "a"}}, "missing the required property 'apiVersion'"),
        (["text"], "is not an object"),
        (
            {
                "a": make_thing("a", dependsOn=["b"]),
                "b": make_thing("b", properties={"x": "[reference('a').x]"}),
            },
            "Circular dependency detected",
        ),
        (
            {"a": make_thing("a", tags={"x": "[parameters('gone')]"})},
            "parameter 'gone' is not found",
        ),
        ({"a": make_thing("a", tags={"x": "[variables('gone')]"})}, "variable 'gone' is not found"),
    ],
)
def test_template_that_makes_no_sense_is_refused(resources, words):
    if words == "a":
        assert plan(resources).resources[0].name == "[concat('a'"  # no closing bracket: plain text
        return
    live = {"live": "[reference('b').x]"} if "live" in str(resources) else {}
    error = refusal(resources, variables=live)
    assert error.code == "InvalidTemplate"
    assert words in error.message


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("text", "must be a JSON object"),
        ({"contentVersion": "1.0.0.0", "resources": []}, "'$schema' not found"),
        ({**make_template([]), "resource": []}, "Could not find member 'resource'"),
        ({**make_template([]), "$schema": "https://x/y#"}, "is not supported"),
        ({**make_template([]), "parameters": []}, None),
        ({**make_template([]), "parameters": [1]}, "must be an object"),
    ],
)
def test_template_of_the_wrong_shape_is_refused(template, words):
    if words is None:
        plan_deployment(template, {}, FACTS)
        return
    with pytest.raises(TemplateError) as caught:
        plan_deployment(template, {}, FACTS)
    assert words in caught.value.message


def test_error_inside_a_resource_names_it():
    broken = plan({"a": make_thing("a", properties={"x": "[createObject('b', 1).c]"})}).resources[0]
    with pytest.raises(TemplateError) as caught:
        broken.body(broken.scope)
    assert "Unable to process template language expressions for resource" in caught.value.message
    assert f"{ROOT}Tiny.Test/things/a" in caught.value.message
