"""Random expressions and templates, evaluated here and by Microsoft's own engine."""

import json
import os
from functools import lru_cache

import pytest
from azurebox.arm.evaluation import evaluate_json
from azurebox.arm.expressions import ExpressionError
from azurebox.arm.plan import plan_deployment
from azurebox.arm.scope import DeploymentFacts, Scope
from azurebox.arm.template import evaluate_outputs
from bicep_oracle import MOST_OUTPUTS, SUBSCRIPTION, bicep
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from resources_app import make_template, make_thing

__all__ = ["bicep"]

GROUP = {
    "id": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g1",
    "name": "g1",
    "location": "eastus",
}
FACTS = DeploymentFacts("d", SUBSCRIPTION, "", GROUP, "eastus")
# A call costs more than a second: few examples of many expressions, no shrinking, and the same
# ones each time unless a number asks for others.
EXAMPLES = int(os.environ.get("TEMPLATE_EXAMPLES", "0"))
FEW = settings(
    max_examples=EXAMPLES or 3,
    derandomize=not EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    database=None,
)

LETTERS = "abcXYZ019 -_.,:/{}[]\"'é"
DEPTH = 3


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


@st.composite
def call(draw, name, *arguments):
    return f"{name}({','.join(draw(argument) for argument in arguments)})"


@lru_cache
def strings(depth=DEPTH):
    plain = st.text(LETTERS, max_size=8).map(quoted)
    if depth == 0:
        return plain
    text, number, flag = strings(depth - 1), ints(depth - 1), bools(depth - 1)
    items, things = arrays(depth - 1), objects(depth - 1)
    return st.one_of(
        plain,
        call("concat", text, number, flag),
        call("toLower", text),
        call("toUpper", text),
        call("trim", text),
        call("replace", text, st.sampled_from(["'a'", "'é'", "'01'"]), text),
        call("take", text, number),
        call("skip", text, number),
        call("first", text),
        call("last", text),
        call("substring", text, small()),
        call("padLeft", text, st.integers(1, 12).map(str), st.just("'0'")),
        call(
            "format", st.sampled_from(["'{0}|{1,6}|{2}'", "'{2}{{{0}}}{1:D3}'"]), text, number, flag
        ),
        call(
            "format", st.sampled_from(["'{0:N1}'", "'{0:X}'", "'{0:000}'", "'{0:#,##0}'"]), number
        ),
        call("join", string_arrays(depth - 1), text),
        call("string", st.one_of(number, flag, items, things, text)),
        call("base64", text),
        call("base64ToString", call("base64", text)),
        call("uriComponent", text),
        call("uriComponentToString", call("uriComponent", text)),
        call("uniqueString", text, text),
        call("guid", text),
        call("if", flag, text, text),
        call("coalesce", st.just("null()"), text),
        call("dataUri", text),
    )


def small():
    return st.integers(0, 3).map(str)


@lru_cache
def ints(depth=DEPTH):
    plain = st.integers(-50, 2000).map(str)
    if depth == 0:
        return plain
    text, number, flag = strings(depth - 1), ints(depth - 1), bools(depth - 1)
    items = arrays(depth - 1)
    return st.one_of(
        plain,
        *[call(name, number, number) for name in ("add", "sub", "mul", "min", "max")],
        *[call(name, number, st.integers(1, 9).map(str)) for name in ("div", "mod")],
        call("length", st.one_of(text, items, objects(depth - 1))),
        call("indexOf", text, text),
        call("lastIndexOf", text, st.sampled_from(["'a'", "'Z'", "'01'"])),
        call("int", call("string", number)),
        call("if", flag, number, number),
    )


@lru_cache
def bools(depth=DEPTH):
    plain = st.sampled_from(["true()", "false()"])
    if depth == 0:
        return plain
    text, number, flag = strings(depth - 1), ints(depth - 1), bools(depth - 1)
    items, things = arrays(depth - 1), objects(depth - 1)
    plain_text = st.text("abAB019-_ ", max_size=5).map(quoted)
    comparisons = ("less", "lessOrEquals", "greater", "greaterOrEquals")
    return st.one_of(
        plain,
        call("and", flag, flag),
        call("or", flag, flag),
        call("not", flag),
        *[call(name, number, number) for name in comparisons],
        *[call(name, plain_text, plain_text) for name in comparisons],
        call("equals", text, text),
        call("equals", st.one_of(items, things, text, number), st.one_of(items, things, number)),
        call("contains", text, text),
        call("contains", items, st.one_of(text, number)),
        call("contains", things, st.sampled_from(["'A'", "'b'", "'z'"])),
        call("empty", st.one_of(text, items, things)),
        call("startsWith", text, text),
        call("endsWith", text, text),
        call("bool", st.sampled_from(["'true'", "'False'", "0", "5"])),
    )


