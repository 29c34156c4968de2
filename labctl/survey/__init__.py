"""A range survey: walking over a site with devices, and saying which band reaches where.

`run.run_survey` opens the rig and walks; `walk.Walk` is the walk itself, whoever leads it; and
`labctl.record.survey` gives back all that was recorded. Nothing here draws or prints.
"""
