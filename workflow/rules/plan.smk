# Datasets are prepared and the plan is made on the submitting machine.


rule resolve_config:
    output:
        RESOLVED_CONFIG,
    log:
        f"{RESULTS}/logs/resolve_config.log",
    localrule: True
    params:
        # A function's value keeps its braces: those of `{node}-bmc.example.org` are no wildcard. Who publishes the results
        # is of the data card alone: nothing else is made again for it.
        config=lambda wildcards: CONFIG.model_dump_json(
            by_alias=True, indent=1, exclude={"publication"}
        ),
    run:
        Path(output[0]).write_text(params.config, encoding="utf-8")
        Path(log[0]).write_text(f"from {workflow.configfiles}", encoding="utf-8")


rule prepare_dataset:
    input:
        config=ancient(RESOLVED_CONFIG),
    output:
        f"{RESULTS}/datasets/{{source}}/{{dataset}}.npz",
    log:
        f"{RESULTS}/logs/prepare_dataset/{{source}}-{{dataset}}.log",
    localrule: True
    conda:
        "../../envs/train-cpu.yml"
    shell:
        "python -m wattsweep prepare {wildcards.source:q}:{wildcards.dataset:q} --configfile {input.config:q} > {log:q} 2>&1"


checkpoint plan:
    input:
        config=RESOLVED_CONFIG,
        datasets=DATASET_FILES,
    output:
        plan=PLAN,
        shards=directory(f"{RESULTS}/plan/shards"),
    log:
        f"{RESULTS}/logs/plan.log",
    localrule: True
    conda:
        "../../envs/analysis.yml"
    params:
        folder=lambda wildcards, output: Path(output.plan).parent,
    shell:
        "python -m wattsweep plan --configfile {input.config:q} --output {params.folder:q} > {log:q} 2>&1"
