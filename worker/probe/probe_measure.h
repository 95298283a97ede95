// SPDX-License-Identifier: Apache-2.0
/* probe_measure - the micro-benchmarks behind probe_measure() of probe.h, on the calling thread. */
#ifndef PROBE_MEASURE_H
#define PROBE_MEASURE_H

double measure_copy_bytes_per_second(
    void); /* memcpy of more than most caches hold; 0 if there is no memory for it */
double measure_multiply_add_flops_per_second(
    void); /* fp32, in registers, with the widest vectors that the code has */

#endif
