"""The targets: one module each, with a function `check` that takes an input and raises where a claim is broken.

An input that a parser refuses in the documented way is as good as one that it accepts. Everything else that is raised,
and a `Finding`, is a finding.
"""