@lru_cache
def string_arrays(depth):
    text = strings(max(0, depth - 1))
    return st.one_of(
        call("createArray", text, text),
        call("split", text, st.sampled_from(["','", "'a'", "createArray('-','.')"])),
        call("objectKeys", objects(max(0, depth - 1))),
    )


@lru_cache
def arrays(depth=DEPTH):
    if depth == 0:
        return st.sampled_from(["createArray()", "createArray(1,2,2)", "createArray('a','B')"])
    text, number = strings(depth - 1), ints(depth - 1)
    items, things = arrays(depth - 1), objects(depth - 1)
    return st.one_of(
        call("createArray", text, number, items),
        string_arrays(depth),
        call("range", small(), small()),
        call("concat", items, items),
        call("union", items, items),
        call("intersection", items, items),
        call("take", items, number),
        call("skip", items, number),
        call("flatten", call("createArray", items, items)),
        call("items", things),
        call("array", st.one_of(text, items, things)),
        call("map", items, st.sampled_from(LAMBDAS)),
        call("filter", items, st.just("lambda('x','i',less(lambdaVariables('i'),1))")),
        call("sort", string_arrays(0), st.just(BEFORE)),
    )


LAMBDAS = [
    "lambda('x',createArray(lambdaVariables('x')))",
    "lambda('x','i',createObject('i',lambdaVariables('i'),'x',lambdaVariables('x')))",
    "lambda('x',string(createObject('k',lambdaVariables('x'))))",
]
BEFORE = "lambda('a','b',less(lambdaVariables('a'),lambdaVariables('b')))"


@lru_cache
def objects(depth=DEPTH):
    if depth == 0:
        return st.sampled_from(
            ["createObject()", "createObject('a',1)", "createObject('B',null())"]
        )
    text, things = strings(depth - 1), objects(depth - 1)
    value = st.one_of(text, ints(depth - 1), bools(depth - 1), arrays(depth - 1), things)
    return st.one_of(
        call("createObject", st.just("'a'"), value, st.just("'b'"), value),
        call("createObject", st.just("'A'"), value),
        call("union", things, things),
        call("shallowMerge", call("createArray", things, things)),
        call("json", call("string", things)),
        call("toObject", call("createArray", text), st.just("lambda('x',lambdaVariables('x'))")),
        call(
            "groupBy",
            call("createArray", text, text),
            st.just("lambda('x',toLower(lambdaVariables('x')))"),
        ),
        call("mapValues", things, st.just("lambda('x',createArray(lambdaVariables('x')))")),
        call("if", bools(depth - 1), things, things),
    )


@lru_cache
def any_value():
    return st.one_of(strings(), ints(), bools(), arrays(), objects())


def ours(expression):
    return evaluate_json(f"[{expression}]", Scope(FACTS))


@FEW
@given(st.lists(any_value(), min_size=80, max_size=80))
def test_random_expressions_mean_what_they_mean_to_arm(bicep, expressions):
    batch, answers = [], []
    for expression in expressions:
        try:
            answers.append(ours(expression))
        except ExpressionError:
            continue
        batch.append(expression)
    batch, answers = batch[:MOST_OUTPUTS], answers[:MOST_OUTPUTS]
    for expression, mine, theirs in zip(batch, answers, bicep.evaluate(batch), strict=True):
        # As JSON: 1 is not true, and the order of properties counts.
        assert json.dumps(mine) == json.dumps(theirs), expression


# Where the two are most likely to part; each costs a call.
REFUSED = [
    "string(null())",
    "concat('a',null())",
    "createObject('a',1,'a',2)",
    "max(createArray(1),2)",
    "toObject(createArray('a','a'),lambda('x',lambdaVariables('x')))",
    "union(createObject('a','x'),createObject('a',createArray(1)))",
]


