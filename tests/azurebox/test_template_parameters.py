"""Parameters: values, defaults, types, and how ARM refuses what does not fit."""

import pytest
from azurebox.arm.plan import plan_deployment
from azurebox.arm.refusals import TemplateError
from azurebox.arm.scope import DeploymentFacts
from resources_app import make_template

GROUP = {"id": "/subscriptions/s/resourceGroups/g", "name": "g", "location": "westus"}
FACTS = DeploymentFacts("d1", "s", "the-tenant", GROUP, "westus", environment={"name": "Box"})


def value_of(schema, *, definitions=None, **given):
    """The value a parameter "p" gets from what is given, in a template of its own."""
    template = make_template({}, parameters={"p": schema}, definitions=definitions or {})
    values = {name: {"value": value} for name, value in given.items()}
    return plan_deployment(template, values, FACTS).scope.parameters["p"]


def refusal(schema, *, definitions=None, **given):
    with pytest.raises(TemplateError) as caught:
        value_of(schema, definitions=definitions, **given)
    return caught.value


def test_given_value_wins_over_the_default_in_any_case_of_its_name():
    assert value_of({"type": "String", "defaultValue": "d"}, P="given") == "given"
    assert value_of({"type": "string", "defaultValue": "[toUpper('d')]"}) == "D"


def test_default_may_use_other_parameters_and_the_functions_of_defaults():
    template = make_template(
        {},
        parameters={
            "b": {"type": "string", "defaultValue": "[concat(parameters('a'), '!')]"},
            "a": {"type": "string", "defaultValue": "x"},
            "id": {"type": "string", "defaultValue": "[newGuid()]"},
            "now": {"type": "string", "defaultValue": "[utcNow('yyyy')]"},
        },
    )
    parameters = plan_deployment(template, {}, FACTS).scope.parameters
    assert parameters["b"] == "x!"
    assert len(parameters["id"]) == 36 and parameters["id"] == parameters["id"]
    assert parameters["now"].startswith("20")


def test_deployment_facts_are_seen_by_expressions():
    variables = {
        "group": "[resourceGroup().location]",
        "subscription": "[subscription().subscriptionId]",
        "tenant": "[tenant().tenantId]",
        "deployment": "[deployment().name]",
        "cloud": "[environment().name]",
        "who": "[deployer().tenantId]",
    }
    scope = plan_deployment(make_template({}, variables=variables), {}, FACTS).scope
    seen = [scope.variables[name] for name in variables]
    assert seen == ["westus", "s", "the-tenant", "d1", "Box", "the-tenant"]


def test_missing_value_is_refused_by_name():
    error = refusal({"type": "string"})
    assert error.code == "InvalidTemplate"
    assert "The value for the template parameter 'p'" in error.message
    assert "is not provided" in error.message
    assert error.path == "properties.template.parameters.p"


def test_unknown_parameter_is_refused_with_the_known_ones():
    error = refusal({"type": "string", "defaultValue": ""}, other="x")
    assert "The template parameters 'other'" in error.message
    assert "The only supported parameters for this template are 'p'" in error.message


def test_null_is_no_value_unless_the_type_is_nullable():
    error = refusal({"type": "string", "defaultValue": "d"}, p=None)
    assert error.message.startswith("The value of deployment parameter 'p' is null.")
    assert value_of({"type": "string", "nullable": True}, p=None) is None
    assert value_of({"type": "string", "nullable": True}) is None


