"""Tuning: Optuna over the ranges that are declared for an agent, in a folder that a kill at any moment leaves usable.

``dimension`` and ``space`` say what is tried, ``plan`` what was asked for, ``study`` keeps what is known, ``trial``
trains one set of values, ``pool`` has processes do so, ``search`` runs it all, ``results`` writes what came out::

    plan.yaml            what was asked for, with the ranges
    agent.yaml, env.yaml the agent and the task as they were then
    study.db             Optuna's own records
    runs/TRIAL/SEED/     every training, as any run; error.txt where a trial failed
    trials.csv           trial,state,score,seed_0,...,parameters, and the values that were tried
    best.yaml            the best agent, for ``--agent``
    best-env.yaml        the task, for ``--env``, where trials go by another protocol than its own
"""
