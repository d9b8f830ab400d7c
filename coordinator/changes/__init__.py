"""What one state of things changes against another: entries, pairs, routes, live connections. Pure.

`plan`, `diff`, `rollback` and `simulate` say the same things about a change, so they ask the same functions,
and these ask the ones that the data path decides by. Never here: making a change, or asking nodes.
"""
