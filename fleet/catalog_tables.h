// SPDX-License-Identifier: Apache-2.0
/* catalog_tables - the rows of fleet/catalog as C, made by its generate.py. For catalog.c alone. */
#ifndef CATALOG_TABLES_H
#define CATALOG_TABLES_H

#include "catalog.h"

extern const struct catalog_device catalog_device_rows[];
extern const size_t catalog_device_rows_count;
extern const struct catalog_benchmark catalog_benchmark_rows[];
extern const size_t catalog_benchmark_rows_count;

/* In the order of the devices: those of device i are [firsts[i], firsts[i + 1]). */
extern const struct catalog_result catalog_result_rows[];
extern const size_t catalog_result_rows_count;
extern const unsigned catalog_result_firsts[];

#endif
