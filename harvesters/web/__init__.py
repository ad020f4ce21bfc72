"""The web face: pages and JSON over what the command line answers. `app` puts it together, `server` runs it.

A request passes the list in `app.create` from top to bottom: each entry is one policy, and routers hold none.
"""
