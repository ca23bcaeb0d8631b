"""Expressions: known answers, grammar, errors in ARM's words."""

import json
from pathlib import Path

import pytest
from azurebox.arm.evaluation import evaluate_json
from azurebox.arm.expressions import ExpressionError, is_expression, unescape
from azurebox.arm.functions import function_names
from azurebox.arm.scope import DeploymentFacts, RuntimeOnly, Scope

SUBSCRIPTION = "11111111-1111-1111-1111-111111111111"
GROUP = {
    "id": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg1",
    "name": "rg1",
    "location": "eastus",
}
SCOPE = Scope(DeploymentFacts("d", SUBSCRIPTION, "tenant", GROUP, "eastus"))
# Every line was compared with Microsoft's own engine (bicep snapshot 0.49.2).
KNOWN = (Path(__file__).parent / "data" / "expressions.jsonl").read_text(encoding="utf-8")
KNOWN_ANSWERS = [json.loads(line) for line in KNOWN.splitlines()]


def evaluate(text):
    return evaluate_json(text, SCOPE)


@pytest.mark.parametrize("known", KNOWN_ANSWERS, ids=lambda known: known["expression"][:60])
def test_known_answer(known):
    value = evaluate(f"[{known['expression']}]")
    # As JSON, so that 1, 1.0 and true are three different answers.
    assert json.dumps(value) == json.dumps(known["value"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("[[escaped]", "[escaped]"),
        ("[[not closed", "[[not closed"),
        ("[not closed", "[not closed"),
        ("[  concat( 'a' , 'b' )  ]", "ab"),
        ("[CONCAT('a','B')]", "aB"),
        ("['it''s']", "it's"),
        ("[createObject('a', createArray(10, 20)).A[1]]", 20),
        ({"[concat('k', 1)]": ["[add(1, 1)]", None, True, 1.5]}, {"k1": [2, None, True, 1.5]}),
    ],
)
def test_text_is_read_as_arm_reads_it(text, value):
    assert evaluate(text) == value


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("nosuch('x')", "The template function 'nosuch' is not valid."),
        ("substring('abc')", "function requires between 2 and 3 argument(s) while 1 were provided"),
        ("substring('abc'", "expected token 'RightParenthesis' and actual 'EndOfData'"),
        ("concat('a' 'b')", "expected token 'RightParenthesis' and actual 'Literal'"),
        ("concat('a',)", "Unable to parse language expression"),
        ("'a' extra", "expected token 'EndOfData' and actual 'Identifier'"),
        ("'open", "Unable to parse language expression|is not valid"),
        ("substring('abc',2,5)", "The index parameter: '2', the length parameter: '5'"),
        (
            "createObject('a',1,'c',2).b",
            "property 'b' doesn't exist, available properties are 'a, c'",
        ),
        ("createArray(1)[2]", "property array index '2' is out of bounds"),
        ("concat(null(),'a')", "Either all or none of the parameters must be an array"),
        ("first(1)", "expects its parameter be an array or a string"),
        ("and(1,2)", "all arguments should be of type 'boolean'"),
        ("div(1,0)", "tried to divide by zero"),
        ("add(9223372036854775807,1)", "64-bit"),
        ("int('x')", "cannot convert provided value 'x' to integer value"),
        ("less('a',1)", "expects its second parameter to be of type 'String'"),
        ("format('{1}', 1)", "the format is invalid"),
        ("fail('boo')", "boo"),
        ("newGuid()", "is not expected at this location"),
        ("utcNow()", "is not expected at this location"),
        ("copyIndex()", "is not expected at this location"),
        ("parameters('x')", "The template parameter 'x' is not found"),
        ("variables('x')", "The template variable 'x' is not found"),
        ("resourceId('Microsoft.App/jobs','x','y')", "requires '1' resource name argument(s)"),
        ("map(createArray(1), 2)", "expects a lambda"),
        ("lambdaVariables('x')", "The lambda variable 'x' is not found"),
        ("union(createObject('a','x'),createObject('a',createArray()))", "'String' and 'Array'"),
        ("string(null())", "type 'Null'"),
        ("createObject('a')", "even number of parameters"),
    ],
)
def test_error_is_named_as_arm_names_it(expression, sentence):
    with pytest.raises(ExpressionError) as caught:
        evaluate(f"[{expression}]")
    assert any(part in str(caught.value) for part in sentence.split("|"))


@pytest.mark.parametrize("expression", ["reference('/x')", "listKeys('/x','1')", "listFoo('/x')"])
def test_live_values_are_told_apart_before_a_deployment_runs(expression):
    with pytest.raises(RuntimeOnly):
        evaluate(f"[{expression}]")
    kept = evaluate_json({"a": f"[{expression}]", "b": "[add(1,1)]"}, SCOPE, keep_runtime=True)
    assert kept == {"a": f"[{expression}]", "b": 2}


def test_escape_applies_only_to_whole_expressions():
    assert not is_expression("[[a]") and unescape("[[a]") == "[a]"
    assert not is_expression("[a") and unescape("[a") == "[a"


def test_every_function_has_a_known_answer_or_another_test():
    tested = "\n".join(known["expression"] for known in KNOWN_ANSWERS).lower()
    here = Path(__file__).parent
    for file in (*here.glob("test_template_*.py"), *here.glob("test_deployments_*.py")):
        tested += file.read_text(encoding="utf-8").lower()
    assert [name for name in function_names() if f"{name.lower()}(" not in tested] == []
