# Shards: the only rule that is work for a cluster. A shard's file is named by its content, so its time does not matter.


rule shard:
    input:
        config=ancient(RESOLVED_CONFIG),
        shard=ancient(f"{RESULTS}/plan/shards/{{shard}}.json"),
        datasets=ancient(DATASET_FILES),
    output:
        f"{RESULTS}/shards/{{shard}}.json",
    log:
        f"{RESULTS}/logs/shard/{{shard}}.log",
    conda:
        shard_environment
    threads: CONFIG.training.threads
    resources:
        # One measured shard at a time on a node: the local profile grants one meter.
        meter=1,
        runtime=shard_minutes,
        mem_mb=CONFIG.scheduling.memory_mb,
        slurm_partition=CONFIG.scheduling.partition,
        slurm_account=CONFIG.scheduling.account,
        slurm_extra="--exclusive",
        gres=shard_gres,
    shell:
        "python -m wattsweep run-shard {input.shard:q} --configfile {input.config:q} --output {output:q} > {log:q} 2>&1"
