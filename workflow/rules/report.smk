# What people read: the figures and the report.


rule figures:
    input:
        runs=f"{TABLES}/runs.parquet",
        experiments=f"{TABLES}/experiments.parquet",
        epochs=f"{TABLES}/epochs",
        fit=FIT,
    output:
        [
            report(
                f"{FIGURES}/{name}.svg",
                caption=f"../report/{name}.rst",
                category=category,
                labels={"figure": name.replace("_", " ")},
            )
            for name, category in FIGURE_CATEGORIES.items()
        ],
        expand(
            f"{FIGURES}/{{name}}.{{kind}}",
            name=FIGURE_CATEGORIES,
            kind=["pdf", "png"],
        ),
        FINDINGS,
        INTERACTIVE,
    log:
        f"{RESULTS}/logs/figures.log",
    localrule: True
    conda:
        "../../envs/analysis.yml"
    params:
        tables=lambda wildcards, input: Path(input.runs).parent,
        folder=lambda wildcards, output: Path(output[0]).parent,
        hardware=[f"--hardware={name}" for name in CONFIG.analysis.hardware],
    shell:
        "python -m wattsweep figures --tables {params.tables:q} --fit {input.fit:q} --output {params.folder:q} {params.hardware:q} > {log:q} 2>&1"


rule report:
    input:
        plan=PLAN,
        runs=f"{TABLES}/runs.parquet",
        experiments=f"{TABLES}/experiments.parquet",
        fit=FIT,
        figures=FIGURE_FILES,
        findings=FINDINGS,
        interactive=INTERACTIVE,
    output:
        REPORT,
    log:
        f"{RESULTS}/logs/report.log",
    localrule: True
    conda:
        "../../envs/analysis.yml"
    params:
        plan=lambda wildcards, input: Path(input.plan).parent,
        tables=lambda wildcards, input: Path(input.runs).parent,
        figures=lambda wildcards, input: Path(input.figures[0]).parent,
    shell:
        "python -m wattsweep report --plan {params.plan:q} --tables {params.tables:q} --fit {input.fit:q} --figures {params.figures:q} --output {output:q} > {log:q} 2>&1"


rule data_card:
    input:
        config=RESOLVED_CONFIG,
        plan=PLAN,
        runs=f"{TABLES}/runs.parquet",
        figures=FIGURE_FILES,
        report=REPORT,
    output:
        DATA_CARD,
    log:
        f"{RESULTS}/logs/data_card.log",
    localrule: True
    conda:
        "../../envs/analysis.yml"
    params:
        publication=lambda wildcards: CONFIG.publication.model_dump_json(),
    shell:
        "python -m wattsweep data-card --configfile {input.config:q} --publication {params.publication:q} > {log:q} 2>&1"
