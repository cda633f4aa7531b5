"""Fuzzing: bytes that nobody chose, for every parser and for the whole proxy; see docs/fuzzing.md.

``targets``    what is tried and what must hold          ``oracles``   h11 and llhttp, reading the same bytes
``registry``   the names of all targets                  ``reading``   the same bytes as the proxy reads them
``__main__``   runs targets one after the other          ``driver``    one target under atheris
``minimise``   makes a finding small                     ``selection`` chooses which inputs a corpus keeps
``corpus/``    seeds and findings, a folder a target     ``dictionaries/``  words for the mutator, a file a target
"""
