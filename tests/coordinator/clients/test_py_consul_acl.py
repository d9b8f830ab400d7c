"""`py-consul` and access control lists: the first token, policies, roles, tokens, and what they may do."""

import consul
import pytest

from tests.harness.coordinator import coordinator, place

pytestmark = pytest.mark.slow
RULES = {"key_prefix": {"app/": {"policy": "write"}}}


@pytest.fixture(scope="module")
def guarded():
    with place() as folder, coordinator(folder, acl={"enabled": True}) as started:
        yield started


@pytest.fixture(scope="module")
def manager(guarded):
    found = consul.Consul(host="127.0.0.1", port=guarded.port)
    found.token = found.acl.bootstrap()["SecretID"]
    yield found
    found.http.session.close()


def test_a_token_may_what_its_policy_says(guarded, manager):
    headers = {"token": manager.token}
    policy = manager.acl.policy.create(name="app", rules=RULES, **headers)
    role = manager.acl.role.create(name="apps", policies_id=[policy["ID"]], **headers)
    made = manager.acl.token.create(roles_id=[role["ID"]], description="app", **headers)
    bearer = consul.Consul(host="127.0.0.1", port=guarded.port, token=made["SecretID"])
    assert bearer.kv.put("app/x", "1") is True
    assert bearer.kv.get("app/x")[1]["Value"] == b"1"
    with pytest.raises(consul.ACLPermissionDenied):
        bearer.kv.put("other", "1")
    assert manager.acl.token.read(made["AccessorID"], **headers)["SecretID"] == "<hidden>"
    assert manager.acl.token.delete(made["AccessorID"], **headers) is True
    with pytest.raises(consul.ACLPermissionDenied):
        bearer.kv.get("app/x")
    bearer.http.session.close()
