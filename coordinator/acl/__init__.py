"""Who may do what: Consul's ACL rules, policies, roles and tokens, decided by pure functions.

`rights` are what a call asks for, `rules` what a policy says, `authorizer` decides one by the other.
"""
