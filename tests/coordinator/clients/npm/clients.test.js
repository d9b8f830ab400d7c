// The npm client `consul`, which others wrote, against the coordinator at $LOCKGATE_PORT.
"use strict";

const assert = require("node:assert/strict");
const test = require("node:test");
const Consul = require("consul");

const make = () => new Consul({ host: "127.0.0.1", port: process.env.LOCKGATE_PORT });

test("catalog", async () => {
  const consul = make();
  await consul.catalog.register({
    node: "js-outside",
    address: "10.0.0.8",
    nodemeta: { zone: "b" },
    service: { service: "js-db", id: "js-db-1", tags: ["pg"], port: 5432 },
    check: { name: "alive", checkid: "js-alive", serviceid: "js-db-1", status: "passing" },
  });
  assert.deepEqual(await consul.catalog.datacenters(), ["dc1"]);
  const nodes = await consul.catalog.node.list({ "node-meta": ["zone:b"], stale: true });
  assert.deepEqual(nodes.map((node) => node.Node), ["js-outside"]);
  assert.deepEqual((await consul.catalog.service.list())["js-db"], ["pg"]);
  const [found] = await consul.catalog.service.nodes({ service: "js-db", tag: "pg" });
  assert.equal(found.ServicePort, 5432);
  assert.ok("js-db-1" in (await consul.catalog.node.services("js-outside")).Services);
  assert.deepEqual(await consul.catalog.connect.nodes("js-db"), []);
  await consul.catalog.deregister({ node: "js-outside" });
  assert.deepEqual(await consul.catalog.service.nodes("js-db"), []);
});

test("agent", async () => {
  const consul = make();
  await consul.agent.service.register({
    name: "js-web",
    id: "js-web-1",
    port: 80,
    tags: ["a"],
    taggedaddresses: { lan: { address: "10.0.0.9", port: 80 } },
    check: { ttl: "30s", notes: "by hand" },
  });
  assert.equal((await consul.agent.service.list())["js-web-1"].TaggedAddresses.lan.Port, 80);
  for (const [verb, status] of [["warn", "warning"], ["fail", "critical"], ["pass", "passing"]]) {
    await consul.agent.check[verb]({ id: "service:js-web-1", note: "as it is" });
    assert.equal((await consul.agent.check.list())["service:js-web-1"].Status, status);
  }
  await consul.agent.check.register({
    name: "js-tcp", id: "js-tcp-1", serviceid: "js-web-1", tcp: "127.0.0.1:1", interval: "10s",
  });
  assert.equal((await consul.agent.check.list())["js-tcp-1"].ServiceName, "js-web");
  await consul.agent.check.deregister("js-tcp-1");
  await consul.agent.service.maintenance({ id: "js-web-1", enable: true, reason: "a rest" });
  const [resting] = await consul.health.service("js-web");
  assert.ok(resting.Checks.some((check) => check.Notes === "a rest"));
  await consul.agent.service.maintenance({ id: "js-web-1", enable: false });
  await consul.agent.maintenance({ enable: true });
  await consul.agent.maintenance({ enable: false });
  await consul.agent.service.deregister("js-web-1");
  assert.ok(!("js-web-1" in (await consul.agent.service.list())));
  assert.equal((await consul.agent.self()).Config.NodeName, "c1");
  assert.equal((await consul.agent.members())[0].Name, "c1");
  assert.ok((await consul.status.peers()).includes(await consul.status.leader()));
});

test("health", async () => {
  const consul = make();
  await consul.agent.service.register({ name: "js-health", check: { ttl: "30s" } });
  assert.deepEqual(await consul.health.service({ service: "js-health", passing: true }), []);
  await consul.agent.check.pass("service:js-health");
  const [found] = await consul.health.service({ service: "js-health", passing: true });
  assert.equal(found.Service.Service, "js-health");
  assert.equal((await consul.health.checks("js-health"))[0].Status, "passing");
  const onNode = await consul.health.node("c1");
  assert.ok(onNode.some((check) => check.CheckID === "service:js-health"));
  const passing = await consul.health.state("passing");
  assert.ok(passing.some((check) => check.CheckID === "service:js-health"));
  await consul.agent.service.deregister("js-health");
});

test("watch", async () => {
  const consul = make();
  const watch = consul.watch({
    method: consul.health.service,
    options: { service: "js-watch", passing: true, wait: "20s" },
  });
  const seen = [];
  const both = new Promise((resolve, reject) => {
    watch.on("change", (data) => {
      seen.push(data.length);
      if (seen.at(-1) === 1) resolve();
    });
    watch.on("error", reject);
  });
  while (seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  await consul.agent.service.register({ name: "js-watch", port: 1 });
  await both;
  watch.end();
  await consul.agent.service.deregister("js-watch");
});

test("kv", async () => {
  const consul = make();
  assert.equal(await consul.kv.set({ key: "js/a", value: "one", flags: 7 }), true);
  assert.equal(await consul.kv.set("js/b/c", "two"), true);
  const found = await consul.kv.get("js/a");
  assert.deepEqual([found.Value, found.Flags], ["one", 7]);
  assert.equal(await consul.kv.get({ key: "js/a", raw: true }).then(String), "one");
  const both = await consul.kv.get({ key: "js/", recurse: true });
  assert.deepEqual(both.map((one) => one.Value), ["one", "two"]);
  assert.deepEqual(await consul.kv.keys({ key: "js/", separator: "/" }), ["js/a", "js/b/"]);
  // this client gives undefined for JSON's false
  assert.ok(!(await consul.kv.set({ key: "js/a", value: "x", cas: "0" })));
  assert.equal(await consul.kv.del({ key: "js/", recurse: true }), true);
  assert.equal(await consul.kv.get("js/a"), undefined);
});

// With a token that may write the service acl-web and read the keys under acl/.
test("acl", { skip: !process.env.LOCKGATE_TOKEN }, async () => {
  const stranger = make();
  const port = process.env.LOCKGATE_PORT;
  const defaults = { token: process.env.LOCKGATE_TOKEN };
  const consul = new Consul({ host: "127.0.0.1", port, defaults });
  await assert.rejects(stranger.agent.service.register("acl-web"), { statusCode: 403 });
  await consul.agent.service.register("acl-web");
  assert.ok("acl-web" in (await consul.agent.service.list()));
  await assert.rejects(consul.kv.set("acl/b", "1"), { statusCode: 403 });
  await assert.rejects(stranger.kv.get("acl/b"), { statusCode: 403 });
  await consul.agent.service.deregister("acl-web");
});
