# SPDX-License-Identifier: Apache-2.0
motley_test(unit ranges coordinator_core)
motley_test(unit fill coordinator_core)
motley_test(unit curve coordinator_core)
motley_test(unit policy coordinator_core)
motley_test(unit tally coordinator_core)
motley_test(unit sched coordinator_core)
