"""Filter expressions as Consul writes them: `Service.Meta.version == v1 and "a" in Service.Tags`.

`syntax` has the grammar, `shapes` what a selector may name, `compile` makes a predicate of both, `catalog`
has the shapes of nodes, instances and checks. The API's `?filter=` and a resolver's subsets are the same
code. Pure.
"""

from .compile import Filter, compile_filter
from .syntax import FilterError

__all__ = ["Filter", "FilterError", "compile_filter"]
