"""Both clients against a coordinator that asks for tokens: without one, with one, with one of too little."""

import consul
import pytest

pytestmark = pytest.mark.slow
RULES = {"service": {"acl-web": {"policy": "write"}}, "key_prefix": {"acl/": {"policy": "read"}}}


@pytest.fixture(scope="module")
def manager(guarded):
    """A client with the first token, which can be had once."""
    client = consul.Consul(port=guarded.port)
    client.token = client.acl.bootstrap()["SecretID"]
    yield client
    client.http.session.close()


@pytest.fixture
def stranger(guarded):
    client = consul.Consul(port=guarded.port)
    yield client
    client.http.session.close()


@pytest.fixture(scope="module")
def secret(manager):
    """A token that may be the service `acl-web` and read the keys under `acl/`."""
    policy = manager.acl.policy.create("acl-web", rules=RULES, description="a service")
    found = manager.acl.token.create(policies_id=[policy["ID"]], description="its token")
    return found["SecretID"]


def test_policies_roles_and_tokens_come_and_go(manager):
    policy = manager.acl.policy.create("acl-some", rules=RULES)
    assert manager.acl.policy.read(policy["ID"])["Name"] == "acl-some"
    changed = manager.acl.policy.update(policy["ID"], "acl-some", description="more")
    assert changed["Description"] == "more"
    role = manager.acl.role.create("acl-role", policies_id=[policy["ID"]])
    assert manager.acl.role.read_by_name("acl-role")["ID"] == role["ID"]
    token = manager.acl.token.create(roles_name=["acl-role"], expiration_ttl="1h")
    assert manager.acl.token.read(token["AccessorID"])["Roles"][0]["Name"] == "acl-role"
    copy = manager.acl.token.clone(token["AccessorID"], description="a copy")
    assert len([t for t in manager.acl.token.list() if t.get("Roles")]) == 2
    for one in (token, copy):
        assert manager.acl.token.delete(one["AccessorID"])
    assert manager.acl.role.delete(role["ID"])
    assert manager.acl.policy.delete(policy["ID"])
    assert "acl-some" not in [one["Name"] for one in manager.acl.policy.list()]


def test_bootstrapping_is_done_once(manager, stranger):
    with pytest.raises(consul.ACLPermissionDenied, match="no longer allowed"):
        stranger.acl.bootstrap()


def test_who_has_no_token_gets_nothing(stranger, secret):
    with pytest.raises(consul.ACLPermissionDenied):
        stranger.agent.service.register("acl-web")
    with pytest.raises(consul.ACLPermissionDenied):
        stranger.kv.put("acl/a", "1")
    assert stranger.catalog.services()[1] == {}


def test_a_token_is_for_what_its_policy_says(stranger, manager, secret):
    ttl = consul.Check.ttl("30s")
    assert stranger.agent.service.register("acl-web", check=ttl, token=secret)
    assert stranger.agent.check.ttl_pass("service:acl-web", token=secret)
    with pytest.raises(consul.ACLPermissionDenied):
        stranger.agent.service.register("acl-other", token=secret)
    with pytest.raises(consul.ACLPermissionDenied):
        stranger.agent.check.ttl_fail("service:acl-web")
    with pytest.raises(consul.ACLPermissionDenied):
        stranger.agent.service.maintenance("acl-web", True)
    assert manager.kv.put("acl/a", "1")
    assert stranger.kv.get("acl/a", token=secret)[1]["Value"] == b"1"
    with pytest.raises(consul.ACLPermissionDenied):
        stranger.kv.put("acl/a", "2", token=secret)
    assert stranger.acl.token.read_self(token=secret)["Description"] == "its token"
    assert stranger.agent.service.deregister("acl-web", token=secret)


def test_the_npm_client_brings_its_token(npm, guarded, secret):
    npm(guarded, "acl", LOCKGATE_TOKEN=secret)
