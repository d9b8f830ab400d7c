"""Who changed what, when and from where: the audit log of the API's mutating calls.

`entry` is one call, `changes` what a commit does in digests, `log` the file, `reading` its lines again.
"""
