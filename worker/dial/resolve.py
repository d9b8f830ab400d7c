"""Names to addresses: the hosts file, then DNS, with answers kept as long as they hold.

The hosts file and resolv.conf are read again when they change. Tasks that ask for one name at the
same time share one query: the first asks, the others wait for what it finds, and if it is cancelled
one of them asks anew. How long an answer holds is decided in `worker.dial.answers`.

Belongs here: asking and remembering. Never here: connecting, or a choice between addresses.
"""

import dns.asyncbackend
import dns.asyncresolver
import dns.exception
import dns.rdatatype
import dns.resolver
import trio
from dns.rdatatype import RdataType

from cluster.errors import LockgateError
from worker.dial.answers import Entry, Records, ResolveLimits, is_usable, joined, remembered
from worker.dial.hosts import HostsFile, canonical
from worker.dial.literal import is_address
from worker.dial.watched import WatchedFile


class Unresolvable(LockgateError):
    """A name has no address, or DNS does not work; the text says which, without the name."""


class Resolver:
    """One per worker, for any number of tasks at once."""

    def __init__(
        self,
        *,
        hosts: str = "/etc/hosts",
        resolv_conf: str = "/etc/resolv.conf",
        port: int = 53,
        limits: ResolveLimits | None = None,
    ) -> None:
        self._limits = limits or ResolveLimits()
        self._hosts = HostsFile(hosts)
        self._dns = _Dns(resolv_conf, port, self._limits)
        self._known: dict[str, Entry] = {}
        self._asking: dict[str, trio.Event] = {}

    async def resolve(self, host: str) -> tuple[str, ...]:
        """The addresses of `host`, at least one, in the order to try them; a literal is its own.

        Raises `Unresolvable`.
        """
        if is_address(host):
            await trio.lowlevel.checkpoint()
            return (host,)
        if addresses := self._hosts.lookup(host):
            await trio.lowlevel.checkpoint()
            return addresses
        entry = await self._entry(canonical(host))
        if not entry.addresses:
            raise Unresolvable(entry.why)
        return entry.addresses

    async def _entry(self, name: str) -> Entry:
        await trio.lowlevel.checkpoint()
        while True:
            entry = self._known.get(name)
            if entry is not None and trio.current_time() < entry.fresh_until:
                return entry
            others = self._asking.get(name)
            if others is None:
                return await self._ask(name, entry)
            await others.wait()

    async def _ask(self, name: str, old: Entry | None) -> Entry:
        over = self._asking[name] = trio.Event()
        try:
            records = await self._query(name, old)
            entry = remembered(old, records, trio.current_time(), self._limits)
            self._remember(name, entry)
            return entry
        finally:
            del self._asking[name]
            over.set()

    async def _query(self, name: str, old: Entry | None) -> Records:
        has_old = old is not None and is_usable(old, trio.current_time())
        limits = self._limits
        seconds = limits.stale_patience_seconds if has_old else limits.query_seconds
        records = Records(failed=True, why=f"no answer from DNS in {seconds:g} s")
        with trio.move_on_after(seconds):
            records = await self._dns.addresses(name)
        return records

    def _remember(self, name: str, entry: Entry) -> None:
        """Names come from snapshots, so there are few; the bound is for a bug."""
        if len(self._known) >= self._limits.max_names:
            now = trio.current_time()
            self._known = {n: e for n, e in self._known.items() if now < e.fresh_until}
        if len(self._known) < self._limits.max_names:
            self._known[name] = entry


class _Dns:
    """Both address records of a name, by the servers that resolv.conf names."""

    def __init__(self, resolv_conf: str, port: int, limits: ResolveLimits) -> None:
        self._file = WatchedFile(resolv_conf)
        self._port = port
        self._limits = limits
        self._backend = dns.asyncbackend.get_backend("trio")
        self._stub: dns.asyncresolver.Resolver | None = None

    async def addresses(self, name: str) -> Records:
        """Ask for A and AAAA at once; once one is there the other gets only a little longer."""
        silent = Records(failed=True, why="no answer from DNS")
        found = {RdataType.A: silent, RdataType.AAAA: silent}

        async def ask(kind: RdataType) -> None:
            found[kind] = await self._records(name, kind)
            if found[kind].addresses:
                deadline = trio.current_time() + self._limits.other_family_seconds
                nursery.cancel_scope.deadline = deadline

        async with trio.open_nursery() as nursery:
            for kind in found:
                nursery.start_soon(ask, kind)
        return joined(found[RdataType.A], found[RdataType.AAAA])

    async def _records(self, name: str, kind: RdataType) -> Records:
        try:
            answer = await self._configured().resolve(
                name, kind, raise_on_no_answer=False, search=True, backend=self._backend
            )
        except dns.resolver.NXDOMAIN:
            return Records(why="no such name in DNS")
        except dns.resolver.LifetimeTimeout:
            return Records(
                failed=True, why=f"no answer from DNS in {self._limits.query_seconds:g} s"
            )
        except (dns.resolver.NoNameservers, dns.resolver.NoResolverConfiguration) as error:
            return Records(failed=True, why=f"DNS: {error}")
        except dns.exception.DNSException as error:
            return Records(why=f"not a name for DNS: {error}")
        if answer.rrset is None:
            return Records(why="the name has no address in DNS")
        return Records(
            addresses=tuple(record.to_text() for record in answer.rrset),
            ttl_seconds=answer.chaining_result.minimum_ttl,
        )

    def _configured(self) -> dns.asyncresolver.Resolver:
        if self._file.changed() or self._stub is None:
            stub = dns.asyncresolver.Resolver(filename=self._file.path)
            stub.port = self._port
            stub.timeout = self._limits.server_seconds
            stub.lifetime = self._limits.query_seconds
            self._stub = stub
        return self._stub
