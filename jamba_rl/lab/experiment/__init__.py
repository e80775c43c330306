"""Experiments: agents x envs x seeds, each run in a process of its own, here or on a Ray cluster.

``spec`` and ``read`` say what a config is, ``jobs`` makes runs of it, ``compare`` looks whether what is compared can
be; ``schedule`` has workers train them (``local``, ``cluster``) and put to their probes (``probe``), ``show`` tells
how far they are. Who watches a run reads its folder: workers say nothing else.

Beside the runs lie ``config.yaml``, the experiment as it was resolved, and ``comparison.json`` for the report::

    config       the file
    differ       what compared agents may differ in, as declared
    parameters   {env: {agent: [all, those that one step meets]}}
    notes        sentences: compared agents that differ in more than their network, or in size by more than a tenth
"""