@pytest.mark.parametrize(
    ("schema", "value", "words"),
    [
        ({"type": "string"}, 5, "Expected 'String, Uri'. Actual 'Integer'"),
        ({"type": "int"}, "5", "Expected 'Integer'. Actual 'String'"),
        ({"type": "int"}, True, "Expected 'Integer'. Actual 'Boolean'"),
        ({"type": "bool"}, "true", "Expected 'Boolean'. Actual 'String'"),
        ({"type": "array"}, {}, "Expected 'Array'. Actual 'Object'"),
        ({"type": "secureObject"}, [], "Expected 'Object'. Actual 'Array'"),
        ({"type": "string", "allowedValues": ["a", "b"]}, "A", "not part of the allowed value(s)"),
        ({"type": "array", "allowedValues": ["a", "b"]}, ["a", "c"], "allowed value(s): 'a,b'"),
        ({"type": "string", "minLength": 3}, "ab", "greater than or equal to '3'"),
        ({"type": "array", "maxLength": 1}, [1, 2], "less than or equal to '1'"),
        ({"type": "int", "minValue": 3}, 2, "greater than or equal to '3'"),
        ({"type": "int", "maxValue": 3}, 4, "less than or equal to '3'"),
        ({"type": "array", "items": {"type": "string"}}, ["a", 1], "[1]"),
        ({"type": "array", "prefixItems": [{"type": "int"}], "items": False}, [1, 2], "[1]"),
        ({"type": "object", "properties": {"a": {"type": "int"}}}, {}, "'a' is required"),
        ({"type": "object", "properties": {}, "additionalProperties": False}, {"x": 1}, "'x'"),
        ({"type": "object", "additionalProperties": {"type": "int"}}, {"x": "y"}, "at 'x'"),
    ],
)
def test_value_of_the_wrong_kind_is_refused(schema, value, words):
    error = refusal(schema, p=value)
    assert error.code == "InvalidTemplate" and words in error.message
    assert error.path.startswith("properties.parameters.p.value")


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "array", "allowedValues": ["a", "b"]}, ["b"]),
        ({"type": "array", "prefixItems": [{"type": "int"}], "items": {"type": "bool"}}, [1, True]),
        ({"type": "object", "properties": {"a": {"type": "int", "nullable": True}}}, {}),
        ({"type": "object"}, {"anything": [1]}),
    ],
)
def test_value_of_the_right_kind_is_taken(schema, value):
    assert value_of(schema, p=value) == value


DEFINITIONS = {
    "size": {"type": "int", "minValue": 1},
    "box": {
        "type": "object",
        "properties": {"size": {"$ref": "#/definitions/size"}},
        "additionalProperties": False,
    },
    "loop": {"$ref": "#/definitions/loop"},
    "cat": {"type": "object", "properties": {"lives": {"type": "int"}}},
    "dog": {"type": "object", "properties": {"tricks": {"type": "array"}}},
    "pet": {
        "type": "object",
        "discriminator": {
            "propertyName": "kind",
            "mapping": {"cat": {"$ref": "#/definitions/cat"}, "dog": {"$ref": "#/definitions/dog"}},
        },
    },
}


def test_types_of_the_template_are_followed():
    box = {"$ref": "#/definitions/box"}
    assert value_of(box, definitions=DEFINITIONS, p={"size": 2}) == {"size": 2}
    assert "at 'size'" in refusal(box, definitions=DEFINITIONS, p={"size": 0}).message
    gone = refusal({"$ref": "#/definitions/gone"}, definitions=DEFINITIONS, p=1)
    assert "'#/definitions/gone' is not found" in gone.message
    circle = refusal({"$ref": "#/definitions/loop"}, definitions=DEFINITIONS, p=1)
    assert "refers to itself" in circle.message


def test_discriminator_chooses_the_type():
    pet = {"$ref": "#/definitions/pet"}
    cat = {"kind": "cat", "lives": 9}
    assert value_of(pet, definitions=DEFINITIONS, p=cat) == cat
    assert "'lives'" in refusal(pet, definitions=DEFINITIONS, p={"kind": "cat"}).message
    assert "'cat,dog'" in refusal(pet, definitions=DEFINITIONS, p={"kind": "cow"}).message


def test_unknown_type_is_refused():
    assert "type 'text' is not valid" in refusal({"type": "text"}, p="x").message


def test_default_that_does_not_fit_its_type_is_refused():
    assert "Expected 'Integer'" in refusal({"type": "int", "defaultValue": "x"}).message


def test_parameters_that_need_each_other_are_refused():
    parameters = {
        "a": {"type": "string", "defaultValue": "[parameters('b')]"},
        "b": {"type": "string", "defaultValue": "[parameters('a')]"},
    }
    with pytest.raises(TemplateError, match="circular"):
        plan_deployment(make_template({}, parameters=parameters), {}, FACTS)


def test_secure_values_are_never_shown():
    parameters = {
        "key": {"type": "securestring"},
        "all": {"type": "secureObject"},
        "plain": {"type": "array"},
    }
    given = {"key": {"value": "s3cret"}, "all": {"value": {"k": "s3cret"}}, "plain": {"value": []}}
    plan = plan_deployment(make_template({}, parameters=parameters), given, FACTS)
    assert plan.shown_parameters() == {
        "key": {"type": "SecureString"},
        "all": {"type": "SecureObject"},
        "plain": {"type": "Array", "value": []},
    }
