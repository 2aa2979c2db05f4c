# Run files become tables, tables become the energy model.


rule tables:
    input:
        config=RESOLVED_CONFIG,
        plan=PLAN,
        shards=planned_shards,
    output:
        runs=f"{TABLES}/runs.parquet",
        experiments=f"{TABLES}/experiments.parquet",
        epochs=directory(f"{TABLES}/epochs"),
        counts=f"{TABLES}/counts.json",
    log:
        f"{RESULTS}/logs/tables.log",
    localrule: True
    conda:
        "../../envs/analysis.yml"
    params:
        plan=lambda wildcards, input: Path(input.plan).parent,
        folder=lambda wildcards, output: Path(output.runs).parent,
    shell:
        "python -m wattsweep tables --configfile {input.config:q} --plan {params.plan:q} --output {params.folder:q} > {log:q} 2>&1"


rule fit:
    input:
        config=RESOLVED_CONFIG,
        experiments=f"{TABLES}/experiments.parquet",
    output:
        FIT,
    log:
        f"{RESULTS}/logs/fit.log",
    localrule: True
    conda:
        "../../envs/analysis.yml"
    params:
        tables=lambda wildcards, input: Path(input.experiments).parent,
    shell:
        "python -m wattsweep fit --configfile {input.config:q} --tables {params.tables:q} --output {output:q} > {log:q} 2>&1"
