# Shards: the only rule that is work for a cluster. A shard's file is named by its content, so its time does not matter.
# Every input of a rule costs with every one of very many jobs: datasets are no inputs, since there is no plan without.


rule shard:
    input:
        config=ancient(RESOLVED_CONFIG),
        shard=ancient(f"{RESULTS}/plan/shards/{{shard}}.json"),
    output:
        f"{RESULTS}/shards/{{shard}}.json",
    log:
        f"{RESULTS}/logs/shard/{{shard}}.log",
    conda:
        shard_environment
    threads: CONFIG.training.threads
    resources:
        # One measured shard at a time on this machine, or `scheduling.runs_per_node`.
        meter=METER_PARTS // CONFIG.scheduling.runs_per_node,
        runtime=shard_minutes,
        mem_mb=CONFIG.scheduling.memory_mb,
        slurm_partition=CONFIG.scheduling.partition,
        slurm_account=CONFIG.scheduling.account,
        slurm_extra=SLURM_EXTRA,
        qos=CONFIG.scheduling.qos,
        constraint=CONFIG.scheduling.constraint,
        gres=shard_gres,
    shell:
        # In the shell's place: a signal to the job's processes would end a shell, and Slurm the job before it has drained.
        "exec python -m wattsweep run-shard {input.shard:q} --configfile {input.config:q} --output {output:q} >> {log:q} 2>&1"
