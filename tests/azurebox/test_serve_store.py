"""The store keeps what was written, in the order it was made."""

from azurebox.resource_id import ResourceId
from azurebox.store import Resource, ResourceStore


def job(name):
    return ResourceId("s", "g", "Microsoft.App/jobs", (name,))


def test_update_keeps_the_place_and_the_spelling_of_the_creation(tmp_path):
    store = ResourceStore(tmp_path / "store")
    for name in ("one", "two", "three"):
        store.put(Resource(job(name), {}))
    store.put(Resource(job("ONE"), {"changed": True}))
    store.close()
    again = ResourceStore(tmp_path / "store")
    assert [r.id.name for r in again.list(type="microsoft.app/JOBS")] == ["one", "two", "three"]
    assert again.get(job("One")).body == {"changed": True}
    again.close()


def test_delete_takes_the_children_and_no_neighbour(tmp_path):
    store = ResourceStore(tmp_path / "store")
    child = ResourceId("s", "g", "Microsoft.App/jobs/executions", ("a", "x"))
    for id in (job("a"), job("ab"), child):
        store.put(Resource(id, {}))
    store.delete(job("a"))
    assert [r.id.name for r in store.list()] == ["ab"]
    store.close()
