"""Inventory and rig files: what exists, and which role it plays.

The package itself imports nothing, so that `labctl --help` stays fast. Most callers want
`labctl.config.loading.load_rig`; `labctl.config.paths` says where the database and reports go.
"""
