#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the C tables of fleet/catalog_tables.h from the CSV files beside this script.

generate.py OUTPUT.c: a row with too few cells, a number that is none or an unknown device or benchmark stops
the build, and not a user."""
import csv
import os
import re
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
RATES = ["int4_ops_per_second", "int8_ops_per_second", "fp16_ops_per_second", "bf16_ops_per_second",
         "fp32_ops_per_second"]
DEVICE_NUMBERS = RATES + ["memory_bytes", "bandwidth_bytes_per_second", "power_watts"]
DEVICE_TEXTS = ["precisions", "host", "runtime", "source", "note"]
BENCHMARK_NUMBERS = ["operations_per_sample", "parameters", "input_bytes"]
QUANTITIES = {
    "offline_samples_per_second": "CATALOG_OFFLINE",
    "single_stream_ms": "CATALOG_SINGLE_MS",
    "single_stream_samples_per_second": "CATALOG_SINGLE_RATE",
    "power_run_watts": "CATALOG_POWER_RUN_WATTS",
    "power_run_samples_per_second": "CATALOG_POWER_RUN_RATE",
    "joules_per_sample": "CATALOG_JOULES",
}


def rows(name):
    with open(os.path.join(FOLDER, name), newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if None in row or None in row.values():
                sys.exit(f"{name}: a row has not as many cells as the first line: {row}")
            yield row


def text(value):
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def number(value):
    return repr(float(value)) if value else "-1.0"


def whole(value):
    return str(int(value)) if value else "0"


def device(row):
    cells = [text(row[key]) for key in ("name", "aliases", "vendor", "kind", "part")]
    cells += [whole(row["parts"]), whole(row["year"])]
    cells += [number(row[key]) for key in DEVICE_NUMBERS]
    return "    { " + ", ".join(cells + [text(row[key]) for key in DEVICE_TEXTS]) + " },"


def benchmark(row):
    cells = [text(row["name"]), text(row["aliases"])] + [number(row[key]) for key in BENCHMARK_NUMBERS]
    return "    { " + ", ".join(cells + [text(row["source"]), text(row["note"])]) + " },"


def order(name):
    """A later round is larger; of one round the closed division is."""
    major, minor = re.fullmatch(r"[a-z]+-v(\d+)\.(\d+)-(?:open|closed)", name).groups()
    return int(major) * 1000 + int(minor) * 10 + name.endswith("-closed")


def result(row):
    cells = [text(row["device"]), text(row["benchmark"]), whole(row["devices"]), text(row["system"]),
             text(row["round"]), str(order(row["round"])), QUANTITIES[row["quantity"]], number(row["value"]),
             text(row["source"])]
    return "    { " + ", ".join(cells) + " },"


def table(out, kind, name, lines):
    print(f"const struct {kind} {name}[] = {{", *lines, "};", sep="\n", file=out)
    print(f"const size_t {name}_count = {len(lines)};\n", file=out)


def main():
    devices, benchmarks = list(rows("devices.csv")), list(rows("benchmarks.csv"))
    names = [row["name"] for row in devices]
    places = {name: place for place, name in enumerate(names)}
    known = {row["name"] for row in benchmarks}
    results = list(rows("results.csv"))
    for row in results:
        if row["device"] not in places or row["benchmark"] not in known:
            sys.exit(f"results.csv: unknown device or benchmark: {row}")
    results.sort(key=lambda row: places[row["device"]])
    firsts = [0] * (len(names) + 1)
    for row in results:
        firsts[places[row["device"]] + 1] += 1
    for place in range(len(names)):
        firsts[place + 1] += firsts[place]
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        print('/* Made by fleet/catalog/generate.py. */\n#include "catalog_tables.h"\n', file=out)
        table(out, "catalog_device", "catalog_device_rows", [device(row) for row in devices])
        table(out, "catalog_benchmark", "catalog_benchmark_rows", [benchmark(row) for row in benchmarks])
        table(out, "catalog_result", "catalog_result_rows", [result(row) for row in results])
        print("const unsigned catalog_result_firsts[] = { " + ", ".join(map(str, firsts)) + " };", file=out)


main()