@pytest.mark.slow
@pytest.mark.parametrize("expression", REFUSED)
def test_what_is_refused_here_is_refused_by_arm(bicep, expression):
    with pytest.raises(ExpressionError):
        ours(expression)
    with pytest.raises(AssertionError, match="the engine refuses"):
        bicep.evaluate([expression])


@st.composite
def templates(draw):
    """A small template: parameters, variables, loops, conditions, a nested template."""
    number, text = draw(st.integers(0, 3)), draw(st.text("abc", min_size=1, max_size=4))
    value = "[" + draw(any_value()) + "]"
    resources = {
        "one": make_thing(
            "[format('one{0}', parameters('text'))]",
            location="[resourceGroup().location]",
            tags={"[parameters('text')]": "x"},
            properties={"value": value, "plain": "[[x]", "same": "[variables('both')]"},
        ),
        "many": make_thing(
            "[format('many{0}', copyIndex())]",
            copy={"name": "many", "count": "[parameters('number')]", "mode": "Serial"},
            condition="[less(copyIndex(), 2)]",
            properties={
                "copy": [{"name": "list", "count": 2, "input": {"i": "[copyIndex('list')]"}}],
                "outer": "[copyIndex()]",
                "from": "[variables('loop')[copyIndex()]]",
            },
        ),
        "child": make_thing(
            "[format('one{0}/kid', parameters('text'))]",
            type="Tiny.Test/things/kids",
            dependsOn=["one"],
            properties={"id": "[resourceId('Tiny.Test/things', parameters('text'))]"},
        ),
        "nested": {
            "type": "Microsoft.Resources/deployments",
            "apiVersion": "2022-09-01",
            "name": "nested",
            "properties": {
                "mode": "Incremental",
                "expressionEvaluationOptions": {"scope": "inner"},
                "parameters": {"given": {"value": "[variables('both')]"}},
                "template": make_template(
                    {"in": make_thing("in", properties={"given": "[parameters('given')]"})},
                    parameters={"given": {"type": "object"}},
                ),
            },
        },
    }
    return make_template(
        resources,
        parameters={
            "text": {"type": "string", "defaultValue": text},
            "number": {"type": "int", "defaultValue": number},
            "maybe": {"type": "string", "nullable": True},
        },
        variables={
            "copy": [
                {"name": "loop", "count": 3, "input": "[format('{0}', copyIndex('loop', 5))]"}
            ],
            "both": {"n": "[parameters('number')]", "t": ["[toUpper(parameters('text'))]"]},
        },
        functions=[
            {
                "namespace": "my",
                "members": {
                    "twice": {
                        "parameters": [{"name": "x", "type": "string"}],
                        "output": {
                            "type": "string",
                            "value": "[concat(parameters('x'), parameters('x'))]",
                        },
                    }
                },
            }
        ],
        outputs={
            "twice": {"type": "string", "value": "[my.twice(parameters('text'))]"},
            "maybe": {"type": "string", "nullable": True, "value": "[parameters('maybe')]"},
            "loop": {"type": "array", "copy": {"count": 2, "input": "[copyIndex()]"}},
        },
    )


def predicted(plan):
    """What the plan writes, nested templates' resources in their place, as a snapshot shows it."""
    found = {}
    for resource in plan.resources:
        if not resource.is_wanted:
            continue
        if resource.is_deployment:
            properties = resource.declaration["properties"]
            given = evaluate_json(properties["parameters"], resource.scope)
            found |= predicted(plan_deployment(properties["template"], given, FACTS))
            continue
        shown = {"id": resource.id, "type": resource.type, "name": resource.name}
        shown["apiVersion"] = resource.api_version
        found[resource.id] = {**shown, **resource.body(resource.scope)}
    return found


@FEW
@given(templates())
def test_random_templates_ask_for_what_arm_would_write(bicep, template):
    try:
        plan = plan_deployment(template, {}, FACTS)
        mine = predicted(plan)
    except Exception as error:
        if "language expression" not in str(error) and "language function" not in str(error):
            raise
        return
    theirs = bicep.snapshot(template)
    assert mine == {resource["id"]: resource for resource in theirs["predictedResources"]}
    outputs = {name: o["value"] for name, o in evaluate_outputs(plan.template, plan.scope).items()}
    assert outputs == theirs["outputs"]
